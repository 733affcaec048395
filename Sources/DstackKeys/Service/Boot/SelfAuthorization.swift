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
    /// Where this service's evidence comes from, and who verifies it.
    package struct Source: Sendable {
        /// Evidence of this service with such report data: the agent's.
        package let attest: @Sendable (ReportData) async throws -> Attestation
        /// Verifies it by a policy, which has the report data in it.
        package let verify: @Sendable (Attestation, VerificationPolicy) async throws -> VerificationReport

        package init(
            attest: @escaping @Sendable (ReportData) async throws -> Attestation,
            verify: @escaping @Sendable (Attestation, VerificationPolicy) async throws -> VerificationReport
        ) {
            self.attest = attest
            self.verify = verify
        }
    }

    private struct Known: Sendable {
        let caller: ExaminedCaller
        /// Unix seconds.
        let validUntil: Int64
    }

    private let judge: BootJudge
    private let isEnforced: Bool
    private let source: Source
    private let clock: any WallClock
    // One attestation for all who ask at first; a failure is for those alone who waited for it.
    private let known = RecentValue<Result<Known, KMSServiceError>>(
        maximumAge: nil, keeps: { if case .success = $0 { true } else { false } })

    /// - Parameters:
    ///   - judge: whose authorizer is asked.
    ///   - isEnforced: `core.enforce_self_authorization`. False is for development: ``announcement`` says so.
    package init(_ judge: BootJudge, isEnforced: Bool, source: Source, clock: any WallClock = .system) {
        self.judge = judge
        self.isEnforced = isEnforced
        self.source = source
        self.clock = clock
    }

    /// What operators have to be told at every start; nil if nothing.
    package var announcement: String? {
        isEnforced
            ? nil
            : "this service does NOT ask whether it may run itself (core.enforce_self_authorization = false)"
    }

    /// Asks.
    ///
    /// - Throws: ``KMSServiceError``: `denied` with the reason; `unavailable` where the authorizer does not answer or there is
    ///   no evidence to be had; `notAttested` if it does not verify.
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
        let made = await known.value(age) { [judge, source] in
            await Result.catching { () async throws(KMSServiceError) in try await Self.attest(source, judge) }
        }
        guard let made else { throw KMSServiceError(.unavailable, Self.failed, "the request was given up") }
        return try made.get()
    }

    private static func attest(_ source: Source, _ judge: BootJudge) async throws(KMSServiceError) -> Known {
        let reportData = ReportData(FixedBytes<64>())
        let attestation: Attestation
        let report: VerificationReport
        do {
            attestation = try await source.attest(reportData)
            var policy = BootJudge.policy
            policy.expected.reportData = reportData.bytes
            report = try await source.verify(attestation, policy)
        } catch let error as KMSServiceError {
            throw error
        } catch {
            throw KMSServiceError(
                .unavailable, failed, "this service's own evidence cannot be had or verified: \(error)",
                hint: "look at the guest agent and at where collateral comes from")
        }
        let caller = try judge.examine(
            report, at: .runtime, vmConfiguration: "", ownConfiguration: { attestation.ownVMConfiguration })
        return Known(caller: caller, validUntil: report.validUntil ?? .min)
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
