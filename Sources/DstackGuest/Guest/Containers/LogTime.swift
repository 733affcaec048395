import DstackEncoding
import Glibc

/// When a line of a log was written: RFC 3339 in UTC with nine digits after the point, so that times compare as texts do.
struct LogTime: Sendable, Hashable, Comparable {
    let text: [UInt8]

    /// Before all others.
    static let none = LogTime(text: [])

    private init(text: [UInt8]) { self.text = text }

    /// Seconds since 1970, and nanoseconds of that second.
    init(seconds: Int64, nanoseconds: Int64) {
        let digits = String(nanoseconds)
        let fraction = String(repeating: "0", count: max(0, 9 - digits.utf8.count)) + digits
        text = Array("\(RFC3339.format(seconds).dropLast()).\(fraction)Z".utf8)
    }

    static func < (one: LogTime, other: LogTime) -> Bool { one.text.lexicographicallyPrecedes(other.text) }

    static var now: LogTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return LogTime(seconds: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
    }

    /// Takes `2026-11-21T16:44:27.9491Z ` from the beginning of a line: Go's RFC3339Nano in UTC, which has no zeros at the
    /// end of the fraction. The length counts the space.
    static func parse(_ line: ArraySlice<UInt8>) -> (time: LogTime, length: Int)? {
        let isDigit: (UInt8) -> Bool = { 0x30...0x39 ~= $0 }
        guard line.count >= 21,
            zip(line, "0000-00-00T00:00:00".utf8).allSatisfy({ $1 == 0x30 ? isDigit($0) : $0 == $1 })
        else { return nil }
        var position = line.startIndex + 19
        var fraction: [UInt8] = []
        if line[position] == UInt8(ascii: ".") {
            fraction = line[(position + 1)...].prefix { isDigit($0) }.prefix(10).map { $0 }
            guard 1...9 ~= fraction.count else { return nil }
            position += 1 + fraction.count
        }
        guard position + 2 <= line.endIndex, line[position] == UInt8(ascii: "Z"),
            line[position + 1] == UInt8(ascii: " ")
        else { return nil }
        fraction += [UInt8](repeating: 0x30, count: 9 - fraction.count)
        let text = Array(line.prefix(19)) + [UInt8(ascii: ".")] + fraction + [UInt8(ascii: "Z")]
        return (LogTime(text: text), position + 2 - line.startIndex)
    }
}
