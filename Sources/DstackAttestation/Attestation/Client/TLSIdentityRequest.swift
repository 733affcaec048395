import DstackCrypto
import DstackRPC

/// What a certificate that the guest agent makes is to say.
///
/// ```swift
/// var request = TLSIdentityRequest(subject: "example.com", alternativeNames: ["example.com", "10.0.0.7"])
/// request.validity = now...(now + 86_400)
/// let identity = try await client.tlsIdentity(request)
/// ```
public struct TLSIdentityRequest: Sendable, Hashable {
    /// What TLS uses a certificate for.
    public struct Usages: OptionSet, Sendable, Hashable {
        /// One bit a usage.
        public let rawValue: UInt8

        /// From bits.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// To serve.
        public static let server = Usages(rawValue: 1 << 0)
        /// To call servers that ask who is calling.
        public static let client = Usages(rawValue: 1 << 1)
    }

    /// The common name.
    public var subject: String
    /// DNS names, ASCII, and IP addresses.
    public var alternativeNames: [String]
    /// What it is for.
    public var usages: Usages = .server
    /// Whether it carries evidence over its key (RA-TLS), by which strangers can tell what code answers them.
    public var carriesEvidence = true
    /// From the first to the last second, Unix time; nil for the agent's choice, which may be ten years.
    public var validity: ClosedRange<Int64>?
    /// Whether it carries the application's identity as a statement of its issuer.
    public var carriesAppInfo = false

    /// A server's certificate with evidence.
    ///
    /// - Parameter alternativeNames: the subject alone unless said otherwise; today's clients look at these only.
    public init(subject: String, alternativeNames: [String]? = nil) {
        self.subject = subject
        self.alternativeNames = alternativeNames ?? (subject.isEmpty ? [] : [subject])
    }

    /// Whether agents before 0.5.7 would ignore a part of it.
    var needsTLSOptions: Bool { validity != nil || carriesAppInfo }

    /// First and last second on the wire.
    func wireValidity() throws(DstackClientError) -> (UInt64, UInt64)? {
        guard let validity else { return nil }
        guard let first = UInt64(exactly: validity.lowerBound), let last = UInt64(exactly: validity.upperBound),
            first < last
        else {
            throw DstackClientError(
                .invalidRequest, subject: "validity",
                reason:
                    "\(validity.lowerBound) to \(validity.upperBound); it begins after 1970 and lasts a second at least"
            )
        }
        return (first, last)
    }

    /// The identity that an answer holds, found to be what was asked for.
    func identity(
        _ response: AgentRPC.GetTlsKeyResponse, _ method: String
    ) throws(DstackClientError) -> TLSIdentity {
        let chain = Array(response.certificateChain.joined(separator: "\n").utf8)
        do throws(AttestationError) {
            let identity = try response.key.utf8.withBytes { (key) throws(AttestationError) in
                try TLSIdentity(privateKeyPEM: key, certificateChainPEM: chain)
            }
            if carriesEvidence { try Self.checkEvidence(identity) }
            return identity
        } catch {
            throw DstackClientError(
                error.code == .notBoundToKey ? .notAuthentic : .invalidResponse, subject: method,
                reason: "\(error.subject): \(error.reason)")
        }
    }

    /// A certificate whose evidence is for another key convinces nobody; better to hear it here than from every client.
    private static func checkEvidence(_ identity: TLSIdentity) throws(AttestationError) {
        let leaf = try RATLSCertificate(parsing: identity.certificateChain[0])
        guard let attestation = leaf.attestation else {
            throw AttestationError(
                .notBoundToKey, subject: "certificate", reason: "it carries no evidence, which was asked for")
        }
        var stated = [attestation.reportData]
        if attestation.quote != nil { stated.append(ReportData(try attestation.parsedQuote().body.reportData)) }
        for reportData in stated where reportData != leaf.expectedReportData {
            throw AttestationError(
                .notBoundToKey, subject: "certificate",
                reason: "its evidence is for report data \(reportData), not its key")
        }
    }
}

extension AttestationError.Code {
    /// Evidence in a certificate that is missing or for another key.
    fileprivate static let notBoundToKey = Self(rawValue: "not_bound_to_key")
}

extension DstackClient {
    /// A fresh key with a certificate for TLS, from the agent: its chain ends at the application's authority, and its
    /// evidence, if asked for, is over the key.
    ///
    /// - Throws: ``DstackClientError/Code/notAuthentic`` if evidence was asked for and what came back has none for its key.
    public func tlsIdentity(_ request: TLSIdentityRequest) async throws(DstackClientError) -> TLSIdentity {
        let validity = try request.wireValidity()
        if request.needsTLSOptions { try await require(.tlsOptions, "a certificate's validity or app info") }
        let response = try await connection.call(
            AgentRPC.DstackGuest.getTLSKey,
            .with {
                $0.subject = request.subject
                $0.altNames = request.alternativeNames
                $0.usageRATLS = request.carriesEvidence
                $0.usageServerAuth = request.usages.contains(.server)
                $0.usageClientAuth = request.usages.contains(.client)
                ($0.notBefore, $0.notAfter) = (validity?.0, validity?.1)
                $0.withAppInfo = request.carriesAppInfo
            }, size: .evidence)
        return try request.identity(response, "GetTlsKey")
    }

    /// Evidence bound to one TLS connection that this application ends: over its exporter, the verifier's nonce and the
    /// key in the certificate that was presented. No relay can present it as its own.
    ///
    /// - Throws: ``DstackClientError/Code/unsupported`` by agents that have no such method.
    public func attestSession(_ binding: SessionBinding) async throws(DstackClientError) -> AgentAttestation {
        let response = try await connection.call(
            AgentRPC.DstackGuest.attestSession,
            .with {
                $0.exporter = binding.exporter.bytes
                $0.nonce = binding.nonce.bytes
                $0.publicKey = binding.publicKey
            }, size: .evidence)
        return try AgentAttestation(response.attestation, for: binding.reportData, "AttestSession")
    }
}

extension DstackClient.V1 {
    /// As ``DstackClient/tlsIdentity(_:)``.
    public func issueCert(_ request: TLSIdentityRequest) async throws(DstackClientError) -> TLSIdentity {
        let validity = try request.wireValidity()
        let response = try await connection.call(
            AgentRPCv1.DstackGuest.issueCert,
            .with {
                $0.subject = request.subject
                $0.altNames = request.alternativeNames
                $0.usageRATLS = request.carriesEvidence
                $0.usageServerAuth = request.usages.contains(.server)
                $0.usageClientAuth = request.usages.contains(.client)
                ($0.notBefore, $0.notAfter) = (validity?.0, validity?.1)
                $0.withAppInfo = request.carriesAppInfo
            }, mount: Self.mount, size: .evidence)
        return try request.identity(response, "IssueCert")
    }
}
