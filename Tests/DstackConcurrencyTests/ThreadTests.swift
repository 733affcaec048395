import DstackConcurrency
import Glibc
import TestKit
import Testing

@Suite("Threads of their own, and how often something may happen")
struct ThreadTests {
    @Test("a body runs on another thread than those that wait for it, and is let go of when it has ended")
    func thread() async throws {
        final class Held: Sendable {}
        weak var held: Held?
        let here = pthread_self()
        let isElsewhere = await withCheckedContinuation { continuation in
            let object = Held()
            held = object
            let code = DetachedThread.start {
                withExtendedLifetime(object) {
                    continuation.resume(returning: pthread_equal(pthread_self(), here) == 0)
                }
            }
            if code != 0 { continuation.resume(returning: false) }
        }
        #expect(isElsewhere)
        for _ in 0..<1000 where held != nil { try await Task.sleep(for: .milliseconds(5)) }
        #expect(held == nil)
    }

    @Test("a bucket gives what it holds at once, and then as much as the time that has passed is worth")
    func bucket() {
        let start = ContinuousClock.now
        var bucket = TokenBucket(burst: 3, perSecond: 0.5, start)
        func takes(after seconds: Int) -> Bool { bucket.take(start + .seconds(seconds)) }
        #expect(bucket.isFull(start) && bucket.allows(start))
        for _ in 0..<3 { #expect(takes(after: 0)) }
        #expect(!bucket.allows(start) && !takes(after: 0))
        #expect(!takes(after: 1) && takes(after: 2))
        // Time that goes back brings nothing, and no time more than it holds.
        #expect(!takes(after: -100) && !takes(after: 3))
        #expect(!bucket.isFull(start + .seconds(7)) && bucket.isFull(start + .seconds(100)))
        for _ in 0..<3 { #expect(takes(after: 100)) }
        #expect(!takes(after: 100))
    }

    @Test("jobs are done in order on a thread of its own; those that do not fit are refused, and none is after the end")
    func jobs() async {
        let done = Shared<[Int]>([])
        let barrier = Barrier()
        let ended = Promise<Void>()
        let threads = JobThreads<Int>(capacity: 2) { number in
            if number == 0 { barrier.pass() }
            done.edit { $0.append(number) }
            if number == 2 { ended.fulfil(()) }
        }
        #expect(threads.append(0) == nil)
        await barrier.wait(for: 1)
        #expect(threads.append(1) == nil && threads.append(2) == nil)
        #expect(threads.append(3) == .full(2) && threads.waitingCount == 2)
        barrier.open()
        await ended.value()
        #expect(done.value == [0, 1, 2])
        #expect(threads.stop() == [] && threads.append(4) == .stopped)
    }

    @Test("what waits when threads are stopped is given back, and jobs begin on several threads at once")
    func stopping() async {
        let barrier = Barrier()
        let threads = JobThreads<Int>(3) { _ in barrier.pass() }
        for number in 0..<5 { #expect(threads.append(number) == nil) }
        await barrier.wait(for: 3)
        #expect(threads.stop() == [3, 4])
        barrier.open()
    }

    @Test("thousands of jobs that wait keep their order")
    func many() async {
        let seen = Shared<[Int]>([])
        let ended = Promise<Void>()
        let threads = JobThreads<Int> { number in
            seen.edit { $0.append(number) }
            if number == 9_999 { ended.fulfil(()) }
        }
        for number in 0..<10_000 { #expect(threads.append(number) == nil) }
        await ended.value()
        threads.stop()
        #expect(seen.value == Array(0..<10_000))
    }
}
