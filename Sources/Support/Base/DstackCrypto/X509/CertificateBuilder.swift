import DstackEncoding

/// Writes X.509 certificates (RFC 5280), honest ones and, for tests of verifiers, any other: every field takes raw bytes
/// too, and nothing is checked.
///
/// ```swift
/// var builder = CertificateBuilder(
///     subject: X509.Name(.organization("Dstack"), .commonName("Dstack KMS CA")),
///     publicKey: key.publicKey.spki, notBefore: .seconds(157_766_400), notAfter: .seconds(2_000_000_000))
/// builder.extensions = [.keyUsage([.keyCertSign, .cRLSign]), .basicConstraints(isAuthority: true, pathLength: 1)]
/// let der = try builder.signed(by: key)
/// ```
package struct CertificateBuilder: Sendable {
    /// 3 for every certificate with extensions; 1 leaves the field out, as DER demands of a default.
    package var version: UInt = 3
    /// INTEGER, a whole element.
    package var serialNumber: [UInt8]
    package var issuer: X509.Name
    package var subject: X509.Name
    package var notBefore: X509.Time
    package var notAfter: X509.Time
    /// SubjectPublicKeyInfo, DER.
    package var publicKey: [UInt8]
    /// In this order. Empty leaves the field out.
    package var extensions: [X509.Extension] = []
    /// Elements between the key and the extensions (the unique identifiers, `[1]` and `[2]`).
    package var uniqueIdentifiers: [UInt8] = []
    /// The algorithm named inside the signed part, if not the signer's.
    package var innerAlgorithm: X509.Algorithm?
    /// The algorithm named outside, if not the signer's.
    package var outerAlgorithm: X509.Algorithm?

    /// A certificate that its subject issues to itself, until `issuer` is set.
    ///
    /// - Parameter serialNumber: an unsigned big-endian number; random, 16 bytes, if it is not given.
    package init(
        subject: X509.Name, issuer: X509.Name? = nil, publicKey: [UInt8], notBefore: X509.Time, notAfter: X509.Time,
        serialNumber: [UInt8]? = nil, extensions: [X509.Extension] = []
    ) {
        self.subject = subject
        self.issuer = issuer ?? subject
        self.publicKey = publicKey
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.serialNumber = DER.integer(magnitude: serialNumber ?? Self.randomSerial())
        self.extensions = extensions
    }

    /// 128 bits of which the first two are 01: positive, and always 16 bytes long.
    package static func randomSerial(from source: some RandomBytes = SystemRandom()) -> [UInt8] {
        var serial = source.bytes(16)
        serial[0] = serial[0] & 0x3F | 0x40
        return serial
    }

    /// The part that is signed.
    ///
    /// - Parameter algorithm: the signer's, written unless ``innerAlgorithm`` is set.
    package func tbs(algorithm: X509.Algorithm) throws(CryptoFailure) -> [UInt8] {
        DER.sequence(
            DER.when(version != 1, DER.explicit(0, DER.integer(version &- 1))),
            serialNumber,
            (innerAlgorithm ?? algorithm).der,
            issuer.der,
            DER.sequence(try notBefore.encoded(), try notAfter.encoded()),
            subject.der,
            publicKey,
            uniqueIdentifiers,
            DER.when(!extensions.isEmpty, DER.explicit(3, DER.sequence(of: extensions.map(\.der)))))
    }

    /// The certificate, DER.
    package func signed<Signer: CertificateSigner & ~Copyable>(
        by signer: borrowing Signer
    ) throws(CryptoFailure) -> [UInt8] {
        try SignedStructure.encode(
            try tbs(algorithm: signer.signatureAlgorithm), by: signer, algorithm: outerAlgorithm)
    }

    /// The certificate with this signature, which may be anything.
    package func assembled(algorithm: X509.Algorithm, signature: [UInt8]) throws(CryptoFailure) -> [UInt8] {
        SignedStructure.encode(
            try tbs(algorithm: algorithm), algorithm: outerAlgorithm ?? algorithm, signature: signature)
    }
}
