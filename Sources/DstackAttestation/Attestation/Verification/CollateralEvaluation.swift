import DstackCrypto
import DstackEncoding

/// A span of time in which something is valid, both ends inclusive, and the checks that say so.
struct ValidityWindow: Sendable {
    let subject: StaticString
    /// The check that fails before `notBefore`.
    let startCheck: CheckID
    /// The check that fails after `notAfter`.
    let endCheck: CheckID
    let notBefore: Int64
    let notAfter: Int64
    /// The date as the document gives it: `notAfter`, or the second behind it for revocation lists.
    let expiration: Int64
    /// Whether it belongs to the QE identity's side.
    let isOfQEIdentity: Bool

    init(
        _ subject: StaticString, _ check: CheckID, endCheck: CheckID? = nil, from notBefore: Int64,
        through notAfter: Int64, expiration: Int64? = nil, isOfQEIdentity: Bool = false
    ) {
        self.subject = subject
        self.startCheck = check
        self.endCheck = endCheck ?? check
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.expiration = expiration ?? notAfter
        self.isOfQEIdentity = isOfQEIdentity
    }

    /// One of the two ends that `now` lies beyond.
    func record(at now: Int64, in checks: inout CheckList) {
        if now < notBefore {
            checks.fail(
                startCheck, .notYetValid, "\(subject) is not valid before \(RFC3339.format(notBefore))",
                found: .time(now), expected: .text("from \(RFC3339.format(notBefore))"))
        } else if startCheck != endCheck || now <= notAfter {
            checks.pass(startCheck, found: .time(notBefore), expected: .none)
        }
        if now > notAfter {
            checks.fail(
                endCheck, .expired, "\(subject) expired; its last second was \(RFC3339.format(notAfter))",
                found: .time(now), expected: .text("until \(RFC3339.format(notAfter))"))
        } else if startCheck != endCheck {
            checks.pass(endCheck, found: .time(notAfter), expected: .none)
        }
    }
}

/// Collateral decoded piece by piece: each piece or why it could not be read.
///
/// A class, because it is handed on by every step and copying all its parts would cost more than some of the steps.
final class DecodedCollateral: Sendable {
    let source: QuoteCollateral
    let rootCRL: Result<CertificateRevocationList, DecodingFailure>
    let pckCRL: Result<CertificateRevocationList, DecodingFailure>
    let tcbInfo: Result<TCBInfo, DecodingFailure>
    let tcbInfoChain: Result<[Certificate], DecodingFailure>
    let qeIdentity: Result<QEIdentity, DecodingFailure>
    let qeIdentityChain: Result<[Certificate], DecodingFailure>
    /// Whether both documents come with the very same chain, which then need be checked only once.
    let hasOneChain: Bool

    init(_ source: QuoteCollateral) {
        self.source = source
        rootCRL = Self.result { () throws(DecodingFailure) in try CertificateRevocationList(der: source.rootCACRL) }
        pckCRL = Self.result { () throws(DecodingFailure) in try CertificateRevocationList(der: source.pckCRL) }
        tcbInfo = Self.result { () throws(DecodingFailure) in try TCBInfo(parsing: Array(source.tcbInfo.utf8)) }
        qeIdentity = Self.result { () throws(DecodingFailure) in
            try QEIdentity(parsing: Array(source.qeIdentity.utf8))
        }
        tcbInfoChain = Self.result { () throws(DecodingFailure) in
            try Self.chain(Array(source.tcbInfoIssuerChain.utf8), "TCB info issuer chain")
        }
        hasOneChain = source.tcbInfoIssuerChain == source.qeIdentityIssuerChain
        qeIdentityChain =
            hasOneChain
            ? tcbInfoChain
            : Self.result { () throws(DecodingFailure) in
                try Self.chain(Array(source.qeIdentityIssuerChain.utf8), "QE identity issuer chain")
            }
    }

    static func result<Value>(
        _ body: () throws(DecodingFailure) -> Value
    ) -> Result<Value, DecodingFailure> {
        do throws(DecodingFailure) { return .success(try body()) } catch { return .failure(error) }
    }

    /// The most certificates a chain may have beside its leaf. Intel's has two; more would only cost time.
    static let maximumIntermediates = 4

    /// The certificates of a PEM text, leaf first.
    static func chain(_ pem: [UInt8], _ subject: String) throws(DecodingFailure) -> [Certificate] {
        let blocks = try PEM.decode(pem, label: "CERTIFICATE")
        guard !blocks.isEmpty else { throw DecodingFailure(.malformed, subject, "no certificate in it") }
        guard blocks.count <= maximumIntermediates + 1 else {
            throw DecodingFailure(
                .tooLarge, subject, "\(blocks.count) certificates, at most \(maximumIntermediates + 1) are read")
        }
        var chain: [Certificate] = []
        for block in blocks { chain.append(try Certificate(der: block)) }
        return chain
    }

