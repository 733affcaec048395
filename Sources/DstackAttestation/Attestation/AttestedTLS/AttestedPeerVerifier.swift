import DstackCrypto
import DstackEncoding
package import DstackSystem
import Synchronization

/// Decides whether the other end of a TLS connection is the attested code that one wants to talk to.
///
/// ```swift
/// var policy = VerificationPolicy.standard
/// policy.expected.composeHash = ComposeHash(ofFile: myOwnCopyOfTheComposeFile).bytes
/// policy.expected.osImageHash = FixedBytes(hex: "the image that I trust")
/// let verifier = try AttestedPeerVerifier(policy: policy, collateral: collateral)
/// switch verifier.verify(certificates, as: .server) { … }
/// ```
///
/// What is expected comes from the policy alone, never from what the other side says of itself. There is no network and
/// no waiting in a verification, so that it can run within a handshake.
public final class AttestedPeerVerifier: Sendable {
    /// Which side the peer is.
    public enum Role: Sendable, Hashable {
        /// The peer is the server.
        case server
        /// The peer is the client.
        case client
    }

    /// What a peer's certificate must say of itself, beside having evidence about its key.
    package enum CertificateDemands: Sendable, Hashable {
        /// Whom it is for, and for which side of TLS: a certificate that stands for itself.
        case complete
        /// Nothing that does not fit. What it leaves out is not missed: without an extended key usage it is for any (RFC 5280,
        /// section 4.2.1.12), and the key that the evidence is about is a name. Certificates of key management services name
        /// no usage, and those by which guests introduce themselves to one have no names either.
        case consistent
    }

    /// What is accepted.
    public let policy: VerificationPolicy
    /// What evidence is verified with.
    public let collateral: ReadyCollateral
    private let clock: any WallClock
    private let demands: CertificateDemands

    /// A verifier.
    ///
    /// - Parameters:
    ///   - policy: what is accepted, with the application that is expected.
    ///   - collateral: what evidence is verified with, and under which root.
    ///   - acceptsAnyApplication: whether a policy need not say which code is expected. It then accepts every genuine trust
    ///     domain, whatever it runs: also one that an attacker rents.
    ///   - acceptsAnySystem: whether a policy that says which code is expected need not say on which operating system. It
    ///     then believes whatever image there is what it says of the application: also one that an attacker made, which logs
    ///     the expected compose hash and runs something else. For development.
    /// - Throws: ``AttestationError/Code/invalidPolicy`` for a policy that does not say which code or which system is expected
    ///   although it must, or that expects report data, which here follow from key and connection.
    public convenience init(
        policy: VerificationPolicy, collateral: ReadyCollateral, acceptsAnyApplication: Bool = false,
        acceptsAnySystem: Bool = false
    ) throws(AttestationError) {
        try self.init(
            policy: policy, collateral: collateral, acceptsAnyApplication: acceptsAnyApplication,
            acceptsAnySystem: acceptsAnySystem, clock: SystemWallClock())
    }

    package init(
        policy: VerificationPolicy, collateral: ReadyCollateral, acceptsAnyApplication: Bool = false,
        acceptsAnySystem: Bool = false, clock: any WallClock, demands: CertificateDemands = .complete
    ) throws(AttestationError) {
        guard policy.expected.reportData == nil else {
            throw AttestationError(
                .invalidPolicy, subject: "expected_report_data",
                reason: "it follows from the peer's key and connection, and must not be given")
        }
        guard acceptsAnyApplication || policy.expected.namesCode else {
            throw AttestationError(
                .invalidPolicy, subject: "policy",
                reason:
                    "it does not say which code is expected, so that a genuine trust domain would pass whatever it runs",
                hint: "expect a compose hash; an application id beside it if wanted")
        }
        guard acceptsAnyApplication || acceptsAnySystem || policy.expected.namesSystem else {
            throw AttestationError(
                .invalidPolicy, subject: "policy",
                reason:
                    "it does not say which operating system is expected, and one made for the purpose claims any "
                    + "application",
                hint: "expect an OS image hash; or mr_td, rt_mr1 and rt_mr2 together; or mr_system")
        }
        self.policy = policy
        self.collateral = collateral
        self.clock = clock
        self.demands = demands
    }

