import DstackAttestation
import DstackKMS
import DstackKeys
import DstackSystem

extension ServiceKeys {
    /// Reads the keys, and writes what follows from them and has to be made anew: the RPC certificate always, so that its evidence
    /// is of now.
    static func load(
        _ files: RootKeyFiles, _ foundation: KMSNode.Foundation
    ) async throws(KMSServiceError) -> ServiceKeys {
        let settings = foundation.settings
        let loaded = try Self.stated { () throws(KMSStateError) in try files.load() }
        let name = settings.onboarding.autoBootstrapDomain
        let found =
            name.isEmpty ? loaded.domain : try Self.stated { () throws(KMSStateError) in try KMSDomainName(name) }
        guard let domain = found else {
            throw KMSServiceError(
                .wrongState, "\(files.directory)/\(RootKeyFile.domain.rawValue)",
                "it is missing, and says the service's host name",
                hint: "set core.onboard.auto_bootstrap_domain to it, or write the file")
        }
        let evidence =
            settings.attestsRPCCertificate
            ? try await foundation.evidence.certificateExtensions(for: loaded.material.rpcKey.publicKey) : []
        let certificates: RootKeyCertificates
        do throws(KMSStateError) {
            certificates = try files.renew(
                loaded, domain: domain, evidence: evidence, settings.certificates.profile,
                at: foundation.clock.unixSeconds
            ).certificates
        } catch {
            throw KMSServiceError(error)
        }
        return try ServiceKeys(loaded, certificates, domain: domain)
    }

    private static func stated<Value: ~Copyable>(
        _ body: () throws(KMSStateError) -> Value
    ) throws(KMSServiceError) -> Value {
        do throws(KMSStateError) { return try body() } catch { throw KMSServiceError(error) }
    }
}
