import COpenSSL
import DstackAttestation
import DstackAttestedHTTP
import DstackHTTP
import DstackHTTPClient
import DstackNetwork
import Foundation
import Glibc
import TestKit
import Testing

@Suite("TLS peers that waste a server's time, or want weak suites", .serialized)
struct HostileTLSTests {
    /// A blocking client of plain OpenSSL that takes whatever certificate there is.
    private final class Client {
        let connection: OpaquePointer
        private let context: OpaquePointer
        private let socket: RawConnection

        init(port: UInt16, version: Int32 = TLS1_3_VERSION, suites: String? = nil) throws {
            // Writing to a connection that the server has closed is what these tests are about.
            signal(SIGPIPE, SIG_IGN)
            socket = try RawConnection(port: port)
            context = try #require(SSL_CTX_new(TLS_client_method()))
            SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(version), nil)
            if let suites { #expect(SSL_CTX_set_cipher_list(context, suites) == 1) }
            connection = try #require(SSL_new(context))
            #expect(SSL_set_fd(connection, socket.descriptor) == 1)
        }

        deinit {
            SSL_free(connection)
            SSL_CTX_free(context)
            ERR_clear_error()
        }

        func shakesHands() -> Bool { SSL_connect(connection) == 1 }

        func updatesKeys() -> Bool {
            SSL_key_update(connection, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(connection) == 1
        }

        /// The first bytes of an answer; empty if there is none.
        func ask() -> String {
            let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            guard SSL_write(connection, request, Int32(request.utf8.count)) > 0 else { return "" }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = SSL_read(connection, &buffer, Int32(buffer.count))
            return String(decoding: buffer[..<Int(max(0, count))], as: UTF8.self)
        }

        var suite: String { SSL_get_current_cipher(connection).map { String(cString: SSL_CIPHER_get_name($0)) } ?? "" }
    }

    private func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
        }
    }

    private func withPort<Value: Sendable>(_ body: @escaping @Sendable (UInt16) throws -> Value) async throws -> Value {
        let identity = try await Simulation.identity(Simulation.shared().app)
        return try await withServer(identity) { address in try await onThread { try body(address.port) } }
    }

    @Test("a client that sends nothing but key updates is cut off, and keeps nobody from being served meanwhile")
    func keyUpdates() async throws {
        try await withPort { port in
            let client = try Client(port: port)
            #expect(client.shakesHands())
            #expect(client.ask().hasPrefix("HTTP/1.1 200 "))
            var updates = 0
            while updates < 20_000, client.updatesKeys() { updates += 1 }
            // The answer of one request allows for some more than the 16 KiB of everybody.
            #expect(updates < 10_000)
            let other = try Client(port: port)
            #expect(other.shakesHands())
            #expect(other.ask().hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test("a client may change its keys now and then")
    func someKeyUpdates() async throws {
        try await withPort { port in
            let client = try Client(port: port)
            #expect(client.shakesHands())
            for _ in 0..<200 {
                for _ in 0..<10 { #expect(client.updatesKeys()) }
                #expect(client.ask().hasPrefix("HTTP/1.1 200 "))
            }
        }
    }

    @Test("TLS 1.2 has suites of authenticated encryption with forward secrecy, and no others")
    func suites() async throws {
        try await withPort { port in
            let usual = try Client(port: port, version: TLS1_2_VERSION)
            #expect(usual.shakesHands())
            #expect(usual.suite.hasPrefix("ECDHE-"))
            #expect(usual.suite.contains("GCM") || usual.suite.contains("CHACHA20"))
            #expect(usual.ask().hasPrefix("HTTP/1.1 200 "))
            for suites in [
                "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256:AES256-GCM-SHA384",
                "ECDHE-ECDSA-AES128-CCM",
            ] {
                let client = try Client(port: port, version: TLS1_2_VERSION, suites: suites)
                #expect(!client.shakesHands(), "\(suites): \(client.suite)")
            }
        }
    }

    @Test("a client here does not speak to a server that has CBC suites only")
    func clientSuites() async throws {
        let identity = try await Simulation.identity(Simulation.shared().app)
        let listener = try RawListener()
        for (suites, isGood) in [("ECDHE-ECDSA-AES128-SHA256", false), ("ECDHE-ECDSA-AES128-GCM-SHA256", true)] {
            async let accepted = onThread {
                let context = try #require(SSL_CTX_new(TLS_server_method()))
                defer { SSL_CTX_free(context) }
                SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
                #expect(SSL_CTX_set_cipher_list(context, suites) == 1)
                try identity.install(in: context)
                let socket = try #require(listener.accept())
                defer { socket.close() }
                let connection = try #require(SSL_new(context))
                defer { SSL_free(connection) }
                SSL_set_fd(connection, socket.descriptor)
                return SSL_accept(connection) == 1
            }
            let client = HTTPClient(HTTPClientConfiguration(trust: .only { _ in .accepted }))
            let url = "https://127.0.0.1:\(listener.port)/"
            _ = try? await client.send(HTTPRequest(.get, url))
            #expect(try await accepted == isGood, "\(suites)")
        }
    }

    @Test(
        "who holds every place with half a handshake, or with half a body after it, keeps nobody out",
        arguments: [false, true])
    func places(afterHandshake: Bool) async throws {
        let identity = try await Simulation.identity(Simulation.shared().app)
        var configuration = AttestedHTTPServer.Configuration()
        configuration.maximumConnections = 12
        try await withServer(identity, configuration) { address in
            let served = try await onThread {
                var held: [Client] = []
                var served = 0
                for round in 0..<36 {
                    let client = try Client(port: address.port)
                    held.append(client)
                    let half = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx"
                    if afterHandshake {
                        #expect(client.shakesHands())
                        _ = SSL_write(client.connection, half, Int32(half.utf8.count))
                    }
                    guard round % 6 == 5 else { continue }
                    let other = try Client(port: address.port)
                    if other.shakesHands(), other.ask().hasPrefix("HTTP/1.1 200 ") { served += 1 }
                }
                return served
            }
            #expect(served == 6)
        }
    }

    @Test("a body for session evidence is some KiB at most, and refused before it is read")
    func evidenceBody() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        try await withServer(identity, attestSession: Simulation.witness(simulation.app)) { address in
            let client = HTTPClient(HTTPClientConfiguration(trust: .only { _ in .accepted }))
            let body = [UInt8](repeating: 0x20, count: 5000)
            let refused = try await client.send(HTTPRequest(.post, address.url + SessionEvidence.path, body: body))
            #expect(refused.status == 413)
            #expect(try await client.send(HTTPRequest(.post, address.url + "/other", body: body)).status == 200)
        }
    }
}
