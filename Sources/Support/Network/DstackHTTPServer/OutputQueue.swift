import DstackCrypto
import DstackNetwork

/// Bytes that wait for the socket, in pieces, so that a large body is never copied, nor a secret one into memory that nothing
/// wipes.
struct OutputQueue {
    private enum Piece {
        case bytes([UInt8])
        case secret(SharedSecret)

        var count: Int {
            switch self {
            case .bytes(let bytes): bytes.count
            case .secret(let secret): secret.count
            }
        }

        func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
            switch self {
            case .bytes(let bytes): bytes.withUnsafeBytes(body)
            case .secret(let secret): secret.withUnsafeBytes(body)
            }
        }
    }

    private var pieces: [Piece] = []
    /// Into the first piece.
    private var offset = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ piece: [UInt8]) { append(.bytes(piece)) }
    mutating func append(_ piece: SharedSecret) { append(.secret(piece)) }

    private mutating func append(_ piece: Piece) {
        guard piece.count > 0 else { return }
        pieces.append(piece)
        count += piece.count
    }

    /// Offers the front of the queue, the first two pieces in one call.
    mutating func write(to channel: ByteChannel) -> ByteChannel.Outcome {
        guard let front = pieces.first else { return .bytes(0) }
        let outcome = front.withUnsafeBytes { front in
            let front = UnsafeRawBufferPointer(rebasing: front[offset...])
            guard pieces.count > 1 else { return channel.write(front) }
            return pieces[1].withUnsafeBytes { channel.write(front, $0) }
        }
        guard case .bytes(let taken) = outcome else { return outcome }
        count -= taken
        offset += taken
        while let front = pieces.first, offset >= front.count {
            offset -= front.count
            pieces.removeFirst()
        }
        return outcome
    }
}
