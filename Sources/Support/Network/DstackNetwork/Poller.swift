package import CNetwork
package import DstackSystem
import Glibc

/// Waits for many descriptors at once (epoll(7)). Lives on the thread that waits.
package final class Poller {
    private let descriptor: FileDescriptor
    private let ready: UnsafeMutablePointer<dstack_ready>
    private static let maximumReady = 64

    /// - Throws: where there is no descriptor to be had.
    package init() throws(SystemError) {
        let number = dstack_poller_new()
        guard number >= 0 else { throw .last("wait for descriptors") }
        descriptor = FileDescriptor(owning: number, name: "epoll")
        ready = .allocate(capacity: Self.maximumReady)
    }

    deinit { ready.deallocate() }

    /// Waits for a descriptor from now on, or for something else than before.
    ///
    /// - Parameter key: comes back with what it is ready for.
    /// - Returns: false where the system does not take it.
    package func set(_ watched: Int32, key: UInt64, reads: Bool, writes: Bool) -> Bool {
        dstack_poller_set(descriptor.number, watched, key, reads, writes)
    }

    package func remove(_ watched: Int32) { dstack_poller_remove(descriptor.number, watched) }

    /// Sleeps until something is ready, or a moment of the monotonic clock (nanoseconds; nil for none), and hands it on.
    package func wait(until moment: UInt64?, _ body: (dstack_ready) -> Void) {
        var milliseconds: Int32 = -1
        if let moment {
            let now = MonotonicClock.now
            // Upwards: a moment too early would only be waited for again.
            milliseconds = moment <= now ? 0 : Int32(clamping: (moment - now + 999_999) / 1_000_000)
        }
        let count = dstack_poller_wait(descriptor.number, ready, Int32(Self.maximumReady), milliseconds)
        for index in 0..<Int(count) { body(ready[index]) }
    }
}