    /// All signatures in the collateral that will be verified.
    var signatures: [P256Signature] {
        var result: [P256Signature] = []
        if let list = try? rootCRL.get(), let signature = try? list.p256Signature() { result.append(signature) }
        if let list = try? pckCRL.get(), let signature = try? list.p256Signature() { result.append(signature) }
        for chain in hasOneChain ? [tcbInfoChain] : [tcbInfoChain, qeIdentityChain] {
            if let leaf = try? chain.get().first, let signature = try? leaf.p256Signature() { result.append(signature) }
        }
        if let raw = FixedBytes<64>(source.tcbInfoSignature) { result.append(P256Signature(raw: raw)) }
        if let raw = FixedBytes<64>(source.qeIdentitySignature) { result.append(P256Signature(raw: raw)) }
        return result
    }
}

/// The checks of collateral that do not depend on the quote or on the time, with the windows of time for later.
struct CollateralEvaluation: Sendable {
    let decoded: DecodedCollateral
    let anchor: TrustAnchor
    private(set) var checks = CheckList()
    private(set) var windows: [ValidityWindow] = []
    /// Keys that verified something, for ``P256KeyTables``.
    private(set) var keys: [P256VerifyingKey] = []
    let anchorKey: P256VerifyingKey?
    /// The TCB info, once its signature is found good.
    private(set) var tcbInfo: TCBInfo?
    /// The QE identity, once its signature is found good.
    private(set) var qeIdentity: QEIdentity?
    init(_ decoded: DecodedCollateral, anchor: TrustAnchor, tables: P256KeyTables, _ batch: SignatureBatch) {
        self.decoded = decoded
        self.anchor = anchor
        anchorKey = tables.key(for: anchor.point)
        if let anchorKey { keys.append(anchorKey) }
        evaluateRoot(batch)
        evaluateTCBInfo(tables, batch)
        evaluateQEIdentity(tables, batch)
    }

    private mutating func evaluateRoot(_ batch: SignatureBatch) {
        let root = anchor.certificate
        windows.append(
            ValidityWindow(
                "the trust anchor", .trustAnchor, from: root.notBefore, through: root.notAfter, isOfQEIdentity: true))
        switch decoded.pckCRL {
        case .success: checks.pass(.pckCRLFormat)
        case .failure(let failure): checks.fail(.pckCRLFormat, CheckIssue(failure))
        }
        guard let anchorKey else {
            return checks.fail(.trustAnchor, .unsupported, "the trust anchor's key is not on the curve")
        }
        switch decoded.rootCRL {
        case .failure(let failure): checks.fail(.rootCRLFormat, CheckIssue(failure))
        case .success(let list):
            checks.pass(.rootCRLFormat)
            if let issue = CertificateRules.issueOfList(
                list, "the root revocation list", issuerName: root.subject, key: anchorKey, batch)
            {
                checks.fail(.rootCRLSignature, issue)
                return
            }
            checks.pass(.rootCRLSignature, found: .literal("signed by the trust anchor"))
            addWindow(of: list, "the root revocation list", .rootCRLValidity)
            checks.require(
                .rootRevocation, !list.revokes(serialNumber: root.serialNumber), .revoked,
                "the root lists its own certificate as revoked", found: .bytes(root.serialNumber))
        }
    }

    private mutating func addWindow(of list: CertificateRevocationList, _ subject: StaticString, _ check: CheckID) {
        if let window = Self.window(of: list, subject, check) {
            windows.append(window)
        } else {
            checks.fail(check, .missing, "\(subject) does not say until when it holds")
        }
    }

    /// A list holds from thisUpdate, and up to the second before nextUpdate. Nil if it has no nextUpdate.
    static func window(
        of list: CertificateRevocationList, _ subject: StaticString, _ check: CheckID
    ) -> ValidityWindow? {
        list.nextUpdate.map {
            ValidityWindow(subject, check, from: list.thisUpdate, through: $0 - 1, expiration: $0)
        }
    }

    /// Which checks a signed document has.
    private struct DocumentChecks {
        let format: CheckID
        let issueDate: CheckID
        let nextUpdate: CheckID
        let signer: CheckID
        let signerValidity: CheckID
        let signerRevocation: CheckID
        let signature: CheckID
    }

