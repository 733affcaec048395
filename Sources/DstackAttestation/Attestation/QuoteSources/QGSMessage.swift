import DstackEncoding

/// Messages of Intel's quote generation service (qgs_msg_lib, version 1): a header of 16 bytes in little endian, then the
/// body. On a stream each message has its length before it, in big endian.
package enum QGSMessage {
    /// The largest message that is sent or read.
    package static let maximumByteCount = 16 << 10

    private static let majorVersion: UInt16 = 1
    private static let headerByteCount = 16
    private static let requestType: UInt32 = 0
    private static let responseType: UInt32 = 1

    /// The request for a quote over a report, with its length before it.
    package static func request(for report: [UInt8]) -> [UInt8] {
        let byteCount = headerByteCount + 8 + report.count
        var writer = ByteWriter(capacity: 4 + byteCount)
        writer.bigEndian(UInt32(clamping: byteCount))
        writer.littleEndian(majorVersion)
        writer.littleEndian(UInt16(0))
        writer.littleEndian(requestType)
        writer.littleEndian(UInt32(clamping: byteCount))
        // Error code: none.
        writer.littleEndian(UInt32(0))
        writer.littleEndian(UInt32(clamping: report.count))
        // Identifiers of acceptable quoting enclaves: any.
        writer.littleEndian(UInt32(0))
        writer.append(report)
        return writer.bytes
    }

    /// How long the message is that follows.
    package static func byteCount(prefix: [UInt8]) throws(DecodingFailure) -> Int {
        var reader = ByteReader(prefix.span.bytes)
        let count = Int(try reader.bigEndian(UInt32.self, "message length"))
        guard count >= headerByteCount, count <= maximumByteCount else {
            throw DecodingFailure(
                count < headerByteCount ? .malformed : .tooLarge, "message length", at: 0,
                "\(count) bytes, \(headerByteCount) to \(maximumByteCount) are read")
        }
        return count
    }

    /// The quote in a response.
    ///
    /// - Throws: for another version or type, an error code, and lengths that do not add up.
    package static func quote(in message: [UInt8]) throws(DecodingFailure) -> [UInt8] {
        var reader = ByteReader(message.span.bytes)
        let major = try reader.littleEndian(UInt16.self, "major version")
        // Minor versions are compatible by definition.
        _ = try reader.littleEndian(UInt16.self, "minor version")
        guard major == majorVersion else {
            throw DecodingFailure(.unsupported, "major version", at: 0, "\(major) found, \(majorVersion) is known")
        }
        let type = try reader.littleEndian(UInt32.self, "message type")
        guard type == responseType else {
            throw DecodingFailure(.unsupported, "message type", at: 4, "\(type) found, \(responseType) is a quote")
        }
        let size = try reader.littleEndian(UInt32.self, "message size")
        guard Int(size) == message.count else {
            throw DecodingFailure(.malformed, "message size", at: 8, "\(size) announced, \(message.count) there")
        }
        let code = try reader.littleEndian(UInt32.self, "error code")
        guard code == 0 else {
            throw DecodingFailure(
                .unsupported, "error code", at: 12, "the service failed with 0x\(String(code, radix: 16))")
        }
        let identifierCount = Int(try reader.littleEndian(UInt32.self, "size of the identifier"))
        let quoteCount = Int(try reader.littleEndian(UInt32.self, "size of the quote"))
        _ = try reader.bytes(identifierCount, "identifier")
        let quote = try reader.bytes(quoteCount, "quote")
        guard !quote.isEmpty else { throw DecodingFailure(.malformed, "quote", "it is empty") }
        try reader.expectEnd(of: "response")
        return quote
    }
}
