package import DstackAttestation

/// By what a KMS is recognised: in the handshake, before a byte of a request leaves.
///
/// In every case but the last the server's certificate must say that it is a KMS's (usage `kms:rpc`): the same root stands
/// above the certificates of applications, which choose their names themselves.
package enum KMSTrust: Sendable {
    /// The KMS with this root: its certificate is signed by that very key, and for the host that is called. Who was told the key
    /// beforehand (`key_provider_id` of a compose file) needs no evidence: only a KMS with this root has such a certificate.
    ///
    /// - Parameter caPublicKey: SubjectPublicKeyInfo of the root CA, DER.
    case pinned(caPublicKey: [UInt8])
    /// Whichever KMS has evidence that is accepted. Evidence says which code answers; by which name it is called plays no part,
    /// and whose root keys it has is to be compared afterwards.
    case attested(AttestedPeerVerifier)
    /// Evidence that is accepted and this root; again by whichever name.
    case pinnedAndAttested(caPublicKey: [UInt8], AttestedPeerVerifier)
    /// Whoever answers the first call, which is not verified at all: the root that it names is the one that every later
    /// connection is verified by. What upstream's guests do that were told no `key_provider_id`. Somebody in the middle can give
    /// keys of his own making; what he gets is the guest's evidence, which is no secret.
    case whoeverAnswersFirst

    var caPublicKey: [UInt8]? {
        switch self {
        case .pinned(let key), .pinnedAndAttested(let key, _): key
        case .attested, .whoeverAnswersFirst: nil
        }
    }

    var verifier: AttestedPeerVerifier? {
        switch self {
        case .attested(let verifier), .pinnedAndAttested(_, let verifier): verifier
        case .pinned, .whoeverAnswersFirst: nil
        }
    }
}

/// The server of a connection that was accepted.
package struct AcceptedKMS: Sendable {
    /// What it presented, leaf first, DER.
    package let certificates: [[UInt8]]
    /// SubjectPublicKeyInfo of its key, DER.
    package let publicKey: [UInt8]
    /// How its evidence was judged; nil where none was asked for.
    package let peer: AttestedPeer?
}
