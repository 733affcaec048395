import DstackEncoding
import DstackRPC
import Foundation
import TestKit
import Testing

@Suite("Messages of the key service against vectors", .needsVectors("keys/prpc.json"))
struct RPCVectorTests {
    private let types = Dictionary(
        uniqueKeysWithValues: (AllMessages.kms + [RPCErrorMessage.self]).map { ("\($0)", $0) })

    private func type(_ row: JSONNode) throws -> any RPCMessage.Type {
        let name = try row.member("message").string()
        return try #require(types[name == "ProtoError" ? "RPCErrorMessage" : name], "\(name) is not declared")
    }

    @Test("a message has the protobuf and the JSON of its row, both ways")
    func messages() throws {
        func check<Message: RPCMessage>(_ type: Message.Type, _ row: JSONNode) throws {
            let protobuf = try row.member("protobuf").hexBytes()
            let json = try row.member("json")
            let fromProtobuf = try Message(protobuf: protobuf)
            let fromJSON = try Message(json: json.rawBytes)
            #expect(fromProtobuf == fromJSON)
            #expect(fromJSON.protobuf == protobuf)
            let written = try JSONDocument(parsing: fromProtobuf.json, subject: "written")
            #expect(try CanonicalJSON.encode(written.root) == CanonicalJSON.encode(json))
            // The order is that of the declaration, and nothing stands between the tokens.
            #expect(written.root.members.map(\.name) == json.members.map(\.name))
            #expect(!written.bytes.contains(0x20) || json.rawBytes.contains(0x20))
        }
        let rows = try Vectors.json("keys/prpc.json").member("messages").array().map { $0 }
        #expect(rows.count >= 19)
        for row in rows { try check(try type(row), row) }
    }

    @Test("input that upstream takes is taken")
    func accepted() throws {
        let rows = try Vectors.json("keys/prpc.json").member("accepted_json").array().map { $0 }
        #expect(rows.count >= 9)
        for row in rows {
            #expect(try row.member("message").string() == "AppId")
            let message = try KMSRPC.AppId(json: Array(try row.member("input").string().utf8))
            #expect(try message.appID == row.member("app_id").hexBytes())
        }
    }

    @Test("input that upstream refuses is refused")
    func rejected() throws {
        func check<Message: RPCMessage>(_ type: Message.Type, _ input: String) {
            #expect(throws: DecodingFailure.self, "\(input)") { try Message(json: Array(input.utf8)) }
        }
        let rows = try Vectors.json("keys/prpc.json").member("rejected_json").array().map { $0 }
        #expect(rows.count >= 11)
        for row in rows { check(try type(row), try row.member("input").string()) }
    }
}
