package import DstackEncoding

/// JSON text as RFC 8785 and ECMAScript's `JSON.stringify` write it.
package enum CanonicalJSON {
    /// A string with its quotes: only `"`, `\` and control characters are escaped, the latter in their short forms where
    /// there are any, else with lower-case digits (RFC 8785 section 3.2.2.2).
    package static func append(_ text: String, to writer: inout ByteWriter) {
        writer.u8(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                writer.u8(UInt8(ascii: "\\"))
                writer.u8(byte)
            case 0x08: writer.append("\\b".utf8)
            case 0x09: writer.append("\\t".utf8)
            case 0x0A: writer.append("\\n".utf8)
            case 0x0C: writer.append("\\f".utf8)
            case 0x0D: writer.append("\\r".utf8)
            case 0..<0x20:
                writer.append("\\u00".utf8)
                writer.append(Hex.encode([byte]).utf8)
            default: writer.u8(byte)
            }
        }
        writer.u8(UInt8(ascii: "\""))
    }
}
