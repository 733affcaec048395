import COpenSSL
import DstackAttestation
import DstackKeys
import Testing

@Suite("Verification in OpenSSL contexts of one's own")
struct OpenSSLPeerTests {
    /// A client and a server of plain OpenSSL, joined by memory.
    private final class Pair {
        let client: OpaquePointer
        let server: OpaquePointer
        private let contexts: [OpaquePointer]

        /// Another connection of the same two contexts, for which the client itself sets a session.
        init(resuming session: OpaquePointer, of earlier: Pair) throws {
            contexts = earlier.contexts
            contexts.forEach { SSL_CTX_up_ref($0) }
            client = try #require(SSL_new(contexts[0]))
            server = try #require(SSL_new(contexts[1]))
            #expect(SSL_set_session(client, session) == 1)
            connect()
        }

        init(
            server identity: TLSIdentity, client clientIdentity: TLSIdentity? = nil,
            servers: AttestedPeerVerifier?, clients: AttestedPeerVerifier? = nil, version: Int32 = TLS1_3_VERSION
        ) throws {
            let clientContext = try #require(SSL_CTX_new(TLS_client_method()))
            let serverContext = try #require(SSL_CTX_new(TLS_server_method()))
            contexts = [clientContext, serverContext]
            try identity.install(in: serverContext)
            try clientIdentity?.install(in: clientContext)
            try servers?.install(in: clientContext, verifyingPeersAs: .server)
            try clients?.install(in: serverContext, verifyingPeersAs: .client)
            SSL_CTX_ctrl(clientContext, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(version), nil)
            client = try #require(SSL_new(clientContext))
            server = try #require(SSL_new(serverContext))
            connect()
        }

        private func connect() {
            var (left, right): (OpaquePointer?, OpaquePointer?)
            #expect(BIO_new_bio_pair(&left, 0, &right, 0) == 1)
            SSL_set_bio(client, left, left)
            SSL_set_bio(server, right, right)
            SSL_set_connect_state(client)
            SSL_set_accept_state(server)
        }

        /// Whether both sides completed the handshake.
        func shakeHands() -> Bool {
            for _ in 0..<20 {
                let (mine, theirs) = (SSL_do_handshake(client), SSL_do_handshake(server))
                if mine == 1, theirs == 1 { return true }
                for (result, side) in [(mine, client), (theirs, server)] where result != 1 {
                    guard SSL_get_error(side, result) == SSL_ERROR_WANT_READ else {
                        ERR_clear_error()
                        return false
                    }
                }
            }
            return false
        }

        deinit {
            SSL_free(client)
            SSL_free(server)
            contexts.forEach { SSL_CTX_free($0) }
        }
    }

    @Test("both sides verify each other by their evidence, and see the same exporter value")
    func mutual() async throws {
        let simulation = try Simulation.shared()
        let (mine, other) = (
            try await Simulation.identity(simulation.app), try await Simulation.identity(simulation.app)
        )
        let pair = try Pair(
            server: mine, client: other, servers: simulation.peerVerifier(), clients: simulation.peerVerifier())
        #expect(pair.shakeHands())
        let server = try #require(AttestedPeerVerifier.verdict(of: pair.client)).get()
        #expect(server.certificates == [mine.certificateChain[0]])
        #expect(server.report.binding == .keyBound)
        let client = try #require(AttestedPeerVerifier.verdict(of: pair.server)).get()
        #expect(client.certificates == [other.certificateChain[0]])

        let exporter = try SessionBinding.exporter(of: pair.client)
        #expect(try SessionBinding.exporter(of: pair.server) == exporter)
        let binding = try SessionBinding(
            exporter: exporter, nonce: FixedBytes(repeating: 9), publicKey: mine.publicKey)
        let evidence = try await Simulation.witness(simulation.app)(binding)
        let response = try SessionEvidence.response(
            in: SessionEvidence.response(attestation: evidence, publicKey: mine.publicKey))
        let verdict = try simulation.peerVerifier().verify(
            response, exporter: exporter, nonce: FixedBytes(repeating: 9), certificates: server.certificates)
        #expect(try verdict.get().binding == .sessionBound)
        // Another connection between the same two has another exporter value.
        let second = try Pair(server: mine, servers: simulation.peerVerifier())
        #expect(second.shakeHands())
        #expect(try SessionBinding.exporter(of: second.client) != exporter)
    }

