import DstackCrypto
import DstackEncoding
package import DstackHTTP

/// A connection that carries another protocol from now on (RFC 9110 section 7.8), in both directions at once.
///
/// It ends when the handler that serves it returns; throwing cuts it. Nothing here limits how long it stands or stays silent:
/// the protocol knows what it expects. A client that does not take what is sent to it is cut off like any other.
package struct HTTPUpgradedConnection: Sendable {
    /// What the client sends; ends where the client does, and where the server stops.
    package let incoming: IncomingBytes
    private let writer: HTTPBodyWriter

    init(incoming: IncomingBytes, writer: HTTPBodyWriter) {
        self.incoming = incoming
        self.writer = writer
    }

    /// Sends some bytes, and waits until the client has taken most of what was sent before. One at a time.
    ///
    /// - Throws: ``HTTPClientGone``.
    package func write(_ bytes: [UInt8]) async throws(HTTPClientGone) { try await writer.write(bytes) }
}

extension HTTPServerResponse {
    /// Switches the connection to another protocol, if the request asks for it; 426 otherwise.
    ///
    /// - Parameters:
    ///   - protocolName: as it stands in `Upgrade`.
    ///   - serve: runs once the head of the answer is on its way.
    package static func upgrade(
        _ request: HTTPServerRequest, to protocolName: String, headers: HTTPHeaders = [:],
        serve: @escaping @Sendable (HTTPUpgradedConnection) async throws -> Void
    ) -> HTTPServerResponse {
        guard request.head.asksForUpgrade(to: protocolName) else {
            var response = text(426, "this is \(protocolName), which the request does not ask for\n")
            response.headers["Upgrade"] = protocolName
            return response
        }
        var response = HTTPServerResponse(101, headers: headers, body: .upgrade(serve))
        response.headers["Upgrade"] = protocolName
        return response
    }

    /// Answers the opening handshake of a WebSocket (RFC 6455 section 4.2). The frames are the handler's.
    ///
    /// - Parameters:
    ///   - subprotocol: one of those that the client offers (`Sec-WebSocket-Protocol`), which is the caller's to choose; nil for
    ///     none.
    ///   - serve: runs once the handshake is through.
    /// - Returns: 400 for a handshake that is none, 426 for another version than 13 or none at all.
    package static func webSocket(
        _ request: HTTPServerRequest, subprotocol: String? = nil,
        serve: @escaping @Sendable (HTTPUpgradedConnection) async throws -> Void
    ) -> HTTPServerResponse {
        guard request.method == .get else { return methodNotAllowed([.get]) }
        guard request.head.asksForUpgrade(to: "websocket") else {
            return upgrade(request, to: "websocket", serve: serve)
        }
        guard request.headers.values("Sec-WebSocket-Version") == ["13"] else {
            var response = text(426, "version 13 of the WebSocket protocol is spoken here\n")
            response.headers["Sec-WebSocket-Version"] = "13"
            return response
        }
        let keys = request.headers.values("Sec-WebSocket-Key")
        guard keys.count == 1, let key = keys.first,
            (try? Base64.decode(key, subject: "Sec-WebSocket-Key"))?.count == 16
        else {
            return text(400, "Sec-WebSocket-Key is not 16 bytes in base64\n")
        }
        // The suffix is the RFC's (section 1.3): nobody but who means a WebSocket computes this.
        let proof = SHA1.hash(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        var headers: HTTPHeaders = ["Sec-WebSocket-Accept": Base64.encode(proof.bytes)]
        if let subprotocol { headers["Sec-WebSocket-Protocol"] = subprotocol }
        return upgrade(request, to: "websocket", headers: headers, serve: serve)
    }
}

extension HTTPRequestHead {
    /// Whether the client wants to go on with another protocol on this connection.
    package func asksForUpgrade(to name: String) -> Bool {
        version == .http11 && framing == .none && lists("Connection", "upgrade") && lists("Upgrade", name)
    }

    /// Whether a field with a comma-separated list has an element.
    private func lists(_ field: String, _ element: String) -> Bool {
        headers.values(field).contains { value in
            value.split(separator: ",").contains { part in
                let bare = part.drop { $0 == " " || $0 == "\t" }
                let end = bare.lastIndex { $0 != " " && $0 != "\t" }.map { bare.index(after: $0) } ?? bare.startIndex
                return HTTPSyntax.equalIgnoringCase(String(bare[..<end]), element)
            }
        }
    }
}
