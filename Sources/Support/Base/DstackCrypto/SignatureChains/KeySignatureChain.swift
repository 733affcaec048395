package import DstackEncoding

/// Two signatures that lead from a derived key to a KMS: the application's root key vouches for the derived key, the KMS
/// for the application's root key.
///
/// ```swift
/// let chain = try KeySignatureChain(links: answer.signatureChain)
/// let verified = try chain.verified(
///     for: .derivedKey(purpose: "ethereum", publicKey: key), appID: appID, root: kmsKey)
/// ```
///
/// Parsed is not verified. The KMS's key has to come from somewhere else: its metadata over attested TLS, its bootstrap
/// evidence or the chain.
package struct KeySignatureChain: Sendable, Hashable {
    /// The application's root key on the derived key.
    package let claim: Secp256k1.Signature
    /// The KMS on the application's root key.
    package let issuance: Secp256k1.Signature

    /// - Parameter links: claim and issuance, 65 bytes each. The answer to a signing request has the signature of the data
    ///   before them; ``init(signatureLinks:)`` takes those.
    /// - Throws: ``CryptoFailure`` for another number of links or malformed ones. Without a KMS the second is empty, and
    ///   there is no chain to verify.
    package init(links: [[UInt8]]) throws(CryptoFailure) {
        guard links.count == 2 else {
            throw CryptoFailure(.malformed, "signature chain", "\(links.count) links where claim and issuance are two")
        }
        guard !links[1].isEmpty else {
            throw CryptoFailure(
                .malformed, "signature chain", "no KMS issued the application's key, so the chain leads nowhere")
        }
        claim = try Secp256k1.Signature(links[0])
        issuance = try Secp256k1.Signature(links[1])
    }

    /// Reads the chain of a signed message: its signature, then claim and issuance.
    package init(signatureLinks links: [[UInt8]]) throws(CryptoFailure) {
        guard links.count == 3 else {
            throw CryptoFailure(
                .malformed, "signature chain", "\(links.count) links where signature, claim and issuance are three")
        }
        try self.init(links: [[UInt8]](links.dropFirst()))
    }

    /// The keys to which the chain leads. There are some for nearly every chain, so that they prove nothing until the
    /// second is compared.
    package func signers(
        of statement: KeyStatement, appID: FixedBytes<20>
    ) throws(CryptoFailure) -> (appKey: Secp256k1.PublicKey, root: Secp256k1.PublicKey) {
        let appKey = try claim.signer(of: statement)
        let root = try issuance.signer(of: .issuedAppKey(appID: appID, key: appKey.compressed))
        return (appKey, root)
    }

    /// Checks that the chain leads from a statement about a key, through an application's root key, to a KMS.
    ///
    /// - Parameters:
    ///   - statement: what the verifier wants to be true of the key: ``KeyStatement/derivedKey(purpose:publicKey:)`` or
    ///     ``KeyStatement/framedDerivedKey(algorithm:domain:publicKey:)``.
    ///   - appID: the application.
    ///   - root: the KMS's key, 33 bytes compressed.
    /// - Throws: ``CryptoFailure`` with code `notAuthentic` if it leads to another key.
    package func verified(
        for statement: KeyStatement, appID: FixedBytes<20>, root: Secp256k1.PublicKey
    ) throws(CryptoFailure) -> VerifiedKeySignatureChain {
        let signers = try signers(of: statement, appID: appID)
        guard constantTimeEqual(signers.root.compressed.bytes, root.compressed.bytes) else {
            throw CryptoFailure(
                .notAuthentic, "signature chain",
                "it leads to \(signers.root.compressed.hex), the KMS has \(root.compressed.hex); purpose, key and app id "
                    + "must be the signed ones")
        }
        return VerifiedKeySignatureChain(statement: statement, appID: appID, appKey: signers.appKey, root: root)
    }
}

/// A statement about a key that was verified up to a KMS. Only ``KeySignatureChain/verified(for:appID:root:)`` makes one.
package struct VerifiedKeySignatureChain: Sendable, Hashable {
    /// What is true of the key.
    package let statement: KeyStatement
    /// The application whose key it is.
    package let appID: FixedBytes<20>
    /// The application's root key.
    package let appKey: Secp256k1.PublicKey
    /// The KMS's key.
    package let root: Secp256k1.PublicKey

    fileprivate init(
        statement: KeyStatement, appID: FixedBytes<20>, appKey: Secp256k1.PublicKey, root: Secp256k1.PublicKey
    ) {
        self.statement = statement
        self.appID = appID
        self.appKey = appKey
        self.root = root
    }
}