    @Test("a peer with other code, or without certificate, does not get through the handshake")
    func refused() async throws {
        let simulation = try Simulation.shared()
        let mine = try await Simulation.identity(simulation.app)
        let other = try await Simulation.identity(simulation.otherApp)
        let wrongServer = try Pair(server: other, servers: simulation.peerVerifier())
        #expect(!wrongServer.shakeHands())
        let verdict = try #require(AttestedPeerVerifier.verdict(of: wrongServer.client))
        #expect(throws: AttestedTLSError(.evidenceRejected, check: "", reason: "")) { try verdict.get() }
        #expect(SSL_get_verify_result(wrongServer.client) == X509_V_ERR_APPLICATION_VERIFICATION)

        let wrongClient = try Pair(server: mine, client: other, servers: nil, clients: simulation.peerVerifier())
        #expect(!wrongClient.shakeHands())
        let noClient = try Pair(server: mine, servers: nil, clients: simulation.peerVerifier())
        #expect(!noClient.shakeHands())
        #expect(AttestedPeerVerifier.verdict(of: noClient.server) == nil)
    }

    @Test("there is no exporter value before the handshake is complete, nor of TLS 1.2")
    func exporter() async throws {
        let simulation = try Simulation.shared()
        let mine = try await Simulation.identity(simulation.app)
        let pair = try Pair(server: mine, servers: simulation.peerVerifier(), version: TLS1_2_VERSION)
        let error = #expect(throws: AttestationError.self) { try SessionBinding.exporter(of: pair.client) }
        #expect(error?.code == .invalidSessionEvidence)
        #expect(pair.shakeHands())
        #expect(try #require(AttestedPeerVerifier.verdict(of: pair.client)).get().binding == .keyBound)
        #expect(throws: AttestationError.self) { try SessionBinding.exporter(of: pair.client) }
    }

    @Test("the verifier lives as long as the context, and goes with it")
    func lifetime() async throws {
        let simulation = try Simulation.shared()
        let context = try #require(SSL_CTX_new(TLS_client_method()))
        weak var seen: AttestedPeerVerifier?
        do {
            let verifier = try simulation.peerVerifier()
            seen = verifier
            try verifier.install(in: context, verifyingPeersAs: .server)
        }
        #expect(seen != nil)
        // A second one takes the place of the first.
        try simulation.peerVerifier().install(in: context, verifyingPeersAs: .server)
        #expect(seen == nil)
        SSL_CTX_free(context)
    }

    @Test("a session that the program resumes by itself has no verdict: nobody was verified")
    func resumed() async throws {
        let simulation = try Simulation.shared()
        let mine = try await Simulation.identity(simulation.app)
        let first = try Pair(server: mine, servers: simulation.peerVerifier())
        #expect(first.shakeHands())
        // Tickets come after the handshake.
        var byte: UInt8 = 0
        #expect(SSL_write(first.server, &byte, 1) == 1 && SSL_read(first.client, &byte, 1) == 1)
        let session = try #require(SSL_get1_session(first.client))
        defer { SSL_SESSION_free(session) }
        let second = try Pair(resuming: session, of: first)
        #expect(second.shakeHands() && SSL_session_reused(second.client) == 1)
        #expect(AttestedPeerVerifier.verdict(of: second.client) == nil)

        // A server with a verifier gives out nothing that could be resumed.
        let asking = try await Pair(
            server: mine, client: Simulation.identity(simulation.app), servers: simulation.peerVerifier(),
            clients: simulation.peerVerifier())
        #expect(asking.shakeHands())
        #expect(SSL_write(asking.server, &byte, 1) == 1 && SSL_read(asking.client, &byte, 1) == 1)
        let useless = try #require(SSL_get1_session(asking.client))
        defer { SSL_SESSION_free(useless) }
        #expect(SSL_SESSION_is_resumable(useless) == 0)
        let again = try Pair(resuming: useless, of: asking)
        #expect(again.shakeHands() && SSL_session_reused(again.client) == 0)
        #expect(try #require(AttestedPeerVerifier.verdict(of: again.server)).get().report.verdict == .accepted)
    }
}
