/// Timestamps of RFC 3339, the profile of ISO 8601 that Intel's collateral and this project's reports use.
///
/// Read: `2025-03-01T12:00:00Z`, with any number of fraction digits, with an offset up to ±23:59 in place of `Z`, with
/// `t` and `z` in lower case, with a space in place of `T`. The calendar is strict (no 30 February, no hour 24), years
/// have exactly four digits, and nothing may stand before or after.
package enum RFC3339 {
    /// What becomes of a fraction of a second, since the result counts whole seconds.
    package enum Rounding: Sendable {
        /// The second that contains the instant. Right for an end: `now <= end` at whole seconds has the same answer.
        case down
        /// The first whole second that is not before the instant. Right for a beginning: `now >= start`.
        case up
    }

    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    ///
    /// Second 60 is an instant within second 59, as Unix time has no number for it: down gives second 59, up the next
    /// minute. It is accepted in any minute, since an offset or a list of leap seconds is no business of a parser.
    ///
    /// - Throws: ``DecodingFailure`` with the offset of the part that is wrong.
    package static func parse(
        _ text: some StringProtocol, rounding: Rounding = .down, subject: StaticString = "timestamp"
    ) throws(DecodingFailure) -> Int64 {
        var copy = String(text)
        // `withUTF8` cannot carry a typed error out of its closure, so the result carries it.
        let result = copy.withUTF8 { bytes in
            Result { () throws(DecodingFailure) in
                try parse(bytes, rounding: rounding, subject: subject)
            }
        }
        return try result.get()
    }

    /// The same over UTF-8 bytes, without allocating unless it fails.
    package static func parse(
        _ bytes: UnsafeBufferPointer<UInt8>, rounding: Rounding = .down, subject: StaticString = "timestamp"
    ) throws(DecodingFailure) -> Int64 {
        try parse(bytes.span.bytes, rounding: rounding, subject: subject)
    }

    /// The same over a span, without allocating unless it fails.
    package static func parse(
        _ bytes: RawSpan, rounding: Rounding = .down, subject: StaticString = "timestamp"
    ) throws(DecodingFailure) -> Int64 {
        var scanner = Scanner(bytes: bytes, subject: subject)
        let year = try scanner.number(4, "expected a year of four digits")
        try scanner.expect("-", "expected `-` after the year")
        let month = try scanner.number(2, "expected a month of two digits")
        try scanner.expect("-", "expected `-` after the month")
        let day = try scanner.number(2, "expected a day of two digits")
        guard 1...12 ~= month else { throw scanner.failure(at: 5, "the month must be 01 to 12") }
        guard day >= 1, day <= CivilTime.days(in: month, of: Int64(year)) else {
            throw scanner.failure(at: 8, "this month has no such day")
        }
        guard let separator = scanner.next(), separator | 0x20 == UInt8(ascii: "t") || separator == UInt8(ascii: " ")
        else { throw scanner.failure(at: 10, "expected `T` between date and time") }
        let hour = try scanner.number(2, "expected an hour of two digits")
        try scanner.expect(":", "expected `:` after the hour")
        let minute = try scanner.number(2, "expected a minute of two digits")
        try scanner.expect(":", "expected `:` after the minute")
        let second = try scanner.number(2, "expected a second of two digits")
        guard hour <= 23 else { throw scanner.failure(at: 11, "the hour must be 00 to 23") }
        guard minute <= 59 else { throw scanner.failure(at: 14, "the minute must be 00 to 59") }
        guard second <= 60 else { throw scanner.failure(at: 17, "the second must be 00 to 60") }

        let hasFraction = try scanner.fraction() || second == 60
        let offset = try scanner.offset()
        guard scanner.position == bytes.byteCount else {
            throw DecodingFailure(
                .trailing, "\(subject)", at: scanner.position, "nothing may follow the offset of a timestamp")
        }
        guard
            let time = CivilTime(
                year: Int64(year), month: month, day: day, hour: hour, minute: minute, second: min(second, 59))
        else { throw scanner.failure(at: 0, "no such date") }
        return time.unixSeconds - Int64(offset) + (hasFraction && rounding == .up ? 1 : 0)
    }

    /// `2025-03-01T12:00:00Z`, or `2025-03-01T12:00:00.250Z` with milliseconds (0 to 999).
    ///
    /// A year outside 0000 to 9999, which RFC 3339 cannot write, is written with its sign and all its digits.
    package static func format(_ unixSeconds: Int64, milliseconds: Int? = nil) -> String {
        let time = CivilTime(unixSeconds: unixSeconds)
        var text = ""
        text.reserveCapacity(24)
        if 0...9_999 ~= time.year {
            text.appendPadded(Int(time.year), 4)
        } else {
            text += time.year < 0 ? "-" : "+"
            text.appendPadded(Int(time.year.magnitude), 4)
        }
        text += "-"
        text.appendPadded(time.month, 2)
        text += "-"
        text.appendPadded(time.day, 2)
        text += "T"
        text.appendPadded(time.hour, 2)
        text += ":"
        text.appendPadded(time.minute, 2)
        text += ":"
        text.appendPadded(time.second, 2)
        if let milliseconds {
            text += "."
            text.appendPadded(milliseconds, 3)
        }
        text += "Z"
        return text
    }
}

