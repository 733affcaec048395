import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackSystem

/// What a service shows of itself on a connection, taken as a stranger takes it.
struct EndpointConnection: Sendable {
    /// How long one connection may take, from the name to the answer.
    var timeout = Duration.seconds(20)

    /// What came over one connection. Nothing about it has been checked; but an answer came, so that the handshake has shown
    /// that the other side has the leaf's key.
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
    /// - Throws: ``AttestationError`` with code `endpoint_unavailable`.
    func certificates(of address: EndpointAddress) async throws(AttestationError) -> Presentation {
        do throws(HTTPClientError) {
            // Any answer will do, and none is wanted: HEAD has no body.
            let response = try await client().send(HTTPRequest(.head, address.url))
            return Presentation(certificates: response.peerCertificates)
        } catch {
            throw Self.unavailable(address, error)
        }
    }

    /// Connects, and asks for evidence about this very connection.
    ///
    /// A service that cannot give it (an older TLS, no such path, an error) presents its certificates alone.
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
            guard error.code == .tls else { throw Self.unavailable(address, error) }
            // Perhaps an older TLS, which the second connection shows.
            var presentation = try await certificates(of: address)
            presentation.sessionAbsence = error.reason
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
        case .tls: "check that the port is the service's HTTPS port; something that is not TLS 1.2 or later answered"
        case .timeout: "check that the service answers HTTP requests, and try again"
        case .proxy: "check https_proxy and no_proxy"
        default: ""
        }
    }
}
