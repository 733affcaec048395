import CNetwork
import DstackSystem
import Glibc

/// The calling thread, where it runs a loop of its own.
package enum LoopThread {
    /// Names it (at most 15 bytes).
    ///
    /// - Parameter niceness: 0 for an ordinary thread, up to 19 for one that stands back.
    package static func prepare(_ name: String, niceness: Int32 = 0) { dstack_prepare_thread(name, niceness) }
}

/// A descriptor by which other threads wake one that waits for descriptors.
package final class WakeUp: Sendable {
    /// Readable from ``post()`` to ``take()``; -1 if there was none to be had.
    package let descriptor = dstack_open_wake()

    package init() {}

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    package func post() {
        guard descriptor >= 0 else { return }
        var one: UInt64 = 1
        // The counter being full would mean that a wake-up is pending already.
        _ = write(descriptor, &one, MemoryLayout<UInt64>.size)
    }

    package func take() {
        var counter: UInt64 = 0
        _ = read(descriptor, &counter, MemoryLayout<UInt64>.size)
    }
}
