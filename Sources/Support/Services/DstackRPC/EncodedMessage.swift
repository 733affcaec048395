package import DstackCrypto

/// A message as it is sent: in ordinary memory or, if anything in it is secret, in memory that is wiped.
package enum EncodedMessage: Sendable {
    case plain([UInt8])
    case secret(SharedSecret)

    /// A message that is complete but for its secrets, which take their places where it is wiped: arrays leave unwiped
    /// pieces behind as they grow.
    init(_ bytes: [UInt8], _ secrets: [PlacedSecret]) {
        guard !secrets.isEmpty else {
            self = .plain(bytes)
            return
        }
        self = .secret(
            SharedSecret(
                SecretBytes(count: bytes.count) { (buffer: UnsafeMutableRawBufferPointer) in
                    buffer.copyBytes(from: bytes)
                    for secret in secrets {
                        secret.write(to: UnsafeMutableRawBufferPointer(rebasing: buffer[secret.offset...]))
                    }
                }))
    }

    /// The bytes in ordinary memory, which nothing wipes.
    package var unprotected: [UInt8] {
        switch self {
        case .plain(let bytes): bytes
        case .secret(let secret): secret.copiedToUnprotectedMemory()
        }
    }
}

/// A secret with its place in an encoded message, which has zeros there.
struct PlacedSecret: Sendable {
    enum Form: Sendable {
        case bytes
        /// Without quotes.
        case hexadecimal
        /// With quotes.
        case jsonString
    }

    var offset: Int
    let form: Form
    let secret: SharedSecret

    fileprivate func write(to buffer: UnsafeMutableRawBufferPointer) {
        secret.withBytes { secret in
            switch form {
            case .bytes: secret.withUnsafeBytes { buffer.copyMemory(from: $0) }
            case .hexadecimal: SecretText.encodeHex(secret, into: buffer)
            case .jsonString: SecretText.quote(secret, into: buffer)
            }
        }
    }
}

/// JSON that is being written, with the places of its secrets.
package struct MessageText {
    var bytes: [UInt8] = []
    private(set) var secrets: [PlacedSecret] = []

    mutating func appendPlace(of secret: RPCSecret, _ form: PlacedSecret.Form, _ count: Int) {
        if let placed = secret.placed(form, at: bytes.count) { secrets.append(placed) }
        bytes.append(contentsOf: repeatElement(0, count: count))
    }

    var encoded: EncodedMessage { EncodedMessage(bytes, secrets) }
}
