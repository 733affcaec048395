package import DstackAttestation
package import DstackSystem

extension KMSSettings {
    /// Verifies evidence by these settings: of callers, of other services, of this one.
    ///
    /// - Parameters:
    ///   - metrics: count collateral that cannot be had.
    ///   - log: says why.
    ///   - clock: for tests.
    /// - Throws: ``KMSServiceError/Code/invalidConfiguration`` for a root or collateral that cannot be used.
    package func makeVerifier(
        metrics: KMSMetrics = KMSMetrics(), log: LimitedLog = LimitedLog(Log("kms.collateral")),
        clock: any WallClock = .system
    ) throws(KMSServiceError) -> AttestedPeerVerifier {
        do throws(AttestationError) {
            let root = try attestation.trustRoot.map { path throws(AttestationError) in try TrustAnchor(path: path) }
            let verifier = QuoteVerifier(trustAnchor: root ?? .intel)
            // Which application it is, whoever decides about boots finds acceptable or not.
            return try AttestedPeerVerifier(
                policy: BootJudge.policy, collateral: collateral(verifier, metrics, log), acceptsAnyApplication: true,
                clock: clock, demands: .consistent)
        } catch {
            throw KMSServiceError(
                .invalidConfiguration, "core.attestation: \(error.subject)", error.reason, hint: error.hint)
        }
    }

    private func collateral(
        _ verifier: QuoteVerifier, _ metrics: KMSMetrics, _ log: LimitedLog
    ) throws(AttestationError) -> ReadyCollateral {
        if let path = attestation.offlineCollateral {
            return ReadyCollateral(try OfflineCollateral(path: path), verifier: verifier)
        }
        let directory = collateralCacheDirectory
        // Of a service that was never started the state's own directory is missing, too.
        do throws(SystemError) { try PrivateDirectory.make(directory) } catch {
            throw AttestationError(.collateralUnavailable, subject: directory, reason: "\(error)")
        }
        var configuration = CollateralService.Configuration()
        // Services that somebody chose are asked alone: the others would learn which machines there are.
        if let services = attestation.services { configuration.endpoints = services }
        configuration.cacheDirectory = directory
        configuration.maximumWaiting = max(1, limits.maximumVerifications)
        if let path = attestation.tlsAuthorities {
            do throws(SystemError) { configuration.tlsAuthorities = try File.read(path, limit: 4 << 20) } catch {
                throw AttestationError(.collateralUnavailable, subject: path, reason: "\(error)")
            }
        }
        let floors = CollateralFloors(directory: directory)
        if let problem = floors.problem { throw problem }
        configuration.floors = floors
        let service = ReportedCollateral(service: CollateralService(configuration), metrics: metrics, log: log)
        return ReadyCollateral(service, verifier: verifier)
    }
}
