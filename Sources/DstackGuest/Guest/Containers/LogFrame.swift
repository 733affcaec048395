package import DstackEncoding

/// A piece of a container's output.
package struct LogFrame: Sendable, Hashable {
    package enum Channel: String, Sendable, Hashable {
        case stdin
        case stdout
        case stderr
        /// The terminal of a container that has one; there the other channels are one.
        case console
    }

    package var channel: Channel
    package var bytes: [UInt8]

    package init(_ channel: Channel, _ bytes: [UInt8]) {
        self.channel = channel
        self.bytes = bytes
    }
}

/// Takes the engine's stream of multiplexed output apart, however it was cut in transit.
///
/// A frame is one byte for the channel, three zeros, the length of the payload as a big-endian 32-bit number, and the
/// payload (Docker Engine API, "Attach to a container", stream format).
package struct LogFrameParser: Sendable {
    /// Above this a length is taken for damage: the engine cuts output into frames of a few kilobytes.
    package static let maximumFrameBytes = 4 << 20

    private var pending: [UInt8] = []
    private var position = 0
    /// Of the whole stream, for messages.
    private var offset = 0

    package init() {}

    /// Bytes that came in and are part of no frame yet.
    package var pendingBytes: Int { pending.count - position }

    package mutating func append(_ bytes: [UInt8]) {
        if position > 0 {
            pending.removeFirst(position)
            position = 0
        }
        pending += bytes
    }

    /// The next whole frame; nil until more has come in.
    ///
    /// - Throws: where the stream has another form. Nothing after that can be trusted.
    package mutating func next() throws(DecodingFailure) -> Frame? {
        guard pendingBytes >= 8 else { return nil }
        var reader = ByteReader(pending.span.bytes.extracting(position..<pending.count), base: offset)
        let kind = try reader.u8("channel of a log frame")
        guard kind <= 3 else {
            throw DecodingFailure(.unsupported, "log frame", at: offset, "channel \(kind) where 0 to 3 are known")
        }
        let padding = try reader.bytes(3, "padding of a log frame")
        guard padding == [0, 0, 0] else {
            throw DecodingFailure(.malformed, "log frame", at: offset, "the padding is not zero")
        }
        let length = Int(try reader.bigEndian(UInt32.self, "length of a log frame"))
        guard length <= Self.maximumFrameBytes else {
            throw DecodingFailure(
                .tooLarge, "log frame", at: offset, "\(length) bytes where \(Self.maximumFrameBytes) are allowed")
        }
        guard reader.remaining >= length else { return nil }
        let payload = try reader.bytes(length, "payload of a log frame")
        position += 8 + length
        offset += 8 + length
        switch kind {
        case 0: return .output(LogFrame(.stdin, payload))
        case 1: return .output(LogFrame(.stdout, payload))
        case 2: return .output(LogFrame(.stderr, payload))
        default: return .failure(payload)
        }
    }

    /// - Throws: if a frame has begun and not ended.
    package func expectEnd() throws(DecodingFailure) {
        guard pendingBytes == 0 else {
            throw DecodingFailure(
                .truncated, "log frame", at: offset, "the stream ended \(pendingBytes) bytes into a frame")
        }
    }

    package enum Frame: Sendable, Hashable {
        case output(LogFrame)
        /// What went wrong at the engine's side, in its words.
        case failure([UInt8])
    }
}
