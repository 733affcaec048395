package import DstackRPC
import DstackSystem

/// What machine this is and how busy it is.
///
///     let system = try SystemInformation.current(dataDisks: ["/", "/dstack"])
///     reply(system.message)
///
/// Either all of it is known or an error says what is missing. Sizes are in bytes.
package struct SystemInformation: Sendable, Hashable {
    /// `NAME` and `VERSION_ID` of `/etc/os-release`; a rolling release has no version.
    package var osName: String
    package var osVersion: String
    package var kernelVersion: String
    /// The processor's brand: "Intel(R) Xeon(R) Platinum 8592+".
    package var processorModel: String
    package var processorCount: Int
    package var memory: Memory
    package var swap: Swap
    /// Seconds since the machine started.
    package var uptime: UInt64
    package var load: Load
    /// In the order of their mount points.
    package var disks: [Disk]

    package struct Memory: Sendable, Hashable {
        package var total: UInt64
        /// What can be had without swapping.
        package var available: UInt64
        /// What is not used for anything.
        package var free: UInt64
        /// What is not available.
        package var used: UInt64 { total >= available ? total - available : 0 }

        package init(total: UInt64, available: UInt64, free: UInt64) {
            self.total = total
            self.available = available
            self.free = free
        }
    }

    package struct Swap: Sendable, Hashable {
        package var total: UInt64
        package var free: UInt64
        package var used: UInt64 { total >= free ? total - free : 0 }
    }

    /// How many tasks ran or waited to run, on average over the last minutes.
    package struct Load: Sendable, Hashable {
        package var oneMinute: Double
        package var fiveMinutes: Double
        package var fifteenMinutes: Double

        package init(oneMinute: Double, fiveMinutes: Double, fifteenMinutes: Double) {
            self.oneMinute = oneMinute
            self.fiveMinutes = fiveMinutes
            self.fifteenMinutes = fifteenMinutes
        }
    }

    package struct Disk: Sendable, Hashable {
        /// The device or file system: "/dev/vda1", "overlay".
        package var name: String
        package var mountPoint: String
        package var total: UInt64
        /// What programs without privilege may still use.
        package var free: UInt64
        package var used: UInt64 { total >= free ? total - free : 0 }
    }

    /// Reads everything now. It takes well under a millisecond and waits for nothing but the kernel.
    ///
    /// - Parameter dataDisks: mount points of the disks to tell of. Where nothing is mounted, there is no disk.
    /// - Throws: ``GuestError`` with ``GuestError/Code/systemUnavailable``, naming the file.
    package static func current(
        dataDisks: [String] = ["/"], from source: SystemSource = SystemSource()
    ) throws(GuestError) -> SystemInformation {
        let release = try osRelease(source)
        let (model, count) = try processors(source)
        let (memory, swap) = try memoryAndSwap(source)
        return SystemInformation(
            osName: release.name, osVersion: release.version,
            kernelVersion: try source.text("/proc/sys/kernel/osrelease").trimmed,
            processorModel: model, processorCount: count, memory: memory, swap: swap, uptime: try uptime(source),
            load: try load(source), disks: try disks(dataDisks, source))
    }

    /// As the host is told. Load averages are in hundredths there, cut off.
    package var message: GuestAPIRPC.SystemInfo {
        var message = GuestAPIRPC.SystemInfo()
        message.osName = osName
        message.osVersion = osVersion
        message.kernelVersion = kernelVersion
        message.cpuModel = processorModel
        message.processorCount = UInt32(clamping: processorCount)
        message.totalMemory = memory.total
        message.availableMemory = memory.available
        message.usedMemory = memory.used
        message.freeMemory = memory.free
        message.totalSwap = swap.total
        message.usedSwap = swap.used
        message.freeSwap = swap.free
        message.uptime = uptime
        message.loadAverageOne = Self.hundredths(load.oneMinute)
        message.loadAverageFive = Self.hundredths(load.fiveMinutes)
        message.loadAverageFifteen = Self.hundredths(load.fifteenMinutes)
        message.disks = disks.map { disk in
            var message = GuestAPIRPC.DiskInfo()
            message.name = disk.name
            message.mountPoint = disk.mountPoint
            message.totalSize = disk.total
            message.freeSize = disk.free
            return message
        }
        return message
    }

    /// The kernel gives two decimals, which binary numbers only come near: 0.29 must not become 28.
    private static func hundredths(_ load: Double) -> UInt32 {
        let scaled = (load * 100 + 0.001).rounded(.down)
        return scaled > 0 ? UInt32(exactly: min(scaled, 4_294_967_295)) ?? 0 : 0
    }
}
