import Synchronization

/// One TLS connection of a client, made known to its verifier during the handshake and then to whoever gets a response
/// over it. Two are the same connection if they are the same object.
package final class HTTPClientConnection: Sendable {
    /// What the verifier was shown.
    package let certificates: [[UInt8]]
    /// The host of the URL that the connection was opened for.
    package let host: String
    /// "TLSv1.3"
    package let tlsVersion: String
    private let state = Mutex<(any Sendable)?>(nil)

    init(certificates: [[UInt8]], host: String, tlsVersion: String) {
        self.certificates = certificates
        self.host = host
        self.tlsVersion = tlsVersion
    }

    /// What the verifier leaves for later, such as how it came to its verdict.
    package var attachment: (any Sendable)? {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}

extension HTTPClientConnection: Equatable {
    package static func == (left: HTTPClientConnection, right: HTTPClientConnection) -> Bool { left === right }
}
