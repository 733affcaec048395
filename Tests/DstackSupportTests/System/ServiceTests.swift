import DstackSystem
import Foundation
import TestKit
import Testing

/// Signals belong to the whole process, so these run one after the other.
@Suite("Signals", .serialized)
struct SignalTests {
    @Test("a signal arrives in every stream that asked for it, and in no other")
    func delivery() async throws {
        let first = try Signals.stream(of: .user1, .user2)
        let second = try Signals.stream(of: .user1)
        kill(getpid(), SIGUSR1)
        var iterator = second.makeAsyncIterator()
        #expect(await iterator.next() == .user1)
        kill(getpid(), SIGUSR2)
        var seen = [Signal]()
        for await signal in first {
            seen.append(signal)
            if seen.count == 2 { break }
        }
        #expect(Set(seen) == [.user1, .user2])
    }

    @Test("after the last stream has ended the signal has its old effect")
    func restores() async throws {
        signal(SIGUSR2, SIG_IGN)
        defer { signal(SIGUSR2, SIG_DFL) }
        do {
            let stream = try Signals.stream(of: .user2)
            #expect(!isIgnored(SIGUSR2))
            kill(getpid(), SIGUSR2)
            for await _ in stream { break }
        }
        #expect(isIgnored(SIGUSR2))
        // With the stream's handler gone and SIG_IGN back, this does nothing.
        kill(getpid(), SIGUSR2)
    }

    @Test("a waiting task can be cancelled")
    func cancellation() async throws {
        let stream = try Signals.stream(of: .user1)
        let task = Task {
            for await _ in stream { return true }
            return false
        }
        task.cancel()
        #expect(await task.value == false)
    }

    private func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        sigaction(number, nil, &action)
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }
}

@Suite("Telling systemd")
struct ServiceNotifierTests {
    @Test("states arrive at the socket, by path or in the abstract space", arguments: ["path", "abstract"])
    func states(kind: String) throws {
        let directory = try ScratchDirectory()
        let name = kind == "path" ? directory.path("notify") : "@dstack-test-\(UUID().uuidString)"
        let manager = try ServiceManagerPeer(name)
        let notifier = ServiceNotifier(environment: Environment(["NOTIFY_SOCKET": name]))
        #expect(notifier.isActive)
        notifier.ready(status: "listening on\nport 1")
        #expect(manager.receive() == "READY=1\nSTATUS=listening on\\nport 1")
        notifier.watchdog()
        #expect(manager.receive() == "WATCHDOG=1")
        notifier.status("busy")
        #expect(manager.receive() == "STATUS=busy")
        notifier.reloading()
        let reloading = manager.receive()
        #expect(reloading.hasPrefix("RELOADING=1\nMONOTONIC_USEC=") && Int(reloading.dropFirst(27)) ?? 0 > 0)
        notifier.stopping()
        #expect(manager.receive() == "STOPPING=1")
    }

    @Test("without a manager, or with one that is gone, nothing happens")
    func nobody() {
        let paths: [String?] = [nil, "/nonexistent/notify", "relative", "@", String(repeating: "/x", count: 200)]
        for path in paths {
            let notifier = ServiceNotifier(environment: Environment(path.map { ["NOTIFY_SOCKET": $0] } ?? [:]))
            notifier.ready(status: "x")
            #expect(notifier.isActive == (path?.hasPrefix("/") == true || path == "@"))
        }
    }

    @Test("a manager that does not read keeps nobody from ending")
    func deafServiceManagerPeer() throws {
        let directory = try ScratchDirectory()
        let manager = try ServiceManagerPeer(directory.path("notify"))
        let notifier = ServiceNotifier(environment: Environment(["NOTIFY_SOCKET": directory.path("notify")]))
        manager.fill(directory.path("notify"))
        notifier.stopping()
        while true {
            let message = manager.receive()
            #expect(message != "STOPPING=1")
            if message.isEmpty { break }
        }
        notifier.stopping()
        #expect(manager.receive() == "STOPPING=1")
    }

    @Test("signs of life are sent until the task is cancelled")
    func keepAlive() async throws {
        let directory = try ScratchDirectory()
        let manager = try ServiceManagerPeer(directory.path("notify"))
        let notifier = ServiceNotifier(
            environment: Environment(["NOTIFY_SOCKET": directory.path("notify"), "WATCHDOG_USEC": "2000"]))
        #expect(notifier.watchdogInterval == .milliseconds(2))
        let task = Task { await notifier.keepAlive() }
        #expect(try await manager.next() == "WATCHDOG=1")
        #expect(try await manager.next() == "WATCHDOG=1")
        task.cancel()
        await task.value
    }

    @Test("a watchdog meant for another process is not ours")
    func otherProcess() {
        let variables = ["NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"]
        #expect(ServiceNotifier(environment: Environment(variables)).watchdogInterval == nil)
    }
}
