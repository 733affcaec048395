internal import CZlib
package import DstackEncoding

/// Decompression of what strangers send.
package enum Gzip {
    /// The content of one gzip member (RFC 1952).
    ///
    /// - Parameter limit: the most bytes of content. Memory is bounded by it and not by what the input claims.
    /// - Throws: ``DecodingFailure`` for more content, for input that is not gzip or is cut off, and for anything after
    ///   the member.
    package static func decompress(_ bytes: [UInt8], limit: Int, subject: String) throws(DecodingFailure) -> [UInt8] {
        var result = DSTACK_INFLATE_DONE
        // One byte more than allowed, so that content of exactly the limit is told from content that goes on.
        let content = [UInt8](unsafeUninitializedCapacity: limit + 1) { buffer, count in
            bytes.withUnsafeBufferPointer { source in
                result = dstack_inflate(
                    DSTACK_INFLATE_GZIP, source.baseAddress, source.count, buffer.baseAddress, limit + 1, &count)
            }
        }
        switch result {
        case DSTACK_INFLATE_DONE where content.count <= limit: return content
        case DSTACK_INFLATE_DONE, DSTACK_INFLATE_TOO_LARGE:
            throw DecodingFailure(.tooLarge, subject, "more than \(limit) bytes after decompression")
        case DSTACK_INFLATE_TRUNCATED:
            throw DecodingFailure(.truncated, subject, "the gzip data ends too early")
        case DSTACK_INFLATE_TRAILING:
            throw DecodingFailure(.trailing, subject, "bytes after the gzip data")
        default: throw DecodingFailure(.malformed, subject, "not gzip, or its checksum is wrong")
        }
    }
}
