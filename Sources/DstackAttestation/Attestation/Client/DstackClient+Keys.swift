import DstackCrypto
import DstackRPC

extension DstackClient {
    /// The application's key of a path.
    ///
    /// - Parameters:
    ///   - path: any text; there is no hierarchy in it. All containers of the application can have every key.
    ///   - purpose: what the proof says that the key is for. It does not change the key.
    ///   - algorithm: one path has the same 32 bytes for both, which ``V1/key(domain:algorithm:)`` keeps apart.
    public func key(
        path: String = "", purpose: String = "", algorithm: KeyAlgorithm = .secp256k1
    ) async throws(DstackClientError) -> AgentKey {
        if algorithm != .secp256k1 { try await require(.ed25519, "an Ed25519 key") }
        let response = try await connection.call(
            AgentRPC.DstackGuest.getKey,
            .with { ($0.path, $0.purpose, $0.algorithm) = (path, purpose, algorithm.rawValue) })
        return try AgentKey(
            "GetKey", response.key, algorithm: algorithm, claim: .purpose(purpose),
            chain: response.signatureChain)
    }

    // MARK: Messages

    /// Has a message signed by the application's signing key, which stays in the agent.
    ///
    /// - Parameter message: for ``MessageSignatureAlgorithm/secp256k1Prehashed`` a digest of 32 bytes.
    /// - Throws: ``DstackClientError/Code/notAuthentic`` if what comes back is no signature of the message.
    public func sign(
        _ message: [UInt8], using algorithm: MessageSignatureAlgorithm = .secp256k1
    ) async throws(DstackClientError) -> AgentSignature {
        if algorithm == .secp256k1Prehashed, message.count != 32 {
            throw DstackClientError(
                .invalidRequest, subject: "Sign", reason: "\(message.count) bytes where a digest to sign has 32")
        }
        let response = try await connection.call(
            AgentRPC.DstackGuest.sign, .with { ($0.algorithm, $0.data) = (algorithm.rawValue, message) })
        let signature = try AgentSignature(
            algorithm: algorithm, publicKey: response.publicKey, signatureChain: response.signatureChain)
        guard signature.signature == response.signature, (try? signature.isValid(for: message)) == true else {
            throw DstackClientError(
                .notAuthentic, subject: "Sign", reason: "the answer is no signature of the message by its own key")
        }
        return signature
    }

    /// Whether a public key made a signature over a message. Computed here; no agent is asked.
    ///
    /// - Returns: false for a signature that is well-formed and not of this key and message, or has a high s.
    /// - Throws: ``DstackClientError/Code/invalidRequest`` for a key or a signature that is not well-formed.
    public static func verify(
        _ signature: [UInt8], of message: [UInt8], publicKey: [UInt8], algorithm: MessageSignatureAlgorithm
    ) throws(DstackClientError) -> Bool {
        do {
            return try algorithm.isValidSignature(signature, over: message, publicKey: publicKey)
        } catch {
            throw DstackClientError(.invalidRequest, "signature", error)
        }
    }

    /// The same, computed by the agent.
    public func verifyRemotely(
        _ signature: [UInt8], of message: [UInt8], publicKey: [UInt8], algorithm: MessageSignatureAlgorithm
    ) async throws(DstackClientError) -> Bool {
        try await connection.call(
            AgentRPC.DstackGuest.verify,
            .with {
                ($0.algorithm, $0.data) = (algorithm.rawValue, message)
                ($0.signature, $0.publicKey) = (signature, publicKey)
            }
        ).isValid
    }
}
