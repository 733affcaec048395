import DstackConcurrency
import TestKit
import Testing

@Suite("Blocking calls on a thread of their own")
struct BlockingWorkerTests {
    @Test("calls run one after another, in order, and give their results")
    func order() async throws {
        let worker = BlockingWorker(capacity: 100)
        let seen = Shared<[Int]>([])
        for number in 0..<20 {
            let result = await worker.run(within: .seconds(60)) {
                seen.edit { $0.append(number) }
                return number * 2
            }
            #expect(try result.get() == number * 2)
        }
        #expect(seen.value == Array(0..<20))
    }

    @Test("a full queue refuses at once, and takes calls again afterwards")
    func saturation() async throws {
        let worker = BlockingWorker(capacity: 1)
        let barrier = Barrier()
        async let first = worker.run(within: .seconds(60)) { barrier.pass() }
        await barrier.wait(for: 1)
        async let second = worker.run(within: .seconds(60)) { 2 }
        while worker.waitingCount == 0 { await Task.yield() }
        #expect(await worker.run(within: .seconds(60)) { 3 } == .failure(.saturated(1)))
        barrier.open()
        #expect(try await second.get() == 2)
        try await first.get()
        #expect(await worker.run(within: .seconds(60)) { 4 } == .success(4))
    }

    @Test("a call that hangs is abandoned in time; what waits behind it never runs")
    func deadline() async throws {
        let worker = BlockingWorker(capacity: 4)
        let barrier = Barrier()
        let hasRun = Shared(false)
        async let first = worker.run(within: .milliseconds(50)) { barrier.pass() }
        await barrier.wait(for: 1)
        let second = await worker.run(within: .milliseconds(20)) { hasRun.edit { $0 = true } }
        #expect(throws: BlockingWorker.Rejection.timedOutWaiting) { try second.get() }
        let result = await first
        #expect(throws: BlockingWorker.Rejection.timedOutRunning) { try result.get() }
        barrier.open()
        #expect(await worker.run(within: .seconds(60)) { 1 } == .success(1))
        #expect(!hasRun.value)
    }

    @Test("a call that must not be abandoned is waited for beyond its time")
    func waits() async throws {
        let worker = BlockingWorker(capacity: 4)
        let barrier = Barrier()
        async let result = worker.run(within: .milliseconds(10), onceStarted: .waitFor) {
            barrier.pass()
            return 7
        }
        await barrier.wait(for: 1)
        try await Task.sleep(for: .milliseconds(50))
        barrier.open()
        #expect(try await result.get() == 7)
    }

    @Test("a cancelled task gets its answer, and its waiting call never runs")
    func cancellation() async throws {
        let worker = BlockingWorker(capacity: 4)
        let barrier = Barrier()
        let hasRun = Shared(false)
        async let first = worker.run(within: .seconds(60)) { barrier.pass() }
        await barrier.wait(for: 1)
        let task = Task { await worker.run(within: .seconds(60)) { hasRun.edit { $0 = true } } }
        while worker.waitingCount == 0 { await Task.yield() }
        task.cancel()
        let second = await task.value
        #expect(throws: BlockingWorker.Rejection.cancelled(wasRunning: false)) { try second.get() }
        barrier.open()
        try await first.get()
        #expect(!hasRun.value)
    }

    @Test("what a call held is let go of before its answer is there")
    func letsGo() async throws {
        let worker = BlockingWorker(capacity: 4)
        for _ in 0..<500 {
            var held: Barrier? = Barrier()
            weak let observer = held
            held?.open()
            let result = await worker.run(within: .seconds(60)) { [held] in held?.pass() }
            held = nil
            #expect(observer == nil)
            _ = try result.get()
        }
    }

    @Test("many callers at once are all served")
    func load() async {
        let worker = BlockingWorker(capacity: 1000)
        let sum = await withTaskGroup(of: Int.self) { group in
            for number in 0..<500 {
                group.addTask { (try? await worker.run(within: .seconds(120)) { number }.get()) ?? 0 }
            }
            return await group.reduce(0, +)
        }
        #expect(sum == 499 * 250)
    }
}

extension Result where Failure == BlockingWorker.Rejection, Success: Equatable {
    static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.success(let left), .success(let right)): left == right
        case (.failure(let left), .failure(let right)): left == right
        default: false
        }
    }
}