    /// Judges a peer by the evidence in its certificate.
    ///
    /// That the peer has the certificate's key is for the handshake to show. The certificate's issuer does not count.
    ///
    /// - Parameter certificates: what the peer presented, leaf first, DER.
    public func verify(
        _ certificates: [[UInt8]], as role: Role
    ) -> Result<AttestedPeer, AttestedTLSError> {
        Result { () throws(AttestedTLSError) in
            let certificate = try checkedLeaf(certificates, role)
            guard let attestation = certificate.attestation else { throw Self.noEvidence(certificate) }
            let quote = try Self.quote(of: attestation)
            let ready = try ready(for: quote)
            let report = try Self.policyChecked { () throws(AttestationError) in
                judge(
                    try certificate.requiredEvidence(), .keyBound, try certificate.binding(policy), with: ready)
            }
            try Self.require(report, quote)
            collateral.noteAccepted(quote)
            return AttestedPeer(report, .keyBound, certificates, certificate)
        }
    }

    /// As ``verify(_:as:)``, and waits for collateral where the peer's platform was not seen before, or what there is of it has
    /// run out. Not for the middle of a handshake: for a server, after it and before the first request.
    ///
    /// Nothing is fetched for evidence that does not lead to the trust anchor. So many peers may wait at once, half of them at
    /// most of one platform or for one client; the others are refused with ``AttestedTLSError/Code/collateralUnavailable``.
    ///
    /// - Parameters:
    ///   - certificates: what the peer presented, leaf first, DER.
    ///   - client: who waits, such as an address: the same text for all that should count as one. Nil for nobody in
    ///     particular.
    public func verify(
        _ certificates: [[UInt8]], as role: Role, askedBy client: String?
    ) async -> Result<AttestedPeer, AttestedTLSError> {
        let first = verify(certificates, as: role)
        guard case .failure(let error) = first, error.mayFindOtherCollateral, let quote = error.quote else {
            return first
        }
        do {
            guard try await collateral.prepare(for: quote, askedBy: client) else { return first }
        } catch {
            return .failure(
                AttestedTLSError(.collateralUnavailable, check: "collateral", reason: "\(error)", quote: quote))
        }
        return verify(certificates, as: role)
    }

    /// What can be said of a peer's certificate at once: that it keeps the rules, and has evidence to be judged.
    ///
    /// - Throws: ``AttestedTLSError``.
    package func checkClaim(_ certificates: [[UInt8]], as role: Role) throws(AttestedTLSError) {
        let certificate = try checkedLeaf(certificates, role)
        guard certificate.attestation != nil else { throw Self.noEvidence(certificate) }
    }

    private static func noEvidence(_ certificate: RATLSCertificate) -> AttestedTLSError {
        AttestedTLSError(.noEvidence, check: "evidence", reason: certificate.missingEvidence.reason)
    }

    /// Judges the server of a connection by evidence about that connection.
    ///
    /// - Parameters:
    ///   - response: what the server answered to a request for ``SessionEvidence``.
    ///   - exporter: 32 bytes of the connection's exporter, from one's own end; see ``SessionBinding/exporterLabel``.
    ///   - nonce: the one that was sent.
    ///   - certificates: what the server presented in this connection, leaf first, DER.
    public func verify(
        _ response: SessionEvidence.Response, exporter: FixedBytes<32>, nonce: FixedBytes<32>,
        certificates: [[UInt8]]
    ) -> Result<AttestedPeer, AttestedTLSError> {
        Result { () throws(AttestedTLSError) in
            let certificate = try checkedLeaf(certificates, .server)
            let attestation: Attestation
            let binding: SessionBinding
            do throws(AttestationError) {
                attestation = try Attestation(decoding: response.attestation)
                binding = try SessionBinding(exporter: exporter, nonce: nonce, publicKey: certificate.publicKey)
            } catch {
                throw AttestedTLSError(.evidenceRejected, check: "session_evidence", reason: error.description)
            }
            let quote = try Self.quote(of: attestation)
            let ready = try ready(for: quote)
            let report = try Self.policyChecked { () throws(AttestationError) in
                judge(
                    Evidence(attestation: response.attestation), .sessionBound, try binding.binding(policy), with: ready
                )
            }
            if report.failure?.check == .expectedReportData {
                throw Self.mismatch(report, binding, told: response.publicKey)
            }
            try Self.require(report, quote)
            collateral.noteAccepted(quote)
            return AttestedPeer(report, .sessionBound, certificates, certificate)
        }
    }

