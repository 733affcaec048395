import COpenSSL

/// Decides on the peers of an OpenSSL context (`SSL_CTX *`), whoever made it, in the middle of their handshakes.
package struct TLSVerifier: Sendable {
    package enum Verdict: Sendable, Hashable {
        case accepted
        /// With the reason, for this side's log.
        case refused(String)
    }

    /// Called on the thread that does the handshake, with the connection (`SSL *`) and the certificates, leaf first, DER: those
    /// of the verified chain up to its authority if ``checksChain``, else what the peer presented, which may be more than it
    /// can show to be its own. The rest of the handshake shows that it has the leaf's key.
    package typealias Decision = @Sendable (_ connection: OpaquePointer, _ certificates: [[UInt8]]) -> Bool

    /// Whether the chain must lead to one of the context's authorities, with its dates and purposes.
    package var checksChain: Bool
    /// Asked after that; nil accepts.
    package var decision: Decision?
    /// Told OpenSSL's reason where it refused the chain.
    package var chainRefused: (@Sendable (String) -> Void)?

    package init(
        checksChain: Bool, decision: Decision?, chainRefused: (@Sendable (String) -> Void)? = nil
    ) {
        self.checksChain = checksChain
        self.decision = decision
        self.chainRefused = chainRefused
    }

    /// Carries a verifier through OpenSSL.
    private final class Box: Sendable {
        let verifier: TLSVerifier

        init(_ verifier: TLSVerifier) { self.verifier = verifier }

        static func at(_ pointer: UnsafeMutableRawPointer?) -> Box? {
            pointer.map { Unmanaged<Box>.fromOpaque($0).takeUnretainedValue() }
        }
    }

    /// Makes this the verifier of a context, which holds it to its end, in place of one that is there. Whether a server asks
    /// its clients for certificates is for others to say.
    ///
    /// - Parameter context: an `SSL_CTX *`, used by nobody else during the call.
    /// - Returns: false where memory is short.
    package func install(in context: OpaquePointer) -> Bool {
        var hook = dstack_tls_verifier(
            object: Unmanaged.passRetained(Box(self)).toOpaque(),
            release: { object in
                guard let object else { return }
                Unmanaged<Box>.fromOpaque(object).release()
            },
            checks_chain: checksChain, verify: nil,
            chain_refused: { object, reason in
                guard let reason else { return }
                Box.at(object)?.verifier.chainRefused?(String(cString: reason))
            })
        if decision != nil {
            hook.verify = { object, connection, chain, count in
                guard let connection, let decision = Box.at(object)?.verifier.decision else { return false }
                return decision(connection, TLSConnection.copy(chain, count))
            }
        }
        return dstack_tls_set_verifier(context, &hook)
    }

    /// Has a context that an application made verify its peers, as server or client: every full handshake needs a certificate,
    /// and sessions are not resumed.
    package func installRequired(in context: OpaquePointer) -> Bool {
        guard install(in: context) else { return false }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        dstack_tls_refuse_resumption(context)
        // SSL_OP_NO_RENEGOTIATION, whose macro Swift does not read (OpenSSL 3, ssl.h).
        SSL_CTX_set_options(context, 1 << 30)
        return true
    }
}

/// Settings of contexts that others make, such as libcurl.
package enum TLSClientContext {
    /// Puts this project's rules on a client's context (``TLSVersion``, suites, no renegotiation), and gives it an identity for
    /// servers that ask.
    ///
    /// - Parameter context: an `SSL_CTX *`, used by nobody else during the call.
    package static func prepare(_ context: OpaquePointer, identity: TLSIdentityHandle?) -> Bool {
        guard dstack_tls_set_rules(context, TLSVersion.tls12.number) else { return false }
        guard let identity else { return true }
        return dstack_tls_use_identity(context, identity.pointer)
    }
}

/// The oldest version that is spoken.
package enum TLSVersion: Sendable, Hashable {
    case tls12
    case tls13

    var number: Int32 { self == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION }
}
