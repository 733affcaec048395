package import DstackCrypto
package import DstackHTTP
package import DstackNetwork
package import DstackSystem

/// A whole request, as a handler gets it.
package struct HTTPServerRequest: Sendable {
    package let head: HTTPRequestHead
    /// Whole; empty where it is read as it comes, or is secret.
    package let body: [UInt8]
    /// The body in memory that is wiped, where ``HTTPListener/receivesSecrets`` says so and there is any.
    package let secretBody: SharedSecret?
    /// The body as it comes, where ``HTTPRouteRules/streamsBody`` says so.
    package let incoming: IncomingBytes?
    /// ``HTTPListener/name`` of the listener that the request came in by: what may be asked often depends on it.
    package let listener: String
    package let peer: HTTPPeer
    /// The way back to the connection; nil for a request that came over none.
    private let origin: Origin?

    struct Origin {
        let exchange: ExchangeID
        let mailbox: ServerMailbox
    }

    package init(head: HTTPRequestHead, body: [UInt8], listener: String, peer: HTTPPeer) {
        self.init(
            head: head, body: body, secretBody: nil, incoming: nil, listener: listener, peer: peer, origin: nil)
    }

    init(
        head: HTTPRequestHead, body: [UInt8], secretBody: SharedSecret?, incoming: IncomingBytes?, listener: String,
        peer: HTTPPeer, origin: Origin?
    ) {
        self.head = head
        self.body = body
        self.secretBody = secretBody
        self.incoming = incoming
        self.listener = listener
        self.peer = peer
        self.origin = origin
    }

    /// What binds statements to the TLS connection that this request came over. Computed when asked for, by the loop.
    ///
    /// - Parameters:
    ///   - exporterLabel: the label of the exporter (RFC 8446 section 7.5).
    ///   - limit: how often at most one connection is answered, by all its requests together.
    package func tlsSession(exporterLabel: String, atMost limit: Int) async -> HTTPTLSSession.Answer {
        guard let origin else { return .unavailable }
        return await withCheckedContinuation { continuation in
            origin.mailbox.post(.session(origin.exchange, exporterLabel, limit: limit, continuation))
        }
    }

    /// Of a body that is handed over whole, secret or not.
    package var bodyCount: Int { secretBody?.count ?? body.count }

    package var method: HTTPMethod { head.method }
    /// As sent, percent-encoded.
    package var path: String { head.path }
    package var query: String? { head.query }
    package var headers: HTTPHeaders { head.headers }

    /// The query as names and values, percent-decoded, with `+` for a space, in the order sent.
    ///
    /// Nil if anything in it cannot be decoded: a value that two readers could take differently is no value.
    package var queryItems: [(name: String, value: String)]? {
        guard let query else { return [] }
        var items: [(name: String, value: String)] = []
        for part in query.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(pair[0]), let value = pair.count == 2 ? Self.decoded(pair[1]) : "" else {
                return nil
            }
            items.append((name, value))
        }
        return items
    }

    private static func decoded(_ text: Substring) -> String? {
        HTTPSyntax.percentDecoded(text.replacing("+", with: " "))
    }
}

/// What only the two ends of a TLS 1.3 connection know of it, and the key by which the server's end is known.
package struct HTTPTLSSession: Sendable, Hashable {
    package enum Answer: Sendable, Hashable {
        case session(HTTPTLSSession)
        /// The connection is not of TLS 1.3, or has ended.
        case unavailable
        /// The connection asked more often than it may.
        case exhausted
    }

    /// 32 bytes of exported keying material.
    package let exporter: [UInt8]
    /// SubjectPublicKeyInfo (DER) of the certificate that the server presented in this connection.
    package let publicKey: [UInt8]
}

/// Who is at the other end of a connection.
package struct HTTPPeer: Sendable {
    package enum Address: Sendable, Hashable {
        /// Numeric address and port.
        case internet(host: String, port: UInt16)
        /// The process that connected, if the system tells.
        case unix(processID: Int32, userID: UInt32, groupID: UInt32)
        case vsock(cid: UInt32, port: UInt32)
        case unknown

        package var identity: Identity { Identity(self) }

        init(_ address: RemoteAddress) {
            self =
                switch address {
                case .internet(let host, let port): .internet(host: host, port: port)
                case .vsock(let cid, let port): .vsock(cid: cid, port: port)
                }
        }

        init(_ credentials: AcceptedSocket.Credentials) {
            self = .unix(
                processID: credentials.processID, userID: credentials.userID, groupID: credentials.groupID)
        }
    }

    package let address: Address
    /// Nil without TLS.
    package let tls: TLSPeer?
    /// The process that connected, where the listener identifies them (``HTTPListener/identifiesProcesses``).
    package let process: PeerProcess?
    /// What the listener's judge found out about the client, and what holds still; nil without certificates or judge.
    package internal(set) var verdict: (any TLSPeerVerdict)?

    package init(address: Address, tls: TLSPeer? = nil, process: PeerProcess? = nil) {
        self.address = address
        self.tls = tls
        self.process = process
    }
}

extension HTTPPeer.Address: CustomStringConvertible {
    package var description: String {
        switch self {
        case .internet(let host, let port): SocketAddress.authority(host, port)
        case .unix(let processID, let userID, _): "unix:pid=\(processID),uid=\(userID)"
        case .vsock(let cid, let port): "vsock:\(cid):\(port)"
        case .unknown: "unknown"
        }
    }
}
