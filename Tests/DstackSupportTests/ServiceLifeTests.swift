import DstackConcurrency
import DstackHTTPServer
import DstackService
import DstackSystem
import TestKit
import Testing

@Suite("The life of a service")
struct ServiceLifeTests {
    /// Notes what is asked of it.
    private final class Server: ServiceServer {
        let calls: Shared<[String]>
        let failure: HTTPServerError?

        init(_ calls: Shared<[String]>, failing failure: HTTPServerError? = nil) {
            self.calls = calls
            self.failure = failure
        }

        func start() async throws -> [HTTPBoundListener] {
            calls.edit { $0.append("start") }
            if let failure { throw failure }
            return [
                HTTPBoundListener(name: "a", description: "unix:/run/a", port: nil),
                HTTPBoundListener(name: "b", description: "http://127.0.0.1:1", port: 1),
            ]
        }

        func stop(within patience: Duration) async { calls.edit { $0.append("stop within \(patience)") } }

        var parts: [(name: String, statistics: HTTPServerStatistics)] {
            calls.edit { $0.append("statistics") }
            return []
        }
    }

    private let calls = Shared<[String]>([])

    private func run(
        _ signals: [Signal], reload: Service.Reload = .nothing("nothing"), _ manager: ScratchDirectory,
        upkeep: [@Sendable () async -> Void] = []
    ) async throws {
        let stream = AsyncStream { continuation in
            for signal in signals { continuation.yield(signal) }
            continuation.finish()
        }
        let notifier = ServiceNotifier(environment: Environment(["NOTIFY_SOCKET": manager.path("notify")]))
        try await Service("test", Server(calls), drainingWithin: .seconds(7), reload: reload, upkeep: upkeep)
            .run(until: stream, notifier: notifier) { bound in
                calls.edit { $0.append("listening on \(bound.map(\.name))") }
            }
    }

    @Test("it listens, says where, is ready, and drains at a request to end; what comes after that counts no more")
    func order() async throws {
        for end in [Signal.terminate, .interrupt] {
            let directory = try ScratchDirectory()
            let manager = try ServiceManagerPeer(directory.path("notify"))
            calls.edit { $0 = [] }
            try await run([.user1, .user2, .hangup, end, .user1], directory)
            #expect(
                calls.value == ["start", #"listening on ["a", "b"]"#, "statistics", "stop within 7.0 seconds"])
            #expect(manager.receive() == "READY=1\nSTATUS=listening on unix:/run/a, http://127.0.0.1:1")
            // Nothing is said to be read again where nothing is.
            #expect(manager.receive() == "STOPPING=1")
            #expect(manager.receive() == "")
        }
    }

    @Test("a reload is told of before and after, whether it succeeds or not, and does not end the service")
    func reloads() async throws {
        struct Wrong: Error {}
        let directory = try ScratchDirectory()
        let manager = try ServiceManagerPeer(directory.path("notify"))
        let count = Shared(0)
        try await run(
            [.hangup, .hangup],
            reload: .configuration {
                count.edit { $0 += 1 }
                if count.value == 1 { throw Wrong() }
            }, directory)
        #expect(count.value == 2)
        let ready = manager.receive()
        for _ in 0..<2 {
            #expect(manager.receive().hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
            #expect(manager.receive() == ready)
        }
        #expect(manager.receive() == "STOPPING=1")
    }

    @Test("a service that cannot listen says nothing and throws; work beside it ends with it")
    func ends() async throws {
        let error = HTTPServerError(.listen, "a", "in use")
        await #expect(throws: HTTPServerError.self) {
            try await Service("test", Server(calls, failing: error), drainingWithin: .zero, reload: .nothing(""))
                .run(until: AsyncStream { $0.finish() }, notifier: .init(environment: Environment([:]))) { _ in
                    calls.edit { $0.append("listening") }
                }
        }
        #expect(calls.value == ["start"])
        let directory = try ScratchDirectory()
        let ended = Promise<Bool>()
        try await run(
            [], directory,
            upkeep: [
                {
                    try? await Task.sleep(for: .seconds(3_600))
                    ended.fulfil(Task.isCancelled)
                }
            ])
        #expect(await ended.value())
    }

    @Test("what is replaced stays with who began with it")
    func current() {
        let current = Current([1])
        let before = current.value
        current.value = [2]
        #expect(before == [1] && current.value == [2])
    }
}
