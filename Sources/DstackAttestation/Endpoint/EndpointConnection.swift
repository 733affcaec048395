import DstackHTTP
import DstackHTTPClient

/// The certificate of a service, taken as a stranger takes it.
struct EndpointConnection: Sendable {
    /// How long one connection may take, from the name to the first answer.
    var timeout = Duration.seconds(20)

    /// Connects, and returns the certificates that the service presented, leaf first, DER.
    ///
    /// They are taken from a connection on which an answer came: by then the handshake has shown that the other side has
    /// the leaf's key. Nothing about them has been checked.
    ///
    /// - Throws: ``AttestationError`` with code `endpoint_unavailable`.
    func certificates(of address: EndpointAddress) async throws(AttestationError) -> [[UInt8]] {
        var configuration = HTTPClientConfiguration(trust: .only { _ in .accepted })
        configuration.reportsPeerCertificates = true
        configuration.userAgent = "dstack-verify"
        configuration.maximumConnections = 1
        // A proxy's own machine is never what a person means by localhost.
        let exceptions = ["localhost", "127.0.0.0/8", "::1"] + [configuration.proxy.exceptions].compactMap { $0 }
        configuration.proxy.exceptions = exceptions.joined(separator: ",")
        configuration.limits.connectTimeout = timeout
        configuration.limits.totalTimeout = timeout
        do throws(HTTPClientError) {
            // Any answer will do, and none is wanted: HEAD has no body.
            return try await HTTPClient(configuration).send(HTTPRequest(.head, address.url)).peerCertificates
        } catch {
            // libcurl counts a handshake with something that does not speak TLS as connecting.
            let phase = error.code == .tls ? .handshaking : error.phase
            throw AttestationError(
                .endpointUnavailable, subject: address.url, reason: "failed \(phase.rawValue): \(error.reason)",
                hint: Self.hint(error))
        }
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
