import CSpawn
import DstackConcurrency
import Glibc

/// A hold on a process (pidfd), child of this one or not: whatever becomes of its number, this is about that very process.
package final class ProcessHandle: Sendable {
    private let descriptor: FileDescriptor
    private let processID: Int32

    init(owning number: Int32, processID: Int32) {
        descriptor = FileDescriptor(owning: number, name: "process \(processID)")
        self.processID = processID
    }

    /// A process that was known before; nil where it runs no more.
    ///
    /// - Throws: ``SystemError`` where the system gives no descriptor.
    package init?(_ identity: ProcessIdentity) throws(SystemError) {
        let number = dstack_process_open(identity.processID)
        guard number >= 0 else {
            guard errno == ESRCH || errno == EINVAL else { throw .last("hold process", "\(identity.processID)") }
            return nil
        }
        descriptor = FileDescriptor(owning: number, name: "process \(identity.processID)")
        processID = identity.processID
        // Only now: whatever had the number when it was opened is what is held, and must be the one that is meant.
        guard identity.isRunning else { return nil }
    }

    /// Whether it has ended. A child that was not waited for yet has.
    package var hasEnded: Bool { waitUntilEnded(within: .zero) }

    /// Waits on this thread until it has ended.
    ///
    /// - Returns: whether it has.
    package func waitUntilEnded(within time: Duration) -> Bool {
        Readiness.wait(for: [descriptor.number], until: .now + time).map { !$0.isEmpty } ?? true
    }

    /// Returns when it has ended, or the task is cancelled.
    ///
    /// - Returns: whether it has ended.
    package func ended() async -> Bool {
        let ended = Promise<Bool>()
        guard let watch = DescriptorWatch.shared.add(descriptor.number, { ended.fulfil(true) }) else {
            // Without descriptors for a watch, looking again and again has to do.
            while !hasEnded {
                do { try await Task.sleep(for: .milliseconds(100)) } catch { return hasEnded }
            }
            return true
        }
        defer { DescriptorWatch.shared.remove(watch, descriptor.number) }
        return await ended.value(whenCancelled: false) || hasEnded
    }

    /// Sends it a signal; it may have ended.
    package func signal(_ number: Int32) { _ = dstack_process_signal(descriptor.number, number) }
}

/// Waiting on a thread for descriptors.
enum Readiness {
    /// - Returns: the places of those that are readable or have ended; empty where the time is over; nil where the system
    ///   fails, with `errno`. Negative numbers are passed over.
    static func wait(for numbers: [Int32], until deadline: ContinuousClock.Instant) -> [Int]? {
        while true {
            var requests = numbers.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            let left = max(.zero, ContinuousClock.now.duration(to: deadline)).components
            // Rounded up, so that the last bit of a time is not spent in a busy loop.
            let milliseconds =
                left.seconds >= 86_400
                ? 86_400_000 : left.seconds * 1_000 + (left.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
            let count = poll(&requests, nfds_t(requests.count), Int32(milliseconds))
            if count < 0, errno != EINTR { return nil }
            if count > 0 { return requests.indices.filter { requests[$0].revents != 0 } }
            if count == 0, ContinuousClock.now >= deadline { return [] }
        }
    }
}
