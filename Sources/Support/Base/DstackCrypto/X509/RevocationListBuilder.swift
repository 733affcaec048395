import DstackEncoding

/// Writes certificate revocation lists (RFC 5280 section 5), with the same freedom as ``CertificateBuilder``.
package struct RevocationListBuilder: Sendable {
    package struct Entry: Sendable {
        /// INTEGER, a whole element.
        package var serialNumber: [UInt8]
        package var date: X509.Time
        package var extensions: [X509.Extension]

        /// - Parameter serialNumber: an unsigned big-endian number.
        package init(serialNumber: [UInt8], date: X509.Time, extensions: [X509.Extension] = []) {
            self.serialNumber = DER.integer(magnitude: serialNumber)
            self.date = date
            self.extensions = extensions
        }
    }

    /// 2, or 1 to leave the field out.
    package var version: UInt = 2
    package var issuer: X509.Name
    package var thisUpdate: X509.Time
    /// Nil leaves it out, which RFC 5280 forbids and a verifier must notice.
    package var nextUpdate: X509.Time?
    /// Empty leaves the field out, as DER demands.
    package var revoked: [Entry] = []
    package var extensions: [X509.Extension] = []
    /// The algorithm named inside the signed part, if not the signer's.
    package var innerAlgorithm: X509.Algorithm?
    /// The algorithm named outside, if not the signer's.
    package var outerAlgorithm: X509.Algorithm?

    package init(
        issuer: X509.Name, thisUpdate: X509.Time, nextUpdate: X509.Time?, revoked: [Entry] = [],
        extensions: [X509.Extension] = [.crlNumber(1)]
    ) {
        self.issuer = issuer
        self.thisUpdate = thisUpdate
        self.nextUpdate = nextUpdate
        self.revoked = revoked
        self.extensions = extensions
    }

    /// The part that is signed.
    package func tbs(algorithm: X509.Algorithm) throws(CryptoFailure) -> [UInt8] {
        var entries = [[UInt8]]()
        for entry in revoked {
            entries.append(
                DER.sequence(
                    entry.serialNumber, try entry.date.encoded(),
                    DER.when(!entry.extensions.isEmpty, DER.sequence(of: entry.extensions.map(\.der)))))
        }
        return DER.sequence(
            DER.when(version != 1, DER.integer(version &- 1)),
            (innerAlgorithm ?? algorithm).der,
            issuer.der,
            try thisUpdate.encoded(),
            try nextUpdate?.encoded() ?? [],
            DER.when(!entries.isEmpty, DER.sequence(of: entries)),
            DER.when(!extensions.isEmpty, DER.explicit(0, DER.sequence(of: extensions.map(\.der)))))
    }

    /// The list, DER.
    package func signed<Signer: CertificateSigner & ~Copyable>(
        by signer: borrowing Signer
    ) throws(CryptoFailure) -> [UInt8] {
        try SignedStructure.encode(
            try tbs(algorithm: signer.signatureAlgorithm), by: signer, algorithm: outerAlgorithm)
    }

    /// The list with this signature, which may be anything.
    package func assembled(algorithm: X509.Algorithm, signature: [UInt8]) throws(CryptoFailure) -> [UInt8] {
        SignedStructure.encode(
            try tbs(algorithm: algorithm), algorithm: outerAlgorithm ?? algorithm, signature: signature)
    }
}
