import Synchronization

/// The last numbers of the machine, for the pictures on the page.
final class MetricsHistory: Sendable {
    struct Sample: Sendable, Hashable {
        /// Seconds since 1970.
        let time: Int64
        let load: Double
        /// Bytes.
        let usedMemory: UInt64
    }

    /// An hour of samples taken every ten seconds.
    static let capacity = 360
    /// Samples that come closer than this are not kept: many visitors must not push the past out.
    private static let spacing: Int64 = 5

    private let kept = Mutex<[Sample]>([])

    var samples: [Sample] { kept.withLock { $0 } }

    func add(_ system: SystemInformation, at time: Int64) {
        kept.withLock { samples in
            // A clock that was set back begins anew.
            if let last = samples.last, last.time > time { samples = [] }
            if let last = samples.last, time - last.time < Self.spacing { return }
            if samples.count >= Self.capacity { samples.removeFirst(samples.count - Self.capacity + 1) }
            samples.append(Sample(time: time, load: system.load.oneMinute, usedMemory: system.memory.used))
        }
    }
}
