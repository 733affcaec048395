import DstackConcurrency
import DstackSystem
import Synchronization

/// What the container engine said a moment ago. Strangers may look at the pages as often as they like: the engine is asked
/// once a second for its list and for the end of each log, whether it answers or not.
final class RecentContainers: Sendable {
    private typealias Lines = RecentValue<Result<[LogLine], GuestError>>

    let engine: any ContainerEngine
    private let lists = RecentValue<Result<[Container], GuestError>>(maximumAge: RecentContainers.maximumAge)
    /// By container.
    private let logs = Mutex(LRUCache<String, Lines>(capacity: RecentContainers.maximumLogs))

    private static let maximumAge = Duration.seconds(1)
    /// How many containers' last lines are kept; each is bounded by ``maximumLogBytes``.
    private static let maximumLogs = 16
    /// How many of the last lines there are.
    private static let lastLines: UInt64 = 200
    /// Above this much log reading stops, whatever the number of lines.
    private static let maximumLogBytes = 1 << 20

    init(_ engine: any ContainerEngine) { self.engine = engine }

    func list() async throws(GuestError) -> [Container] {
        let engine = engine
        let list = await lists.value {
            do throws(GuestError) {
                return .success(try await engine.list())
            } catch {
                EngineComplaints.shared.note(error, "list")
                return .failure(error)
            }
        }
        return try (list ?? .failure(.cancelled)).get()
    }

    /// - Throws: ``GuestError/Code/noSuchContainer`` also for one that was started less than a second ago.
    func container(_ name: ContainerName) async throws(GuestError) -> Container {
        try engine.find(name, in: try await list())
    }

    /// The last lines of a container's log.
    func lastLines(of container: Container) async throws(GuestError) -> [LogLine] {
        let recent = logs.withLock { logs -> Lines in
            if let known = logs.value(of: container.id) { return known }
            let new = Lines(maximumAge: Self.maximumAge)
            logs.insert(new, for: container.id)
            return new
        }
        let engine = engine
        let lines = await recent.value {
            do throws(GuestError) {
                return .success(try await Self.read(container, engine))
            } catch {
                EngineComplaints.shared.note(error, container.displayName)
                return .failure(error)
            }
        }
        return try (lines ?? .failure(.cancelled)).get()
    }

    private static func read(
        _ container: Container, _ engine: any ContainerEngine
    ) async throws(GuestError) -> [LogLine] {
        let logs = try await engine.logs(
            of: container, LogQuery(tail: .last(lastLines), hasTimestamps: true), for: .own)
        var collector = LogLineCollector()
        var count = 0
        while count < maximumLogBytes, let frame = try await logs.next() {
            collector.add(frame)
            count += frame.bytes.count
        }
        return collector.finish()
    }
}

extension GuestError {
    /// Nobody waits for the engine's answer any more.
    static let cancelled = GuestError(
        .engineUnavailable, subject: "container engine", reason: "the request was cancelled")
}

/// Writes into the log what an engine says when it cannot do what it is asked for: once a minute for each thing, since
/// strangers may ask for it as often as they like.
final class EngineComplaints: Sendable {
    static let shared = EngineComplaints()

    private static let log = Log("guest.containers")
    private static let interval = Duration.seconds(60)

    private let noted = Mutex(LRUCache<String, ContinuousClock.Instant>(capacity: 256))

    /// - Parameter what: the container, or what else was asked for.
    func note(_ error: GuestError, _ what: String) {
        // A name that does not exist is a stranger's mistake, not the engine's.
        guard error.code == .engineUnavailable, !Task.isCancelled else { return }
        let isNew = noted.withLock { noted in
            let key = what + "\n" + error.reason
            let now = ContinuousClock.now
            if let last = noted.value(of: key), last.duration(to: now) < Self.interval { return false }
            noted.insert(now, for: key)
            return true
        }
        guard isNew else { return }
        Self.log.warn("the container engine failed", ["of": what, "error": "\(error)"])
    }
}
