public import DstackAttestation
import DstackCrypto
import DstackEncoding

/// Collateral before it is signed. What a closure of ``MockPlatform/collateral(for:at:edit:)`` gets to change.
public struct MockCollateral {
    /// What counts as what on the platform.
    public var tcbInfo: MockTCBInfo
    /// What the quoting enclave must be.
    public var qeIdentity: MockQEIdentity
    /// Whether the PCK certificate and its issuers are included, as quotes with an encrypted platform identifier need.
    public var includesPCKChain = false

    /// How the two documents are signed.
    package var tcbInfoSigning: Signing
    package var qeIdentitySigning: Signing
    package var rootCRL: MockRevocationList
    package var pckCRL: MockRevocationList
    package var pckCRLIssuerChain: [[UInt8]]
    package var pckChain: [[UInt8]]
    /// Changes to the finished collateral.
    package var tampering: ((inout QuoteCollateral) -> Void)?

    private let certificates: MockCertificates

    static let day: Int64 = 86_400

    /// How a document becomes signed text. The steps are run in the order in which they stand here.
    package struct Signing {
        /// Changes to the document as a tree.
        package var editJSON: ((inout MockJSON) -> Void)?
        /// Changes to the text before it is signed.
        package var editText: ((inout String) -> Void)?
        package var signer: MockKey
        /// Changes to r‖s.
        package var editSignature: ((inout [UInt8]) -> Void)?
        /// Changes to the text after it was signed.
        package var tampering: ((inout String) -> Void)?
        /// Leaf first, DER.
        package var chain: [[UInt8]]

        fileprivate func sign(_ document: MockJSON) throws(MockTEEError) -> (text: String, signature: [UInt8]) {
            var document = document
            editJSON?(&document)
            var text = document.text
            editText?(&text)
            var signature = try signer.sign(Array(text.utf8)).bytes
            editSignature?(&signature)
            tampering?(&text)
            return (text, signature)
        }
    }

    init(_ platform: MockPlatform, tee: TEEType, at now: Int64) {
        tcbInfo = MockTCBInfo(platform.configuration, tee: tee, at: now)
        qeIdentity = MockQEIdentity(platform.configuration, tee: tee, at: now)
        let signing = Signing(signer: platform.keys.tcbSigner, chain: platform.tcbSigningChain)
        tcbInfoSigning = signing
        qeIdentitySigning = signing
        rootCRL = MockRevocationList(
            issuer: platform.certificates.root.builder.subject, signer: platform.keys.root,
            thisUpdate: now - Self.day, nextUpdate: now + 30 * Self.day)
        pckCRL = MockRevocationList(
            issuer: platform.pckAuthorityName, signer: platform.pckAuthorityKey,
            thisUpdate: now - Self.day, nextUpdate: now + 30 * Self.day)
        pckCRLIssuerChain = [platform.pckAuthorityCertificate, platform.rootCertificate]
        pckChain = platform.pckChain
        certificates = platform.certificates
    }

    /// Revokes the platform's PCK certificate.
    public mutating func revokePCK() { pckCRL.revoke(certificates.pck) }

    /// Revokes the authorities that issue PCK certificates.
    public mutating func revokePCKAuthorities() {
        rootCRL.revoke(certificates.platformCA)
        rootCRL.revoke(certificates.processorCA)
    }

    /// Revokes the signer of TCB info and QE identity.
    public mutating func revokeTCBSigner() { rootCRL.revoke(certificates.tcbSigner) }

    func issued() throws(MockTEEError) -> QuoteCollateral {
        let info = try tcbInfoSigning.sign(tcbInfo.json)
        let identity = try qeIdentitySigning.sign(qeIdentity.json)
        var collateral = QuoteCollateral(
            pckCRLIssuerChain: MockPlatform.pem(pckCRLIssuerChain), rootCACRL: try rootCRL.issued(),
            pckCRL: try pckCRL.issued(), tcbInfoIssuerChain: MockPlatform.pem(tcbInfoSigning.chain),
            tcbInfo: info.text, tcbInfoSignature: info.signature,
            qeIdentityIssuerChain: MockPlatform.pem(qeIdentitySigning.chain), qeIdentity: identity.text,
            qeIdentitySignature: identity.signature,
            pckCertificateChain: includesPCKChain ? MockPlatform.pem(pckChain) : nil)
        tampering?(&collateral)
        return collateral
    }
}

extension MockPlatform {
    /// Collateral for quotes of this platform: issued a day before `now` and good for 30 days after it.
    ///
    /// ```swift
    /// let outdated = try platform.collateral(for: .tdx, at: now) { $0.tcbInfo.levels[0].status = .outOfDate }
    /// ```
    ///
    /// - Parameters:
    ///   - tee: the kind of quote.
    ///   - now: Unix seconds.
    ///   - edit: changes what is to be signed.
    public func collateral(
        for tee: TEEType, at now: Int64, edit: (inout MockCollateral) -> Void = { _ in }
    ) throws(MockTEEError) -> QuoteCollateral {
        var collateral = MockCollateral(self, tee: tee, at: now)
        edit(&collateral)
        return try collateral.issued()
    }
}
