internal import COpenSSL

/// A private scalar of a NIST curve with its public key. The scalar lives in memory that is wiped.
package struct NISTPrivateKey<Curve: NISTCurve>: ~Copyable, Sendable {
    /// 0 < scalar < n, big-endian, as long as the curve's coordinates.
    package let scalar: SecretBytes
    package let publicKey: NISTPublicKey<Curve>

    /// A new key.
    package init() {
        var point = [UInt8](repeating: 0, count: 1 + 2 * Curve.size)
        scalar = SecretBytes(count: Curve.size) { (buffer: UnsafeMutableRawBufferPointer) in
            let made = dstack_ec_generate(
                Curve.bits, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), &point)
            // Like ``SystemRandom``: without randomness there is no key to go on with.
            precondition(made == 1, "key generation failed")
        }
        publicKey = NISTPublicKey(checked: point)
    }

    /// A new key whose scalar comes from the given source: bytes that are not below the order are thrown away and drawn
    /// again (SP 800-56A section 5.6.1.2.2), which for honest randomness happens once in 2³² draws at most.
    package init(random source: some RandomBytes) {
        while true {
            if let key = try? Self(scalar: SecretBytes(random: Curve.size, from: source)) {
                self = key
                return
            }
        }
    }

    /// The key with this scalar. Zero and numbers not below the order are refused, never reduced.
    package init(scalar: consuming SecretBytes) throws(CryptoFailure) {
        guard scalar.count == Curve.size else {
            throw CryptoFailure(
                .malformed, "\(Curve.name) private key", "\(scalar.count) bytes where a scalar has \(Curve.size)")
        }
        var point = [UInt8](repeating: 0, count: 1 + 2 * Curve.size)
        let result = scalar.withUnsafeBytes { bytes in
            dstack_ec_public_point(Curve.bits, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), &point)
        }
        switch result {
        case 1: break
        case 0:
            throw CryptoFailure(
                .outOfRange, "\(Curve.name) private key", "the scalar is zero or not below the order of the curve")
        default: throw .library("\(Curve.name) private key")
        }
        self.publicKey = NISTPublicKey(checked: point)
        self.scalar = scalar
    }

    /// ECDSA over a message, hashed with the curve's digest.
    package borrowing func signature(for message: [UInt8]) throws(CryptoFailure) -> NISTSignature<Curve> {
        try signature(forDigest: Curve.digest(message.span.bytes))
    }

    /// ECDSA over a digest of at most 64 bytes. The nonce is random, so no two signatures are alike.
    package borrowing func signature(forDigest digest: [UInt8]) throws(CryptoFailure) -> NISTSignature<Curve> {
        var raw = [UInt8](repeating: 0, count: 2 * Curve.size)
        let result = scalar.withUnsafeBytes { bytes in
            dstack_ec_sign(
                Curve.bits, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), digest, digest.count, &raw)
        }
        guard result == 1 else { throw .library("\(Curve.name) signature") }
        return NISTSignature(checked: raw)
    }

    /// ECDH (SP 800-56A section 5.7.1.2): the x coordinate of the shared point. Not uniformly random; derive keys from
    /// it with a KDF.
    package borrowing func sharedSecret(with peer: NISTPublicKey<Curve>) throws(CryptoFailure) -> SecretBytes {
        try SecretBytes(count: Curve.size) { (buffer: UnsafeMutableRawBufferPointer) throws(CryptoFailure) in
            let result = scalar.withUnsafeBytes { bytes in
                dstack_ec_agree(
                    Curve.bits, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), peer.uncompressed,
                    buffer.baseAddress?.assumingMemoryBound(to: UInt8.self))
            }
            guard result == 1 else { throw .library("\(Curve.name) key agreement") }
        }
    }
}
