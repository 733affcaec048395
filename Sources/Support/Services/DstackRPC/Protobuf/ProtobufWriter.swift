/// The wire types of protobuf's encoding.
package enum ProtobufWireType: UInt32, Sendable {
    case varint = 0
    case fixed64 = 1
    case lengthDelimited = 2
    /// Groups are of an older protobuf; a reader still has to know where one ends to skip it.
    case startGroup = 3
    case endGroup = 4
    case fixed32 = 5
}

/// Builds protobuf's wire form.
package struct ProtobufWriter {
    package private(set) var bytes: [UInt8] = []
    private var secrets: [PlacedSecret] = []

    package init() {}

    package mutating func tag(_ number: UInt32, _ type: ProtobufWireType) {
        varint(UInt64(number) << 3 | UInt64(type.rawValue))
    }

    package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func lengthDelimited(_ secret: RPCSecret) {
        varint(UInt64(secret.count))
        if let placed = secret.placed(.bytes, at: bytes.count) { secrets.append(placed) }
        bytes.append(contentsOf: repeatElement(0, count: secret.count))
    }

    /// What was written apart, with its secrets.
    mutating func lengthDelimited(_ content: ProtobufWriter) {
        varint(UInt64(content.bytes.count))
        for var secret in content.secrets {
            secret.offset += bytes.count
            secrets.append(secret)
        }
        bytes.append(contentsOf: content.bytes)
    }

    var encoded: EncodedMessage { EncodedMessage(bytes, secrets) }

    package mutating func lengthDelimited(_ content: some Collection<UInt8>) {
        varint(UInt64(content.count))
        bytes.append(contentsOf: content)
    }
}
