import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTPClient
import DstackHTTPServer
import DstackKeyProvider
import DstackKeys
import DstackMockTEE
import DstackNetwork
import DstackRPC
import DstackRPCServer
import DstackSystem
import TestKit
import Testing

@Suite("Keys from an enclave of the host")
struct SealingKeyExchangeTests {
    private func boot(_ provider: EnclaveProvider, compose: String = "{\"name\":\"test\"}") throws -> MockBoot {
        try MockBoot(provider.platform, appCompose: Array(compose.utf8))
    }

    /// What a guest does, from its quote to the seed.
    private func exchange(
        _ provider: EnclaveProvider, _ boot: MockBoot, rules: KeyProviderRules = KeyProviderRules(),
        through source: (any SealingKeySource)? = nil
    ) async throws -> ProvidedSeed {
        let exchange = SealingKeyExchange()
        let request = try exchange.request(quote: boot.quote(reportData: exchange.reportData.bytes.bytes))
        let response: SealingKeyResponse
        if let source {
            response = try await source.sealingKey(request)
        } else {
            response = try provider.answer(request)
        }
        return try await exchange.open(response, rules: rules) { try provider.verify($0, $1) }
    }

    /// Two seeds are the same if the keys are that follow from them.
    private func publicKey(_ provided: borrowing ProvidedSeed) throws -> String {
        try provided.seed.rootKey().publicKey.hex
    }

    @Test("an application gets its key, each time the same, and the enclave is named")
    func honest() async throws {
        let provider = try EnclaveProvider()
        let guest = try boot(provider)
        let first = try await exchange(provider, guest)
        let second = try await exchange(provider, guest)
        let key = try publicKey(first)
        #expect(try publicKey(second) == key)
        let report = try #require(try Quote(parsing: guest.quote(reportData: [])).body.tdReport)
        let seed = EnclaveProvider.key(for: report)
        #expect(try AppKeySeed(copying: seed.span.bytes).rootKey().publicKey.hex == key)
        #expect(first.provider == KeyProviderInfo(kind: .localSGX, id: [UInt8](repeating: 0xE1, count: 32)))
        #expect(first.report.verdict == .accepted)
        let other = try await exchange(provider, boot(provider, compose: "{\"name\":\"other\"}"))
        #expect(try publicKey(other) != key)
    }

    @Test("an answer that is not the enclave's to this request gives no key", arguments: EnclaveProvider.Fault.allCases)
    func faults(fault: EnclaveProvider.Fault) async throws {
        let provider = try EnclaveProvider(fault: fault)
        let guest = try boot(provider)
        let code: KeyProviderError.Code = [.shortSeed, .longSeed].contains(fault) ? .malformed : .notAuthentic
        await #expect(throws: KeyProviderError(code, "", "")) { _ = try await exchange(provider, guest) }
    }

