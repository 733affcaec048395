/// A date and time of the proleptic Gregorian calendar in UTC, as people write it and as X.509 and RFC 3339 carry it.
///
/// It can only hold days that exist: months 1 to 12, days that the month has in that year, seconds 0 to 59.
package struct CivilTime: Equatable, Sendable {
    package let year: Int64
    package let month: Int
    package let day: Int
    package let hour: Int
    package let minute: Int
    package let second: Int

    /// Nil if there is no such day or time, or if the year is outside ±1,000,000 (which keeps the arithmetic far from
    /// overflow).
    @inlinable
    package init?(year: Int64, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        guard -1_000_000...1_000_000 ~= year, 1...12 ~= month, day >= 1, day <= Self.days(in: month, of: year),
            0...23 ~= hour, 0...59 ~= minute, 0...59 ~= second
        else { return nil }
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// The date and time of any count of seconds since 1970-01-01T00:00:00Z.
    package init(unixSeconds: Int64) {
        var days = unixSeconds / 86_400
        var rest = Int(unixSeconds % 86_400)
        if rest < 0 {
            days -= 1
            rest += 86_400
        }
        // Counting from 0000-03-01 puts the leap day at the end of its year, so that month lengths follow one formula
        // (153 days in every five months), and whole 400-year eras repeat exactly.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = Int(dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100))
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        hour = rest / 3_600
        minute = rest / 60 % 60
        second = rest % 60
    }

    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    @inlinable
    package var unixSeconds: Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return days * 86_400 + Int64(hour * 3_600 + minute * 60 + second)
    }

    @inlinable
    package static func isLeap(_ year: Int64) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    /// Days in a month, 1 to 12; 0 for any other number.
    @inlinable
    package static func days(in month: Int, of year: Int64) -> Int {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        case 1...12: 31
        default: 0
        }
    }
}
