import DstackEncoding

/// Hexadecimal input as upstream takes it: digits of either case after any number of `0x` (never `0X`); nothing is
/// the empty byte string.
enum HexInput {
    static func bytes(of node: JSONNode) throws(DecodingFailure) -> [UInt8] {
        guard node.kind == .string else {
            throw node.failure("a string of hexadecimal digits expected, found \(node.kindName)")
        }
        guard let range = node.plainStringRange else {
            return try bytes(of: try node.string(), subject: node.subject)
        }
        return try node.document.bytes.withUnsafeBufferPointer { text in
            decode(UnsafeBufferPointer(rebasing: text[range]))
        }.get { (reason: String) in node.failure(reason) }
    }

    static func bytes(of text: String, subject: String) throws(DecodingFailure) -> [UInt8] {
        var text = text
        return try text.withUTF8 { decode($0) }.get { DecodingFailure(.malformed, subject, $0) }
    }

    /// What decoding gives, or the reason why there is nothing: whoever asked knows the subject, and making it has a
    /// price that only a failure should pay.
    enum Outcome {
        case bytes([UInt8])
        case refused(String)

        func get(_ failure: (String) -> DecodingFailure) throws(DecodingFailure) -> [UInt8] {
            switch self {
            case .bytes(let bytes): return bytes
            case .refused(let reason): throw failure(reason)
            }
        }
    }

    static func decode(_ text: UnsafeBufferPointer<UInt8>) -> Outcome {
        var position = 0
        while text.count - position >= 2, text[position] == UInt8(ascii: "0"), text[position + 1] == UInt8(ascii: "x") {
            position += 2
        }
        guard (text.count - position).isMultiple(of: 2) else {
            return .refused("odd number of hexadecimal digits (\(text.count - position))")
        }
        var bytes = [UInt8]()
        bytes.reserveCapacity((text.count - position) / 2)
        while position < text.count {
            guard let high = Hex.value(of: text[position]), let low = Hex.value(of: text[position + 1]) else {
                let isCapital = position == 0 && text.count > 1 && text[1] == UInt8(ascii: "X")
                return .refused(
                    isCapital
                        ? "the prefix of hexadecimal digits is 0x, found 0X"
                        : "not a hexadecimal digit at character \(position) or the next")
            }
            bytes.append(high << 4 | low)
            position += 2
        }
        return .bytes(bytes)
    }
}
