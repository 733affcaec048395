import DstackSystem
import Glibc

/// Quotes through the kernel's interface for reports of trusted execution environments (Linux 6.7 and later,
/// Documentation/ABI/testing/configfs-tsm).
///
/// A directory stands for a request: report data is written to `inblob`, the quote read from `outblob`, and `generation`
/// counts the writes, so that a reader can tell whose quote it has. Processes that share the directory, as Intel's library
/// has it, exclude each other by a lock on `inblob`; one that does not is noticed by the count, and the request is made
/// again.
public struct ConfigFSQuoteProvider: QuoteProvider {
    /// The directory that Intel's library uses.
    public static let defaultEntry = "/sys/kernel/config/tsm/report/com.intel.dcap"

    /// The request's directory.
    public let entry: String
    private let files: any PseudoFiles

    /// - Parameter entry: the request's directory, which is made if it is not there.
    public init(entry: String = ConfigFSQuoteProvider.defaultEntry) {
        self.init(entry: entry, files: SystemPseudoFiles())
    }

    package init(entry: String, files: any PseudoFiles) {
        self.entry = entry
        self.files = files
    }

    /// `configfs-tsm`.
    public var name: String { "configfs-tsm" }

    /// How long the kernel may take to count a write.
    private static let countingTime = Duration.seconds(5)

    /// What came of one try.
    private enum Outcome {
        case quote([UInt8])
        /// The kernel was busy, or somebody else wrote; another try may do better.
        case again(because: String)
    }

    /// Whether the kernel has the interface: the request's directory or the one that it belongs into.
    var isPresent: Bool {
        files.exists(entry) || files.exists(String(entry[..<(entry.lastIndex(of: "/") ?? entry.endIndex)]))
    }

    /// Has a quote made; tries again while the kernel is busy and time is left. The lock is not held between tries.
    public func quote(
        reportData: ReportData, deadline: ContinuousClock.Instant
    ) throws(AttestationError) -> [UInt8] {
        var tries = 0
        while true {
            let outcome: Outcome
            do throws(SystemError) {
                outcome = try attempt(reportData, deadline)
            } catch {
                throw failure(error.description)
            }
            tries += 1
            switch outcome {
            case .quote(let bytes):
                return bytes
            case .again(let reason):
                guard Polling.pause(until: deadline) else {
                    throw failure("no quote after \(tries) tries; the last: \(reason)")
                }
            }
        }
    }

    private func failure(_ reason: String) -> AttestationError {
        AttestationError(.quoteUnavailable, subject: name, reason: reason)
    }

    private func attempt(
        _ reportData: ReportData, _ deadline: ContinuousClock.Instant
    ) throws(SystemError) -> Outcome {
        // Made each time that it is missing: the file system may have been mounted only now.
        if !files.exists(entry) { try files.makeDirectory(entry) }
        try checkProvider()

        let inputPath = entry + "/inblob"
        let lock = try files.open(inputPath, flags: O_WRONLY)
        while try !files.tryLock(lock, inputPath) {
            guard Polling.pause(until: deadline) else {
                throw SystemError(
                    "lock", inputPath, code: EWOULDBLOCK, reason: "another process has held it the whole time")
            }
        }

        let before = try generation()
        do throws(SystemError) {
            // The write must have a descriptor of its own: configfs hands a binary attribute to the kernel's driver
            // only when the descriptor is closed, while the lock has to stay.
            let input = try files.open(inputPath, flags: O_WRONLY)
            let count = try files.write(reportData.bytes.bytes, to: input, inputPath)
            guard count == 64 else {
                throw SystemError(
                    "write to", inputPath, code: EIO, reason: "\(count) of 64 bytes were taken in one write")
            }
            try input.closeReporting()
        } catch {
            guard Self.isPassing(error) else { throw error }
            return .again(because: error.description)
        }
        guard let counted = try countedWrite(after: before, deadline) else {
            throw SystemError(
                "write to", inputPath, code: ETIMEDOUT, reason: "the kernel did not count it in time (generation)")
        }
        guard counted == before &+ 1 else { return interference(before, counted) }

        let quote: [UInt8]
        do throws(SystemError) {
            quote = try files.readAll(entry + "/outblob", limit: maximumQuoteByteCount)
        } catch {
            guard Self.isPassing(error) else { throw error }
            return .again(because: error.description)
        }
        guard !quote.isEmpty else {
            throw SystemError(
                "read", entry + "/outblob", code: ENODATA, reason: "it is empty: the platform gave no quote")
        }
        // Whoever wrote in between may have had this quote replaced by his.
        let after = try generation()
        guard after == counted else { return interference(before, after) }
        // The count alone does not tell if the other write came first and ours was counted late.
        if let quoted = try? Quote(parsing: quote).body.reportData, quoted != reportData.bytes {
            return .again(because: "the quote is over the report data of another process")
        }
        return .quote(quote)
    }

    private func interference(_ before: UInt64, _ after: UInt64) -> Outcome {
        .again(because: "another process wrote report data meanwhile (generation \(before) became \(after))")
    }

    /// Errors that pass: the interface is in use, or the wait for the platform was cut short.
    private static func isPassing(_ error: SystemError) -> Bool {
        [EBUSY, EINTR, ETIMEDOUT, EAGAIN, ETXTBSY].contains(error.code)
    }

    private func checkProvider() throws(SystemError) {
        let path = entry + "/provider"
        let found = try text(path)
        guard found.hasPrefix("tdx_guest") else {
            throw SystemError(
                "use", path, code: ENODEV,
                reason: "the provider is \(SafeText.line(String(found.prefix(64)))), for TDX it is tdx_guest")
        }
    }

    private func text(_ path: String) throws(SystemError) -> String {
        let bytes = try files.readAll(path, limit: 4096)
        let isSpace: (UInt8) -> Bool = { $0 == 0x0A || $0 == 0x20 || $0 == 0 }
        let end = (bytes.lastIndex { !isSpace($0) } ?? -1) + 1
        return String(decoding: bytes[..<end], as: UTF8.self)
    }

    private func generation() throws(SystemError) -> UInt64 {
        let path = entry + "/generation"
        let found = try text(path)
        guard let number = UInt64(found) else {
            throw SystemError(
                "read", path, code: EINVAL,
                reason: "a decimal number expected, found \(SafeText.line(String(found.prefix(64))))")
        }
        return number
    }

    /// The count once it has changed; nil if it does not in time.
    private func countedWrite(
        after before: UInt64, _ deadline: ContinuousClock.Instant
    ) throws(SystemError) -> UInt64? {
        let limit = min(deadline, ContinuousClock.now + Self.countingTime)
        while true {
            let now = try generation()
            if now != before { return now }
            guard Polling.pause(until: limit) else { return nil }
        }
    }
}
