import DstackCrypto
package import DstackEncoding

/// One line of an audit log: canonical JSON (RFC 8785), so that each entry has one spelling.
///
/// `{"event":…,"facts":{…},"log":…,"number":…,"previous":…,"time":…}`. `previous` is the SHA-256 of the line before, without
/// its line feed, and zeros in the first: who changes, leaves out, doubles or moves an entry breaks the link behind it.
package struct AuditEntry: Sendable, Hashable {
    /// Of which log: random, chosen when it began.
    package let log: FixedBytes<16>
    /// 1 for the first.
    package let number: UInt64
    package let previous: FixedBytes<32>
    /// When it was recorded, by this machine's clock; RFC 3339 with milliseconds.
    package let time: String
    /// The name of what happened; of ``AuditEvent``, or of a later version of it.
    package let event: String
    /// The line, without line feed.
    package let line: [UInt8]

    /// By which the next entry names this one.
    package var hash: FixedBytes<32> { SHA256.hash(line) }

    /// The largest line that is read.
    package static let maximumByteCount = 256 * 1_024

    /// - Parameter time: Unix milliseconds.
    init(
        _ event: AuditEvent, log: FixedBytes<16>, number: UInt64, previous: FixedBytes<32>, time: Int64
    ) throws(KMSStateError) {
        let text = AuditTime.text(time)
        var writer = JSONWriter()
        writer.object { entry in
            entry.member("event", event.name)
            entry.object("facts") { event.write(to: &$0) }
            entry.member("log", log.hex)
            entry.member("number", number)
            entry.member("previous", previous.hex)
            entry.member("time", text)
        }
        do throws(DecodingFailure) {
            line = try CanonicalJSON.encode(JSONDocument(parsing: writer.bytes, subject: "audit entry").root)
        } catch {
            throw KMSStateError(.malformed, error)
        }
        self.log = log
        self.number = number
        self.previous = previous
        self.time = text
        self.event = event.name
    }

    /// Reads a line.
    ///
    /// - Throws: ``KMSStateError/Code/malformed`` for anything but the one spelling of an entry.
    package init(line: [UInt8]) throws(KMSStateError) {
        do throws(DecodingFailure) {
            guard line.count <= Self.maximumByteCount else {
                throw DecodingFailure(.tooLarge, "audit entry", "more than \(Self.maximumByteCount) bytes")
            }
            let entry = try JSONDocument(parsing: line, subject: "audit entry", maximumDepth: 8).root
            try entry.expectOnlyMembers(["event", "facts", "log", "number", "previous", "time"])
            log = try entry.member("log").fixedHex(prefix: .none)
            number = try entry.member("number").integer()
            previous = try entry.member("previous").fixedHex(prefix: .none)
            time = try entry.member("time").string()
            event = try entry.member("event").string()
            let facts = try entry.member("facts")
            guard facts.kind == .object else { throw facts.failure("an object expected") }
            _ = try AuditTime.seconds(time)
            // Also what escapes, spaces, the order of members and the case of digits could hide.
            guard try CanonicalJSON.encode(entry) == line, log.hex == (try entry.member("log").string()),
                previous.hex == (try entry.member("previous").string())
            else { throw entry.failure("it is not in canonical form") }
        } catch {
            throw KMSStateError(.malformed, error)
        }
        self.line = line
    }
}

/// Times as the log has them.
enum AuditTime {
    /// - Parameter milliseconds: since 1970.
    static func text(_ milliseconds: Int64) -> String {
        let part = ((milliseconds % 1_000) + 1_000) % 1_000
        return RFC3339.format((milliseconds - part) / 1_000, milliseconds: Int(part))
    }

    static func seconds(_ text: String) throws(DecodingFailure) -> Int64 {
        try RFC3339.parse(text, subject: "time")
    }
}
