package import DstackAttestation
internal import DstackEncoding

/// Answers whether the evidence of a dstack VM is to be believed: upstream's verifier service without its network.
///
/// ```swift
/// let service = VerifierService(collateral: provider, clock: { now() })
/// let response = await service.verify(try VerifierRequest(parsingJSON: body))
/// ```
///
/// A "yes" means: the quote is genuine, the event log replays to its registers, the application in it is the one that the
/// host pinned, the quoted boot is that of the OS image which the configuration names, and the policy accepts platform and
/// expectations. Unlike upstream's, the answer depends on the TCB status, by the policy (``VerificationPolicy/standard``
/// unless another is given).
///
/// Images are neither downloaded nor measured: evidence in the `legacy` form is answered as not valid, as is evidence of
/// other platforms than TDX.
package struct VerifierService: Sendable {
    /// What requests are judged by that name no policy.
    package let policy: VerificationPolicy
    /// The root that evidence must lead back to.
    package let trustAnchor: TrustAnchor
    private let collateral: any CollateralProvider
    private let verifier: QuoteVerifier
    private let prepared: PreparedCollateralCache
    /// What was verified before: older collateral is not accepted, and neither is an earlier time.
    package let floors: CollateralFloors
    let clock: @Sendable () -> Int64

    /// A service.
    ///
    /// - Parameters:
    ///   - collateral: where Intel's statements come from.
    ///   - verifier: checks quotes under its trust anchor.
    ///   - policy: what requests are judged by that name no policy. What it expects holds for all requests.
    ///   - floors: what was verified before; nil for what the provider keeps, or else for what this service sees.
    ///   - clock: the time, Unix seconds.
    package init(
        collateral: any CollateralProvider, verifier: QuoteVerifier = QuoteVerifier(),
        policy: VerificationPolicy = .standard, floors: CollateralFloors? = nil,
        clock: @escaping @Sendable () -> Int64
    ) {
        self.policy = policy
        trustAnchor = verifier.trustAnchor
        self.collateral = collateral
        self.verifier = verifier
        self.floors = floors ?? collateral.floors ?? CollateralFloors()
        prepared = PreparedCollateralCache(verifier)
        self.clock = clock
    }

    /// Verifies what a request brings. There is no request that cannot be answered.
    ///
    /// - Parameter client: who asks, such as an address (``CollateralProvider/collateral(for:verifiedBy:askedBy:)``).
    package func verify(_ request: VerifierRequest, askedBy client: String? = nil) async -> VerifierResponse {
        var response: VerifierResponse
        do throws(Refusal) {
            var opened = try OpenedEvidence(request.evidence, appCompose: request.appCompose)
            opened.evidence.statedReportData = request.reportData.map { .bytes($0) }
            let report = try await report(on: opened, policy: policy(for: request), askedBy: client)
            response = judge(report, opened.attestation, request)
        } catch {
            response = .invalid(error.reason)
            response.isBusy = error.isBusy
        }
        // What was not reached is not fulfilled.
        if response.expectations.isEmpty { response.expectations = request.expectedNames.map { ($0, false) } }
        if response.policy == nil, let policy = request.policy { response.policy = (policy.name, false) }
        return response
    }

    private func policy(for request: VerifierRequest) throws(Refusal) -> VerificationPolicy {
        var policy = request.policy ?? self.policy
        do throws(AttestationError) {
            policy.expected = try self.policy.expected.merged(with: request.expected)
        } catch {
            throw Refusal(.policy, "\(error)")
        }
        return policy
    }

    private func report(
        on opened: OpenedEvidence, policy: VerificationPolicy, askedBy client: String?
    ) async throws(Refusal) -> VerificationReport {
        do {
            return try await prepare(for: opened.attestation, askedBy: client).verify(
                opened.evidence, policy: policy, at: clock(), floors: floors)
        } catch {
            var refusal = Refusal(.quote, "\(error)")
            refusal.isBusy = (error as? AttestationError)?.code == .collateralBusy
            throw refusal
        }
    }

    /// Fetches the collateral of a quote's platform.
    func prepare(for attestation: Attestation, askedBy client: String? = nil) async throws -> PreparedCollateral {
        guard case .tdx = attestation.platform else {
            throw AttestationError(
                .invalidEnvelope, subject: "platform",
                reason: "evidence of \(attestation.platform.variant) cannot be verified here, only of dstack-tdx")
        }
        return prepared.prepare(
            try await collateral.collateral(
                for: attestation.parsedQuote(), verifiedBy: verifier, askedBy: client))
    }

    /// Makes an answer of a report, step by step; the first step that fails is the reason.
    private func judge(
        _ report: VerificationReport, _ attestation: Attestation, _ request: VerifierRequest
    ) -> VerifierResponse {
        var details = VerifierResponse.Details()
        details.isSimulated = report.isSimulated
        details.tcbShortfalls = report.tcbShortfalls
        let failure = Self.record(report, attestation, in: &details)
        if case .osImage? = failure?.stage, request.isDebug, let report = report.quote?.body.tdReport {
            let mismatches = RegisterMismatch.all(attestation, report)
            if !mismatches.isEmpty { details.registerMismatches = mismatches }
        }
        var response = VerifierResponse(
            isValid: failure == nil, reason: failure.map { "\($0.stage.failurePrefix): \($0.reason)" },
            details: details)
        // What a quote says counts only once it is known to be genuine.
        if details.isQuoteVerified, let body = report.quote?.body {
            response.expectations = request.expectedNames.map { name in
                (name, request.expected.isMet(name, by: body, report.evidence))
            }
        }
        if let policy = request.policy {
            response.policy = (
                policy.name, details.isQuoteVerified && VerifierStage.policy.failure(in: report) == nil
            )
        }
        if request.wantsReport { response.report = report }
        response.notes = report.notes
        return response
    }

    /// Fills in what each step brings, up to the first that fails.
    private static func record(
        _ report: VerificationReport, _ attestation: Attestation, in details: inout VerifierResponse.Details
    ) -> (stage: VerifierStage, reason: String)? {
        if let reason = VerifierStage.quote.failure(in: report) { return (.quote, reason) }
        details.isQuoteVerified = true
        details.teeVariant = attestation.platform.variant
        details.tcbStatus = report.status
        details.advisoryIDs = report.advisoryIDs
        details.reportData = report.quote?.body.reportData

        // Asked of the facts, not of the check: a policy may let an image pass that was not verified, and a check fails
        // also where the image is verified and another one was expected.
        guard let osImageHash = report.evidence?.osImageHash else {
            return (.osImage, Self.osImageReason(report))
        }
        details.isOSImageVerified = true
        details.osImageHash = osImageHash
        details.areACPITablesVerified = report.evidence?.areACPITablesVerified ?? false

        if let reason = VerifierStage.eventLog.failure(in: report) { return (.eventLog, reason) }
        guard let info = report.evidence?.appInfo else { return (.eventLog, "the event log identifies no application") }
        details.isEventLogVerified = true
        details.appInfo = info
        details.keyProvider = report.evidence?.identity?.keyProvider

        if let reason = VerifierStage.policy.failure(in: report) { return (.policy, reason) }
        if let reason = VerifierStage.osImage.failure(in: report) { return (.policy, reason) }
        // Every check belongs to a step. Should one not, the report's own verdict still holds.
        return report.failure.map { (.policy, $0.description) }
    }

    private static func osImageReason(_ report: VerificationReport) -> String {
        guard let check = report.checks.first(where: { $0.id == .osImage }) else { return "was not checked" }
        return switch check.outcome {
        case .failed, .passed: check.message
        case .notApplicable(let reason): reason
        case .notReached: "was not checked"
        }
    }
}