    private mutating func evaluateTCBInfo(_ tables: P256KeyTables, _ batch: SignatureBatch) {
        let names = DocumentChecks(
            format: .tcbInfoFormat, issueDate: .tcbInfoIssueDate, nextUpdate: .tcbInfoNextUpdate,
            signer: .tcbInfoSigner, signerValidity: .tcbInfoSignerValidity,
            signerRevocation: .tcbInfoSignerRevocation, signature: .tcbInfoSignature)
        switch decoded.tcbInfo {
        case .failure(let failure): checks.fail(.tcbInfoFormat, CheckIssue(failure))
        case .success(let document):
            let (id, version) = (document.id, document.version)
            checks.pass(.tcbInfoFormat, found: .text("\(id) version \(version)"))
            windows.append(
                ValidityWindow(
                    "TCB info", .tcbInfoIssueDate, endCheck: .tcbInfoNextUpdate, from: document.issueDate,
                    through: document.nextUpdate))
            if isSigned(
                document.text, decoded.source.tcbInfoSignature, decoded.tcbInfoChain, "TCB info", names, tables, batch)
            {
                tcbInfo = document
            }
        }
    }

    private mutating func evaluateQEIdentity(_ tables: P256KeyTables, _ batch: SignatureBatch) {
        let names = DocumentChecks(
            format: .qeIdentityFormat, issueDate: .qeIdentityIssueDate, nextUpdate: .qeIdentityNextUpdate,
            signer: .qeIdentitySigner, signerValidity: .qeIdentitySignerValidity,
            signerRevocation: .qeIdentitySignerRevocation, signature: .qeIdentitySignature)
        switch decoded.qeIdentity {
        case .failure(let failure): checks.fail(.qeIdentityFormat, CheckIssue(failure))
        case .success(let document):
            let (id, version) = (document.id, document.version)
            checks.pass(.qeIdentityFormat, found: .text("\(id) version \(version)"))
            windows.append(
                ValidityWindow(
                    "QE identity", .qeIdentityIssueDate, endCheck: .qeIdentityNextUpdate, from: document.issueDate,
                    through: document.nextUpdate, isOfQEIdentity: true))
            if isSigned(
                document.text, decoded.source.qeIdentitySignature, decoded.qeIdentityChain, "QE identity", names,
                tables, batch)
            {
                qeIdentity = document
            }
        }
    }

    /// Whether a signed document is its signer's and the signer the trust anchor's: exactly the bytes that were parsed are
    /// the bytes under the signature.
    private mutating func isSigned(
        _ text: [UInt8], _ signatureBytes: [UInt8], _ chain: Result<[Certificate], DecodingFailure>,
        _ subject: StaticString, _ names: DocumentChecks, _ tables: P256KeyTables, _ batch: SignatureBatch
    ) -> Bool {
        let certificate: Certificate
        switch chain {
        case .failure(let failure):
            checks.fail(names.signer, CheckIssue(failure))
            return false
        case .success(let certificates): certificate = certificates[0]
        }
        guard let anchorKey else { return false }
        let what = "the signer of \(subject)"
        // Under the same chain, the other document's checks have verified this very certificate.
        let isKnown = decoded.hasOneChain && names.signer == .qeIdentitySigner && checks.hasPassed(.tcbInfoSigner)
        if !isKnown {
            if let issue = CertificateRules.issueAsLeaf(certificate, what, phrase: "SGX TCB Signing")
                ?? CertificateRules.issueOfSignature(
                    certificate, what, issuerName: anchor.certificate.subject, key: anchorKey, batch)
            {
                checks.fail(names.signer, issue)
                return false
            }
        }
        checks.pass(
            names.signer, found: .text(certificate.subjectCommonName), expected: .literal("SGX TCB Signing"))
        windows.append(
            ValidityWindow(
                "the certificate of the document's signer", names.signerValidity, from: certificate.notBefore,
                through: certificate.notAfter, isOfQEIdentity: names.signer == .qeIdentitySigner))
        if checks.hasPassed(.rootCRLSignature), let list = try? decoded.rootCRL.get() {
            checks.require(
                names.signerRevocation, !list.revokes(serialNumber: certificate.serialNumber), .revoked,
                "\(what) is revoked", found: .bytes(certificate.serialNumber))
        }
        guard let point = certificate.p256Point, let key = tables.key(for: point) else {
            checks.fail(names.signer, .unsupported, "the key of \(what) is not on the curve")
            return false
        }
        guard let raw = FixedBytes<64>(signatureBytes) else {
            checks.fail(
                names.signature, .malformed, "a signature of 64 bytes expected, found \(signatureBytes.count)")
            return false
        }
        keys.append(key)
        return checks.require(
            names.signature, key.isValid(batch.prepared(P256Signature(raw: raw)), digest: SHA256.hash(text)),
            .badSignature, "\(subject) is not what its signer signed",
            found: .literal("signed by the TCB signing key"))
    }
}
