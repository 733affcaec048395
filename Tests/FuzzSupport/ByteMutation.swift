/// Changes to bytes that know nothing of what they mean.
enum ByteMutation {
    /// One change.
    ///
    /// - Parameters:
    ///   - range: the part of the bytes to change; lengths outside of it stay as they are.
    ///   - donors: other inputs of the format, to copy from.
    /// - Returns: what was done.
    static func apply(
        to bytes: inout [UInt8], in range: Range<Int>? = nil, _ random: inout FuzzRandom, donors: [[UInt8]] = []
    ) -> String {
        let range = range ?? 0..<bytes.count
        guard !range.isEmpty else {
            bytes.insert(contentsOf: random.bytes(random.number(in: 1...8)), at: range.lowerBound)
            return "bytes inserted at \(range.lowerBound)"
        }
        let position = range.lowerBound + random.below(range.count)
        let span = position..<min(range.upperBound, position + 1 + lengthOfSpan(&random))
        switch random.below(20) {
        case 0...5:
            let bit = random.below(8)
            bytes[position] ^= 1 << UInt8(bit)
            return "bit \(bit) of byte \(position) flipped"
        case 6, 7:
            let value =
                random.chance(1, in: 2) ? random.pick([0, 1, 0x7F, 0x80, 0xFE, 0xFF, 0x20, 0x22]) : random.byte()
            bytes[position] = value
            return "byte \(position) set to \(value)"
        case 8: return arithmetic(&bytes, span, &random)
        case 9:
            bytes.removeSubrange(position...)
            return "cut off at \(position)"
        case 10:
            let count = random.number(in: 1...64)
            let isZero = random.chance(1, in: 2)
            bytes += isZero ? [UInt8](repeating: 0, count: count) : random.bytes(count)
            return "\(count) \(isZero ? "zeros" : "bytes") appended"
        case 11:
            let count = random.number(in: 1...16)
            bytes.insert(contentsOf: random.bytes(count), at: position)
            return "\(count) bytes inserted at \(position)"
        case 12, 13:
            bytes.removeSubrange(span)
            return "bytes \(span) removed"
        case 14:
            bytes.insert(contentsOf: bytes[span], at: span.upperBound)
            return "bytes \(span) doubled"
        case 15:
            let other = range.lowerBound + random.below(range.count)
            let count = min(span.count, range.upperBound - other)
            for offset in 0..<count where position + offset < range.upperBound {
                bytes.swapAt(position + offset, other + offset)
            }
            return "\(count) bytes at \(position) and \(other) exchanged"
        case 16:
            let value = random.pick([0, 0xFF] as [UInt8])
            for index in span { bytes[index] = value }
            return "bytes \(span) filled with \(value)"
        case 17:
            for index in span { bytes[index] = random.byte() }
            return "bytes \(span) randomized"
        default:
            guard !donors.isEmpty else {
                bytes.swapAt(position, range.upperBound - 1)
                return "byte \(position) exchanged with the last"
            }
            let donor = random.pick(donors)
            for index in span where index < donor.count { bytes[index] = donor[index] }
            return "bytes \(span) copied from another"
        }
    }

    /// Mostly short, sometimes long.
    private static func lengthOfSpan(_ random: inout FuzzRandom) -> Int {
        random.below(1 << random.number(in: 0...10))
    }

    /// A little-endian number changed as one.
    private static func arithmetic(_ bytes: inout [UInt8], _ span: Range<Int>, _ random: inout FuzzRandom) -> String {
        let count = min(random.pick([1, 2, 4]), bytes.count - span.lowerBound)
        var value: UInt64 = 0
        for index in (0..<count).reversed() { value = value << 8 | UInt64(bytes[span.lowerBound + index]) }
        let old = value
        value = changed(value, &random)
        for index in 0..<count {
            bytes[span.lowerBound + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
        }
        return "number at \(span.lowerBound) changed from \(old) to \(value)"
    }

    /// Another number, near the old one or at an edge.
    static func changed(_ value: UInt64, _ random: inout FuzzRandom) -> UInt64 {
        switch random.below(10) {
        case 0: value &+ 1
        case 1: value &- 1
        case 2: value &* 2
        case 3: 0
        case 4: value &+ UInt64(random.number(in: 2...64))
        case 5: value &- UInt64(random.number(in: 2...64))
        case 6: 1 << 31
        case 7: UInt64(UInt32.max)
        case 8: random.pick([1 << 20, 1 << 20 + 1, 1 << 16, 0x7FFF_FFFF, UInt64.max, 0xFFFF])
        default: random.next()
        }
    }
}