    @Test("another enclave than those that are accepted gives no key, however genuine")
    func otherEnclave() async throws {
        let provider = try EnclaveProvider()
        let guest = try boot(provider)
        var rules = KeyProviderRules(acceptedEnclaves: [FixedBytes(repeating: 0xE2)])
        await #expect(throws: KeyProviderError(.notAccepted, "", "")) {
            _ = try await exchange(provider, guest, rules: rules)
        }
        rules.acceptedEnclaves = []
        await #expect(throws: KeyProviderError(.notAccepted, "", "")) {
            _ = try await exchange(provider, guest, rules: rules)
        }
        rules.acceptedEnclaves = [FixedBytes(repeating: 0xE1)]
        let provided = try await exchange(provider, guest, rules: rules)
        #expect(provided.report.verdict == .accepted)
    }

    @Test("an enclave on a platform whose TCB is not accepted gives no key, and one in debug mode under no policy")
    func policies() async throws {
        let provider = try EnclaveProvider()
        let guest = try boot(provider)
        let rules = KeyProviderRules(policy: VerificationPolicy(allowedStatuses: [.outOfDate]))
        await #expect(throws: KeyProviderError(.notAuthentic, "", "")) {
            _ = try await exchange(provider, guest, rules: rules)
        }
        var lax = VerificationPolicy.authentic
        lax.allowsDebug = true
        let debug = try EnclaveProvider(fault: .debugEnclave)
        await #expect(throws: KeyProviderError(.notAuthentic, "", "")) {
            _ = try await exchange(debug, boot(debug), rules: KeyProviderRules(policy: lax))
        }
    }

    @Test("an answer to another request does not open, and a quote about another key is not sent")
    func replayed() async throws {
        let provider = try EnclaveProvider()
        let guest = try boot(provider)
        let (first, second) = (SealingKeyExchange().reportData, SealingKeyExchange().reportData)
        #expect(first != second)
        let old = try provider.answer(SealingKeyRequest(quote: guest.quote(reportData: first.bytes.bytes)))
        let exchange = SealingKeyExchange()
        await #expect(throws: KeyProviderError(.notAuthentic, "", "")) {
            _ = try await exchange.open(old, rules: KeyProviderRules()) { try provider.verify($0, $1) }
        }
        #expect(throws: KeyProviderError(.notAuthentic, "", "")) {
            try exchange.request(quote: guest.quote(reportData: first.bytes.bytes))
        }
        #expect(throws: KeyProviderError(.malformed, "", "")) { try exchange.request(quote: [1, 2, 3]) }
        let large = [UInt8](repeating: 0, count: SealingKeyRequest.maximumQuoteBytes + 1)
        #expect(throws: KeyProviderError(.malformed, "", "")) { try exchange.request(quote: large) }
    }

    @Test("where evidence cannot be verified there is no key")
    func noCollateral() async throws {
        let provider = try EnclaveProvider()
        let exchange = SealingKeyExchange()
        let quote = try boot(provider).quote(reportData: exchange.reportData.bytes.bytes)
        let answer = try provider.answer(exchange.request(quote: quote))
        await #expect(throws: KeyProviderError(.unavailable, "", "")) {
            _ = try await exchange.open(answer, rules: KeyProviderRules()) { (_: [UInt8], _: VerificationPolicy) in
                throw POSIXFailure(5)
            }
        }
        // A verification of something else proves nothing about this.
        let other = try provider.platform.quote(
            .sgxEnclave(provider.platform.enclaveReport(reportData: FixedBytes(repeating: 1))))
        await #expect(throws: KeyProviderError(.notAuthentic, "", "")) {
            _ = try await exchange.open(answer, rules: KeyProviderRules()) { (_: [UInt8], _: VerificationPolicy) in
                try provider.verify(other, .standard)
            }
        }
    }

    // MARK: On the wire

    private func source(_ peer: StreamPeer, timeout: Duration = .seconds(30)) -> DirectSealingKeySource {
        DirectSealingKeySource(.tcp(host: "127.0.0.1", port: peer.port), timeout: timeout)
    }

    @Test("a provider is reached over a socket")
    func socket() async throws {
        let provider = try EnclaveProvider()
        let peer = try StreamPeer { connection in
            guard let prefix = connection.read(4), let count = try? SealingKeyFrame.byteCount(prefix: prefix),
                let message = connection.read(count), let request = try? SealingKeyRequest(json: message),
                let answer = try? SealingKeyFrame.encode(provider.answer(request).json)
            else { return }
            connection.send(answer)
        }
        let guest = try boot(provider)
        let direct = try await exchange(provider, guest)
        let remote = try await exchange(provider, guest, through: source(peer))
        let key = try publicKey(direct)
        #expect(try publicKey(remote) == key)
    }

    @Test("a provider that hangs up, sends too much or too little, or nothing, is an error in time")
    func misbehaving() async throws {
        let answers: [([UInt8]?, KeyProviderError.Code)] = [
            ([], .unavailable), ([0, 0], .unavailable), ([0, 0, 0, 0], .malformed), ([0, 0x80, 0, 1], .malformed),
            ([0xFF, 0xFF, 0xFF, 0xFF], .malformed), ([0, 0, 0, 5, 0x7B], .unavailable),
            ([0, 0, 0, 2, 0x7B, 0x7D], .malformed),
        ]
        let request = SealingKeyRequest(quote: [1])
        for (bytes, code) in answers {
            let peer = try StreamPeer { connection in
                _ = connection.read(4 + request.json.count)
                if let bytes { connection.send(bytes) }
            }
            await #expect(throws: KeyProviderError(code, "", ""), "\(bytes ?? [])") {
                try await source(peer).sealingKey(request)
            }
        }
        // It waits until the client has given up.
        let silent = try StreamPeer { $0.waitForEnd() }
        await #expect(throws: KeyProviderError(.unavailable, "", "")) {
            try await source(silent, timeout: .milliseconds(50)).sealingKey(request)
        }
        let port = silent.port
        _ = consume silent
        await #expect(throws: KeyProviderError(.unavailable, "", "")) {
            try await DirectSealingKeySource(.tcp(host: "127.0.0.1", port: port == 1 ? 2 : 1)).sealingKey(request)
        }
    }

    @Test("a provider is reached through the host, as guests do it")
    func throughHost() async throws {
        let provider = try EnclaveProvider()
        let directory = try ScratchDirectory()
        var service = RPCService(HostAPIRPC.HostApi.name)
        service.on(HostAPIRPC.HostApi.getSealingKey, limits: .init(timeout: nil)) { request, _ in
            guard !request.quote.isEmpty else { throw RPCError("no quote") }
            let answer = try provider.answer(SealingKeyRequest(quote: request.quote))
            return HostAPIRPC.GetSealingKeyResponse.with {
                $0.encryptedKey = answer.encryptedKey
                $0.providerQuote = answer.providerQuote
            }
        }
        var router = RPCRouter()
        router.mount(service, at: "/api")
        let server = HTTPServer(
            .init(listeners: [HTTPListener("host", .unix(path: directory.path("host.sock")))]), handler: router.respond)
        _ = try await server.start()
        var configuration = HTTPClientConfiguration()
        configuration.proxy = .none
        configuration.transport = .unix(path: directory.path("host.sock"))
        let host = HostSealingKeySource(RPCClient(HTTPClient(configuration), at: "http://host/api"))
        let guest = try boot(provider)
        let direct = try await exchange(provider, guest)
        let remote = try await exchange(provider, guest, through: host)
        let key = try publicKey(direct)
        #expect(try publicKey(remote) == key)
        await #expect(throws: KeyProviderError(.unavailable, "", "")) {
            try await host.sealingKey(SealingKeyRequest(quote: []))
        }
        await server.stop()
    }
}
