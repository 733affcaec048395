import DstackCrypto

/// What a connection keeps of its input: in ordinary memory or, where it may hold secrets, in memory that is wiped.
struct KeptInput {
    private let isSecret: Bool
    private var bytes: [UInt8] = []
    private var secret = SecretPieces()

    init(isSecret: Bool) { self.isSecret = isSecret }

    var count: Int { isSecret ? secret.count : bytes.count }
    var isEmpty: Bool { count == 0 }

    /// Makes room beforehand, where that spares copies.
    mutating func reserveCapacity(_ count: Int) {
        if !isSecret { bytes.reserveCapacity(count) }
    }

    mutating func append(_ part: UnsafeRawBufferPointer) {
        if isSecret {
            secret.append(part.bytes)
        } else {
            bytes.append(contentsOf: part)
        }
    }

    mutating func removeAll() { self = KeptInput(isSecret: isSecret) }

    /// All of it, which is gone from here then. Only one of the two has any.
    mutating func take() -> (bytes: [UInt8], secret: SharedSecret?) {
        let taken = bytes
        bytes = []
        return (taken, secret.take())
    }

    /// Removes from the front as much as `body`, given all of it, says.
    mutating func use(_ body: (Span<UInt8>) -> Int) {
        guard isSecret else {
            let used = body(bytes.span)
            bytes.removeFirst(used)
            return
        }
        guard let taken = secret.take() else {
            _ = body(Span())
            return
        }
        taken.withUnsafeBytes { bytes in
            let used = body(Span(_unsafeElements: bytes.bindMemory(to: UInt8.self)))
            append(UnsafeRawBufferPointer(rebasing: bytes[used...]))
        }
    }
}
