import DstackSystem
import Glibc
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
}
