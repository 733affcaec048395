import Glibc
import Synchronization

/// Holds threads up until it is opened.
package final class Barrier: Sendable {
    private let isOpen = Mutex(false)
    private let waiting = Mutex(0)

    package init() {}

    package func open() { isOpen.withLock { $0 = true } }

    /// Blocks the thread.
    package func pass() {
        waiting.withLock { $0 += 1 }
        while !isOpen.withLock({ $0 }) { usleep(1000) }
    }

    /// How many threads have come to it.
    package var count: Int { waiting.withLock { $0 } }

    /// Until so many threads have come to it.
    package func wait(for count: Int) async {
        while self.count < count { await Task.yield() }
    }
}
