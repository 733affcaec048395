package import DstackCrypto
package import DstackHTTP

/// What a handler answers. Length, date and connection headers are the server's; a handler that sets them is overruled.
package struct HTTPServerResponse: Sendable {
    package enum Body: Sendable {
        case bytes([UInt8])
        /// Sent from memory that is wiped.
        case secret(SharedSecret)
        /// Sent as it is written. Runs after the head is on its way; throwing, or being cancelled because the client
        /// has gone, cuts the connection so that the client sees that the body is not complete.
        case stream(@Sendable (HTTPBodyWriter) async throws -> Void)
        /// Of a 101, which ``HTTPServerResponse/upgrade(_:to:headers:serve:)`` makes: the connection is the handler's from then
        /// on, and ends with it.
        case upgrade(@Sendable (HTTPUpgradedConnection) async throws -> Void)
    }

    package var status: Int
    package var headers: HTTPHeaders
    /// Sent before ``headers``.
    package var commonHeaders: HTTPCommonHeaders?
    package var body: Body
    /// Whether the connection ends with this response.
    package var closesConnection = false

    package init(_ status: Int, headers: HTTPHeaders = [:], body: Body) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    package init(_ status: Int, headers: HTTPHeaders = [:], body: [UInt8] = []) {
        self.init(status, headers: headers, body: .bytes(body))
    }

    package static func text(_ status: Int, _ text: String) -> HTTPServerResponse {
        HTTPServerResponse(status, headers: ["Content-Type": "text/plain; charset=utf-8"], body: Array(text.utf8))
    }

    package static func json(_ body: [UInt8], status: Int = 200) -> HTTPServerResponse {
        HTTPServerResponse(status, headers: ["Content-Type": "application/json"], body: body)
    }

    package static let notFound = text(404, "not found\n")

    /// With the `Allow` header that a 405 must have.
    package static func methodNotAllowed(_ allowed: [HTTPMethod]) -> HTTPServerResponse {
        var response = text(405, "method not allowed\n")
        response.headers["Allow"] = allowed.map(\.rawValue).joined(separator: ", ")
        return response
    }
}

/// Header fields that many responses share, checked and written out once.
package struct HTTPCommonHeaders: Sendable {
    let lines: [UInt8]
    /// As ``HTTPHeaders/problem``.
    let problem: String?

    package init(_ headers: HTTPHeaders) {
        problem = headers.problem
        var lines = [UInt8]()
        HTTPResponseEncoder.append(headers, to: &lines)
        self.lines = lines
    }
}

/// The way into a streaming response. Each write waits until the client has taken most of what was written before.
package struct HTTPBodyWriter: Sendable {
    let exchange: ExchangeID
    let mailbox: ServerMailbox

    /// Sends some bytes; none are kept back. One write at a time: a second that begins before the first is through is
    /// refused, since nobody could say in which order they would arrive.
    ///
    /// - Throws: ``HTTPClientGone`` when the connection has ended.
    package func write(_ bytes: [UInt8]) async throws(HTTPClientGone) {
        guard !bytes.isEmpty else { return }
        let taken = await withCheckedContinuation { continuation in
            mailbox.post(.bodyPart(exchange, bytes, continuation))
        }
        guard taken else { throw HTTPClientGone() }
    }

    package func write(_ text: String) async throws(HTTPClientGone) { try await write(Array(text.utf8)) }
}

/// The connection of a streaming response ended before the response did.
package struct HTTPClientGone: Error, CustomStringConvertible {
    package var description: String { "the client has closed the connection" }
}
