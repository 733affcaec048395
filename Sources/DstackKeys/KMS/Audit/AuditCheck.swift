package import DstackCrypto
package import DstackEncoding

/// What a check of an audit log found.
package struct AuditReport: Sendable, Hashable {
    /// Something that is not as a service writes it.
    package struct Finding: Sendable, Hashable, CustomStringConvertible {
        package enum Kind: String, Sendable {
            /// A line that is no entry, or no head.
            case malformed
            /// The numbers of two entries do not follow each other: some are missing, doubled or in another order.
            case order
            /// An entry does not name the one before it: one of them was changed or put there.
            case link
            /// An entry or a head of another log.
            case otherLog = "other_log"
            /// Nobody says how far the log had come: there may have been more.
            case noHead = "no_head"
            /// A head that no service under the root signed.
            case notAuthentic = "not_authentic"
            /// The log ends before a head that was signed.
            case cutOff = "cut_off"
            /// The log has another entry where a head was signed.
            case forked
        }

        package let kind: Kind
        /// The line, from 1; nil for what is about no line.
        package let line: Int?
        package let explanation: String

        package var description: String {
            (line.map { "line \($0): " } ?? "") + "\(kind.rawValue): \(explanation)"
        }
    }

    /// Nil for a log without entries.
    package var log: FixedBytes<16>?
    package var count: UInt64 = 0
    /// Of the last entry; zeros without entries.
    package var lastHash = FixedBytes<32>()
    package var firstTime: String?
    package var lastTime: String?
    /// How far the log had come by its service's word, if that is verified.
    package var head: SignedAuditHead?
    /// At most 100.
    package var findings: [Finding] = []

    /// Whether every entry is as it was written, and none is missing up to the heads that were given. What came after the
    /// last of them, nobody can say.
    package var isIntact: Bool { findings.isEmpty }
}

/// Checks a log line by line, in order.
package struct AuditChecker {
    package private(set) var report = AuditReport()
    private var line = 0
    /// Heads that somebody kept, by how far they say that the log had come.
    private let known: [UInt64: [SignedAuditHead]]
    private let root: P256.PublicKey

    /// - Parameters:
    ///   - root: the root CA's key, which heads must lead to.
    ///   - known: heads that were kept elsewhere.
    package init(root: P256.PublicKey, known: [SignedAuditHead] = []) {
        self.root = root
        self.known = Dictionary(grouping: known, by: \.count)
        for head in known {
            do throws(KMSStateError) {
                try head.verify(root: root)
            } catch {
                find(.notAuthentic, "a head that was kept: \(error)", line: nil)
            }
        }
    }

    /// The next line, without its line feed.
    package mutating func add(_ bytes: [UInt8]) {
        line += 1
        do throws(KMSStateError) {
            add(try AuditEntry(line: bytes))
        } catch {
            find(.malformed, "\(error)", line: line)
        }
    }

    private mutating func add(_ entry: AuditEntry) {
        if report.log != nil, report.log != entry.log {
            find(.otherLog, "it is of log \(entry.log)", line: line)
        }
        if entry.number != report.count + 1 {
            find(.order, "entry \(entry.number) comes behind entry \(report.count)", line: line)
        }
        if entry.previous != report.lastHash {
            find(.link, "entry \(entry.number) was written behind another entry than this one before it", line: line)
        }
        report.log = report.log ?? entry.log
        report.count = entry.number
        report.lastHash = entry.hash
        report.firstTime = report.firstTime ?? entry.time
        report.lastTime = entry.time
        for head in known[entry.number] ?? [] { compare(head, entry.hash) }
    }

    private mutating func compare(_ head: SignedAuditHead, _ hash: FixedBytes<32>) {
        if head.log == report.log, head.hash != hash {
            find(.forked, "entry \(head.count) was another when a head was signed at \(head.time)", line: nil)
        }
    }

    /// A head that comes with the log, behind its last entry.
    package mutating func add(head: SignedAuditHead) {
        do throws(KMSStateError) {
            try head.verify(root: root)
        } catch {
            find(.notAuthentic, "\(error)", line: nil)
            return
        }
        if let log = report.log, log != head.log {
            find(.otherLog, "the head is of log \(head.log)", line: nil)
        } else if head.count != report.count {
            let kind: AuditReport.Finding.Kind = head.count > report.count ? .cutOff : .order
            find(kind, "there are \(report.count) entries, and \(head.count) by the head", line: nil)
        } else if head.hash != report.lastHash {
            find(.forked, "the last entry is another than the head names", line: nil)
        } else {
            report.head = head
        }
    }

    mutating func find(_ kind: AuditReport.Finding.Kind, _ explanation: String, line: Int?) {
        guard report.findings.count < 100 else { return }
        report.findings.append(.init(kind: kind, line: line, explanation: explanation))
    }

    /// What was found, once all lines were added.
    package consuming func finish() -> AuditReport {
        for head in known.values.joined().sorted(by: { $0.count < $1.count }) {
            if let log = report.log, head.log != log {
                find(.otherLog, "a head that was kept is of log \(head.log)", line: nil)
            } else if head.count > report.count {
                find(.cutOff, "there are \(report.count) entries, and were \(head.count) at \(head.time)", line: nil)
            }
        }
        return report
    }
}

/// An exported log: one entry a line, then `{"head":…}` in a line of its own.
package enum AuditExport {
    static func headLine(_ head: SignedAuditHead) -> [UInt8] { Self.prefix + head.json + Self.suffix }

    private static let prefix = Array(#"{"head":"#.utf8)
    private static let suffix = Array("}".utf8)

    /// The head in a line, JSON; nil for another line.
    private static func head(inLine line: ArraySlice<UInt8>) -> [UInt8]? {
        guard line.starts(with: prefix), line.last == suffix.first else { return nil }
        return Array(line.dropFirst(prefix.count).dropLast(suffix.count))
    }

    /// The head that an export ends with, or that is given alone. Nothing is verified.
    ///
    /// - Throws: ``KMSStateError/Code/malformed``.
    package static func head(of bytes: [UInt8]) throws(KMSStateError) -> SignedAuditHead {
        let last = bytes.split(separator: UInt8(ascii: "\n")).last ?? []
        return try SignedAuditHead(json: head(inLine: last) ?? Array(last))
    }

    /// Checks an export, without the service that wrote it.
    ///
    /// - Parameters:
    ///   - root: the root CA's key, as it is pinned elsewhere.
    ///   - known: heads that were kept: of earlier exports, from the service's metadata, from other services.
    package static func check(
        _ bytes: [UInt8], root: P256.PublicKey, known: [SignedAuditHead] = []
    ) -> AuditReport {
        var checker = AuditChecker(root: root, known: known)
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // What is whole ends with a line feed, behind which is nothing.
        if lines.last?.isEmpty == true {
            lines.removeLast()
        } else {
            checker.find(.malformed, "the last line has no end", line: lines.count)
        }
        guard let last = lines.last, let head = head(inLine: last) else {
            for line in lines { checker.add(Array(line)) }
            checker.find(.noHead, "the last line is no head: there may have been more entries", line: nil)
            return checker.finish()
        }
        for line in lines.dropLast() { checker.add(Array(line)) }
        do throws(KMSStateError) {
            checker.add(head: try SignedAuditHead(json: head))
        } catch {
            checker.find(.malformed, "\(error)", line: lines.count)
        }
        return checker.finish()
    }
}
