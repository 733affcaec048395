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
        let evidence = try await Self.evidence(about: loaded.material.rpcKey.publicKey, foundation)
        let certificates: RootKeyCertificates
        do throws(KMSStateError) {
            certificates = try files.renew(
                loaded, domain: domain, evidence: evidence, settings.certificates.keysProfile,
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

    /// Evidence about this service's key, as its certificate has it; none where settings say so.
    static func evidence(
        about publicKey: [UInt8], _ foundation: KMSNode.Foundation
    ) async throws(KMSServiceError) -> [CertificateTemplate.EvidenceExtension] {
        guard foundation.settings.attestsRPCCertificate else { return [] }
        guard let attest = foundation.attest else {
            throw KMSServiceError(
                .invalidConfiguration, "evidence for the RPC certificate", "there is no guest agent to give any",
                hint: "start the service where one is; for development, set core.attest_rpc_cert = false")
        }
        do {
            let attestation = try await attest(ReportData(raTLSKey: publicKey))
            guard attestation.reportData == ReportData(raTLSKey: publicKey) else {
                throw KMSServiceError(.internalFault, "evidence for the RPC certificate", "it is about something else")
            }
            return try EvidenceEncoding(includesLegacyForm: foundation.settings.certificates.includesLegacyEvidence)
                .extensions(for: attestation)
        } catch let error as KMSServiceError {
            throw error
        } catch {
            throw KMSServiceError(
                .unavailable, "evidence for the RPC certificate", "the guest agent gives none: \(error)",
                hint: "look at the guest agent, and start the service again")
        }
    }
}

extension CertificateSettings {
    var keysProfile: CertificateProfile { profile == .identified ? .identified : .upstream }
}