    /// Compares with the floors and does not raise them: ``ReadyCollateral`` did that when it fetched the collateral, outside of
    /// handshakes.
    func judge(
        _ evidence: Evidence, _ binding: EvidenceBinding?, _ policy: VerificationPolicy, with ready: PreparedCollateral
    ) -> VerificationReport {
        var report = ready.judge(evidence, policy: policy, at: clock.unixSeconds, floors: collateral.floors)
        collateral.floors?.note(in: &report)
        report.binding = binding
        return report
    }

    /// Whether an accepted peer is still within the validity of everything that this rests on, and nothing newer of it has been
    /// verified since, which may revoke it.
    package func stillHolds(_ peer: AttestedPeer) -> Bool {
        clock.unixSeconds <= peer.validUntil && peer.isJudgedByNewest(of: collateral.floors)
    }

    /// Checks the certificate's own rules, for a connection whose evidence comes later.
    func checkCertificate(_ certificates: [[UInt8]], as role: Role) throws(AttestedTLSError) {
        _ = try checkedLeaf(certificates, role)
    }

    private func checkedLeaf(
        _ certificates: [[UInt8]], _ role: Role
    ) throws(AttestedTLSError) -> RATLSCertificate {
        guard let leaf = certificates.first else {
            throw AttestedTLSError(
                .invalidCertificate, check: "certificate", reason: "the peer presented no certificate")
        }
        let certificate: RATLSCertificate
        do throws(AttestationError) {
            certificate = try RATLSCertificate(parsing: leaf)
        } catch {
            throw AttestedTLSError(.invalidCertificate, check: "certificate", reason: error.description)
        }
        if let finding = certificate.ruleFailure(role, demands, at: clock.unixSeconds) {
            throw AttestedTLSError(
                .certificateRules, check: finding.rule.rawValue, reason: finding.failure ?? "the rule does not hold")
        }
        return certificate
    }

    static func quote(of attestation: Attestation) throws(AttestedTLSError) -> Quote {
        do throws(AttestationError) {
            return try attestation.parsedQuote()
        } catch {
            throw AttestedTLSError(.evidenceRejected, check: CheckID.quoteFormat.name, reason: error.description)
        }
    }

    func ready(for quote: Quote) throws(AttestedTLSError) -> PreparedCollateral {
        do throws(AttestationError) {
            return try collateral.ready(for: quote)
        } catch  where error.code == .untrustedQuote {
            // Without the quote: nobody shall look for collateral.
            throw AttestedTLSError(.evidenceRejected, check: error.subject, reason: error.reason)
        } catch {
            throw AttestedTLSError(
                .collateralUnavailable, check: "collateral", reason: error.description, quote: quote)
        }
    }

    static func policyChecked(
        _ body: () throws(AttestationError) -> VerificationReport
    ) throws(AttestedTLSError) -> VerificationReport {
        do throws(AttestationError) {
            return try body()
        } catch {
            throw AttestedTLSError(.evidenceRejected, check: "evidence", reason: error.description)
        }
    }

    static func require(_ report: VerificationReport, _ quote: Quote) throws(AttestedTLSError) {
        guard let failure = report.failure else { return }
        throw AttestedTLSError(
            .evidenceRejected, check: failure.check.name, reason: failure.message, report: report, quote: quote)
    }

