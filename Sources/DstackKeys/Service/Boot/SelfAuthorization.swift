package import DstackAttestation
import DstackAuthorization
import DstackConcurrency
import DstackEncoding
package import DstackSystem

/// Asks whether this service itself may still run, before it does anything with keys.
///
/// Whoever takes a service's measurements or its device off the list stops it at its next request. What it says of itself is
/// attested once and kept for as long as that evidence holds: with newer collateral the same platform may have another
/// status, and an authorizer has to hear of it.
package final class SelfAuthorization: Sendable {
    private struct Known: Sendable {
        let caller: ExaminedCaller
        /// Unix seconds.
        let validUntil: Int64
    }

    private let judge: BootJudge
    private let isEnforced: Bool
    private let evidence: OwnEvidence
    private let verifier: AttestedPeerVerifier
    private let clock: any WallClock
    // One attestation for all who ask at first; a failure is for those alone who waited for it.
    private let known = RecentValue<Result<Known, KMSServiceError>>(
        maximumAge: nil, keeps: { if case .success = $0 { true } else { false } })

    /// - Parameters:
    ///   - judge: whose authorizer is asked.
    ///   - isEnforced: `core.enforce_self_authorization`. False is for development, and announced at every start.
    ///   - evidence: of this service.
    ///   - verifier: of that, by ``BootJudge/policy``.
    package init(
        _ judge: BootJudge, isEnforced: Bool, evidence: OwnEvidence, verifier: AttestedPeerVerifier,
        clock: any WallClock = .system
    ) {
        self.judge = judge
        self.isEnforced = isEnforced
        self.evidence = evidence
        self.verifier = verifier
        self.clock = clock
    }

    /// Asks.
    ///
    /// - Throws: ``KMSServiceError``: `denied` with the reason; `unavailable` where the authorizer does not answer or the
    ///   agent gives no evidence; `notAttested` if that does not verify; as ``OwnEvidence/attestation(about:for:)``.
    package func check() async throws(KMSServiceError) {
        guard isEnforced else { return }
        let boot = try await caller().boot
        _ = try await judge.permission(for: boot, as: .kms) { reason in
            KMSServiceError(.denied, Self.failed, "KMS is not allowed: \(reason)")
        }
    }

    /// What this service's own evidence says of it.
    ///
    /// - Throws: as ``check()``, but never `denied`.
    package func caller() async throws(KMSServiceError) -> ExaminedCaller {
        let first = try await value(.shared)
        // Newly made only once: evidence that does not hold when it comes has to be refused, not asked for again and again.
        let current = isCurrent(first) ? first : try await value(.renewed)
        guard isCurrent(current) else {
            throw KMSServiceError(
                .notAttested, Self.failed, "this service's own evidence is out of date already when it comes",
                hint: "look at the machine's clock, and at the collateral")
        }
        return current.caller
    }

    private func isCurrent(_ known: Known) -> Bool { clock.unixSeconds <= known.validUntil }

    private func value(
        _ age: RecentValue<Result<Known, KMSServiceError>>.Age
    ) async throws(KMSServiceError) -> Known {
        let made = await known.value(age) { [judge, evidence, verifier] in
            await Result.catching { () async throws(KMSServiceError) in
                try await Self.attest(evidence, verifier, judge)
            }
        }
        guard let made else { throw KMSServiceError(.unavailable, Self.failed, "the request was given up") }
        return try made.get()
    }

    private static func attest(
        _ evidence: OwnEvidence, _ verifier: AttestedPeerVerifier, _ judge: BootJudge
    ) async throws(KMSServiceError) -> Known {
        // About nothing in particular: it is shown to nobody.
        let reportData = ReportData(FixedBytes<64>())
        let attestation = try await evidence.attestation(about: reportData, for: "this service itself")
        switch await verifier.verify(attestation, expecting: reportData, askedBy: nil) {
        case .success(let accepted):
            let caller = try judge.examine(
                accepted.report, at: .runtime, vmConfiguration: "",
                ownConfiguration: { attestation.ownVMConfiguration })
            return Known(caller: caller, validUntil: accepted.validUntil)
        case .failure(let refusal):
            let error = KMSServiceError(refusal)
            throw KMSServiceError(
                error.code, failed, "this service's own evidence is not accepted: \(error.reason)",
                hint: "look at the guest agent and at where collateral comes from")
        }
    }

    private static let failed = "KMS self authorization failed"
}

extension Result where Success: Sendable, Failure == KMSServiceError {
    fileprivate static func catching(
        _ body: () async throws(KMSServiceError) -> Success
    ) async -> Result<Success, KMSServiceError> {
        do throws(KMSServiceError) { return .success(try await body()) } catch { return .failure(error) }
    }
}
