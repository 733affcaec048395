internal import COpenSSL
package import DstackEncoding

/// X25519 key agreement (RFC 7748).
package enum X25519 {
    /// 32 secret bytes with their public key. The bytes are kept as they came; the multiplication clamps them.
    package struct PrivateKey: ~Copyable, Sendable {
        package let secret: SecretBytes
        package let publicKey: PublicKey

        /// A new key.
        package init(random source: some RandomBytes = SystemRandom()) {
            self.init(checked: SecretBytes(random: 32, from: source))
        }

        /// Every string of 32 bytes is a secret.
        package init(_ secret: consuming SecretBytes) throws(CryptoFailure) {
            guard secret.count == 32 else {
                throw CryptoFailure(.malformed, "X25519 private key", "\(secret.count) bytes where a secret has 32")
            }
            self.init(checked: secret)
        }

        private init(checked secret: consuming SecretBytes) {
            publicKey = PublicKey(RawKey.publicKey("X25519", of: secret) { dstack_x25519_public($0, $1) })
            self.secret = secret
        }

        /// The secret shared with the owner of a public key. Not uniformly random; derive keys from it with a KDF where
        /// the format leaves the choice.
        ///
        /// - Throws: ``CryptoFailure`` if it is all zero: the point was chosen so that everyone knows the result (RFC
        ///   7748 section 6.1).
        package borrowing func sharedSecret(with peer: PublicKey) throws(CryptoFailure) -> SecretBytes {
            try SecretBytes(count: 32) { (output: UnsafeMutableRawBufferPointer) throws(CryptoFailure) in
                let status = secret.withUnsafeBytes { secret in
                    peer.bytes.withUnsafeBytes { point in
                        dstack_x25519_agree(
                            secret.baseAddress?.assumingMemoryBound(to: UInt8.self), point.baseAddress,
                            output.baseAddress?.assumingMemoryBound(to: UInt8.self))
                    }
                }
                switch status {
                case 1: break
                case 0:
                    throw CryptoFailure(
                        .outOfRange, "X25519 key agreement", "the peer's public key has a small order")
                default: throw .library("X25519 key agreement")
                }
            }
        }

        /// PKCS#8 (RFC 8410 section 7), DER, without the public key: 48 bytes.
        package var pkcs8: SecretBytes {
            borrowing get { RawKey.pkcs8(RawKey.x25519, secret) }
        }

        /// Reads PKCS#8 as ``pkcs8`` writes it.
        package init(pkcs8 der: RawSpan) throws(CryptoFailure) {
            try self.init(try RawKey.readPKCS8(RawKey.x25519, "X25519", der))
        }
    }

    /// A u coordinate, little-endian. All 32-byte strings are accepted, as RFC 7748 section 5 demands.
    package struct PublicKey: Sendable, Hashable {
        package let bytes: FixedBytes<32>

        package init(_ bytes: FixedBytes<32>) { self.bytes = bytes }

        /// Reads SubjectPublicKeyInfo (RFC 8410 section 4), DER.
        package init(spki: [UInt8]) throws(CryptoFailure) {
            self.init(try RawKey.readSPKI(RawKey.x25519, "X25519", spki))
        }

        /// SubjectPublicKeyInfo (RFC 8410 section 4), DER: 44 bytes.
        package var spki: [UInt8] { RawKey.spki(RawKey.x25519, bytes) }
    }
}
