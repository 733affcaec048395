/// Why there is no response: what went wrong, at which step, against which peer.
///
/// Two failures are equal if their codes are.
package struct HTTPClientError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The request itself: URL, header, body or limit.
        case invalidRequest
        /// The client's settings: a certificate that cannot be read, a socket path that is too long.
        case invalidConfiguration
        /// The host name has no address, or asking for one failed.
        case nameResolution
        /// Nothing listens there, or the host or its network cannot be reached.
        case connection
        /// The proxy refused or failed.
        case proxy
        /// The TLS handshake failed for a reason other than the peer's identity.
        case tls
        /// The peer's certificate, or whatever the caller's verifier looks at, was refused.
        case peerNotTrusted
        case timeout
        /// Header or body are over the limit.
        case tooLarge
        /// What came back is not HTTP, or ended early.
        case invalidResponse
        /// The connection broke in the middle.
        case connectionLost
        /// The connection that the request had to go over is gone. Nothing of the request was sent over another one; if it
        /// may be repeated, a part may have been sent over the one that was required.
        case connectionChanged
        /// More redirects than allowed, or one to another scheme.
        case redirect
        /// The task was cancelled.
        case cancelled
        /// This machine failed: out of memory, threads or descriptors.
        case system
    }

    /// How far the exchange had come.
    package enum Phase: String, Sendable, Hashable {
        case preparing = "before connecting"
        case resolving = "while resolving the name"
        case connecting = "while connecting"
        case handshaking = "during the TLS handshake"
        case sending = "while sending the request"
        case waiting = "while waiting for the response"
        case receiving = "while receiving the response"
    }

    package let code: Code
    package let phase: Phase
    /// Method and URL, without query (which may hold an identifier that is not for logs).
    package let subject: String
    package let reason: String
    /// The connection whose peer the verifier refused.
    package let connection: HTTPClientConnection?

    package init(
        _ code: Code, _ phase: Phase, subject: String, reason: String, connection: HTTPClientConnection? = nil
    ) {
        self.code = code
        self.phase = phase
        self.subject = subject
        self.reason = reason
        self.connection = connection
    }

    package var description: String { "\(subject): failed \(phase.rawValue): \(reason)" }
}

extension HTTPClientError: Equatable {
    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }
}
