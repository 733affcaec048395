import DstackCrypto
import DstackEncoding

/// The checks of a platform's PCK certificate and its revocation list, which depend on neither the quote nor the time.
struct PlatformEvaluation: Sendable {
    private(set) var checks = CheckList()
    private(set) var windows: [ValidityWindow] = []
    private(set) var keys: [P256VerifyingKey] = []
    /// What the PCK certificate says of the platform, once its chain is found good.
    private(set) var pck: PCKExtension?
    private(set) var pckKey: P256VerifyingKey?
    private(set) var leaf: Certificate?
    private(set) var authority: Certificate?

    /// Where the PCK chain of a quote comes from: the collateral if it has one, else the quote.
    static func chainText(_ quote: Quote, _ collateral: QuoteCollateral) -> Result<[UInt8], CheckIssue> {
        if let chain = collateral.pckCertificateChain { return .success(Array(chain.utf8)) }
        switch quote.signature.certificationData.content {
        case .pckCertificateChain(let pem): return .success(pem)
        default:
            return .failure(
                CheckIssue(
                    .missing,
                    "the quote has certification data of type \(quote.signature.certificationData.type) instead of a PCK "
                        + "certificate chain (5), and the collateral has no pck_certificate_chain; fetch collateral for "
                        + "this quote",
                    found: .number(Int64(quote.signature.certificationData.type)), expected: .number(5)))
        }
    }

    static func signatures(_ chain: Result<[Certificate], DecodingFailure>) -> [P256Signature] {
        // The leaf, and whatever may be its CA.
        guard let chain = try? chain.get() else { return [] }
        return chain.prefix(3).compactMap { try? $0.p256Signature() }
    }

    init(
        _ chain: Result<[Certificate], DecodingFailure>, _ collateral: CollateralEvaluation, tables: P256KeyTables,
        _ batch: SignatureBatch
    ) {
        switch chain {
        case .failure(let failure): checks.fail(.pckChain, CheckIssue(failure))
        case .success(let certificates): evaluate(certificates, collateral, tables, batch)
        }
    }

    private mutating func evaluate(
        _ certificates: [Certificate], _ collateral: CollateralEvaluation, _ tables: P256KeyTables,
        _ batch: SignatureBatch
    ) {
        // Asked for anew: prepared collateral may be older than the key's table.
        guard let anchorKey = tables.key(for: collateral.anchor.point) else { return }
        let leaf = certificates[0]
        if let issue = CertificateRules.issueAsLeaf(leaf, "the PCK certificate", phrase: "SGX PCK Certificate") {
            return checks.fail(.pckChain, issue)
        }
        guard
            let (authority, authorityKey) = authority(
                of: leaf, among: certificates.dropFirst(), collateral, anchorKey, tables, batch)
        else { return }
        if let issue = CertificateRules.issueOfSignature(
            leaf, "the PCK certificate", issuerName: authority.subject, key: authorityKey, batch)
        {
            return checks.fail(.pckChain, issue)
        }
        guard let point = leaf.p256Point, let key = tables.key(for: point) else {
            return checks.fail(.pckChain, .unsupported, "the PCK is not a point of the curve")
        }
        keys += [anchorKey, authorityKey]
        checks.pass(.pckChain, found: .text("\(leaf.subjectCommonName), by \(authority.subjectCommonName)"))
        self.leaf = leaf
        self.authority = authority
        pckKey = key
        for (certificate, subject) in [(leaf, "the PCK certificate"), (authority, "the PCK CA certificate")]
            as [(Certificate, StaticString)]
        {
            windows.append(
                ValidityWindow(
                    subject, .pckChainValidity, from: certificate.notBefore, through: certificate.notAfter))
        }
        evaluateRevocation(leaf, authority, authorityKey, collateral, batch)
        guard let item = leaf.extensions.first(where: { $0.identifier == PCKExtension.identifier }),
            let value = leaf.value(of: PCKExtension.identifier)
        else { return checks.fail(.pckExtension, .missing, "the PCK certificate has no SGX extension") }
        guard !item.isCritical else {
            return checks.fail(.pckExtension, .malformed, "the SGX extension must not be critical")
        }
        do throws(DecodingFailure) {
            let pck = try PCKExtension(parsing: Array(value))
            self.pck = pck
            let (fmspc, cpuSvn, pceSvn) = (pck.fmspc, pck.cpuSvn, pck.pceSvn)
            checks.pass(
                .pckExtension, found: .text("FMSPC \(fmspc.hex), CPUSVN \(cpuSvn.hex), PCESVN \(pceSvn)"))
        } catch {
            checks.fail(.pckExtension, CheckIssue(error))
        }
    }