/// Why a request ends before there is a report.
private struct Refusal: Error {
    let reason: String
    /// Whether it is for want of room, and says nothing about the evidence.
    var isBusy = false

    init(_ stage: VerifierStage, _ reason: String) { self.reason = "\(stage.failurePrefix): \(reason)" }

    /// For what cannot be decoded; the phrase is upstream's.
    init(undecodable reason: String) { self.reason = "Internal error: \(reason)" }
}

extension VerifierRequest.Evidence {
    /// What was sent in place of evidence, where that can be told.
    fileprivate func named(_ error: AttestationError) -> AttestationError {
        switch self {
        case .attestation(let bytes): EvidenceFile.named(error, bytes, wanted: .envelope)
        case .quote(let bytes, _, _): EvidenceFile.named(error, bytes, wanted: .quote)
        case .none: error
        }
    }
}

/// What a request brings, decoded as far as its parts.
private struct OpenedEvidence {
    let attestation: Attestation
    var evidence: Evidence

    init(_ request: VerifierRequest.Evidence, appCompose: [UInt8]?) throws(Refusal) {
        do throws(AttestationError) {
            switch request {
            case .quote([], _, _):
                throw AttestationError(.invalidQuote, subject: "quote", reason: "empty quote bytes")
            case .attestation(let bytes):
                attestation = try Attestation(decoding: bytes)
                evidence = Evidence(attestation: bytes, appCompose: appCompose)
                return
            case .quote(let quote, let eventLog?, let vmConfig):
                let log = Array(eventLog.utf8)
                attestation = try Attestation(
                    quote: quote, eventLog: EvidenceFile(recognising: log).eventLog(), config: vmConfig)
                evidence = Evidence(
                    quote: quote, eventLog: log, configuration: vmConfig, appCompose: appCompose)
                return
            case .quote(_, nil, _), .none: break
            }
        } catch {
            throw Refusal(undecodable: "\(request.named(error))")
        }
        throw Refusal(undecodable: request == .none ? "Quote is required" : "Event log is required")
    }
}
