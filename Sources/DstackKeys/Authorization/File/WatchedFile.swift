import DstackConcurrency
package import DstackSystem
import Glibc
import Synchronization

/// A file whose content is in force as soon as it is written, and no longer than it stands there.
///
/// It is looked at for each use: what it is (device, number, size, times) and, unless that has stood still for a while, its
/// bytes. What cannot be read or understood takes the place of what was there before: a rule that somebody removed must not
/// live on because the rest of the file was damaged with it.
package final class WatchedFile<Value: Sendable>: Sendable {
    /// Why a file cannot be used.
    package struct Unusable: Error, Sendable, Equatable, CustomStringConvertible {
        package let description: String

        package init(_ description: String) { self.description = description }
    }

    package typealias Outcome = Result<Value, Unusable>

    private struct Identity: Equatable {
        let device: UInt64
        let number: UInt64
        let size: Int64
        let modified: Int64
        /// When anything about it changed, which no program can set.
        let changed: Int64

        init(_ status: stat) {
            device = UInt64(status.st_dev)
            number = UInt64(status.st_ino)
            size = Int64(status.st_size)
            modified = Self.nanoseconds(status.st_mtim)
            changed = Self.nanoseconds(status.st_ctim)
        }

        private static func nanoseconds(_ time: timespec) -> Int64 {
            Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
        }
    }

    private struct State {
        var outcome: Outcome?
        /// What the outcome was made of; nil for what could not be read.
        var bytes: [UInt8]?
        /// With which the bytes are known to be those, without looking.
        var settled: Identity?
    }

    package let path: String
    private let limit: Int
    private let clock: any WallClock
    private let parse: @Sendable ([UInt8]) throws(Unusable) -> Value
    private let whenChanged: @Sendable (Outcome) -> Void
    // Reads happen on its one thread, so that a file system that hangs holds up nobody else.
    private let worker = BlockingWorker(capacity: 256)
    private let state = Mutex(State())

    /// - Parameters:
    ///   - limit: the most bytes that are read.
    ///   - clock: tells how long a file has stood still; for tests.
    ///   - parse: makes a value of the bytes.
    ///   - whenChanged: told of the first outcome and of each that differs from the one before.
    package init(
        _ path: String, limit: Int, clock: any WallClock = .system,
        parse: @escaping @Sendable ([UInt8]) throws(Unusable) -> Value,
        whenChanged: @escaping @Sendable (Outcome) -> Void
    ) {
        self.path = path
        self.limit = limit
        self.clock = clock
        self.parse = parse
        self.whenChanged = whenChanged
    }

    /// What the file says now.
    package func value() async -> Outcome {
        switch await worker.run(within: .seconds(5), { [self] in look() }) {
        case .success(let outcome): outcome
        // What is still being read may take this one's place when it is there.
        case .failure: take(.failure(Unusable("cannot read \(path) in time")), bytes: nil, settled: nil)
        }
    }

    private func look() -> Outcome {
        let content: (bytes: [UInt8], settled: Identity?)
        do throws(SystemError) {
            // Nothing that could hold up whoever reads it; links are followed, which mounted directories have.
            let file = try FileDescriptor(opening: path, flags: O_RDONLY | O_NONBLOCK)
            let status = try file.status()
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw SystemError("read", path, code: EINVAL, reason: "it is no regular file")
            }
            let identity = Identity(status)
            let known = state.withLock { $0.settled == identity ? $0.outcome : nil }
            if let known { return known }
            let bytes = try file.readToEnd(limit: limit)
            // A second change within the same tick of the file system's clock would leave its times as they are.
            let isOld = clock.unixMilliseconds - identity.changed / 1_000_000 > 2_000
            let isUnchanged = Identity(try file.status()) == identity
            content = (bytes, isOld && isUnchanged ? identity : nil)
        } catch {
            return take(.failure(Unusable("\(error)")), bytes: nil, settled: nil)
        }
        let same = state.withLock { state -> Outcome? in
            guard state.bytes == content.bytes, let outcome = state.outcome else { return nil }
            state.settled = content.settled
            return outcome
        }
        if let same { return same }
        let outcome: Outcome
        do throws(Unusable) { outcome = .success(try parse(content.bytes)) } catch { outcome = .failure(error) }
        return take(outcome, bytes: content.bytes, settled: content.settled)
    }

    private func take(_ outcome: Outcome, bytes: [UInt8]?, settled: Identity?) -> Outcome {
        let isNews = state.withLock { state in
            let isNews =
                switch (state.outcome, outcome) {
                case (.failure(let old), .failure(let new)): old != new
                default: true
                }
            state = State(outcome: outcome, bytes: bytes, settled: settled)
            return isNews
        }
        if isNews { whenChanged(outcome) }
        return outcome
    }
}
