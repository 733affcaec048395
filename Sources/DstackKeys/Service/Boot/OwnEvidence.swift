package import DstackAttestation
package import DstackKMSClient
package import DstackKeys

/// Evidence of this service itself: what the guest agent beside it says of this machine.
///
/// ```swift
/// let evidence = OwnEvidence(of: agent)
/// let extensions = try await evidence.certificateExtensions(for: publicKey)
/// ```
package struct OwnEvidence: Sendable {
    private let agent: KMSAttest?
    private let encoding: EvidenceEncoding

    /// - Parameters:
    ///   - agent: the guest agent; nil where there is none, which only development has.
    ///   - encoding: how evidence stands in this service's certificates.
    package init(of agent: KMSAttest?, encoding: EvidenceEncoding = .standard) {
        self.agent = agent
        self.encoding = encoding
    }

    /// Whether there is an agent to ask.
    package var isAvailable: Bool { agent != nil }

    /// Evidence about something.
    ///
    /// - Parameter purpose: what it is for, as errors name it.
    /// - Throws: ``KMSServiceError``: `invalidConfiguration` where there is no agent; `unavailable` where it gives none;
    ///   `internalFault` for evidence that is about something else.
    package func attestation(
        about reportData: ReportData, for purpose: String
    ) async throws(KMSServiceError) -> Attestation {
        let agent = try requireAgent(for: purpose)
        let attestation: Attestation
        do {
            attestation = try await agent(reportData)
        } catch {
            throw KMSServiceError(
                .unavailable, Self.subject(purpose), "the guest agent gives none: \(error)",
                hint: "look at the guest agent, and try again")
        }
        guard attestation.reportData == reportData else {
            throw KMSServiceError(.internalFault, Self.subject(purpose), "it is about something else")
        }
        return attestation
    }

    /// Evidence about a key, as this service's certificate has it.
    ///
    /// - Throws: as ``attestation(about:for:)``; `internalFault` where the platform has none of the form that is wanted.
    package func certificateExtensions(
        for publicKey: [UInt8]
    ) async throws(KMSServiceError) -> [CertificateTemplate.EvidenceExtension] {
        let attestation = try await attestation(about: ReportData(raTLSKey: publicKey), for: "the RPC certificate")
        do throws(KeysError) {
            return try encoding.extensions(for: attestation)
        } catch {
            throw KMSServiceError(error)
        }
    }

    /// The agent, for who shows evidence to other services.
    ///
    /// - Throws: ``KMSServiceError/Code/invalidConfiguration`` where there is none.
    package func requireAgent(for purpose: String) throws(KMSServiceError) -> KMSAttest {
        guard let agent else {
            throw KMSServiceError(
                .invalidConfiguration, Self.subject(purpose), "there is no guest agent to give any",
                hint: "start the service where one is; for development, set core.enforce_self_authorization = false "
                    + "and core.attest_rpc_cert = false")
        }
        return agent
    }

    private static func subject(_ purpose: String) -> String { "evidence for \(purpose)" }
}
