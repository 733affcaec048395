import Glibc

/// A process that cannot be mistaken for another one that gets the same number later: its number, when it started, and in
/// which boot of the machine.
package struct ProcessIdentity: Sendable, Hashable {
    package let processID: Int32
    /// Clock ticks after boot.
    package let startTime: UInt64
    package let bootID: String

    package init(processID: Int32, startTime: UInt64, bootID: String) {
        self.processID = processID
        self.startTime = startTime
        self.bootID = bootID
    }

    /// A process that runs now; nil if there is none of that number.
    package init?(of processID: Int32) {
        guard let entry = ProcessEntry(processID), let boot = Self.currentBoot else { return nil }
        self.init(processID: processID, startTime: entry.startTime, bootID: boot)
    }

    /// Whether the very same process still runs. One that has ended and waits for its parent does not.
    package var isRunning: Bool {
        guard isOfThisBoot, let entry = ProcessEntry(processID) else { return false }
        return entry.startTime == startTime && !entry.hasEnded
    }

    /// The order of starts. Within a clock tick (10 ms) numbers tell, which the kernel counts upwards.
    package func startedBefore(_ other: ProcessIdentity) -> Bool {
        (startTime, processID) < (other.startTime, other.processID)
    }

    /// Whether it belongs to what runs since the machine's last start.
    var isOfThisBoot: Bool { bootID == Self.currentBoot }

    private static let currentBoot: String? = {
        guard let text = try? File.readText("/proc/sys/kernel/random/boot_id", limit: 128) else { return nil }
        return String(text.prefix { $0 != "\n" })
    }()

    /// Whether this process, or another of the group that it leads, still runs.
    ///
    /// A group outlives its leader, whose number the kernel gives to nobody else meanwhile: if there is no process of that
    /// number, the group is still this one's; if there is another one, the group is a stranger's.
    package var hasRunningGroup: Bool {
        guard isOfThisBoot else { return false }
        if let entry = ProcessEntry(processID), entry.startTime != startTime { return false }
        return ProcessEntry.all.contains { $0.group == processID && !$0.hasEnded }
    }
}

/// What `/proc/PID/stat` says (proc(5)).
struct ProcessEntry {
    let processID: Int32
    let state: UInt8
    let group: Int32
    let startTime: UInt64

    var hasEnded: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") }

    init?(_ processID: Int32) {
        guard processID > 0, let bytes = try? File.read("/proc/\(processID)/stat", limit: 16_384),
            // The second field is the program's name in parentheses, which may itself have any character.
            let nameEnd = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        // From the third field on; the group is the fifth, the start time the 22nd.
        let fields = bytes[(nameEnd + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, let state = fields[0].first,
            let group = Int32(String(decoding: fields[2], as: UTF8.self)),
            let startTime = UInt64(String(decoding: fields[19], as: UTF8.self))
        else { return nil }
        self.processID = processID
        self.state = state
        self.group = group
        self.startTime = startTime
    }

    /// All processes that this one can see.
    static var all: [ProcessEntry] {
        ((try? File.names(in: "/proc")) ?? []).compactMap { Int32($0).flatMap { ProcessEntry($0) } }
    }
}
