import DstackNetwork

/// Bytes that wait for the socket, in pieces, so that a large body is never copied.
struct OutputQueue {
    private var pieces: [[UInt8]] = []
    /// Into the first piece.
    private var offset = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ piece: [UInt8]) {
        guard !piece.isEmpty else { return }
        pieces.append(piece)
        count += piece.count
    }

    /// Offers the front of the queue; `body` says how many bytes are gone.
    mutating func withFront(_ body: (UnsafeRawBufferPointer) -> ByteChannel.Outcome) -> ByteChannel.Outcome {
        guard let front = pieces.first else { return .bytes(0) }
        let outcome = front.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
        guard case .bytes(let taken) = outcome else { return outcome }
        count -= taken
        offset += taken
        if offset >= front.count {
            pieces.removeFirst()
            offset = 0
        }
        return outcome
    }
}
