/// A text with secrets in it, put together in memory that is wiped. Every step copies what is there, which for the few
/// kilobytes of a file with keys costs nothing, and leaves no unwiped memory behind as growing an array does.
package struct SecretText: ~Copyable {
    package private(set) var bytes = SecretBytes(copying: [])

    package init() {}

    package mutating func append(_ more: RawSpan) {
        let (old, added) = (bytes.count, more.byteCount)
        let grown = SecretBytes(count: old + added) { (buffer: UnsafeMutableRawBufferPointer) in
            bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: buffer[..<old]).copyMemory(from: $0) }
            more.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: buffer[old...]).copyMemory(from: $0) }
        }
        bytes = grown
    }

    /// Text that is no secret.
    package mutating func append(_ text: String) { append(Array(text.utf8).span.bytes) }

    /// Lower-case hexadecimal digits.
    package mutating func appendHex(_ secret: RawSpan) {
        let digits = SecretBytes(count: secret.byteCount * 2) { (buffer: UnsafeMutableRawBufferPointer) in
            Self.encodeHex(secret, into: buffer)
        }
        append(digits.bytes)
    }

    /// Writes lower-case hexadecimal digits to the beginning of a buffer, which must have room for them.
    package static func encodeHex(_ secret: RawSpan, into buffer: UnsafeMutableRawBufferPointer) {
        for index in 0..<secret.byteCount {
            let byte = secret.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            buffer[2 * index] = digit(byte >> 4)
            buffer[2 * index + 1] = digit(byte & 15)
        }
    }

    /// A JSON string in its quotes. The text must be UTF-8; only what JSON demands is escaped.
    package mutating func appendString(_ text: RawSpan) {
        let quoted = SecretBytes(count: Self.quotedCount(text)) { (buffer: UnsafeMutableRawBufferPointer) in
            Self.quote(text, into: buffer)
        }
        append(quoted.bytes)
    }

    /// How long a text is as a JSON string in its quotes.
    package static func quotedCount(_ text: RawSpan) -> Int {
        (0..<text.byteCount).reduce(2) { count, index in
            switch text.unsafeLoad(fromByteOffset: index, as: UInt8.self) {
            case UInt8(ascii: "\n"), UInt8(ascii: "\""), UInt8(ascii: "\\"): count + 2
            case ..<0x20: count + 6
            default: count + 1
            }
        }
    }

    /// Writes a text as a JSON string in its quotes to the beginning of a buffer, which must have room for it.
    package static func quote(_ text: RawSpan, into buffer: UnsafeMutableRawBufferPointer) {
        var position = 0
        func put(_ byte: UInt8) {
            buffer[position] = byte
            position += 1
        }
        put(UInt8(ascii: "\""))
        for index in 0..<text.byteCount {
            let byte = text.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            switch byte {
            case UInt8(ascii: "\n"): "\\n".utf8.forEach(put)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                put(UInt8(ascii: "\\"))
                put(byte)
            case ..<0x20:
                "\\u00".utf8.forEach(put)
                put(digit(byte >> 4))
                put(digit(byte & 15))
            default: put(byte)
            }
        }
        put(UInt8(ascii: "\""))
    }

    // Neither direction looks a secret digit up in a table or branches on it: caches and branch predictors tell others.
    // A comparison is the sign of a difference.

    /// The digit for 0 ..< 16.
    private static func digit(_ value: UInt8) -> UInt8 {
        let value = Int16(value)
        return UInt8(truncatingIfNeeded: value + 48 + (((9 - value) >> 8) & 39))
    }

    /// 0 ..< 16 for a digit of either case, else -1.
    static func value(of digit: UInt8) -> Int16 {
        let digit = Int16(digit)
        let lower = digit | 0x20
        var value: Int16 = -1
        value += (((47 - digit) & (digit - 58)) >> 8) & (digit - 47)
        value += (((96 - lower) & (lower - 103)) >> 8) & (lower - 86)
        return value
    }
}
