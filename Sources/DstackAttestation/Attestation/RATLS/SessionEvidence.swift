import DstackEncoding

/// The messages by which a client asks the server of a TLS connection for evidence about that connection.
///
/// The client sends ``request(nonce:)`` by POST to ``path`` as the first thing on a new connection; the server answers
/// with ``response(attestation:publicKey:)``. docs/attested-tls.md has the form for other implementations.
public enum SessionEvidence {
    /// Where the evidence is asked for.
    public static let path = "/.well-known/dstack/session-evidence"

    /// The type of requests and responses.
    public static let contentType = "application/json"

    /// The longest request that a server reads.
    public static let maximumRequestByteCount = 1024

    /// The longest response that a client reads: an attestation of 1 MiB in hexadecimal digits, and some.
    public static let maximumResponseByteCount = 3 << 20

    /// A request's body: `{"nonce":"…"}`.
    public static func request(nonce: FixedBytes<32>) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { $0.member("nonce", nonce.hex) }
        return writer.bytes
    }

    /// The nonce in a request's body. Unknown members are passed over.
    ///
    /// - Throws: ``AttestationError/Code/invalidSessionEvidence`` for what is not of the form.
    public static func nonce(in body: [UInt8]) throws(AttestationError) -> FixedBytes<32> {
        guard body.count <= maximumRequestByteCount else {
            throw AttestationError(
                .invalidSessionEvidence, subject: "request",
                reason: "\(body.count) bytes, at most \(maximumRequestByteCount) are read")
        }
        return try AttestationError.decoding(.invalidSessionEvidence) { () throws(DecodingFailure) in
            let document = try JSONDocument(parsing: body, subject: "request", maximumDepth: 4, maximumValues: 64)
            return try document.root.member("nonce").fixedHex(FixedBytes<32>.self, prefix: .none)
        }
    }

    /// What a server answers.
    public struct Response: Sendable, Hashable {
        /// The attestation envelope.
        public let attestation: [UInt8]
        /// The key that the evidence was made for, as the server says: only to explain a mismatch; nil if it does not say.
        public let publicKey: [UInt8]?
    }

    /// A response's body: `{"attestation":"…","public_key":"…"}`.
    ///
    /// - Parameter publicKey: SubjectPublicKeyInfo of the server's certificate. A client compares it with what it sees only
    ///   to say what is wrong.
    public static func response(attestation: [UInt8], publicKey: [UInt8]?) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { object in
            object.member("attestation", Hex.encode(attestation))
            if let publicKey { object.member("public_key", Hex.encode(publicKey)) }
        }
        return writer.bytes
    }

    /// Reads a response's body. Unknown members are passed over.
    ///
    /// - Throws: ``AttestationError/Code/invalidSessionEvidence`` for what is not of the form.
    public static func response(in body: [UInt8]) throws(AttestationError) -> Response {
        guard body.count <= maximumResponseByteCount else {
            throw AttestationError(
                .invalidSessionEvidence, subject: "response",
                reason: "\(body.count) bytes, at most \(maximumResponseByteCount) are read")
        }
        return try AttestationError.decoding(.invalidSessionEvidence) { () throws(DecodingFailure) in
            let document = try JSONDocument(parsing: body, subject: "response", maximumDepth: 8, maximumValues: 256)
            return Response(
                attestation: try document.root.member("attestation").hexBytes(prefix: .none),
                publicKey: try document.root.optionalMember("public_key")?.hexBytes(prefix: .none))
        }
    }

    /// An error's body: `{"error":"…"}`.
    public static func failure(_ reason: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { $0.member("error", reason) }
        return writer.bytes
    }
}

extension AttestationError.Code {
    /// A message about session-bound evidence is not of its form.
    public static let invalidSessionEvidence = Self(rawValue: "invalid_session_evidence")
}
