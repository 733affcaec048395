internal import COpenSSL
package import DstackEncoding

/// Ed25519 signatures (RFC 8032): deterministic, over the message itself.
package enum Ed25519 {
    /// A 32-byte seed with its public key.
    package struct PrivateKey: ~Copyable, Sendable {
        package let seed: SecretBytes
        package let publicKey: PublicKey

        /// A new key.
        package init(random source: some RandomBytes = SystemRandom()) {
            self.init(checked: SecretBytes(random: 32, from: source))
        }

        /// Every string of 32 bytes is a seed.
        package init(seed: consuming SecretBytes) throws(CryptoFailure) {
            guard seed.count == 32 else {
                throw CryptoFailure(
                    .malformed, "Ed25519 private key", "\(seed.count) bytes where a seed has 32")
            }
            self.init(checked: seed)
        }

        private init(checked seed: consuming SecretBytes) {
            publicKey = PublicKey(
                checked: RawKey.publicKey("Ed25519", of: seed) { dstack_ed25519_public($0, $1) })
            self.seed = seed
        }

        package borrowing func signature(for message: [UInt8]) throws(CryptoFailure) -> FixedBytes<64> {
            var status: CInt = -1
            let signature = FixedBytes<64> { output in
                status = seed.withUnsafeBytes { seed in
                    dstack_ed25519_sign(
                        seed.baseAddress?.assumingMemoryBound(to: UInt8.self), message, message.count, output)
                }
            }
            guard status == 1 else { throw .library("Ed25519 signature") }
            return signature
        }

        /// PKCS#8 (RFC 8410 section 7), DER, without the public key: 48 bytes.
        package var pkcs8: SecretBytes {
            borrowing get { RawKey.pkcs8(RawKey.ed25519, seed) }
        }

        /// Reads PKCS#8 as ``pkcs8`` writes it.
        package init(pkcs8 der: RawSpan) throws(CryptoFailure) {
            try self.init(seed: try RawKey.readPKCS8(RawKey.ed25519, "Ed25519", der))
        }
    }

    /// A point of the curve, in its 32-byte encoding.
    package struct PublicKey: Sendable, Hashable {
        package let bytes: FixedBytes<32>

        init(checked bytes: FixedBytes<32>) { self.bytes = bytes }

        /// Refuses what has another encoding too (y not below p) and the eight points of small order, under which
        /// signatures exist that fit any message. Whether there is a point for y at all shows when verifying.
        package init(_ bytes: FixedBytes<32>) throws(CryptoFailure) {
            var magnitude = bytes
            magnitude[31] &= 0x7F
            guard Self.isBelowPrime(magnitude), !Self.smallOrder.contains(magnitude) else {
                throw CryptoFailure(
                    .outOfRange, "Ed25519 public key", "not the canonical encoding of a point of large order")
            }
            self.bytes = bytes
        }

        /// Reads SubjectPublicKeyInfo (RFC 8410 section 4), DER.
        package init(spki: [UInt8]) throws(CryptoFailure) {
            try self.init(try RawKey.readSPKI(RawKey.ed25519, "Ed25519", spki))
        }

        /// SubjectPublicKeyInfo (RFC 8410 section 4), DER: 44 bytes.
        package var spki: [UInt8] { RawKey.spki(RawKey.ed25519, bytes) }

        package func isValidSignature(_ signature: FixedBytes<64>, for message: [UInt8]) -> Bool {
            bytes.withUnsafeBytes { point in
                signature.withUnsafeBytes {
                    dstack_ed25519_verify(point.baseAddress, message, message.count, $0.baseAddress)
                }
            } == 1
        }

        /// Whether a little-endian number is below p = 2²⁵⁵ - 19.
        private static func isBelowPrime(_ number: FixedBytes<32>) -> Bool {
            let highest = number[31] == 0x7F && (1..<31).allSatisfy { number[$0] == 0xFF }
            return !highest || number[0] < 0xED
        }

        /// y of the points of order 1, 2, 4 and 8 (RFC 8032 section 5.1: the curve has cofactor 8), little-endian.
        private static let smallOrder: Set<FixedBytes<32>> = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        ].reduce(into: []) { set, text in
            if let point = FixedBytes<32>(hex: text) { set.insert(point) }
        }
    }
}

extension Ed25519.PrivateKey: CertificateSigner {
    package var signatureAlgorithm: X509.Algorithm { .ed25519 }
    package var subjectPublicKeyInfo: [UInt8] { publicKey.spki }
    package func certificateSignature(over message: [UInt8]) throws(CryptoFailure) -> [UInt8] {
        try signature(for: message).bytes
    }
}
