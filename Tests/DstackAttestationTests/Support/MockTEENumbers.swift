import DstackEncoding

/// Signatures and keys that arithmetic could be fooled with.
enum MockNumbers {
    /// Order of P-256 (SP 800-186 section 3.2.1.3).
    static let order: [UInt8] =
        (try? Hex.decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", subject: "order")) ?? []

    static let zero = [UInt8](repeating: 0, count: 32)
    static let ones = [UInt8](repeating: 0xFF, count: 32)
    static let one: [UInt8] = zero.dropLast() + [1]

    /// n − s, which verifies as well as s.
    @Sendable static func negateS(_ signature: inout [UInt8]) {
        var difference = [UInt8](repeating: 0, count: 32)
        var borrow = 0
        for index in (0..<32).reversed() {
            let value = Int(order[index]) - Int(signature[32 + index]) - borrow
            borrow = value < 0 ? 1 : 0
            difference[index] = UInt8(truncatingIfNeeded: value + 256 * borrow)
        }
        signature = Array(signature.prefix(32)) + difference
    }

    /// Changes that leave 64 bytes of which no key is the signer.
    static let invalidSignatures: [(name: String, edit: @Sendable (inout [UInt8]) -> Void)] = [
        ("r of zero", { $0 = zero + $0.suffix(32) }), ("s of zero", { $0 = $0.prefix(32) + zero }),
        ("r and s of zero", { $0 = zero + zero }), ("r of the order", { $0 = order + $0.suffix(32) }),
        ("s of the order", { $0 = $0.prefix(32) + order }), ("r of ones", { $0 = ones + $0.suffix(32) }),
        ("s of ones", { $0 = $0.prefix(32) + ones }), ("r and s of one", { $0 = one + one }),
        ("r and s exchanged", { $0 = Array($0.suffix(32) + $0.prefix(32)) }), ("the last bit", { $0[63] ^= 1 }),
        ("the first bit", { $0[0] ^= 0x80 }),
    ]
}
