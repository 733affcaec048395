/// Secret bytes as they come in, in memory that is wiped: an array leaves unwiped pieces behind as it grows.
package struct SecretPieces: Sendable {
    private var pieces: [SharedSecret] = []
    package private(set) var count = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }

    package mutating func append(_ bytes: RawSpan) {
        guard bytes.byteCount > 0 else { return }
        pieces.append(SharedSecret(copying: bytes))
        count += bytes.byteCount
        // Each has memory of its own, up to a page more than it needs. So that there are few however small they come, each
        // stays longer than twice the next; joining them copies a byte about as often as there are pieces.
        while pieces.count > 1, pieces[pieces.count - 2].count <= 2 * pieces[pieces.count - 1].count {
            pieces.append(Self.joined(pieces.suffix(2)))
            pieces.removeSubrange(pieces.count - 3..<pieces.count - 1)
        }
    }

    /// All that has come, which is gone from here then; nil for nothing.
    package mutating func take() -> SharedSecret? {
        let taken = pieces
        self = SecretPieces()
        return taken.count > 1 ? Self.joined(taken[...]) : taken.first
    }

    private static func joined(_ pieces: ArraySlice<SharedSecret>) -> SharedSecret {
        SharedSecret(
            SecretBytes(count: pieces.reduce(0) { $0 + $1.count }) { (buffer: UnsafeMutableRawBufferPointer) in
                var rest = buffer[...]
                for piece in pieces {
                    piece.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: rest).copyMemory(from: $0) }
                    rest = rest.dropFirst(piece.count)
                }
            })
    }
}
