/// Hexadecimal text, as every wire format of this project uses it: two digits a byte, no separators. It is written without
/// a prefix, and read with one wherever people or their tools write it.
@usableFromInline
package enum Hex {
    /// What may stand before the digits. An `x` is no digit, so that a prefix never makes a text ambiguous.
    @usableFromInline
    package enum Prefix: Sendable {
        /// Nothing: in documents whose very text is signed, hashed or measured, each value has one spelling.
        case none
        /// `0x` or `0X`, once.
        case optional
    }

    /// Lower-case digits.
    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        encode(bytes, digits: "0123456789abcdef")
    }

    /// Upper-case digits, as Intel's URLs want them.
    package static func encodeUppercase(_ bytes: some Collection<UInt8>) -> String {
        encode(bytes, digits: "0123456789ABCDEF")
    }

    /// Lower-case digits, into memory with room for two a byte at least. Neither looks up nor branches on what it encodes,
    /// so that it may be a secret.
    package static func encode(_ bytes: UnsafeRawBufferPointer, into digits: UnsafeMutableRawBufferPointer) {
        precondition(digits.count / 2 >= bytes.count, "no room for the digits")
        for index in 0..<bytes.count {
            let byte = bytes[index]
            digits[2 * index] = digit(byte >> 4)
            digits[2 * index + 1] = digit(byte & 15)
        }
    }

    /// The digit for 0 ..< 16: beyond 9 the difference is negative, and its sign selects the way to the letters.
    @inline(__always)
    private static func digit(_ value: UInt8) -> UInt8 {
        value &+ 48 &+ (((9 &- value) >> 7) &* 39)
    }

    private static func encode(_ bytes: some Collection<UInt8>, digits: StaticString) -> String {
        digits.withUTF8Buffer { digits in
            String(unsafeUninitializedCapacity: bytes.count * 2) { buffer in
                var position = 0
                for byte in bytes {
                    buffer[position] = digits[Int(byte >> 4)]
                    buffer[position + 1] = digits[Int(byte & 15)]
                    position += 2
                }
                return position
            }
        }
    }

    /// Digits of either case.
    ///
    /// - Throws: ``DecodingFailure`` for an odd number of digits or any other character.
    package static func decode(
        _ text: String, prefix: Prefix = .none, subject: String
    ) throws(DecodingFailure) -> [UInt8] {
        var text = text
        // `withUTF8` cannot carry a typed error out of its closure, so the result carries it.
        let result = text.withUTF8 { digits in
            let start = prefix == .optional ? prefixCount(digits.span.bytes) : 0
            return Self.decode(UnsafeBufferPointer(rebasing: digits[start...]), subject: subject)
        }
        return try result.get()
    }

    /// How many characters at the beginning are a prefix: 0 or 2.
    @inlinable
    package static func prefixCount(_ text: RawSpan) -> Int {
        guard text.byteCount >= 2, text.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == UInt8(ascii: "0") else {
            return 0
        }
        // 0x20 is what tells the letter's cases apart.
        return text.unsafeLoad(fromByteOffset: 1, as: UInt8.self) | 0x20 == UInt8(ascii: "x") ? 2 : 0
    }

    /// Digits of either case, as ASCII bytes.
    package static func decode(
        _ digits: UnsafeBufferPointer<UInt8>, subject: String
    ) -> Result<[UInt8], DecodingFailure> {
        guard digits.count.isMultiple(of: 2) else {
            return .failure(
                DecodingFailure(.malformed, subject, "an odd number of hexadecimal digits (\(digits.count))"))
        }
        var bytes = [UInt8]()
        bytes.reserveCapacity(digits.count / 2)
        var position = 0
        while position < digits.count {
            guard let high = value(of: digits[position]), let low = value(of: digits[position + 1]) else {
                return .failure(
                    DecodingFailure(
                        .malformed, subject, "not a hexadecimal digit at character \(position) or the next"))
            }
            bytes.append(high << 4 | low)
            position += 2
        }
        return .success(bytes)
    }

    @inlinable
    package static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
