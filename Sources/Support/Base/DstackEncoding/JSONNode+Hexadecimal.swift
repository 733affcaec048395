// Byte strings in JSON. Escapes are refused: no tool writes them here, and a digit has one spelling.

extension JSONNode {
    /// A string of hexadecimal digits of either case. None are no bytes, with a prefix or without.
    ///
    /// - Parameter prefix: whether `0x` may stand before them; not in documents whose text is signed or measured.
    package func hexBytes(prefix: Hex.Prefix = .optional) throws(DecodingFailure) -> [UInt8] {
        guard let string = plainStringRange else { throw notHexadecimal("a string of hexadecimal digits") }
        let all = document.bytes
        let text = all.span
        let digits = string.dropFirst(prefix == .optional ? Hex.prefixCount(text.bytes.extracting(string)) : 0)
        guard digits.count.isMultiple(of: 2) else {
            throw failure("an odd number of hexadecimal digits (\(digits.count))")
        }
        var bytes = [UInt8]()
        bytes.reserveCapacity(digits.count / 2)
        var position = digits.lowerBound
        while position < digits.upperBound {
            guard let high = Hex.value(of: text[position]), let low = Hex.value(of: text[position + 1]) else {
                throw notDigits(at: position - string.lowerBound)
            }
            bytes.append(high << 4 | low)
            position += 2
        }
        return bytes
    }

    /// A string of exactly `2 × count` hexadecimal digits of either case.
    ///
    /// - Parameter prefix: whether `0x` may stand before them; not in documents whose text is signed or measured.
    @inlinable
    package func fixedHex<let count: Int>(
        _ type: FixedBytes<count>.Type = FixedBytes<count>.self, prefix: Hex.Prefix = .optional
    ) throws(DecodingFailure) -> FixedBytes<count> {
        guard let range = plainStringRange else { throw notHexadecimal("\(count * 2) hexadecimal digits") }
        let bytes = document.bytes
        var digits = bytes.span.extracting(range)
        if prefix == .optional, digits.count == count * 2 + 2 {
            digits = digits.extracting(Hex.prefixCount(digits.bytes)..<digits.count)
        }
        guard digits.count == count * 2 else {
            throw failure("\(count * 2) hexadecimal digits expected, found \(digits.count) characters")
        }
        var value = FixedBytes<count>()
        for index in 0..<count {
            guard let high = Hex.value(of: digits[2 * index]), let low = Hex.value(of: digits[2 * index + 1]) else {
                throw notDigits(at: 2 * index + range.count - digits.count)
            }
            value[index] = high << 4 | low
        }
        return value
    }

    @usableFromInline
    @inline(never)
    func notHexadecimal(_ expected: String) -> DecodingFailure {
        // What is a string and comes here has escapes.
        failure("\(expected) expected, found \(kind == .string ? "escapes among them" : kindName)")
    }

    @usableFromInline
    @inline(never)
    func notDigits(at character: Int) -> DecodingFailure {
        failure("not a hexadecimal digit at character \(character) or the next")
    }
}
