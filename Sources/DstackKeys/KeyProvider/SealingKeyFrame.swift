import DstackEncoding

/// How messages lie in a stream: the number of bytes, 32 bits, big-endian, then the bytes.
package enum SealingKeyFrame {
    /// The bytes before a message.
    package static let prefixByteCount = 4
    /// The largest message, 8 MiB.
    package static let maximumByteCount = 8 << 20

    /// A message with its length.
    ///
    /// - Throws: ``KeyProviderError/Code/malformed`` for one that no peer would read.
    package static func encode(_ message: [UInt8]) throws(KeyProviderError) -> [UInt8] {
        try check(message.count)
        var writer = ByteWriter(capacity: message.count + prefixByteCount)
        writer.bigEndian(UInt32(message.count))
        writer.append(message)
        return writer.bytes
    }

    /// How long the message is that follows.
    package static func byteCount(prefix: [UInt8]) throws(KeyProviderError) -> Int {
        guard prefix.count == prefixByteCount else {
            throw KeyProviderError(
                .malformed, "frame", "\(prefix.count) bytes where its length has \(prefixByteCount)")
        }
        let count = prefix.reduce(0) { $0 << 8 | Int($1) }
        try check(count)
        return count
    }

    private static func check(_ count: Int) throws(KeyProviderError) {
        guard (1...maximumByteCount).contains(count) else {
            throw KeyProviderError(.malformed, "frame", "\(count) bytes, 1 to \(maximumByteCount) are read")
        }
    }
}
