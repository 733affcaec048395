/// Durations as people write them in settings: `30s`, `5m`, `250ms`, `1h30m`.
package enum DurationText {
    package static let expectation = "a duration such as 30s, 5m, 1h30m or 250ms (units: us, ms, s, m, h, d)"

    /// Whole numbers, each with a unit, added up. Nil for anything else, and for more than a thousand years.
    package static func parse(_ text: String) -> Duration? {
        var rest = text[...]
        var total: Int64 = 0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix(while: isDigit)
            rest = rest[digits.endIndex...]
            let unit = rest.prefix { !isDigit($0) }
            rest = rest[unit.endIndex...]
            guard let number = Int64(digits), let scale = microseconds(in: unit) else { return nil }
            let (product, tooLarge) = number.multipliedReportingOverflow(by: scale)
            let (sum, overflow) = total.addingReportingOverflow(product)
            guard !tooLarge, !overflow, sum <= 365_250 * 86_400_000_000 else { return nil }
            total = sum
        }
        return .microseconds(total)
    }

    /// The shortest exact text, the largest units first; `0s` for nothing. Negative durations have a `-` in front.
    package static func format(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        var rest = seconds.magnitude
        var text = duration < .zero ? "-" : ""
        for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] as [(String, UInt64)] where rest >= size
        {
            text += "\(rest / size)\(unit)"
            rest %= size
        }
        let microseconds = attoseconds.magnitude / 1_000_000_000_000
        if microseconds != 0 {
            text += microseconds % 1_000 == 0 ? "\(microseconds / 1_000)ms" : "\(microseconds)us"
        }
        return text.isEmpty || text == "-" ? "0s" : text
    }

    private static func microseconds(in unit: Substring) -> Int64? {
        switch unit {
        case "us": 1
        case "ms": 1_000
        case "s": 1_000_000
        case "m": 60_000_000
        case "h": 3_600_000_000
        case "d": 86_400_000_000
        default: nil
        }
    }
}

/// Sizes in bytes as people write them in settings: `4096`, `0x1000`, `512K`, `10MiB`.
package enum ByteCountText {
    package static let expectation = "a size in bytes such as 4096, 512K or 10MiB (K, M, G, T count in steps of 1024)"

    /// A decimal or `0x` number of bytes, or a decimal number with `K`, `M`, `G` or `T`, alone or followed by `iB`.
    ///
    /// `10MB` is refused: some read it as 10,000,000 bytes, others as 10,485,760.
    package static func parse(_ text: String) -> Int? {
        if text.hasPrefix("0x") {
            let digits = text.dropFirst(2)
            // Int would also read a sign.
            return digits.allSatisfy(\.isHexDigit) ? Int(digits, radix: 16) : nil
        }
        let digits = text.prefix(while: isDigit)
        guard let number = Int64(digits) else { return nil }
        let scale: Int64
        switch text[digits.endIndex...].lowercased() {
        case "", "b": scale = 1
        case "k", "kib": scale = 1 << 10
        case "m", "mib": scale = 1 << 20
        case "g", "gib": scale = 1 << 30
        case "t", "tib": scale = 1 << 40
        default: return nil
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: scale)
        return overflow ? nil : Int(exactly: product)
    }

    /// The largest unit that divides the number evenly: `10MiB`, `1500`.
    package static func format(_ count: Int) -> String {
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        where count != 0 && count.isMultiple(of: 1 << shift) {
            return "\(count >> shift)\(unit)"
        }
        return "\(count)"
    }
}

private func isDigit(_ character: Character) -> Bool { "0"..."9" ~= character }
