package import DstackEncoding

/// Textual encoding of certificates and keys (RFC 7468).
///
/// Reading is tolerant of what stands around the blocks, because real chains have comments, CRLF, bytes that are no
/// UTF-8 and trailing NULs; it is strict inside a block, where every character counts. Everything also works on
/// ``SecretBytes``, whose content then never touches ordinary memory.
package enum PEM {
    /// One block: what it says it is, and its bytes.
    package struct Block: Sendable, Equatable {
        /// "CERTIFICATE", "X509 CRL", …
        package let label: String
        package let content: [UInt8]

        package init(label: String, content: [UInt8]) {
            self.label = label
            self.content = content
        }
    }

    /// One block with secret content.
    package struct SecretBlock: ~Copyable, Sendable {
        package let label: String
        package let content: SecretBytes
    }

    /// All blocks, in order. None is not an error here.
    ///
    /// - Parameter limit: the most blocks to accept.
    /// - Throws: ``DecodingFailure`` for a block that has no end, another block's end, headers (RFC 1421 encryption), or
    ///   text that is not base64.
    package static func decode(_ text: [UInt8], limit: Int = 1024) throws(DecodingFailure) -> [Block] {
        var blocks = [Block]()
        var start = 0
        while let found = try PEMLocation.next(in: text.span.bytes, from: start) {
            guard blocks.count < limit else {
                throw DecodingFailure(.tooLarge, "PEM text", at: found.body.lowerBound, "more than \(limit) blocks")
            }
            var end: PEMLocation.DecodedEnd?
            let content = [UInt8](unsafeUninitializedCapacity: found.longestContent) { buffer, initialized in
                let decoded = found.decodePublic(text.span.bytes, into: UnsafeMutableRawBufferPointer(buffer))
                initialized = decoded.count
                end = decoded
            }
            try end?.check()
            blocks.append(Block(label: found.label, content: content))
            start = found.end
        }
        return blocks
    }

    /// The contents of all blocks with a label; blocks with other labels are passed over.
    package static func decode(_ text: [UInt8], label: String) throws(DecodingFailure) -> [[UInt8]] {
        var contents = [[UInt8]]()
        for block in try decode(text) where block.label == label { contents.append(block.content) }
        return contents
    }

    /// The first block with one of the labels; blocks with other labels are passed over. Nil if there is none.
    package static func decodeSecret(
        _ text: RawSpan, labels: [String]
    ) throws(DecodingFailure) -> SecretBlock? {
        var start = 0
        while let found = try PEMLocation.next(in: text, from: start) {
            start = found.end
            guard labels.contains(found.label) else { continue }
            var end: PEMLocation.DecodedEnd?
            let longest = SecretBytes(count: found.longestContent) { (buffer: UnsafeMutableRawBufferPointer) in
                end = found.decode(text, into: buffer)
            }
            try end?.check()
            guard let content = longest.part(0..<(end?.count ?? 0)) else { return nil }
            return SecretBlock(label: found.label, content: content)
        }
        return nil
    }

    /// One block: lines of 64 characters, LF at every end.
    package static func encode(_ label: String, _ content: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: encodedCount(label, content.count)) { buffer in
            encode(label, content.span.bytes, into: UnsafeMutableRawBufferPointer(buffer))
            return buffer.count
        }
    }

    /// The same text, as a secret.
    package static func encodeSecret(_ label: String, _ content: borrowing SecretBytes) -> SecretBytes {
        SecretBytes(count: encodedCount(label, content.count)) { (buffer: UnsafeMutableRawBufferPointer) in
            encode(label, content.bytes, into: buffer)
        }
    }

    private static func encodedCount(_ label: String, _ count: Int) -> Int {
        let digits = (count + 2) / 3 * 4
        return "-----BEGIN -----\n".utf8.count + "-----END -----\n".utf8.count + 2 * label.utf8.count + digits
            + (digits + 63) / 64
    }

    private static func encode(_ label: String, _ content: RawSpan, into buffer: UnsafeMutableRawBufferPointer) {
        var position = 0
        func put(_ byte: UInt8) {
            // A String may offer more room than was asked for.
            guard position < buffer.count else { return }
            buffer[position] = byte
            position += 1
        }
        "-----BEGIN \(label)-----\n".utf8.forEach(put)
        var column = 0
        for group in stride(from: 0, to: content.byteCount, by: 3) {
            let rest = min(3, content.byteCount - group)
            var bits: UInt32 = 0
            for index in 0..<3 {
                bits = bits << 8
                if index < rest { bits |= UInt32(content.unsafeLoad(fromByteOffset: group + index, as: UInt8.self)) }
            }
            for index in 0..<4 {
                put(index > rest ? UInt8(ascii: "=") : digit(Int32(bits >> UInt32(18 - 6 * index) & 63)))
            }
            column += 4
            if column == 64 {
                put(UInt8(ascii: "\n"))
                column = 0
            }
        }
        if column > 0 { put(UInt8(ascii: "\n")) }
        "-----END \(label)-----\n".utf8.forEach(put)
    }

    // Private keys pass here, so neither direction of base64 looks anything up in a table or branches on a digit: the
    // cache would tell. (``decode(_:limit:)`` is for what is no secret, and does.) A comparison is the sign of a difference, spread over the word by the shift.

    /// The base64 digit for 0 ..< 64.
    private static func digit(_ value: Int32) -> UInt8 {
        var character = value + 65
        character += ((25 - value) >> 8) & 6
        character -= ((51 - value) >> 8) & 75
        character -= ((61 - value) >> 8) & 15
        character += ((62 - value) >> 8) & 3
        return UInt8(truncatingIfNeeded: character)
    }

    /// 0 ..< 64, or -1 for what is no base64 digit.
    @inline(__always)
    static func value(of digit: UInt8) -> Int32 {
        let digit = Int32(digit)
        var value: Int32 = -1
        value &+= (((64 &- digit) & (digit &- 91)) >> 8) & (digit &- 64)
        value &+= (((96 &- digit) & (digit &- 123)) >> 8) & (digit &- 70)
        value &+= (((47 &- digit) & (digit &- 58)) >> 8) & (digit &+ 5)
        value &+= (((42 &- digit) & (digit &- 44)) >> 8) & 63
        value &+= (((46 &- digit) & (digit &- 48)) >> 8) & 64
        return value
    }
}
