import DstackEncoding
import DstackRPC
import TestKit
import Testing

@Suite("protobuf")
struct ProtobufTests {
    @Test("defaults are left out, values that are present are not")
    func defaults() throws {
        #expect(Everything().protobuf.isEmpty)
        #expect(try Everything(protobuf: []) == Everything())
        let present = Everything.with {
            $0.maybeText = ""
            $0.maybeFlag = false
            $0.maybeU64 = 0
            $0.part = Tree()
        }
        #expect(present.protobuf == hex("4200 5000 5800 8a0100"))
        #expect(try Everything(protobuf: present.protobuf) == present)
    }

    @Test(
        "values have their wire form",
        arguments: [
            (Everything.with { $0.text = "é" }, "0a02c3a9"),
            (Everything.with { $0.bytes = [0, 255] }, "120200ff"),
            (Everything.with { $0.flag = true }, "1801"),
            (Everything.with { $0.u32 = 300 }, "20ac02"),
            (Everything.with { $0.u64 = .max }, "28ffffffffffffffffff01"),
            (Everything.with { $0.i32 = -1 }, "30ffffffffffffffffff01"),
            (Everything.with { $0.i64 = .min }, "3880808080808080808001"),
            (Everything.with { $0.texts = ["", "a"] }, "6200 620161"),
            (Everything.with { $0.numbers = [1, 300, 0] }, "7a04 01ac0200"),
            (Everything.with { $0.signed = [-2] }, "82010a feffffffffffffffff01"),
            (Everything.with { $0.parts = [Tree(), .with { $0.weight = 5 }] }, "920100 9201021005"),
            (Everything.with { $0.counters = [2: 3, 1: 0] }, "827d04 08011000 827d04 08021003"),
        ] as [(Everything, String)])
    func values(_ message: Everything, _ expected: String) throws {
        let bytes = hex(expected)
        #expect(message.protobuf == bytes)
        #expect(try Everything(protobuf: bytes) == message)
    }

    @Test(
        "other forms of the same message are read",
        arguments: [
            // In another order.
            ("1801 0a0161", Everything.with { ($0.text, $0.flag) = ("a", true) }),
            // The last value of a field counts.
            ("0a0161 0a0162", Everything.with { $0.text = "b" }),
            ("0a0161 1801 0a00", Everything.with { $0.flag = true }),
            // Numbers one by one, packed, and in several packs.
            ("7801 78ac02", Everything.with { $0.numbers = [1, 300] }),
            ("7a0101 7803 7a00 7a0104", Everything.with { $0.numbers = [1, 3, 4] }),
            // Elements with something between them.
            ("620161 1801 620162", Everything.with { ($0.texts, $0.flag) = (["a", "b"], true) }),
            // A message in two parts.
            ("8a01030a0161 8a01021005", Everything.with { $0.part = .with { ($0.name, $0.weight) = ("a", 5) } }),
            // Map entries without key or value, and a key given twice.
            ("827d00 827d020801 827d0408011007", Everything.with { $0.counters = [0: 0, 1: 7] }),
            // Truth is anything but zero; a number of more bits than its field has is cut.
            ("18ac02", Everything.with { $0.flag = true }),
            ("20ffffffffff01", Everything.with { $0.u32 = .max }),
            // A varint longer than it needs to be.
            ("20818000", Everything.with { $0.u32 = 1 }),
            // Unknown fields of every type, a group with a group inside among them.
            (
                "f00601 f1060102030405060708 f20603010203 f506 01020304 f306 0801 0b 0c 1202 aabb f406 1801",
                Everything.with { $0.flag = true }
            ),
        ] as [(String, Everything)])
    func forms(_ input: String, _ expected: Everything) throws {
        #expect(try Everything(protobuf: hex(input)) == expected)
    }

