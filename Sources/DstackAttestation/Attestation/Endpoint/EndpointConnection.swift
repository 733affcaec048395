import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackNetwork
import DstackSystem

/// What a service shows of itself on a connection, taken as a stranger takes it.
struct EndpointConnection: Sendable {
    /// How long one connection may take, from the name to the answer.
    var timeout = Duration.seconds(20)

    /// What came over one connection. Nothing about it has been checked; but its handshake is complete, which has shown that
    /// the other side has the leaf's key.
    struct Presentation: Sendable {
        /// Leaf first, DER.
        var certificates: [[UInt8]]
        /// Evidence about the connection itself, if it was asked for and given.
        var session: Session?
        /// Why there is none although it was asked for.
        var sessionAbsence: String?
    }

    /// Evidence about a connection, with this side's own view of the connection.
    struct Session: Sendable {
        let response: SessionEvidence.Response
        let exporter: FixedBytes<32>
        let nonce: FixedBytes<32>
    }

    /// Connects, and takes the certificates.
    ///
    /// The handshake is all that is needed: what the service speaks, and whether it talks to this client at all, plays no part.
    ///
    /// - Throws: ``AttestationError`` with code `endpoint_unavailable`.
    func certificates(of address: EndpointAddress) async throws(AttestationError) -> Presentation {
        var request = HTTPRequest(.head, address.url)
        request.endsWithHandshake = true
        do throws(HTTPClientError) {
            let response = try await client().send(request)
            return Presentation(certificates: response.connection?.certificates ?? [])
        } catch {
            throw Self.unavailable(address, error)
        }
    }

    /// Connects, and asks for evidence about this very connection.
    ///
    /// A service that cannot give it (an older TLS, another protocol than HTTP/1.1, no such path, an error, none for
    /// strangers) presents its certificates alone.
    func session(of address: EndpointAddress) async throws(AttestationError) -> Presentation {
        let nonce: FixedBytes<32> = SystemRandom().fixed()
        var request = HTTPRequest(
            .post, "https://\(address.authority)\(SessionEvidence.path)",
            headers: ["Content-Type": SessionEvidence.contentType], body: SessionEvidence.request(nonce: nonce))
        request.exporterLabel = SessionBinding.exporterLabel
        let response: HTTPResponse
        do throws(HTTPClientError) {
            response = try await client().send(request)
        } catch {
            guard error.isAfterConnecting else { throw Self.unavailable(address, error) }
            var presentation = try await certificates(of: address)
            presentation.sessionAbsence = "no answer to the question for evidence about the connection: \(error.reason)"
            return presentation
        }
        var presentation = Presentation(certificates: response.peerCertificates)
        guard response.status == 200, let exporter = FixedBytes<32>(response.exporter) else {
            presentation.sessionAbsence =
                "the service gives no evidence about the connection (status \(response.status))"
            return presentation
        }
        do throws(AttestationError) {
            presentation.session = Session(
                response: try SessionEvidence.response(in: response.body), exporter: exporter, nonce: nonce)
        } catch {
            presentation.sessionAbsence = "what it answers is no evidence about the connection: \(error.reason)"
        }
        return presentation
    }

    private func client() -> HTTPClient {
        var configuration = HTTPClientConfiguration(trust: .only { _ in .accepted })
        configuration.reportsPeerCertificates = true
        configuration.userAgent = "dstack-verify"
        configuration.maximumConnections = 1
        // A proxy's own machine is never what a person means by localhost.
        let exceptions = ["localhost", "127.0.0.0/8", "::1"] + [configuration.proxy.exceptions].compactMap { $0 }
        configuration.proxy.exceptions = exceptions.joined(separator: ",")
        configuration.limits.connectTimeout = timeout
        configuration.limits.totalTimeout = timeout
        configuration.limits.maximumBodyBytes = SessionEvidence.maximumResponseByteCount
        return HTTPClient(configuration)
    }

    private static func unavailable(_ address: EndpointAddress, _ error: HTTPClientError) -> AttestationError {
        // libcurl counts a handshake with something that does not speak TLS as connecting.
        let phase = error.code == .tls ? .handshaking : error.phase
        return AttestationError(
            .endpointUnavailable, subject: address.url, reason: "failed \(phase.rawValue): \(error.reason)",
            hint: hint(error))
    }

    private static func hint(_ error: HTTPClientError) -> String {
        switch error.code {
        case .nameResolution: "check the host name"
        case .connection: "check that the service runs and that the port is right"
        // Only TLS 1.2 asks for it before the handshake is complete.
        case .tls where error.reason.contains("handshake failure") || error.reason.contains("certificate required"):
            "the service ended the handshake; one of TLS 1.2 that wants a client certificate cannot be judged from outside"
        case .tls, .connectionLost:
            "check that the port is the service's HTTPS port; something that is not TLS 1.2 or later answered"
        case .timeout: "check that the service answers, and try again"
        case .proxy: "check https_proxy and no_proxy"
        default: ""
        }
    }
}

extension HTTPClientError {
    /// Whether there was a connection, so that a handshake alone may succeed where this exchange did not.
    fileprivate var isAfterConnecting: Bool {
        switch code {
        case .invalidRequest, .invalidConfiguration, .nameResolution, .connection, .proxy, .system, .cancelled: false
        // Where the handshake itself took so long, another one would.
        case .timeout: phase == .sending || phase == .waiting || phase == .receiving
        default: true
        }
    }
}