    /// The CA that issued the leaf, among what the chain has beside it, in any order. It must be issued by the trust anchor
    /// itself: Intel has no deeper hierarchy, and no revocation list would cover one.
    private mutating func authority(
        of leaf: Certificate, among others: ArraySlice<Certificate>, _ collateral: CollateralEvaluation,
        _ anchorKey: P256VerifyingKey, _ tables: P256KeyTables, _ batch: SignatureBatch
    ) -> (Certificate, P256VerifyingKey)? {
        let root = collateral.anchor.certificate
        let candidates = others.filter { $0.subject == leaf.issuer }
        guard !candidates.isEmpty else {
            checks.fail(
                .pckChain, .unknownIssuer, "the chain has no certificate of the PCK's issuer",
                found: .text(leaf.issuerCommonName))
            return nil
        }
        if let pathLength = root.basicConstraints?.pathLength, pathLength < 1 {
            checks.fail(.pckChain, .wrongUsage, "the trust anchor allows no CA below it (path length \(pathLength))")
            return nil
        }
        var firstIssue: CheckIssue?
        for candidate in candidates {
            let name = candidate.subjectCommonName
            var issue = CertificateRules.issueAsAuthority(candidate, "the PCK CA certificate")
            if issue == nil, !CertificateRules.contains(name, "SGX PCK Platform CA"),
                !CertificateRules.contains(name, "SGX PCK Processor CA")
            {
                issue = CheckIssue(
                    .wrongUsage, "the issuer of the PCK is neither the Platform nor the Processor CA",
                    found: .text(name))
            }
            issue =
                issue
                ?? CertificateRules.issueOfSignature(
                    candidate, "the PCK CA certificate", issuerName: root.subject, key: anchorKey, batch)
            if issue == nil, let point = candidate.p256Point, let key = tables.key(for: point) {
                return (candidate, key)
            }
            firstIssue = firstIssue ?? issue
        }
        checks.fail(
            .pckChain,
            firstIssue ?? CheckIssue(.unsupported, "the key of the PCK CA is not a point of the curve"))
        return nil
    }

    private mutating func evaluateRevocation(
        _ leaf: Certificate, _ authority: Certificate, _ authorityKey: P256VerifyingKey,
        _ collateral: CollateralEvaluation, _ batch: SignatureBatch
    ) {
        if collateral.checks.hasPassed(.rootCRLSignature), let list = try? collateral.decoded.rootCRL.get() {
            checks.require(
                .pckCARevocation, !list.revokes(serialNumber: authority.serialNumber), .revoked,
                "the PCK CA is revoked",
                found: .bytes(authority.serialNumber))
        }
        guard let list = try? collateral.decoded.pckCRL.get() else { return }
        if let issue = CertificateRules.issueOfList(
            list, "the PCK revocation list", issuerName: authority.subject, key: authorityKey, batch)
        {
            return checks.fail(.pckCRLSignature, issue)
        }
        checks.pass(.pckCRLSignature, found: .text("signed by \(authority.subjectCommonName)"))
        if let window = CollateralEvaluation.window(of: list, "the PCK revocation list", .pckCRLValidity) {
            windows.append(window)
        } else {
            checks.fail(.pckCRLValidity, .missing, "the PCK revocation list does not say until when it holds")
        }
        let count = list.revokedCount
        checks.require(
            .pckRevocation, !list.revokes(serialNumber: leaf.serialNumber), .revoked, "the PCK certificate is revoked",
            found: .bytes(leaf.serialNumber), expected: .text("not among \(count) revoked"))
    }
}
