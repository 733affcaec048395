import DstackEncoding
import DstackRPC
import Testing

@Suite("Declarations of messages")
struct RPCDeclarationTests {
    /// Writes a message's fields as a .proto file does.
    private struct Listing: RPCFieldVisitor {
        var lines: [String] = []

        private func name<Scalar: RPCScalar>(_ type: Scalar.Type) -> String {
            switch type {
            case is String.Type, is RPCSecretText.Type: "string"
            case is [UInt8].Type, is RPCSecret.Type: "bytes"
            default: "\(type)".lowercased()
            }
        }

        mutating func value<Scalar: RPCScalar>(
            _ number: UInt32, _ field: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool
        ) {
            lines.append("\(number) \(name(Scalar.self)) \(field)")
        }

        mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ field: StaticString, _ value: inout Scalar?) {
            lines.append("\(number) optional \(name(Scalar.self)) \(field)")
        }

        mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ field: StaticString, _ values: inout [Scalar]) {
            lines.append("\(number) repeated \(name(Scalar.self)) \(field)")
        }

        mutating func message<Message: RPCMessage>(
            _ number: UInt32, _ field: StaticString, _ message: inout Message?
        ) {
            lines.append("\(number) \(Message.self) \(field)")
        }

        mutating func messages<Message: RPCMessage>(
            _ number: UInt32, _ field: StaticString, _ messages: inout [Message]
        ) {
            lines.append("\(number) repeated \(Message.self) \(field)")
        }

        mutating func map<Key: RPCMapKey, Value: RPCScalar>(
            _ number: UInt32, _ field: StaticString, _ values: inout [Key: Value]
        ) {
            lines.append("\(number) map<\(name(Key.self)), \(name(Value.self))> \(field)")
        }

        static func of<Message: RPCMessage>(_ type: Message.Type) -> [String] {
            var listing = Listing()
            var message = Message()
            message.visit(&listing)
            return listing.lines
        }
    }

    @Test("no field of a message is another one's in another spelling, and every other spelling is refused")
    func spellings() throws {
        func check<Message: RPCMessage>(_ type: Message.Type) throws {
            let names = Listing.of(type).compactMap { $0.split(separator: " ").last.map(String.init) }
            func fold(_ name: String) -> String { name.filter { $0 != "_" }.lowercased() }
            #expect(Set(names.map(fold)).count == names.count, "\(type)")
            for name in names {
                let words = name.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }
                let camel = words[0].lowercased() + words.dropFirst().joined()
                for other in [camel, words.joined(), name.uppercased(), fold(name), name + "_"] where other != name {
                    #expect(throws: DecodingFailure.self, "\(type) \(other)") {
                        try Message(json: Array(#"{"\#(other)":null}"#.utf8), unknownFields: .refusedWhereMisspelled)
                    }
                }
            }
            _ = try Message(json: Message().json, unknownFields: .refusedWhereMisspelled)
        }
        for type in AllMessages.all { try check(type) }
    }

    private func parse(_ text: String) -> [String: [String]] {
        var messages: [String: [String]] = [:]
        var current = ""
        for line in text.split(separator: "\n") {
            if line.first == " " {
                messages[current]?.append(String(line.drop { $0 == " " }))
            } else {
                current = String(line)
                messages[current] = []
            }
        }
        return messages
    }

    @Test("every message has the numbers, types and names of upstream's", arguments: ["agent", "guest", "host", "kms"])
    func fields(_ package: String) {
        let (text, types) =
            switch package {
            case "agent": (UpstreamDeclarations.agent, AllMessages.agent)
            case "guest": (UpstreamDeclarations.guestAPI, AllMessages.guestAPI)
            case "host": (UpstreamDeclarations.hostAPI, AllMessages.hostAPI)
            default: (UpstreamDeclarations.kms, AllMessages.kms)
            }
        let expected = parse(text)
        #expect(Set(expected.keys) == Set(types.map { "\($0)" }))
        // What upstream's messages have beyond upstream has numbers of its own, which upstream will hardly come to.
        for type in types {
            let upstream = Listing.of(type).filter { (UInt32($0.split(separator: " ")[0]) ?? 0) < 100 }
            #expect(upstream == expected["\(type)"], "\(type)")
        }
    }

    @Test("numbers and names are given once, in ascending order")
    func unique() {
        for type in AllMessages.all where type != Everything.self {
            let numbers = Listing.of(type).compactMap { UInt32($0.split(separator: " ")[0]) }
            let names = Listing.of(type).compactMap { $0.split(separator: " ").last }
            #expect(numbers == Set(numbers).sorted(), "\(type)")
            #expect(Set(names).count == names.count, "\(type)")
        }
    }

    @Test("a message prints sizes, never contents")
    func descriptions() {
        var response = AgentRPC.GetKeyResponse()
        response.key = RPCSecret(copying: Array(repeating: 0x41, count: 32))
        response.signatureChain = [[1], [2]]
        #expect("\(response)" == "GetKeyResponse(key: 32 bytes, signature_chain: 2 elements)")
        let request = AgentRPC.GetKeyArgs.with { $0.path = "wallet/secret" }
        #expect("\(request)" == "GetKeyArgs(path: 13 bytes)")
        #expect("\(RPCEmpty())" == "RPCEmpty()")
        let meta = KMSRPC.GetMetaResponse.with {
            $0.isDevelopment = true
            $0.chainID = 7
            $0.bootstrapInfo = .init()
        }
        #expect("\(meta)" == "GetMetaResponse(bootstrap_info: BootstrapResponse(), is_dev: true, chain_id: 7)")
    }
}
