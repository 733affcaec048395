import DstackAttestation
import DstackSystem
import Glibc

/// The file that a simulated trust domain's RTMR3 lives in: its runtime events, one a line, in the guest's own format.
///
/// A real register outlives the processes that extend it. Here the events are what outlives them: whoever opens the file
/// measures them again and comes to the same value. One process at a time, because another's events would be missing from
/// the registers of the first.
final class SimulatedRecord: Sendable {
    /// Events of the file behind those of the boot.
    let laterEvents: [RuntimeEvent]
    private let path: String
    /// Locked while the record is in use.
    private let lock: LockFile

    private static let maximumByteCount = 4 << 20
    private static let lockSuffix = ".lock"

    /// Opens a record, or makes one.
    ///
    /// - Parameter booted: the events of the boot, with which the record begins.
    init(_ path: String, booted: [RuntimeEvent]) throws(AttestationError) {
        self.path = path
        lock = try Self.lock(path)
        let beginning = booted.reduce(into: [UInt8]()) { $0 += $1.logLine.utf8 + [UInt8(ascii: "\n")] }
        let text: [UInt8]
        do throws(SystemError) {
            if access(path, F_OK) != 0 {
                try AtomicFile.write(beginning, to: path, mode: .secret, existing: .keep)
            }
            text = try Self.complete(File.readRegular(path, limit: Self.maximumByteCount), of: path)
        } catch {
            throw Self.failure(path, error)
        }
        let events = try RuntimeEvent.parse(log: text)
        guard events.starts(with: booted) else {
            throw AttestationError(
                .invalidEventLog, subject: path, reason: "its first events are those of another boot",
                hint: "use an empty directory, or restore the file that belongs to this one")
        }
        laterEvents = Array(events.dropFirst(booted.count))
    }

    private static func lock(_ path: String) throws(AttestationError) -> LockFile {
        do throws(SystemError) {
            if let lock = try LockFile.taken(path + lockSuffix) { return lock }
        } catch {
            throw failure(path, error)
        }
        throw AttestationError(
            .measurementFailed, subject: path, reason: "another simulator uses it",
            hint: "stop the other one, or use another directory")
    }

    /// Cuts off a last line that was not written completely: whoever was writing it was never told that it is recorded.
    private static func complete(_ text: [UInt8], of path: String) throws(SystemError) -> [UInt8] {
        let end = (text.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
        guard end < text.count else { return text }
        try File.truncate(path, to: end)
        return Array(text[..<end])
    }

    private static func failure(_ path: String, _ error: SystemError) -> AttestationError {
        AttestationError(.measurementFailed, subject: path, reason: error.description)
    }

    /// Adds an event. Blocks until it is on the disk.
    func append(_ event: RuntimeEvent) throws(AttestationError) {
        let line = Array(event.logLine.utf8) + [UInt8(ascii: "\n")]
        do throws(SystemError) {
            try File.append(line, to: path, mode: .secret)
        } catch {
            throw Self.failure(path, error)
        }
    }
}
