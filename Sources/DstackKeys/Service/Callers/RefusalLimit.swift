import DstackConcurrency
import DstackEncoding
import Synchronization

/// Bounds how often one machine may be told no.
///
/// Each refusal is an entry in the audit log, which is written to the disk before the answer, and never shortened. Whoever has
/// any genuine machine could fill the disk with them. A machine that is refused so often is not asked about any more for a
/// while; one that is allowed is never held up by the refusals of others.
final class RefusalLimit: Sendable {
    private let machines: Mutex<LRUCache<FixedBytes<32>, TokenBucket>>
    private let bucket: @Sendable () -> TokenBucket

    /// - Parameters: how many refusals at once, and how many a second then.
    init(burst: Double = 30, perSecond: Double = 0.2, capacity: Int = 4_096) {
        bucket = { TokenBucket(burst: burst, perSecond: perSecond) }
        machines = Mutex(LRUCache(capacity: capacity))
    }

    /// - Throws: ``KMSServiceError/Code/unavailable`` for a machine that was refused too often.
    func check(_ device: FixedBytes<32>) throws(KMSServiceError) {
        guard machines.withLock({ $0.value(of: device)?.allows() ?? true }) else {
            throw KMSServiceError(
                .unavailable, "machine \(device.hex)", "it was refused too often in a short time; try again later")
        }
    }

    func noteRefusal(_ device: FixedBytes<32>) {
        machines.withLock { machines in
            var one = machines.value(of: device) ?? bucket()
            _ = one.take()
            machines.insert(one, for: device)
        }
    }
}