    /// Says in words which part of the binding is another one. What the other side says serves for the words only.
    private static func mismatch(
        _ report: VerificationReport, _ binding: SessionBinding, told: [UInt8]?
    ) -> AttestedTLSError {
        let check = CheckID.expectedReportData.name
        if let told, told != binding.publicKey {
            return AttestedTLSError(
                .otherKey, check: check,
                reason: "the evidence is for another certificate key than the one that this connection shows: "
                    + "something between here and the attested code ends TLS (a gateway, or somebody in the middle)",
                report: report)
        }
        return AttestedTLSError(
            .otherSession, check: check,
            reason: "the evidence is not for this TLS connection: its exporter value, the nonce or the certificate key "
                + "is another one, so that it was relayed from another connection or is an old one",
            report: report)
    }
}

/// A peer that was accepted, and by what.
public struct AttestedPeer: Sendable {
    /// Thousands of bytes of fields, which would be copied one by one wherever a peer is passed on.
    private final class Judgement: Sendable {
        let report: VerificationReport
        /// Of the floors, when they were last asked whether the collateral in the report is the newest.
        let revision = Mutex<UInt64?>(nil)

        init(_ report: VerificationReport) { self.report = report }
    }

    private let judgement: Judgement
    /// How the evidence was judged: accepted.
    public var report: VerificationReport { judgement.report }
    /// What the evidence is tied to.
    public let binding: EvidenceBinding
    /// What the peer presented, leaf first, DER.
    public let certificates: [[UInt8]]
    /// The last second for which the verdict holds: of evidence, collateral and certificate together, Unix seconds. Something
    /// newer that revokes the peer may end it before.
    public let validUntil: Int64

    init(
        _ report: VerificationReport, _ binding: EvidenceBinding, _ certificates: [[UInt8]], _ leaf: RATLSCertificate
    ) {
        judgement = Judgement(report)
        self.binding = binding
        self.certificates = certificates
        validUntil = min(report.validUntil ?? .min, leaf.notAfter)
    }

    /// Whether the collateral that the peer was judged by is the newest that is known.
    fileprivate func isJudgedByNewest(of floors: CollateralFloors?) -> Bool {
        guard let floors else { return true }
        if judgement.revision.withLock({ $0 }) == floors.revision { return true }
        let decoded = report.facts.collateral.decoded
        let renewal = floors.renewal(of: decoded.source, CollateralMarks(decoded), under: report.trustAnchor)
        guard renewal.issue == nil, renewal.replaced.isEmpty else { return false }
        judgement.revision.withLock { $0 = renewal.revision }
        return true
    }
}

extension RATLSCertificate {
    /// The first rule that a TLS peer's certificate breaks; nil if none.
    ///
    /// A self-signature is required where the certificate names itself as issuer. One from an authority is not checked up
    /// to that authority: the evidence is about the key, and the handshake proves the key.
    fileprivate func ruleFailure(
        _ role: AttestedPeerVerifier.Role, _ demands: AttestedPeerVerifier.CertificateDemands, at time: Int64
    ) -> RATLSProfile.Finding? {
        let isSelfIssued = certificate.issuer == certificate.subject
        let findings = profile(at: time).findings.filter { finding in
            switch finding.rule {
            case .selfSignature: isSelfIssued
            case .extendedKeyUsage: demands == .complete || certificate.extendedKeyUsage != nil
            case .subjectAlternativeName:
                demands == .complete || certificate.value(of: .subjectAlternativeName) != nil
            default: true
            }
        }
        if let broken = findings.first(where: { $0.failure != nil }) { return broken }
        if demands == .consistent, certificate.extendedKeyUsage == nil { return nil }
        let needed: ObjectIdentifier = role == .server ? .serverAuth : .clientAuth
        guard certificate.extendedKeyUsage?.contains(needed) == true else {
            return RATLSProfile.Finding(
                rule: .extendedKeyUsage,
                failure: "certificate extended key usage does not permit \(role == .server ? "server" : "client") "
                    + "authentication")
        }
        return nil
    }
}
