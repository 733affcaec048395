import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackRPC
import DstackRPCServer
import Testing

@Suite("Secret fields of messages")
struct RPCSecretTests {
    /// A message with every kind of secret field.
    struct Secrets: RPCMessage {
        var note = ""
        var key = RPCSecret()
        var text = RPCSecretText()
        var maybe: RPCSecret?
        var keys: [RPCSecret] = []
        var part: KMSRPC.KmsKeys?
        var parts: [KMSRPC.KmsKeys] = []
        var byName: [String: RPCSecretText] = [:]

        init() {}

        mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "note", &note)
            fields.value(2, "key", &key)
            fields.value(3, "text", &text)
            fields.optional(4, "maybe", &maybe)
            fields.repeated(5, "keys", &keys)
            fields.message(6, "part", &part)
            fields.messages(7, "parts", &parts)
            fields.map(8, "by_name", &byName)
        }
    }

    /// The same without secrets.
    struct Plain: RPCMessage {
        struct Keys: RPCMessage {
            var caKey = ""
            var k256Key: [UInt8] = []

            init() {}

            mutating func visit(_ fields: inout some RPCFieldVisitor) {
                fields.value(1, "ca_key", &caKey)
                fields.value(2, "k256_key", &k256Key)
            }
        }

        var note = ""
        var key: [UInt8] = []
        var text = ""
        var maybe: [UInt8]?
        var keys: [[UInt8]] = []
        var part: Keys?
        var parts: [Keys] = []
        var byName: [String: String] = [:]

        init() {}

        mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "note", &note)
            fields.value(2, "key", &key)
            fields.value(3, "text", &text)
            fields.optional(4, "maybe", &maybe)
            fields.repeated(5, "keys", &keys)
            fields.message(6, "part", &part)
            fields.messages(7, "parts", &parts)
            fields.map(8, "by_name", &byName)
        }
    }

    static let pem = "-----BEGIN \"KEY\"\\-----\nABC\u{1}\n"

    static let plain = Plain.with {
        $0.note = "wörter"
        $0.key = [0, 0x9A, 0xFF]
        $0.text = pem
        $0.maybe = []
        $0.keys = [[], [1], [2, 3]]
        $0.part = .with { ($0.caKey, $0.k256Key) = (pem, [7]) }
        $0.parts = [.init(), .with { $0.caKey = "x" }]
        $0.byName = ["b": pem, "a": "z"]
    }

    static let secret = Secrets.with {
        $0.note = "wörter"
        $0.key = RPCSecret(copying: [0, 0x9A, 0xFF])
        $0.text = RPCSecretText(copying: pem)
        $0.maybe = RPCSecret()
        $0.keys = [RPCSecret(), RPCSecret(copying: [1]), RPCSecret(copying: [2, 3])]
        $0.part = .with { ($0.caKey, $0.k256Key) = (RPCSecretText(copying: pem), RPCSecret(copying: [7])) }
        $0.parts = [.init(), .with { $0.caKey = RPCSecretText(copying: "x") }]
        $0.byName = ["b": RPCSecretText(copying: pem), "a": RPCSecretText(copying: "z")]
    }

    private func shared(_ bytes: [UInt8]) -> SharedSecret { SharedSecret(copying: bytes.span.bytes) }

    @Test("they are written as others, in memory that is wiped", arguments: [RPCEncoding.json, .protobuf])
    func written(_ encoding: RPCEncoding) {
        guard case .secret(let bytes) = Self.secret.encoded(as: encoding) else {
            Issue.record("in ordinary memory")
            return
        }
        #expect(bytes.copiedToUnprotectedMemory() == Self.plain.encoded(as: encoding).unprotected)
        guard case .plain = Secrets.with({ $0.note = "a" }).encoded(as: encoding) else {
            Issue.record("wiped memory without need")
            return
        }
    }

    @Test(
        "they are read alike from ordinary memory and from memory that is wiped",
        arguments: [RPCEncoding.json, .protobuf])
    func read(_ encoding: RPCEncoding) throws {
        let bytes = Self.plain.encoded(as: encoding).unprotected
        #expect(try Secrets(decoding: bytes, as: encoding) == Self.secret)
        #expect(try Secrets(decoding: shared(bytes), as: encoding) == Self.secret)
        #expect(try Plain(decoding: shared(bytes), as: encoding) == Self.plain)
        #expect(try Secrets(decoding: shared([]), as: encoding) == Secrets())
    }

    @Test("every message is read from wiped memory as from ordinary memory", arguments: [RPCEncoding.json, .protobuf])
    func everything(_ encoding: RPCEncoding) throws {
        let message = Everything.with {
            $0.text = "\"é\n"
            $0.bytes = [1, 2]
            $0.flag = true
            $0.i64 = .min
            $0.u64 = .max
            $0.maybeU64 = 7
            $0.texts = ["a", ""]
            $0.blobs = [[], [3]]
            $0.flags = [true, false]
            $0.numbers = [1, 300]
            $0.part = .with { $0.children = [.with { $0.name = "x" }] }
            $0.parts = [Tree(), .with { $0.weight = 3 }]
            $0.counters = [10: 1, 9: 2]
            $0.labels = ["a": "b"]
        }
        let bytes = message.encoded(as: encoding).unprotected
        #expect(try Everything(decoding: shared(bytes), as: encoding) == message)
        for count in bytes.indices where count > 0 {
            let cut = Array(bytes[..<count])
            #expect(
                (try? Everything(decoding: shared(cut), as: encoding)) == (try? Everything(decoding: cut, as: encoding))
            )
        }
    }

    @Test(
        "what is refused in ordinary memory is refused in wiped memory, without a word of the secret",
        arguments: [
            #"{"key":"0g"}"#, #"{"key":"abc"}"#, #"{"key":1234}"#, #"{"key":null}"#, #"{"text":["1234"]}"#,
            #"{"text":null}"#,
            #"{"keys":"1234"}"#, #"{"part":"1234"}"#, #"{"parts":[null]}"#, #"{"key":"12","key":"34"}"#, #"{"note":5}"#,
            #"{"by_name":["1234"]}"#, "[]", "{", #"{"key":"0X12"}"#,
        ])
    func refused(_ input: String) throws {
        let bytes = Array(input.utf8)
        #expect(throws: DecodingFailure.self) { try Secrets(decoding: bytes, as: .json) }
        let error = try #require(
            failure { () throws(DecodingFailure) in _ = try Secrets(decoding: shared(bytes), as: .json) })
        for word in ["0g", "abc", "34"] where input.contains(word) && !input.contains(":1234") {
            #expect(!error.description.contains(word), "\(error)")
        }
    }

    @Test("a misspelled name is refused there too, any number of 0x is taken, and unknown members are ignored")
    func names() throws {
        let good = shared(Array(#"{"other":{"Key":1},"key":"0x0xAb"}"#.utf8))
        let message = try Secrets(decoding: good, as: .json, unknownFields: .refusedWhereMisspelled)
        #expect(message.key == RPCSecret(copying: [0xAB]))
        for wrong in [#"{"Key":"ab"}"#, #"{"parts":[{"k256Key":""}]}"#] {
            let error = failure { () throws(DecodingFailure) in
                _ = try Secrets(decoding: shared(Array(wrong.utf8)), as: .json, unknownFields: .refusedWhereMisspelled)
            }
            #expect(error?.description.hasSuffix("is how it is spelled") == true)
        }
    }

    @Test("a secret has no place in a query, prints its size, and equals only its like")
    func handling() throws {
        let error = failure { () throws(DecodingFailure) in _ = try Secrets(query: [(name: "key", value: "ab")]) }
        #expect(error?.description == "key: a secret has no place in a query")
        #expect("\(Secrets.with { $0.key = RPCSecret(copying: [1, 2]) })" == "Secrets(key: 2 bytes)")
        #expect(RPCSecret(copying: [1]) != RPCSecret(copying: [2]) && RPCSecret(copying: [1]) != RPCSecret())
        #expect(RPCSecret(copying: []) == RPCSecret() && RPCSecret(copying: []).isDefault)
    }

    @Test("which messages hold secrets follows from their fields")
    func holders() {
        let holders: [any RPCMessage.Type] = [
            Secrets.self, AgentRPC.GetKeyResponse.self, AgentRPC.GetTlsKeyResponse.self,
            AgentRPC.DeriveK256KeyResponse.self,
            AgentRPCv1.GetKeyResponse.self, KMSRPC.AppKeyResponse.self, KMSRPC.KmsKeys.self, KMSRPC.KmsKeyResponse.self,
            KMSRPC.GetTempCaCertResponse.self,
        ]
        for type in holders {
            let holdsSecrets = type.holdsSecrets
            #expect(holdsSecrets, "\(type)")
        }
        let found = AllMessages.all.filter { $0.holdsSecrets }
        #expect(found.count == holders.count - 1)
    }

    @Test(
        "they travel in requests and responses, whatever memory requests come in",
        arguments: [RPCEncoding.json, .protobuf], [false, true])
    func calls(_ encoding: RPCEncoding, receivesSecrets: Bool) async throws {
        let method = RPCMethod<Secrets, Secrets>("Vault", "Echo", .once)
        let plain = RPCMethod<Plain, Plain>("Vault", "EchoPlain", .once)
        let fixture = try await RPCFixture(receivesSecrets: receivesSecrets) { router in
            var service = RPCService("Vault")
            // Asked about what is at hand first: what such a request says must not be kept.
            service.on(method, immediately: { request, _ in request.note == "now" ? RPCReply(request) : nil }) {
                request, _ in
                request
            }
            service.on(plain, immediately: { request, _ in RPCReply(request) }) { request, _ in request }
            router.mount(service, at: "/", on: ["dstack"])
        }
        var client = fixture.client("dstack")
        client.encoding = encoding
        for note in ["now", "later"] {
            var message = Self.secret
            message.note = note
            #expect(try await client.call(method, message) == message)
            message.text = RPCSecretText(copying: String(repeating: Self.pemLine, count: 5_000))
            #expect(try await client.call(method, message) == message)
        }
        // Requests without secrets come by there, too, and each is read for itself.
        for key in [[1], [2], []] as [[UInt8]] {
            #expect(try await client.call(plain, .with { $0.key = key }).key == key)
        }
        // Whatever a text has in it, escaped or not.
        for text in ["\u{FFFF}", "\u{1}\"\\é\u{1F511}"] {
            let answer = try await client.call(
                RPCMethod<Plain, Secrets>("Vault", "Echo", .once), .with { $0.text = text })
            #expect(answer.text == RPCSecretText(copying: text))
        }
        await fixture.server.stop()
    }

    private static let pemLine = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n"
}
