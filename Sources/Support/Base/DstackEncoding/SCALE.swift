// SCALE (Simple Concatenated Aggregate Little-Endian): the codec of dstack's version 0 attestations and of its
// certificate requests. Fixed integers are little-endian and fixed arrays raw, so ByteReader and ByteWriter do those;
// here is what SCALE adds: compact integers, and the vectors, strings and options built on them.
// Specification: https://docs.polkadot.com/polkadot-protocol/basics/data-encoding/ ("SCALE codec").

extension ByteReader {
    /// A compact integer of up to 64 bits. Only the shortest encoding of a number is accepted, so that a value has one
    /// encoding and decoding followed by encoding gives the same bytes.
    package mutating func scaleCompact(_ subject: StaticString) throws(DecodingFailure) -> UInt64 {
        let start = offset
        let first = try u8(subject)
        // The two low bits of the first byte say how many bytes follow.
        let following: Int
        var value: UInt64
        let smallest: UInt64
        switch first & 3 {
        case 0:
            return UInt64(first >> 2)
        case 1:
            (following, value, smallest) = (1, UInt64(first >> 2), 1 << 6)
        case 2:
            (following, value, smallest) = (3, UInt64(first >> 2), 1 << 14)
        default:
            let count = Int(first >> 2) + 4
            guard count <= 8 else {
                throw DecodingFailure(
                    .tooLarge, "\(subject)", at: start, "a compact integer of \(count) bytes; at most 8 are supported")
            }
            (following, value, smallest) = (count, 0, count == 4 ? 1 << 30 : 1 << UInt64(8 * (count - 1)))
        }
        let shift: UInt64 = first & 3 == 3 ? 0 : 6
        for index in 0..<following {
            value |= UInt64(try u8(subject)) << (shift + 8 * UInt64(index))
        }
        guard value >= smallest else {
            throw DecodingFailure(
                .malformed, "\(subject)", at: start, "compact integer \(value) is not in its shortest encoding")
        }
        return value
    }

    /// How many items of a vector follow. `minimumItemSize` is the fewest bytes that one item can take (at least 1):
    /// a count that cannot fit into what is left is refused before anybody reserves memory for it.
    package mutating func scaleCount(
        minimumItemSize: Int = 1, _ subject: StaticString
    ) throws(DecodingFailure) -> Int {
        let start = offset
        let count = try scaleCompact(subject)
        guard count <= UInt64(remaining / max(minimumItemSize, 1)) else {
            throw DecodingFailure(
                .truncated, "\(subject)", at: start, "\(count) items announced, only \(remaining) bytes left")
        }
        return Int(count)
    }

    /// A vector of bytes.
    package mutating func scaleBytes(_ subject: StaticString) throws(DecodingFailure) -> [UInt8] {
        let count = try scaleCount(subject)
        return try bytes(count, subject)
    }

    /// A string; its UTF-8 must be valid.
    package mutating func scaleString(_ subject: StaticString) throws(DecodingFailure) -> String {
        let start = offset
        let bytes = try scaleBytes(subject)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw DecodingFailure(.malformed, "\(subject)", at: start, "not valid UTF-8")
        }
        return text
    }

    /// Whether the value of an option follows.
    package mutating func scaleIsPresent(_ subject: StaticString) throws(DecodingFailure) -> Bool {
        let start = offset
        switch try u8(subject) {
        case 0: return false
        case 1: return true
        case let other:
            throw DecodingFailure(.malformed, "\(subject)", at: start, "an option must begin with 0 or 1, not \(other)")
        }
    }
}

extension ByteWriter {
    /// A compact integer in its shortest encoding.
    package mutating func scaleCompact(_ value: UInt64) {
        switch value {
        case ..<(1 << 6):
            u8(UInt8(value) << 2)
        case ..<(1 << 14):
            littleEndian(UInt16(value) << 2 | 1)
        case ..<(1 << 30):
            littleEndian(UInt32(value) << 2 | 2)
        default:
            let count = max(4, (64 - value.leadingZeroBitCount + 7) / 8)
            u8(UInt8(count - 4) << 2 | 3)
            for index in 0..<count { u8(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
        }
    }

    package mutating func scaleCount(_ count: Int) { scaleCompact(UInt64(max(count, 0))) }

    /// A vector of bytes.
    package mutating func scaleBytes(_ bytes: some Collection<UInt8>) {
        scaleCount(bytes.count)
        append(bytes)
    }

    package mutating func scaleString(_ text: String) { scaleBytes(text.utf8) }
}
