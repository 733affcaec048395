import DstackSystem
import Glibc

/// How each part is read.
extension SystemInformation {
    /// `/etc/os-release`: lines of `NAME=value`, where a value may stand in quotes (os-release(5)).
    static func osRelease(_ source: SystemSource) throws(GuestError) -> (name: String, version: String) {
        var text = try source.optionalText("/etc/os-release")
        if text == nil { text = try source.optionalText("/usr/lib/os-release") }
        guard let text else { throw .unexpected("/etc/os-release", "it is not there") }
        func value(_ name: String) -> String? {
            for line in text.split(separator: "\n") where line.hasPrefix(name + "=") {
                return unquoted(line.dropFirst(name.utf8.count + 1))
            }
            return nil
        }
        return (value("NAME") ?? "Linux", value("VERSION_ID") ?? value("BUILD_ID") ?? "")
    }

    private static func unquoted(_ text: Substring) -> String {
        let text = text.trimmed
        guard let quote = text.first, quote == "\"" || quote == "'", text.count >= 2, text.last == quote else {
            return text
        }
        var result = ""
        var escaped = false
        for character in text.dropFirst().dropLast() {
            if !escaped, character == "\\", quote == "\"" {
                escaped = true
            } else {
                result.append(character)
                escaped = false
            }
        }
        return result
    }

    static func processors(_ source: SystemSource) throws(GuestError) -> (model: String, count: Int) {
        var count = 0
        var model: String?
        for line in try source.text("/proc/cpuinfo", limit: 16 << 20).split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            switch parts[0].trimmed {
            case "processor": count += 1
            case "model name" where model == nil: model = parts[1].trimmed
            default: break
            }
        }
        guard count > 0 else { throw .unexpected("/proc/cpuinfo", "it names no processor") }
        return (model ?? "unknown", count)
    }

    static func memoryAndSwap(_ source: SystemSource) throws(GuestError) -> (Memory, Swap) {
        let path = "/proc/meminfo"
        var values: [String: UInt64] = [:]
        for line in try source.text(path).split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == ":" }
            guard words.count >= 2, let number = UInt64(words[1]) else { continue }
            let (bytes, overflow) = number.multipliedReportingOverflow(by: words.count > 2 ? 1024 : 1)
            guard !overflow else { throw .unexpected(path, "\(words[0]) is over all bounds") }
            values[String(words[0])] = bytes
        }
        func value(_ name: String) throws(GuestError) -> UInt64 {
            guard let value = values[name] else { throw .unexpected(path, "it has no \(name)") }
            return value
        }
        return (
            Memory(total: try value("MemTotal"), available: try value("MemAvailable"), free: try value("MemFree")),
            Swap(total: try value("SwapTotal"), free: try value("SwapFree"))
        )
    }

    static func uptime(_ source: SystemSource) throws(GuestError) -> UInt64 {
        let path = "/proc/uptime"
        let text = try source.text(path)
        guard let seconds = text.split(separator: " ").first.flatMap({ Double($0) }), seconds >= 0, seconds < 1e12
        else { throw .unexpected(path, "a number of seconds expected") }
        return UInt64(seconds)
    }

    static func load(_ source: SystemSource) throws(GuestError) -> Load {
        let path = "/proc/loadavg"
        let numbers = try source.text(path).split(separator: " ").prefix(3).map { Double($0) }
        guard numbers.count == 3, let one = numbers[0], let five = numbers[1], let fifteen = numbers[2],
            [one, five, fifteen].allSatisfy({ $0.isFinite && $0 >= 0 })
        else { throw .unexpected(path, "three numbers expected") }
        return Load(oneMinute: one, fiveMinutes: five, fifteenMinutes: fifteen)
    }

    static func disks(_ mountPoints: [String], _ source: SystemSource) throws(GuestError) -> [Disk] {
        guard !mountPoints.isEmpty else { return [] }
        let path = "/proc/self/mounts"
        var devices: [String: String] = [:]
        for line in try source.text(path, limit: 16 << 20).split(separator: "\n") {
            let words = line.split(separator: " ")
            // A later mount at the same place hides the earlier one.
            if words.count >= 2 { devices[unescaped(words[1])] = unescaped(words[0]) }
        }
        var disks: [Disk] = []
        for mountPoint in Set(mountPoints.map(withoutFinalSlashes)).sorted() {
            // The root is always there, but in a changed root the table does not have it. A place where nothing is mounted
            // has no disk, and keeps nobody from knowing about the rest of the machine.
            guard let device = devices[mountPoint] ?? (mountPoint == "/" ? "rootfs" : nil) else { continue }
            var status = statvfs()
            guard statvfs(source.path(mountPoint), &status) == 0 else {
                throw .unexpected(mountPoint, String(cString: strerror(errno)))
            }
            let size = UInt64(status.f_frsize)
            let (total, tooLarge) = size.multipliedReportingOverflow(by: UInt64(status.f_blocks))
            let (free, tooFree) = size.multipliedReportingOverflow(by: UInt64(status.f_bavail))
            guard !tooLarge, !tooFree else { throw .unexpected(mountPoint, "its size is over all bounds") }
            disks.append(Disk(name: device, mountPoint: mountPoint, total: total, free: free))
        }
        return disks
    }

    /// `/data/` is `/data`, as the table of mounts has it.
    private static func withoutFinalSlashes(_ path: String) -> String {
        var path = Substring(path)
        while path.utf8.count > 1, path.hasSuffix("/") { path = path.dropLast() }
        return String(path)
    }

    /// Space, tab, line feed and backslash are `\` and three octal digits in the kernel's table of mounts (proc(5)).
    static func unescaped(_ text: Substring) -> String {
        guard text.utf8.contains(UInt8(ascii: "\\")) else { return String(text) }
        let bytes = Array(text.utf8)
        var result = [UInt8]()
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\\"), index + 3 < bytes.count,
                let number = UInt8(String(decoding: bytes[(index + 1)...(index + 3)], as: UTF8.self), radix: 8)
            {
                result.append(number)
                index += 4
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
