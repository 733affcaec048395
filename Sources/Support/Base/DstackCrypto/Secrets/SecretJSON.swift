package import DstackEncoding

/// Reads a JSON text with secrets in place: what is secret goes from one wiping memory into another.
package struct SecretJSON: ~Escapable {
    private let text: RawSpan
    private let value: JSONOutline.Value

    @_lifetime(copy text)
    package init(_ text: RawSpan, subject: String) throws(DecodingFailure) {
        self.text = text
        value = try JSONOutline(of: text, subject: subject).root
    }

    @_lifetime(copy text)
    package init(_ text: RawSpan, _ value: JSONOutline.Value) {
        self.text = text
        self.value = value
    }

    package func failure(_ reason: String, _ code: DecodingFailure.Code = .malformed) -> DecodingFailure {
        value.failure(reason, code)
    }

    @_lifetime(copy self)
    package func member(_ name: String) throws(DecodingFailure) -> SecretJSON {
        SecretJSON(text, try value.member(name, in: text))
    }

    package func has(_ name: String) throws(DecodingFailure) -> Bool {
        try value.optionalMember(name, in: text) != nil
    }

    /// The names of the members of an object.
    package func names() throws(DecodingFailure) -> [String] { try value.members(in: text).map(\.name) }

    /// Hexadecimal digits, as the bytes that they mean.
    ///
    /// - Parameter prefix: whether any number of `0x` may stand before them.
    package func hex(allowingPrefix prefix: Bool = false) throws(DecodingFailure) -> SecretBytes {
        guard value.kind == .string, !value.isEscaped, value.range.count.isMultiple(of: 2) else {
            throw failure("a string with an even number of hexadecimal digits expected")
        }
        var range = value.range
        while prefix, range.count >= 2, byte(range.lowerBound) == UInt8(ascii: "0"),
            byte(range.lowerBound + 1) == UInt8(ascii: "x")
        {
            range.removeFirst(2)
        }
        let digits = text.extracting(range)
        var combined: Int16 = 0
        let bytes = SecretBytes(count: digits.byteCount / 2) { (buffer: UnsafeMutableRawBufferPointer) in
            for index in 0..<buffer.count {
                let high = SecretText.value(of: digits.unsafeLoad(fromByteOffset: 2 * index, as: UInt8.self))
                let low = SecretText.value(of: digits.unsafeLoad(fromByteOffset: 2 * index + 1, as: UInt8.self))
                // Negative once any digit is none.
                combined |= high | low
                buffer[index] = UInt8(truncatingIfNeeded: high << 4 | low)
            }
        }
        // Not where, because that would be the position of a secret's digit.
        guard combined >= 0 else { throw failure("not hexadecimal digits") }
        return bytes
    }

    private func byte(_ offset: Int) -> UInt8 { text.unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

    /// Hexadecimal digits of exactly `count` bytes.
    package func hex(count: Int) throws(DecodingFailure) -> SecretBytes {
        let bytes = try hex()
        guard bytes.count == count else { throw failure("\(bytes.count) bytes where \(count) are needed") }
        return bytes
    }

    /// A text, its escapes resolved. Only those below U+0080 are taken, which is what PEM has.
    package func string() throws(DecodingFailure) -> SecretBytes {
        guard value.kind == .string else { throw failure("a string expected") }
        let content = text.extracting(value.range)
        guard value.isEscaped else { return SecretBytes(copying: content) }
        var length = 0
        var isPlain = true
        let longest = SecretBytes(count: content.byteCount) { (buffer: UnsafeMutableRawBufferPointer) in
            isPlain = Self.unescape(content, into: buffer, &length)
        }
        guard isPlain, let result = longest.part(0..<length) else {
            throw failure("an escape of a character beyond ASCII, which this text should not have")
        }
        return result
    }

    /// Bytes and texts that are no secret.
    package func publicHex() throws(DecodingFailure) -> [UInt8] { try hex().copiedToUnprotectedMemory() }

    package func publicString() throws(DecodingFailure) -> String {
        String(decoding: try string().copiedToUnprotectedMemory(), as: UTF8.self)
    }

    /// The parser has checked that every escape is complete.
    private static func unescape(
        _ content: RawSpan, into buffer: UnsafeMutableRawBufferPointer, _ length: inout Int
    ) -> Bool {
        func byte(_ index: Int) -> UInt8 {
            index < content.byteCount ? content.unsafeLoad(fromByteOffset: index, as: UInt8.self) : 0
        }
        var position = 0
        while position < content.byteCount {
            var next = byte(position)
            position += 1
            if next == UInt8(ascii: "\\") {
                next = byte(position)
                position += 1
                switch next {
                case UInt8(ascii: "b"): next = 0x08
                case UInt8(ascii: "f"): next = 0x0C
                case UInt8(ascii: "n"): next = 0x0A
                case UInt8(ascii: "r"): next = 0x0D
                case UInt8(ascii: "t"): next = 0x09
                case UInt8(ascii: "u"):
                    var scalar: UInt32 = 0
                    for offset in 0..<4 { scalar = scalar << 4 | UInt32(Hex.value(of: byte(position + offset)) ?? 0) }
                    guard scalar < 0x80 else { return false }
                    next = UInt8(scalar)
                    position += 4
                default: break
                }
            }
            buffer[length] = next
            length += 1
        }
        return true
    }
}
