import DstackEncoding
import DstackRPC
import TestKit
import Testing

/// Both decoders see every message of every service, filled at random, cut, changed and mixed up. They must neither trap
/// nor take anything that would not be written the same way again.
@Suite("Damaged messages")
struct RPCMutationTests {
    private enum Form: CaseIterable { case protobuf, json }

    private func encode(_ message: some RPCMessage, _ form: Form) -> [UInt8] {
        form == .json ? message.json : message.protobuf
    }

    private func decode<Message: RPCMessage>(
        _ bytes: [UInt8], _ form: Form
    ) throws(DecodingFailure) -> Message {
        try Message(decoding: bytes, as: form == .json ? .json : .protobuf)
    }

    /// What is taken must survive being written and read.
    private func check<Message: RPCMessage>(_ type: Message.Type, _ bytes: [UInt8], _ form: Form) -> Bool {
        guard let message: Message = try? decode(bytes, form) else { return false }
        let again: Message? = try? decode(encode(message, form), form)
        #expect(again == message)
        return true
    }

    @Test("whole messages survive both encodings")
    func roundTrip() throws {
        func run<Message: RPCMessage>(_ type: Message.Type, _ seed: UInt64) throws {
            let message = RandomFill.message(type, seed: seed)
            #expect(try Message(protobuf: message.protobuf) == message)
            #expect(try Message(json: message.json) == message)
            #expect(message.json.allSatisfy { $0 < 0x80 })
        }
        for type in AllMessages.all {
            for round in SeededGenerator.rounds(10) { try run(type, UInt64(round)) }
        }
    }

    @Test("a cut message is refused, or is the shorter message that it now is")
    func truncation() {
        func run<Message: RPCMessage>(_ type: Message.Type, _ seed: UInt64) {
            let message = RandomFill.message(type, seed: seed)
            let json = message.json
            // Every place in a short message, a few hundred in a long one.
            for length in stride(from: 1, to: json.count, by: json.count / 300 + 1) {
                #expect(throws: DecodingFailure.self) { try Message(json: Array(json[..<length])) }
            }
            let protobuf = message.protobuf
            for length in stride(from: 0, to: protobuf.count, by: protobuf.count / 300 + 1) {
                _ = check(type, Array(protobuf[..<length]), .protobuf)
            }
        }
        for type in AllMessages.all { run(type, 7) }
    }

    @Test("a message with changed bytes is refused, or is another message")
    func mutation() {
        func run<Message: RPCMessage>(_ type: Message.Type, _ seed: UInt64) -> (taken: Int, refused: Int) {
            var random = SeededGenerator(seed: seed)
            var result = (taken: 0, refused: 0)
            for form in Form.allCases {
                var bytes = encode(RandomFill.message(type, seed: seed), form)
                let interesting: [UInt8] =
                    form == .json ? Array(#"{}[],:"0x\u1-e n"#.utf8) : [0, 1, 2, 7, 10, 127, 128, 255]
                for _ in 0...Int.random(in: 0...3, using: &random) {
                    let position = Int.random(in: 0...bytes.count, using: &random)
                    let byte =
                        Bool.random(using: &random)
                        ? UInt8.random(in: 0...255, using: &random) : interesting.randomElement(using: &random) ?? 0
                    switch Int.random(in: 0...4, using: &random) {
                    case 0: bytes.insert(byte, at: position)
                    case 1 where position < bytes.count: bytes.remove(at: position)
                    case 2 where position < bytes.count: bytes[position] ^= 1 << UInt8.random(in: 0...7, using: &random)
                    case 3 where position < bytes.count: bytes[position] = byte
                    default:
                        let start = Int.random(in: 0...position, using: &random)
                        bytes.insert(contentsOf: Array(bytes[start..<position]), at: position)
                    }
                }
                if check(type, bytes, form) { result.taken += 1 } else { result.refused += 1 }
            }
            return result
        }
        var total = (taken: 0, refused: 0)
        for type in AllMessages.all {
            for round in SeededGenerator.rounds(60) {
                let result = run(type, UInt64(1_000 + round))
                total = (total.taken + result.taken, total.refused + result.refused)
            }
        }
        #expect(total.taken > 100 && total.refused > 100)
    }

    @Test("noise is refused, or is a message")
    func noise() {
        var random = SeededGenerator(seed: 99)
        var taken = 0
        for _ in SeededGenerator.rounds(3_000) {
            let bytes = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            if check(Everything.self, bytes, .protobuf) { taken += 1 }
            #expect(throws: DecodingFailure.self) { try Everything(json: bytes) }
        }
        #expect(taken > 0)
    }
}
