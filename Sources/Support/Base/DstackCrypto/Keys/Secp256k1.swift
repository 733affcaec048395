internal import CSecp256k1
package import DstackEncoding

/// ECDSA on secp256k1, as Ethereum and the key hierarchy use it: over 32-byte digests, with deterministic nonces (RFC
/// 6979, HMAC-SHA256, nothing added) and s at most n/2.
package enum Secp256k1 {
    /// A private scalar with its public key.
    package struct PrivateKey: ~Copyable, Sendable {
        /// 0 < scalar < n, 32 bytes, big-endian.
        package let scalar: SecretBytes
        package let publicKey: PublicKey

        /// A new key. Bytes that are no scalar are drawn again, which practically never happens.
        package init(random source: some RandomBytes = SystemRandom()) {
            while true {
                if let key = try? Self(scalar: SecretBytes(random: 32, from: source)) {
                    self = key
                    return
                }
            }
        }

        /// The key with this scalar. Zero and numbers not below the order are refused, never reduced.
        package init(scalar: consuming SecretBytes) throws(CryptoFailure) {
            publicKey = try PublicKey(of: scalar)
            self.scalar = scalar
        }

        /// The signature of a digest, from which the public key can be recovered. The same every time.
        package borrowing func signature(forDigest digest: FixedBytes<32>) throws(CryptoFailure) -> Signature {
            var status: CInt = -1
            let bytes = FixedBytes<65> { output in
                status = scalar.withUnsafeBytes { scalar in
                    digest.withUnsafeBytes {
                        dstack_k256_sign(
                            scalar.baseAddress?.assumingMemoryBound(to: UInt8.self), $0.baseAddress, output)
                    }
                }
            }
            guard status == 1 else { throw Secp256k1.libraryFailure }
            return Signature(checked: bytes)
        }
    }

    /// A point of the curve, checked when it was read.
    package struct PublicKey: Sendable, Hashable {
        /// SEC 1 uncompressed: 0x04 ‖ X ‖ Y.
        package let uncompressed: FixedBytes<65>

        init(checked point: FixedBytes<65>) { uncompressed = point }

        /// The public key of a scalar. Zero and numbers not below the order are refused, never reduced.
        init(of scalar: borrowing SecretBytes) throws(CryptoFailure) {
            guard scalar.count == 32 else {
                throw CryptoFailure(
                    .malformed, "secp256k1 private key", "\(scalar.count) bytes where a scalar has 32")
            }
            var status: CInt = -1
            let point = FixedBytes<65> { point in
                status = scalar.withUnsafeBytes {
                    dstack_k256_public($0.baseAddress?.assumingMemoryBound(to: UInt8.self), point)
                }
            }
            switch status {
            case 1: uncompressed = point
            case 0:
                throw CryptoFailure(
                    .outOfRange, "secp256k1 private key", "the scalar is zero or not below the order of the curve")
            default: throw Secp256k1.libraryFailure
            }
        }

        /// Reads a SEC 1 point, compressed or uncompressed. The hybrid form and infinity are refused.
        package init(sec1 encoded: [UInt8]) throws(CryptoFailure) {
            var status: CInt = -1
            let point = FixedBytes<65> { status = dstack_k256_read_point(encoded, encoded.count, $0) }
            switch status {
            case 1: uncompressed = point
            case 0:
                throw CryptoFailure(
                    .outOfRange, "secp256k1 public key",
                    "not a point of the curve in SEC 1 compressed or uncompressed form")
            default: throw Secp256k1.libraryFailure
            }
        }

        /// SEC 1 compressed: 0x02 or 0x03 by the parity of Y, then X.
        package var compressed: FixedBytes<33> {
            var result = FixedBytes<33>()
            result[0] = 2 | (uncompressed[64] & 1)
            for index in 1...32 { result[index] = uncompressed[index] }
            return result
        }

        /// The last 20 bytes of Keccak-256 of X ‖ Y.
        package var ethereumAddress: FixedBytes<20> {
            FixedBytes(Keccak.hash256([UInt8](uncompressed.bytes.dropFirst())).bytes.suffix(20)) ?? FixedBytes()
        }

        /// Whether this key made r ‖ s over a digest. A signature with s above n/2 is refused: without that rule anyone
        /// could make a second signature out of one.
        package func isValidSignature(_ signature: FixedBytes<64>, forDigest digest: FixedBytes<32>) -> Bool {
            uncompressed.withUnsafeBytes { point in
                digest.withUnsafeBytes { digest in
                    signature.withUnsafeBytes {
                        dstack_k256_verify(point.baseAddress, digest.baseAddress, $0.baseAddress)
                    }
                }
            } == 1
        }
    }

    /// r ‖ s ‖ recovery id, 65 bytes.
    package struct Signature: Sendable, Hashable {
        /// The recovery id is 0 to 3.
        package let bytes: FixedBytes<65>

        init(checked bytes: FixedBytes<65>) { self.bytes = bytes }

        /// - Parameter acceptingOffset: also take 27 to 30 for the recovery id, as Ethereum's `v` is often written.
        package init(_ bytes: [UInt8], acceptingOffset: Bool = false) throws(CryptoFailure) {
            guard var fixed = FixedBytes<65>(bytes) else {
                throw CryptoFailure(
                    .malformed, "secp256k1 signature", "\(bytes.count) bytes where r, s and the recovery id need 65")
            }
            if acceptingOffset, (27...30).contains(fixed[64]) { fixed[64] -= 27 }
            guard fixed[64] <= 3 else {
                throw CryptoFailure(
                    .outOfRange, "secp256k1 signature", "a recovery id of \(fixed[64]); it is 0 to 3")
            }
            self.bytes = fixed
        }

        /// r ‖ s without the recovery id.
        package var withoutRecoveryID: FixedBytes<64> { FixedBytes(bytes.bytes.prefix(64)) ?? FixedBytes() }

        /// The one public key under which this is a signature of the digest. There is one for nearly every signature and
        /// digest: only comparing it with the expected key proves anything.
        ///
        /// - Throws: ``CryptoFailure`` if there is none, or if s is above n/2.
        package func recoveredPublicKey(forDigest digest: FixedBytes<32>) throws(CryptoFailure) -> PublicKey {
            var status: CInt = -1
            let point = FixedBytes<65> { point in
                status = bytes.withUnsafeBytes { bytes in
                    digest.withUnsafeBytes { dstack_k256_recover(bytes.baseAddress, $0.baseAddress, point) }
                }
            }
            guard status == 1 else {
                throw CryptoFailure(
                    .outOfRange, "secp256k1 signature", "no public key can have made this signature with a low s")
            }
            return PublicKey(checked: point)
        }
    }

    private static var libraryFailure: CryptoFailure {
        CryptoFailure(.library, "secp256k1", "libsecp256k1 failed (out of memory or misconfigured)")
    }
}
