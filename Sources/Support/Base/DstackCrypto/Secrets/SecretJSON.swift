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

    /// A text, its escapes resolved: UTF-8.
    package func string() throws(DecodingFailure) -> SecretBytes {
        guard value.kind == .string else { throw failure("a string expected") }
        let content = text.extracting(value.range)
        guard value.isEscaped else { return SecretBytes(copying: content) }
        var length = 0
        // No escape is shorter than the character that it means.
        let longest = SecretBytes(count: content.byteCount) { (buffer: UnsafeMutableRawBufferPointer) in
            length = Self.unescape(content, into: buffer)
        }
        guard let result = longest.part(0..<length) else { throw failure("a string expected") }
        return result
    }

    /// Bytes and texts that are no secret.
    package func publicHex() throws(DecodingFailure) -> [UInt8] { try hex().copiedToUnprotectedMemory() }

    package func publicString() throws(DecodingFailure) -> String {
        String(decoding: try string().copiedToUnprotectedMemory(), as: UTF8.self)
    }

    /// The parser has checked that every escape is complete, and every surrogate one of a pair.
    private static func unescape(_ content: RawSpan, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        func byte(_ index: Int) -> UInt8 {
            index < content.byteCount ? content.unsafeLoad(fromByteOffset: index, as: UInt8.self) : 0
        }
        func unit(_ index: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 << 4 | UInt32(Hex.value(of: byte(index + $1)) ?? 0) }
        }
        var (position, length) = (0, 0)
        func put(_ byte: UInt8) {
            buffer[length] = byte
            length += 1
        }
        while position < content.byteCount {
            let next = byte(position)
            position += 1
            guard next == UInt8(ascii: "\\") else {
                put(next)
                continue
            }
            let kind = byte(position)
            position += 1
            switch kind {
            case UInt8(ascii: "b"): put(0x08)
            case UInt8(ascii: "f"): put(0x0C)
            case UInt8(ascii: "n"): put(0x0A)
            case UInt8(ascii: "r"): put(0x0D)
            case UInt8(ascii: "t"): put(0x09)
            case UInt8(ascii: "u"):
                var value = unit(position)
                position += 4
                if value & 0xFC00 == 0xD800 {
                    value = 0x10000 + ((value & 0x3FF) << 10 | (unit(position + 2) & 0x3FF))
                    position += 6
                }
                for byte in UTF8.encode(Unicode.Scalar(value) ?? "\u{FFFD}") ?? UTF8.encodedReplacementCharacter {
                    put(byte)
                }
            default: put(kind)
            }
        }
        return length
    }
}
