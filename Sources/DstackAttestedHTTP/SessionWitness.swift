import DstackAttestation
import DstackHTTP
import DstackHTTPServer
import Synchronization

/// Gives clients evidence about the connection over which they ask.
///
/// What is bound (exporter value and key) comes from this end of the connection; the client chooses the nonce and nothing
/// else, so that it cannot have a statement made about another connection.
final class SessionWitness: Sendable {
    private let attest: @Sendable (SessionBinding) async throws -> [UInt8]
    private let observer: (@Sendable (AttestedHTTPServer.Event) -> Void)?
    private let maximumPerConnection: Int
    private let maximumAtOnce: Int
    private let underWay = Mutex(0)

    init(
        _ configuration: AttestedHTTPServer.Configuration,
        observer: (@Sendable (AttestedHTTPServer.Event) -> Void)?,
        attest: @escaping @Sendable (SessionBinding) async throws -> [UInt8]
    ) {
        self.attest = attest
        self.observer = observer
        maximumPerConnection = configuration.maximumEvidencePerConnection
        maximumAtOnce = max(1, configuration.maximumEvidenceAtOnce)
    }

    /// A nonce in hexadecimal, and room for what clients add.
    static let maximumBodyBytes = 4 << 10

    static func refusal(_ status: Int, _ reason: String) -> HTTPServerResponse {
        .json(SessionEvidence.failure(reason), status: status)
    }

    func answer(_ request: HTTPServerRequest) async -> HTTPServerResponse {
        guard request.method == .post else {
            var response = Self.refusal(405, "POST a nonce")
            response.headers["Allow"] = "POST"
            return response
        }
        let nonce: FixedBytes<32>
        do throws(AttestationError) {
            nonce = try SessionEvidence.nonce(in: request.body)
        } catch {
            return Self.refusal(400, error.description)
        }
        guard begin() else {
            var response = Self.refusal(503, "too much evidence is being made at once")
            response.headers["Retry-After"] = "1"
            return response
        }
        defer { underWay.withLock { $0 -= 1 } }
        switch await request.tlsSession(
            exporterLabel: SessionBinding.exporterLabel, atMost: maximumPerConnection)
        {
        case .unavailable: return Self.refusal(400, "the connection has no exporter value: TLS 1.3 is needed")
        case .exhausted:
            return Self.refusal(429, "this connection has asked \(maximumPerConnection) times, which is all it may")
        case .session(let session): return await evidence(session, nonce, request)
        }
    }

    private func begin() -> Bool {
        underWay.withLock { count in
            guard count < maximumAtOnce else { return false }
            count += 1
            return true
        }
    }

    private func evidence(
        _ session: HTTPTLSSession, _ nonce: FixedBytes<32>, _ request: HTTPServerRequest
    ) async -> HTTPServerResponse {
        do {
            let binding = try SessionBinding(
                exporter: session.exporter, nonce: nonce.bytes, publicKey: session.publicKey)
            let attestation = try await attest(binding)
            // Said here, a mix-up is found by who made it; clients would only see that it does not fit.
            guard try Attestation(decoding: attestation).reportData == binding.reportData else {
                throw AttestationError(
                    .invalidSessionEvidence, subject: "attestation",
                    reason: "its report data is not the binding's; a guest agent's AttestSession gives it")
            }
            return .json(SessionEvidence.response(attestation: attestation, publicKey: session.publicKey))
        } catch {
            observer?(.evidenceFailed(peer: "\(request.peer.address)", reason: "\(error)"))
            // The reason may tell of the inside; it is for this side's log.
            return Self.refusal(503, "no evidence can be made at the moment")
        }
    }
}
