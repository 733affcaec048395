import DstackEncoding

/// Pieces of JSON text, in ASCII only.
///
/// Everything above ASCII is escaped because a client in use counts the UTF-16 units of a response until they reach
/// its Content-Length, and with any other character waits for ever.
///
/// Nothing here reserves room: an array grows by a factor when it is appended to, but exactly as asked when told to.
enum JSONText {
    /// A string with its quotes.
    static func append(_ text: String, to json: inout [UInt8]) {
        var text = text
        text.withUTF8 { utf8 in
            json.append(UInt8(ascii: "\""))
            var start = 0
            var position = 0
            while position < utf8.count {
                let byte = utf8[position]
                if byte >= 0x20, byte < 0x80, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                    position += 1
                    continue
                }
                // What needs no escape goes over in one piece.
                json.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start..<position]))
                position += byte < 0x80 ? escape(byte, to: &json) : escape(utf8, at: position, to: &json)
                start = position
            }
            json.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start..<position]))
            json.append(UInt8(ascii: "\""))
        }
    }

    private static func escape(_ byte: UInt8, to json: inout [UInt8]) -> Int {
        JSONWriter.appendEscape(of: byte, to: &json)
        return 1
    }

    /// Escapes one character beyond ASCII and returns how many bytes it has. A `String` is always valid UTF-8; the
    /// bounds are checked all the same.
    private static func escape(_ utf8: UnsafeBufferPointer<UInt8>, at position: Int, to json: inout [UInt8]) -> Int {
        var decoder = UTF8.ForwardParser()
        var rest = UnsafeBufferPointer(rebasing: utf8[position..<min(position + 4, utf8.count)]).makeIterator()
        guard case .valid(let encoded) = decoder.parseScalar(from: &rest) else {
            appendUnit(0xFFFD, to: &json)
            return 1
        }
        for unit in UTF16.encode(UTF8.decode(encoded)) ?? UTF16.encodedReplacementCharacter {
            appendUnit(unit, to: &json)
        }
        return encoded.count
    }

    private static func appendUnit(_ unit: UInt16, to json: inout [UInt8]) {
        json.append(contentsOf: #"\u"#.utf8)
        for shift in [12, 8, 4, 0] as [UInt16] { json.append(digit(UInt8(truncatingIfNeeded: unit >> shift & 15))) }
    }

    /// Lower-case hexadecimal digits with quotes.
    static func appendHex(_ bytes: [UInt8], to json: inout [UInt8]) {
        json.append(UInt8(ascii: "\""))
        json.append(hex: bytes)
        json.append(UInt8(ascii: "\""))
    }

    @inline(__always)
    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value
    }
}
