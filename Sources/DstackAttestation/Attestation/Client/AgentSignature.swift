import DstackCrypto

/// A message's signature by the agent, with the proof that the key behind it is the application's.
///
/// Any container of the application may have any message signed: it says "this application", and not "this application
/// meant it".
public struct AgentSignature: Sendable, Hashable {
    /// How the message was signed.
    public let algorithm: MessageSignatureAlgorithm
    /// 64 bytes.
    public let signature: [UInt8]
    /// Proof of the signing key, for the purpose `signing`.
    public let proof: KeyProof

    /// The signing key: 33 bytes (SEC 1 compressed) for secp256k1, 32 for Ed25519.
    public var publicKey: [UInt8] { proof.publicKey }

    /// A signature from its parts, as whoever had it made passed them on. Nothing is checked yet.
    ///
    /// - Parameter signatureChain: the three links of the agent's answer; the first is the signature.
    public init(
        algorithm: MessageSignatureAlgorithm, publicKey: [UInt8], signatureChain: [[UInt8]]
    ) throws(DstackClientError) {
        let links = try KeyProof.checkedChain(signatureChain, 3, "Sign")
        self.algorithm = algorithm
        signature = links[0]
        proof = KeyProof(
            algorithm: algorithm.keyAlgorithm, publicKey: publicKey, claim: .purpose("signing"),
            signatureChain: [links[1], links[2]])
    }

    /// Whether it is the signature of this message by ``publicKey``; whose key that is, ``proof`` proves.
    ///
    /// - Throws: ``DstackClientError/Code/invalidRequest`` for a key or a signature that is not well-formed.
    public func isValid(for message: [UInt8]) throws(DstackClientError) -> Bool {
        try DstackClient.verify(signature, of: message, publicKey: publicKey, algorithm: algorithm)
    }
}
