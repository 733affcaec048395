package import DstackEncoding

/// What the secp256k1 keys of the hierarchy sign: statements about other keys.
///
/// A signature is over Keccak-256 of the statement's text. The texts are frozen, the weak ones too: the purpose of a
/// ``derivedKey(purpose:publicKey:)`` may hold a colon, so that the line does not say where it ends. Whoever verifies
/// therefore builds the statement from what he knows and never takes one apart.
package enum KeyStatement: Sendable, Hashable {
    /// By a KMS: this is the root key of an application.
    case issuedAppKey(appID: FixedBytes<20>, key: FixedBytes<33>)
    /// By a KMS: environments for an application are encrypted to this X25519 key. Since a time in Unix seconds; the
    /// older form has none and can be replayed for ever.
    case environmentKey(appID: FixedBytes<20>, key: FixedBytes<32>, timestamp: UInt64?)
    /// By an application's root key: this key was derived from me and handed out for a purpose.
    case derivedKey(purpose: String, publicKey: [UInt8])
    /// The same in version 1 of the guest's interface: with algorithm and domain, and a length before every part.
    case framedDerivedKey(algorithm: KeyAlgorithm, domain: String, publicKey: [UInt8])

    /// The text that is hashed and signed.
    package var preimage: [UInt8] {
        var writer = ByteWriter(capacity: 160)
        switch self {
        case .issuedAppKey(let appID, let key):
            writer.append("dstack-kms-issued:".utf8)
            writer.fixed(appID)
            writer.fixed(key)
        case .environmentKey(let appID, let key, let timestamp):
            writer.append("dstack-env-encrypt-pubkey:".utf8)
            writer.fixed(appID)
            if let timestamp { writer.bigEndian(timestamp) }
            writer.fixed(key)
        case .derivedKey(let purpose, let publicKey):
            writer.append(purpose.utf8)
            writer.u8(UInt8(ascii: ":"))
            writer.append(Hex.encode(publicKey).utf8)
        case .framedDerivedKey(let algorithm, let domain, let publicKey):
            writer.framed("dstack-guest-v1-key-claim".utf8)
            writer.framed(algorithm.rawValue.utf8)
            writer.framed(domain.utf8)
            writer.framed(publicKey)
        }
        return writer.bytes
    }

    /// Keccak-256 of the text.
    package var digest: FixedBytes<32> { Keccak.hash256(preimage) }
}

extension ByteWriter {
    /// A part of a text that says where it ends: its length (32 bits, big-endian), then its bytes.
    package mutating func framed(_ part: some Collection<UInt8>) {
        bigEndian(UInt32(clamping: part.count))
        append(part)
    }
}

extension Secp256k1.PrivateKey {
    /// This key's word for a statement.
    package borrowing func signature(on statement: KeyStatement) throws(CryptoFailure) -> Secp256k1.Signature {
        try signature(forDigest: statement.digest)
    }
}

extension Secp256k1.Signature {
    /// The key whose word this is, if it is on that statement. On any other there is nearly always *some* key: only
    /// comparing it with the expected one proves anything.
    package func signer(of statement: KeyStatement) throws(CryptoFailure) -> Secp256k1.PublicKey {
        try recoveredPublicKey(forDigest: statement.digest)
    }
}