    @Test(
        "what is no message is refused",
        arguments: [
            ("20", .truncated, "a tag without its value"),
            ("80", .truncated, "half a tag"),
            ("0a02 61", .truncated, "a text that is too short"),
            ("0affffffffffffffffff01", .truncated, "a length beyond all bounds"),
            ("0a01 ff", .malformed, "a text that is not UTF-8"),
            ("00 00", .malformed, "field 0"),
            ("f8ffffffff0f 00", .malformed, "a field number beyond 2²⁹ - 1"),
            ("28ffffffffffffffffff02", .malformed, "a varint of 65 bits"),
            ("28ffffffffffffffffffff01", .malformed, "a varint of eleven bytes"),
            ("0e", .unsupported, "wire type 6"),
            ("0801", .malformed, "a text as a varint"),
            ("1a0101", .malformed, "a truth value as bytes"),
            ("2101020304050607 08", .malformed, "an integer as fixed64"),
            ("b80101 8a0105", .truncated, "a nested message that is too short"),
            ("8a0102 0a05", .truncated, "a text that leaves its message"),
            ("f306 0801", .truncated, "a group without an end"),
            ("f406", .malformed, "the end of a group that did not begin"),
            ("f306 fc06", .malformed, "the end of another group"),
            ("f106 01020304", .truncated, "half a fixed64"),
        ] as [(String, DecodingFailure.Code, String)])
    func refused(_ input: String, _ code: DecodingFailure.Code, _ what: String) throws {
        let bytes = hex(input)
        #expect(failure { () throws(DecodingFailure) in _ = try Everything(protobuf: bytes) }?.code == code, "\(what)")
    }

    @Test("messages and unknown groups nest so deep and no deeper")
    func depth() throws {
        func nested(_ levels: Int) -> Tree {
            (1..<levels).reduce(Tree()) { inner, _ in Tree.with { $0.children = [inner] } }
        }
        var limits = RPCLimits()
        limits.maximumDepth = 10
        let atLimit = nested(10).protobuf
        #expect(try Tree(protobuf: atLimit, limits: limits) == nested(10))
        let tooDeep = nested(11).protobuf
        #expect(
            failure { () throws(DecodingFailure) in _ = try Tree(protobuf: tooDeep, limits: limits) }?.code == .tooLarge
        )
        let groups = Array(repeating: UInt8(0x7B), count: 1_000_000)
        #expect(failure { () throws(DecodingFailure) in _ = try Tree(protobuf: groups) }?.code == .tooLarge)
        // As deep as a body allows: the reader must not follow.
        var hostile: [UInt8] = []
        for _ in 0..<2_000 { hostile = [0x1A] + varint(hostile.count) + hostile }
        #expect(failure { () throws(DecodingFailure) in _ = try Tree(protobuf: hostile) }?.code == .tooLarge)
    }

    private func varint(_ value: Int) -> [UInt8] {
        value < 128 ? [UInt8(value)] : [UInt8(value & 127) | 128] + varint(value >> 7)
    }

    @Test("elements are counted over the whole message")
    func elements() throws {
        var limits = RPCLimits()
        limits.maximumElements = 6
        let tree = Tree.with { $0.children = [.with { $0.children = [Tree(), Tree()] }, Tree(), Tree()] }
        #expect(try Tree(protobuf: tree.protobuf, limits: limits) == tree)
        for input in ["7a0701020304050607", "62006200620062006200620062006200"] {
            let bytes = hex(input)
            #expect(
                failure { () throws(DecodingFailure) in _ = try Everything(protobuf: bytes, limits: limits) }?.code
                    == .tooLarge)
        }
        let wide = Tree.with { $0.children = [.with { $0.children = [Tree(), Tree(), Tree()] }, tree] }.protobuf
        #expect(
            failure { () throws(DecodingFailure) in _ = try Tree(protobuf: wide, limits: limits) }?.code == .tooLarge)
    }

    @Test("a void message does not look at its input")
    func void() throws {
        #expect(try RPCEmpty(protobuf: [0xFF]) == RPCEmpty())
        #expect(RPCEmpty().protobuf.isEmpty)
    }

    @Test("a message of nothing but empty elements does not become many times its size in memory")
    func emptyElements() throws {
        let element: [UInt8] = [0x62, 0x00]
        let some = [UInt8](repeatElement(element, count: 4_000).joined())
        #expect(try Everything(protobuf: some).texts.count == 4_000)
        let many = [UInt8](repeatElement(element, count: 40_000).joined())
        let failure = #expect(throws: DecodingFailure.self) { try Everything(protobuf: many) }
        #expect(failure?.description.contains("elements") == true)
    }
}