/// Walks over the digits and separators of one timestamp.
private struct Scanner: ~Escapable {
    let bytes: RawSpan
    let subject: StaticString
    var position = 0

    @_lifetime(copy bytes)
    init(bytes: RawSpan, subject: StaticString) {
        self.bytes = bytes
        self.subject = subject
    }

    @inline(never)
    func failure(at offset: Int, _ reason: StaticString) -> DecodingFailure {
        DecodingFailure(.malformed, "\(subject)", at: offset, "\(reason) (as in 2025-03-01T12:00:00Z)")
    }

    @inline(__always)
    mutating func next() -> UInt8? {
        guard position < bytes.byteCount else { return nil }
        // In bounds by the guard.
        let byte = bytes.unsafeLoad(fromUncheckedByteOffset: position, as: UInt8.self)
        position += 1
        return byte
    }

    @inline(__always)
    mutating func number(_ digits: Int, _ expectation: StaticString) throws(DecodingFailure) -> Int {
        let start = position
        var value = 0
        for _ in 0..<digits {
            guard let byte = next(), case let digit = byte &- UInt8(ascii: "0"), digit <= 9 else {
                throw failure(at: start, expectation)
            }
            value = value &* 10 &+ Int(digit)
        }
        return value
    }

    @inline(__always)
    mutating func expect(_ character: Unicode.Scalar, _ expectation: StaticString) throws(DecodingFailure) {
        let start = position
        guard let byte = next(), byte == UInt8(ascii: character) else {
            throw failure(at: start, expectation)
        }
    }

    /// Skips `.` and its digits, if they are there; true if one of the digits is not zero.
    mutating func fraction() throws(DecodingFailure) -> Bool {
        guard position < bytes.byteCount,
            bytes.unsafeLoad(fromByteOffset: position, as: UInt8.self) == UInt8(ascii: ".")
        else { return false }
        position += 1
        let start = position
        var isNotZero = false
        while position < bytes.byteCount {
            let digit = bytes.unsafeLoad(fromByteOffset: position, as: UInt8.self) &- UInt8(ascii: "0")
            guard digit <= 9 else { break }
            isNotZero = isNotZero || digit != 0
            position += 1
        }
        guard position > start else { throw failure(at: start, "a fraction needs at least one digit") }
        return isNotZero
    }

    /// `Z` or `±hh:mm`, in seconds east of UTC.
    mutating func offset() throws(DecodingFailure) -> Int {
        let start = position
        guard let sign = next() else { throw failure(at: start, "expected `Z` or an offset such as +02:00") }
        if sign | 0x20 == UInt8(ascii: "z") { return 0 }
        guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else {
            throw failure(at: start, "expected `Z` or an offset such as +02:00")
        }
        let hours = try number(2, "expected offset hours of two digits")
        try expect(":", "expected `:` in the offset")
        let minutes = try number(2, "expected offset minutes of two digits")
        guard hours <= 23, minutes <= 59 else { throw failure(at: start, "the offset must be within ±23:59") }
        let seconds = hours * 3_600 + minutes * 60
        return sign == UInt8(ascii: "-") ? -seconds : seconds
    }
}

extension String {
    /// Decimal digits with leading zeros up to a width. `value` is never negative here.
    fileprivate mutating func appendPadded(_ value: Int, _ width: Int) {
        let digits = String(value)
        if digits.utf8.count < width { append(String(repeating: "0", count: width - digits.utf8.count)) }
        append(digits)
    }
}
