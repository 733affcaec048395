import DstackAttestation
import DstackSystem

/// Asks collateral services, and says where operators look that they had none: whoever is refused for it is not always one who
/// can do something about it.
struct ReportedCollateral: CollateralProvider {
    let service: CollateralService
    let metrics: KMSMetrics
    let log: LimitedLog

    /// For this service's operator, whoever reads it; other programs have other settings.
    private static let hint =
        "the key service gets none: look at its core.attestation.urls.pccs, the way there, and for a certificate of one's own "
        + "core.attestation.tls_authorities"
    private static let simulationHint =
        "for simulated machines the key service's core.attestation.collateral_dir must have their collateral.json"

    var floors: CollateralFloors? { service.floors }

    func collateral(for quote: Quote) async throws -> QuoteCollateral {
        try await reported { () async throws(AttestationError) in try await service.fetch(for: quote) }
    }

    func collateral(for quote: Quote, verifiedBy verifier: QuoteVerifier) async throws -> QuoteCollateral {
        try await collateral(for: quote, verifiedBy: verifier, askedBy: nil)
    }

    func collateral(
        for quote: Quote, verifiedBy verifier: QuoteVerifier, askedBy client: String?
    ) async throws -> QuoteCollateral {
        try await reported { () async throws(AttestationError) in
            try await service.fetch(for: quote, verifiedBy: verifier, askedBy: client)
        }
    }

    private func reported(
        _ fetch: () async throws(AttestationError) -> FetchedCollateral
    ) async throws(AttestationError) -> QuoteCollateral {
        do throws(AttestationError) {
            let found = try await fetch()
            if !found.notes.isEmpty {
                log.warn("collateral is there, but not all went well", ["notes": found.notes.joined(separator: "; ")])
            }
            return found.collateral
        } catch  where error.code == .collateralUnavailable || error.code == .simulatedPlatform {
            let hint = error.code == .simulatedPlatform ? Self.simulationHint : Self.hint
            let told = AttestationError(error.code, subject: error.subject, reason: error.reason, hint: hint)
            if !Task.isCancelled {
                metrics.collateralFailures.add()
                log.warn("no collateral", ["error": told.description])
            }
            throw told
        }
    }
}
