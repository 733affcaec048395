/// Numbers as people read them.
package enum Figures {
    /// A size with two decimals in steps of 1024: "1.50 KB".
    package static func size(_ bytes: UInt64) -> String {
        let units = ["B", "KB", "MB", "GB", "TB", "PB", "EB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return "\(decimals(value, 2)) \(units[unit])"
    }

    /// With so many decimals, at most 6.
    package static func decimals(_ value: Double, _ count: Int) -> String {
        let scale = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000][max(0, min(6, count))]
        let scaled = (value.magnitude * Double(scale)).rounded()
        guard scaled.isFinite, scaled < 9e15 else { return "\(value)" }
        let number = Int64(scaled)
        let sign = value < 0 && number != 0 ? "-" : ""
        guard count > 0 else { return "\(sign)\(number)" }
        let fraction = "\(number % Int64(scale))"
        return "\(sign)\(number / Int64(scale))."
            + String(repeating: "0", count: max(0, min(6, count) - fraction.utf8.count)) + fraction
    }

    /// The two largest units: "3 d 4 h", "12 min 5 s".
    package static func duration(_ seconds: UInt64) -> String {
        let parts: [(UInt64, String)] = [
            (seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s"),
        ]
        guard let first = parts.firstIndex(where: { $0.0 > 0 }) else { return "0 s" }
        return parts[first...].prefix(2).filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: " ")
    }
}
