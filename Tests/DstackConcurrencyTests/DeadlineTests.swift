import DstackConcurrency
import Testing

/// An error to be thrown by what is late or fails.
enum Trouble: Error, Equatable {
    case late
    case failed
}

@Suite("Deadlines")
struct DeadlineTests {
    private func isLate(after limit: Duration) async throws -> Bool {
        do {
            try await Deadline.run(within: limit, orThrow: Trouble.late) { try await Task.sleep(for: .seconds(600)) }
            return false
        } catch Trouble.late {
            return true
        }
    }

    @Test("what is done in time is returned, and what it throws is thrown")
    func inTime() async throws {
        #expect(try await Deadline.run(within: .seconds(600), orThrow: Trouble.late) { 7 } == 7)
        await #expect(throws: Trouble.failed) {
            try await Deadline.run(within: .seconds(600), orThrow: Trouble.late) { throw Trouble.failed }
        }
    }

    @Test("a time ends while others, longer and shorter ones, are under way")
    func others() async throws {
        // Ended by its cancellation, as the others never are. No clock reaches the other one.
        let long = [Duration.seconds(500), .seconds(Int64.max)].map { limit in
            Task {
                try await Deadline.run(within: limit, orThrow: Trouble.late) {
                    try await Task.sleep(for: .seconds(600))
                }
            }
        }
        for _ in 0..<3 {
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for milliseconds in [60, 5, 30, 1, 0, -5, 45] {
                    group.addTask { try await isLate(after: .milliseconds(milliseconds)) }
                }
                for _ in 0..<100 {
                    group.addTask {
                        try await Deadline.run(within: .milliseconds(60_000), orThrow: Trouble.late) { true }
                    }
                }
                for try await isRight in group { #expect(isRight) }
            }
        }
        for task in long {
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test("the body is cancelled when its time is over, and not waited for")
    func cancelled() async throws {
        let outcome = Promise<Bool>()
        let mayEnd = Promise<Void>()
        await #expect(throws: Trouble.late) {
            try await Deadline.run(within: .milliseconds(10), orThrow: Trouble.late) {
                try? await Task.sleep(for: .seconds(600))
                outcome.fulfil(Task.isCancelled)
                // It does not listen any more, and would hold up who waited for it.
                await mayEnd.value()
            }
        }
        #expect(await outcome.value())
        mayEnd.fulfil(())
    }
}

@Suite("Values that are decided once")
struct PromiseTests {
    @Test("the first decides, before or after somebody waits")
    func first() async {
        let early = Promise<Int>()
        #expect(!early.isFulfilled)
        #expect(early.fulfil(1) && !early.fulfil(2) && early.isFulfilled)
        #expect(await early.value() == 1)
        let late = Promise<Int>()
        async let value = late.value()
        await Task.yield()
        #expect(late.fulfil(3))
        #expect(await value == 3)
    }

    @Test("of many at once one decides")
    func race() async {
        for _ in 0..<100 {
            let promise = Promise<Int>()
            let firsts = await withTaskGroup(of: Int?.self) { group in
                for number in 0..<8 { group.addTask { promise.fulfil(number) ? number : nil } }
                return await group.reduce(into: []) { $0 += $1.map { [$0] } ?? [] }
            }
            #expect(await [promise.value()] == firsts)
        }
    }

    @Test("a task that is cancelled, then or before, stops waiting")
    func cancellation() async {
        for isEarly in [true, false] {
            let promise = Promise<Int>()
            let mayBegin = Promise<Void>()
            let task = Task {
                if isEarly { await mayBegin.value() }
                return await promise.value(whenCancelled: -1)
            }
            task.cancel()
            mayBegin.fulfil(())
            #expect(await task.value == -1)
            #expect(!promise.fulfil(1))
        }
    }
}
