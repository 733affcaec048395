import DstackAttestation
import DstackKMS
import DstackKeys
import DstackRPC
import DstackSystem

// New root keys.

extension Onboarding {
    private static let alreadyBootstrapped = "KMS has already been bootstrapped"

    /// Makes new root keys.
    ///
    /// - Parameter domain: the name by which the service will be called.
    /// - Returns: the public keys with evidence that they were made here, for whoever registers them. Without an agent, which
    ///   only development has, there is no evidence.
    /// - Throws: ``KMSServiceError``: `invalidRequest` for a name that is none; `wrongState` where there are keys; `denied`
    ///   where this service may have none; `unavailable` where somebody who has to be asked does not answer. Nothing was made
    ///   then.
    package func bootstrap(domain name: String) async throws(KMSServiceError) -> OnboardingResult {
        let domain = try Self.domain(name)
        return try await attempt(refusal: Self.alreadyBootstrapped) { () async throws(KMSServiceError) in
            try await checkSelf()
            _ = try await epochs(.founding)
            let answer = try await store(
                RootKeyMaterial(random: random), domain, refusal: Self.alreadyBootstrapped
            ) { (roots) async throws(KMSServiceError) in
                var answer = KMSRPC.BootstrapResponse()
                answer.caPublicKey = roots.caPublicKey
                answer.k256PublicKey = roots.publicKey.bytes
                let reportData = roots.bootstrapReportData
                if evidence.isAvailable || attestsRPCCertificate {
                    answer.attestation =
                        try await evidence.attestation(about: reportData, for: "the public keys").encoded.bytes
                }
                return answer
            }
            return .bootstrapped(answer ?? .init(), domain)
        }
    }

    /// Makes new root keys at the start of a service that has none and is told to do so by its settings.
    ///
    /// - Returns: nil where there are keys.
    /// - Throws: as ``bootstrap(domain:)``; also for a set of which a part is missing, in whose place nothing is made.
    package func bootstrapIfNeeded(domain name: String) async throws(KMSServiceError) -> OnboardingResult? {
        do throws(KMSStateError) {
            guard try files.state() == .absent else { return nil }
        } catch {
            throw KMSServiceError(error)
        }
        return try await bootstrap(domain: name)
    }

    private func checkSelf() async throws(KMSServiceError) {
        do {
            try await authorizeSelf?()
        } catch let error as KMSServiceError {
            throw KMSServiceError(error.code, "KMS is not allowed to bootstrap", error.explanation)
        } catch {
            throw KMSServiceError(.unavailable, "KMS is not allowed to bootstrap", "\(error)")
        }
    }
}
