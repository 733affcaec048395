import DstackCrypto

/// A text with secrets in it, put together in memory that is wiped. Every step copies what is there, which for the few
/// kilobytes of a file with keys costs nothing, and leaves no unwiped memory behind as growing an array does.
struct SecretText: ~Copyable {
    private(set) var bytes = SecretBytes(copying: [])

    mutating func append(_ more: RawSpan) {
        let (old, added) = (bytes.count, more.byteCount)
        let grown = SecretBytes(count: old + added) { (buffer: UnsafeMutableRawBufferPointer) in
            bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: buffer[..<old]).copyMemory(from: $0) }
            more.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: buffer[old...]).copyMemory(from: $0) }
        }
        bytes = grown
    }

    /// Text that is no secret.
    mutating func append(_ text: String) { append(Array(text.utf8).span.bytes) }

    /// Lower-case hexadecimal digits.
    mutating func appendHex(_ secret: RawSpan) {
        let digits = SecretBytes(count: secret.byteCount * 2) { (buffer: UnsafeMutableRawBufferPointer) in
            for index in 0..<secret.byteCount {
                let byte = secret.unsafeLoad(fromByteOffset: index, as: UInt8.self)
                buffer[2 * index] = Self.digit(byte >> 4)
                buffer[2 * index + 1] = Self.digit(byte & 15)
            }
        }
        append(digits.bytes)
    }

    /// A JSON string in its quotes. The text must be UTF-8; only what JSON demands is escaped.
    mutating func appendString(_ text: RawSpan) {
        let longest = SecretBytes(count: text.byteCount * 6 + 2) { (buffer: UnsafeMutableRawBufferPointer) in
            _ = Self.quote(text, into: buffer)
        }
        // What is left over is zero bytes, of which a JSON text has none.
        append(longest.bytes.extracting(first: longest.withUnsafeBytes { $0.firstIndex(of: 0) ?? $0.count }))
    }

    private static func quote(_ text: RawSpan, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var position = 0
        func put(_ bytes: UInt8...) {
            for byte in bytes {
                buffer[position] = byte
                position += 1
            }
        }
        put(UInt8(ascii: "\""))
        for index in 0..<text.byteCount {
            switch text.unsafeLoad(fromByteOffset: index, as: UInt8.self) {
            case UInt8(ascii: "\n"): put(UInt8(ascii: "\\"), UInt8(ascii: "n"))
            case let byte where byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\"): put(UInt8(ascii: "\\"), byte)
            case let byte where byte < 0x20:
                put(UInt8(ascii: "\\"), UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0"))
                put(digit(byte >> 4), digit(byte & 15))
            case let byte: put(byte)
            }
        }
        put(UInt8(ascii: "\""))
        return position
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
