/// Base64 text (RFC 4648), strict in both directions: one text for one byte string.
package enum Base64 {
    package enum Alphabet: Sendable {
        /// RFC 4648 section 4, with `+` and `/`.
        case standard
        /// RFC 4648 section 5, with `-` and `_`.
        case urlSafe
    }

    /// - Parameter padding: whether the text is filled up with `=` to a multiple of four characters.
    package static func encode(
        _ bytes: some Collection<UInt8>, alphabet: Alphabet = .standard, padding: Bool = true
    ) -> String {
        let digits: StaticString =
            switch alphabet {
            case .standard: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            case .urlSafe: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
            }
        return digits.withUTF8Buffer { digits in
            String(unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4) { buffer in
                var position = 0
                var pending: UInt32 = 0
                var bits: UInt32 = 0
                for byte in bytes {
                    pending = pending << 8 | UInt32(byte)
                    bits += 8
                    while bits >= 6 {
                        bits -= 6
                        buffer[position] = digits[Int(pending >> bits & 63)]
                        position += 1
                    }
                    pending &= (1 << bits) - 1
                }
                if bits > 0 {
                    buffer[position] = digits[Int(pending << (6 - bits) & 63)]
                    position += 1
                }
                while padding, !position.isMultiple(of: 4) {
                    buffer[position] = UInt8(ascii: "=")
                    position += 1
                }
                return position
            }
        }
    }

    /// - Parameter padding: whether padding is required; where it is not, it is forbidden.
    /// - Throws: ``DecodingFailure`` for white space or any other foreign character, for missing, wrong or excess
    ///   padding, and for unused bits that are not zero (which would give one byte string several texts).
    package static func decode(
        _ text: String, alphabet: Alphabet = .standard, padding: Bool = true, subject: String
    ) throws(DecodingFailure) -> [UInt8] {
        var text = text
        // `withUTF8` cannot carry a typed error out of its closure, so the result carries it.
        let result = text.withUTF8 { decode($0, alphabet: alphabet, padding: padding, subject: subject) }
        return try result.get()
    }

    /// The same for text that is at hand as ASCII bytes.
    package static func decode(
        _ characters: UnsafeBufferPointer<UInt8>, alphabet: Alphabet = .standard, padding: Bool = true, subject: String
    ) -> Result<[UInt8], DecodingFailure> {
        func failure(_ reason: String, at offset: Int? = nil) -> Result<[UInt8], DecodingFailure> {
            .failure(DecodingFailure(.malformed, subject, at: offset, reason))
        }
        var end = characters.count
        if padding {
            guard end.isMultiple(of: 4) else {
                return failure("base64 of \(end) characters; a multiple of four is needed")
            }
            while end > 0, characters.count - end < 2, characters[end - 1] == UInt8(ascii: "=") { end -= 1 }
        }
        guard end % 4 != 1 else { return failure("base64 text is one character short or long") }
        var bytes = [UInt8]()
        bytes.reserveCapacity(end / 4 * 3 + 2)
        var pending: UInt32 = 0
        var bits: UInt32 = 0
        for position in 0..<end {
            guard let digit = value(of: characters[position], alphabet) else {
                return failure("not a base64 character", at: position)
            }
            pending = (pending << 6 | UInt32(digit)) & 0xFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: pending >> bits))
            }
        }
        guard pending & ((1 << bits) - 1) == 0 else {
            return failure("unused bits of the last base64 character are not zero", at: end - 1)
        }
        return .success(bytes)
    }

    private static func value(of character: UInt8, _ alphabet: Alphabet) -> UInt8? {
        switch (character, alphabet) {
        case (UInt8(ascii: "A")...UInt8(ascii: "Z"), _): character - UInt8(ascii: "A")
        case (UInt8(ascii: "a")...UInt8(ascii: "z"), _): character - UInt8(ascii: "a") + 26
        case (UInt8(ascii: "0")...UInt8(ascii: "9"), _): character - UInt8(ascii: "0") + 52
        case (UInt8(ascii: "+"), .standard), (UInt8(ascii: "-"), .urlSafe): 62
        case (UInt8(ascii: "/"), .standard), (UInt8(ascii: "_"), .urlSafe): 63
        default: nil
        }
    }
}
