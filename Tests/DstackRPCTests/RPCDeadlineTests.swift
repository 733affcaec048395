import DstackRPC
import DstackRPCServer
import Testing

@Suite("Times for calls")
struct RPCDeadlineTests {
    private func isLate(after limit: Duration) async throws -> Bool {
        do {
            try await RPCDeadline.run(within: limit) { try await Task.sleep(for: .seconds(600)) }
            return false
        } catch let error as RPCError {
            return error.status == 504
        }
    }

    @Test("what is done in time is returned, and what it throws is thrown")
    func inTime() async throws {
        #expect(try await RPCDeadline.run(within: .seconds(600)) { 7 } == 7)
        await #expect(throws: RPCError("no")) {
            try await RPCDeadline.run(within: .seconds(600)) { throw RPCError("no") }
        }
    }

    @Test("a time ends while others, longer and shorter ones, are under way")
    func others() async throws {
        // Ended by its cancellation, as the others never are.
        let long = Task {
            try await RPCDeadline.run(within: .seconds(500)) { try await Task.sleep(for: .seconds(600)) }
        }
        for _ in 0..<3 {
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for milliseconds in [60, 5, 30, 1, 0, -5, 45] {
                    group.addTask { try await isLate(after: .milliseconds(milliseconds)) }
                }
                for _ in 0..<100 {
                    group.addTask { try await RPCDeadline.run(within: .milliseconds(60_000)) { true } }
                }
                for try await isRight in group { #expect(isRight) }
            }
        }
        long.cancel()
        await #expect(throws: CancellationError.self) { try await long.value }
    }

    @Test("the body is cancelled when its time is over, and not waited for")
    func cancelled() async throws {
        let wasCancelled = await withCheckedContinuation { (outcome: CheckedContinuation<Bool, Never>) in
            Task {
                try await RPCDeadline.run(within: .milliseconds(10)) {
                    try? await Task.sleep(for: .seconds(600))
                    outcome.resume(returning: Task.isCancelled)
                }
            }
        }
        #expect(wasCancelled)
    }

    @Test("the error for a late call is the one that was given")
    func givenError() async {
        await #expect(throws: RPCError("late", status: 503)) {
            try await RPCDeadline.run(within: .milliseconds(1), orThrow: RPCError("late", status: 503)) {
                try await Task.sleep(for: .seconds(600))
            }
        }
    }
}
