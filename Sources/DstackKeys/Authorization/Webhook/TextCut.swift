/// The beginning of a text that a stranger sent, for messages.
enum TextCut {
    /// At most so many bytes, cut between characters. Bytes that are no UTF-8 become U+FFFD.
    static func prefix(_ bytes: [UInt8], atMost limit: Int) -> String {
        guard bytes.count > limit else { return String(decoding: bytes, as: UTF8.self) }
        var end = limit
        // Back to the first byte of the character that the cut would go through; a longer run of such bytes is none.
        while end > limit - 4, end > 0, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        return String(decoding: bytes[..<(bytes[end] & 0xC0 == 0x80 ? limit : end)], as: UTF8.self)
    }
}
