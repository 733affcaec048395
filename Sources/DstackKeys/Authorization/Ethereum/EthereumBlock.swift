import DstackEncoding

/// A block, by which all that is read at it is the same for everybody.
package struct EthereumBlock: Sendable, Hashable {
    package let number: UInt64
    let hash: FixedBytes<32>
    /// Unix seconds.
    let timestamp: UInt64

    /// Which block is read at.
    package enum Choice: Sendable, Hashable {
        /// The newest, which may still be replaced by another one.
        case latest
        /// The newest that is not expected to be replaced.
        case safe
        /// The newest that cannot be replaced.
        case finalized
        /// That on which so many others stand.
        case confirmations(UInt64)

        /// By which a node is asked for the head.
        var tag: String {
            switch self {
            case .latest, .confirmations: "latest"
            case .safe: "safe"
            case .finalized: "finalized"
            }
        }
    }

    init(_ node: JSONNode) throws(DecodingFailure) {
        number = try node.member("number").quantity()
        hash = try node.member("hash").fixedHex()
        timestamp = try node.member("timestamp").quantity()
    }
}

extension JSONNode {
    /// A number as nodes write it: `0x` and digits, of at most 64 bits.
    func quantity() throws(DecodingFailure) -> UInt64 {
        let text = try string()
        let digits = text.dropFirst(2)
        guard text.hasPrefix("0x"), 1...16 ~= digits.utf8.count, digits.utf8.allSatisfy({ Hex.value(of: $0) != nil }),
            let number = UInt64(digits, radix: 16)
        else { throw failure("a number such as 0x1f expected, found \(text.count) characters") }
        return number
    }
}

extension JSONNode {
    /// Bytes as nodes write them: `0x` and two digits for each.
    func prefixedBytes() throws(DecodingFailure) -> [UInt8] {
        guard try string().hasPrefix("0x") else { throw failure("0x and hexadecimal digits expected") }
        return try hexBytes()
    }
}
