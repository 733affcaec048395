internal import COpenSSL
import DstackEncoding

// Forms of a private key in files and messages. Everything that holds the scalar is a `SecretBytes`.
extension NISTPrivateKey {
    /// PKCS#8 (RFC 5958), DER: version 1, id-ecPublicKey with the named curve; inside, ECPrivateKey (RFC 5915) with the
    /// public key and without the curve. 138 bytes for P-256. Keys are derived from a hash of these very bytes, so they
    /// are put together here and not by a library whose defaults may change.
    package var pkcs8: SecretBytes {
        borrowing get { joined(Curve.pkcs8Prefix, Curve.pkcs8Middle) }
    }

    /// ECPrivateKey (RFC 5915) with curve and public key, DER.
    package var sec1: SecretBytes {
        borrowing get { joined(Curve.sec1Prefix, Curve.sec1Middle) }
    }

    /// `PRIVATE KEY` block of ``pkcs8``: lines of 64 characters, LF.
    package var pkcs8PEM: SecretBytes {
        borrowing get { PEM.encodeSecret("PRIVATE KEY", pkcs8) }
    }

    /// `EC PRIVATE KEY` block of ``sec1``.
    package var sec1PEM: SecretBytes {
        borrowing get { PEM.encodeSecret("EC PRIVATE KEY", sec1) }
    }

    /// Reads PKCS#8, whichever of the optional fields it has.
    ///
    /// - Throws: ``CryptoFailure`` for another algorithm or curve, a curve given by its numbers, a scalar out of range, a
    ///   public key that is not the scalar's, or bytes after the structure.
    package init(pkcs8 der: RawSpan) throws(CryptoFailure) {
        try self.init(der: der, form: 8, "PKCS#8")
    }

    /// Reads ECPrivateKey (RFC 5915) with its curve.
    ///
    /// - Throws: as ``init(pkcs8:)``; also if the curve is not given.
    package init(sec1 der: RawSpan) throws(CryptoFailure) {
        try self.init(der: der, form: 1, "ECPrivateKey")
    }

    /// Reads the first `PRIVATE KEY` or `EC PRIVATE KEY` block of a PEM text.
    package init(pem text: RawSpan) throws(CryptoFailure) {
        let block: PEM.SecretBlock?
        do {
            block = try PEM.decodeSecret(text, labels: ["PRIVATE KEY", "EC PRIVATE KEY"])
        } catch {
            throw CryptoFailure(.malformed, "\(Curve.name) private key", error.description)
        }
        guard let block else {
            throw CryptoFailure(
                .malformed, "\(Curve.name) private key", "no PEM block \"PRIVATE KEY\" or \"EC PRIVATE KEY\"")
        }
        if block.label == "PRIVATE KEY" {
            try self.init(pkcs8: block.content.bytes)
        } else {
            try self.init(sec1: block.content.bytes)
        }
    }

    private init(der: RawSpan, form: Int32, _ name: String) throws(CryptoFailure) {
        let scalar = try SecretBytes(count: Curve.size) {
            (buffer: UnsafeMutableRawBufferPointer) throws(CryptoFailure) in
            let result = der.withUnsafeBytes { input in
                dstack_ec_read_private_key(
                    Curve.bits, form, input.baseAddress?.assumingMemoryBound(to: UInt8.self), input.count,
                    buffer.baseAddress?.assumingMemoryBound(to: UInt8.self))
            }
            guard result == 1 else {
                throw CryptoFailure(
                    .malformed, "\(Curve.name) private key",
                    "not a consistent \(name) structure for a key of this curve by name")
            }
        }
        try self.init(scalar: scalar)
    }

    private borrowing func joined(_ prefix: [UInt8], _ middle: [UInt8]) -> SecretBytes {
        let point = publicKey.uncompressed
        let scalarEnd = prefix.count + Curve.size
        return SecretBytes(count: scalarEnd + middle.count + point.count) {
            (buffer: UnsafeMutableRawBufferPointer) in
            UnsafeMutableRawBufferPointer(rebasing: buffer[..<prefix.count]).copyBytes(from: prefix)
            scalar.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: buffer[prefix.count..<scalarEnd]).copyMemory(from: $0)
            }
            UnsafeMutableRawBufferPointer(rebasing: buffer[scalarEnd...]).copyBytes(from: middle + point)
        }
    }
}
