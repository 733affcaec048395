import DstackHTTP
import DstackHTTPServer
import DstackPages
import DstackSystem

/// `/metrics`, for Prometheus.
extension Dashboard {
    func metrics() -> HTTPServerResponse {
        do {
            let system = try SystemInformation.current(dataDisks: settings.dataDisks, from: source)
            history.add(system, at: clock.unixSeconds)
            var metrics = PrometheusText()
            metrics.addGuest(system)
            metrics.addUpstream(system)
            return HTTPServerResponse(200, headers: Self.plainTextHeaders, body: Array(metrics.text.utf8))
        } catch {
            // A scrape that fails must look like one: half of the numbers would pass for all of them.
            return HTTPServerResponse(500, headers: Self.plainTextHeaders, body: Array("\(error)\n".utf8))
        }
    }
}

extension PrometheusText {
    /// By Prometheus' conventions: base units, shares from 0 to 1, texts as labels of one series.
    mutating func addGuest(_ system: SystemInformation) {
        family("dstack_guest_info", .gauge, "What machine this is.")
        series(
            "dstack_guest_info",
            [
                ("os_name", system.osName), ("os_version", system.osVersion),
                ("kernel_version", system.kernelVersion), ("cpu_model", system.processorModel),
            ], 1)
        family("dstack_guest_cpus", .gauge, "Number of processors.")
        series("dstack_guest_cpus", [], system.processorCount)
        family("dstack_guest_memory_bytes", .gauge, "Memory: all, available without swapping, not used, not available.")
        for (state, value) in [
            ("total", system.memory.total), ("available", system.memory.available), ("free", system.memory.free),
            ("used", system.memory.used),
        ] { series("dstack_guest_memory_bytes", [("state", state)], value) }
        family("dstack_guest_swap_bytes", .gauge, "Swap space: all, not used, used.")
        for (state, value) in [
            ("total", system.swap.total), ("free", system.swap.free), ("used", system.swap.used),
        ] { series("dstack_guest_swap_bytes", [("state", state)], value) }
        family("dstack_guest_uptime_seconds", .gauge, "Time since the machine started.")
        series("dstack_guest_uptime_seconds", [], system.uptime)
        family("dstack_guest_load_average", .gauge, "Tasks that ran or waited to run, on average.")
        for (window, value) in [
            ("1m", system.load.oneMinute), ("5m", system.load.fiveMinutes), ("15m", system.load.fifteenMinutes),
        ] { series("dstack_guest_load_average", [("window", window)], value) }
        disks(system, "dstack_guest_disk_size_bytes", "Size of a disk.") { $0.total }
        disks(system, "dstack_guest_disk_free_bytes", "What programs may still use of a disk.") { $0.free }
        family("dstack_guest_disk_used_ratio", .gauge, "Used share of a disk, 0 to 1.")
        for disk in system.disks { series("dstack_guest_disk_used_ratio", disk.labels, disk.usedShare) }
    }

    /// The names that older dashboards and alerts know. Load averages are the real numbers here; they used to be a hundred
    /// times too large.
    mutating func addUpstream(_ system: SystemInformation) {
        family("system_os_name", .gauge, "Use dstack_guest_info.")
        series("system_os_name", [("os_name", system.osName)], 1)
        family("system_os_version", .gauge, "Use dstack_guest_info.")
        series("system_os_version", [("os_version", system.osVersion)], 1)
        family("system_kernel_version", .gauge, "Use dstack_guest_info.")
        series("system_kernel_version", [("kernel_version", system.kernelVersion)], 1)
        family("system_cpu_model", .gauge, "Use dstack_guest_info.")
        series("system_cpu_model", [("cpu_model", system.processorModel)], 1)
        number("system_num_cpus", "Use dstack_guest_cpus.", system.processorCount)
        number("system_memory_total", "Use dstack_guest_memory_bytes.", system.memory.total)
        number("system_memory_available", "Use dstack_guest_memory_bytes.", system.memory.available)
        number("system_memory_used", "Use dstack_guest_memory_bytes.", system.memory.used)
        number("system_memory_free", "Use dstack_guest_memory_bytes.", system.memory.free)
        number("system_swap_total", "Use dstack_guest_swap_bytes.", system.swap.total)
        number("system_swap_used", "Use dstack_guest_swap_bytes.", system.swap.used)
        number("system_swap_free", "Use dstack_guest_swap_bytes.", system.swap.free)
        number("system_uptime", "Use dstack_guest_uptime_seconds.", system.uptime)
        average("system_load_average_1m", system.load.oneMinute)
        average("system_load_average_5m", system.load.fiveMinutes)
        average("system_load_average_15m", system.load.fifteenMinutes)
        disks(system, "disk_total_size", "Use dstack_guest_disk_size_bytes.") { $0.total }
        disks(system, "disk_free_size", "Use dstack_guest_disk_free_bytes.") { $0.free }
        disks(system, "disk_used_size", "Size less what is free.") { $0.used }
        family("disk_usage_percentage", .gauge, "Use dstack_guest_disk_used_ratio.")
        for disk in system.disks { series("disk_usage_percentage", disk.labels, disk.usedShare * 100) }
    }

    private mutating func number(_ name: StaticString, _ help: String, _ value: some BinaryInteger) {
        family(name, .gauge, help)
        series(name, [], value)
    }

    private mutating func average(_ name: StaticString, _ value: Double) {
        family(name, .gauge, "Use dstack_guest_load_average.")
        series(name, [], value)
    }

    private mutating func disks(
        _ system: SystemInformation, _ name: StaticString, _ help: String,
        _ value: (SystemInformation.Disk) -> UInt64
    ) {
        family(name, .gauge, help)
        for disk in system.disks { series(name, disk.labels, value(disk)) }
    }
}

extension SystemInformation.Disk {
    fileprivate var labels: [(name: StaticString, value: String)] {
        [("name", name), ("mount_point", mountPoint)]
    }

    /// 0 to 1; 0 for a disk without size.
    var usedShare: Double { total == 0 ? 0 : Double(used) / Double(total) }
}
