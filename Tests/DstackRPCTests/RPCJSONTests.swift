import DstackEncoding
import DstackRPC
import Testing

@Suite("JSON of messages")
struct RPCJSONTests {
    @Test("every field is there, in the order of declaration, but for what is left out when empty")
    func output() {
        #expect(
            text(Everything().json)
                == #"{"text":"","bytes":"","flag":false,"u32":0,"u64":0,"i32":0,"i64":0,"maybe_text":null,"#
                + #""maybe_bytes":null,"maybe_flag":null,"maybe_u64":null,"texts":[],"blobs":[],"flags":[],"#
                + #""numbers":[],"signed":[],"part":null,"parts":[],"counters":{},"labels":{}}"#)
        var quote = AgentRPC.GetQuoteResponse()
        #expect(text(quote.json) == #"{"quote":"","event_log":"","report_data":"","vm_config":""}"#)
        quote.attestation = [0xAB]
        #expect(text(quote.json).hasSuffix(#","vm_config":"","attestation":"ab"}"#))
        #expect(text(RPCEmpty().json) == "null")
    }

    @Test("values have their JSON, and it reads back")
    func values() throws {
        let message = Everything.with {
            $0.bytes = [0x00, 0xAB, 0xFF]
            $0.u64 = .max
            $0.i64 = .min
            $0.i32 = -7
            $0.maybeFlag = false
            $0.maybeU64 = 0
            $0.blobs = [[], [1]]
            $0.flags = [true, false]
            $0.part = .with { $0.children = [Tree()] }
            $0.counters = [10: 1, 9: 2]
        }
        let json = text(message.json)
        for member in [
            #""bytes":"00abff""#, #""u64":18446744073709551615"#, #""i64":-9223372036854775808"#, #""i32":-7"#,
            #""maybe_flag":false"#, #""maybe_u64":0"#, #""blobs":["","01"]"#, #""flags":[true,false]"#,
            #""part":{"name":"","weight":0,"children":[{"name":"","weight":0,"children":[]}]}"#,
            #""counters":{"9":2,"10":1}"#,
        ] {
            #expect(json.contains(member))
        }
        #expect(try Everything(json: message.json) == message)
    }

    @Test("texts are written in ASCII only, with the escapes that they need")
    func ascii() throws {
        let samples = [
            ("plain / text", #""plain / text""#), ("\"\\", #""\"\\""#),
            ("\u{8}\t\n\u{C}\r", #""\b\t\n\f\r""#), ("\u{0}\u{1F}\u{7F}", "\"\\u0000\\u001f\u{7F}\""),
            ("é水🔐a", #""\u00e9\u6c34\ud83d\udd10a""#), ("\u{FFFF}\u{10FFFF}", #""\uffff\udbff\udfff""#),
        ]
        for (sample, expected) in samples {
            let json = KMSRPC.BootstrapRequest.with { $0.domain = sample }.json
            #expect(text(json) == #"{"domain":\#(expected)}"#)
            #expect(json.allSatisfy { $0 < 0x80 })
            #expect(try KMSRPC.BootstrapRequest(json: json).domain == sample)
        }
    }

    @Test("what is missing has its default, what is unknown is ignored, what is optional may be null")
    func input() throws {
        #expect(try Everything(json: Array("{}".utf8)) == Everything())
        #expect(try Everything(json: []) == Everything())
        let sample = #" { "unknown" : [ { "text" : 1 } ] , "flag" : true , "maybe_text" : null , "part" : null } "#
        #expect(try Everything(json: Array(sample.utf8)) == Everything.with { $0.flag = true })
        #expect(try Everything(json: Array(#"{"maybeText":"camel"}"#.utf8)) == Everything())
    }

    @Test(
        "where a misspelled field is refused, its right name is told, whatever kind of field it is and wherever it stands",
        arguments: [
            (#"{"Text":"a"}"#, "message.Text", "text"), (#"{"text":"a","TEXT":"b"}"#, "message.TEXT", "text"),
            (#"{"U32":1}"#, "message.U32", "u32"), (#"{"maybeText":"a"}"#, "message.maybeText", "maybe_text"),
            (#"{"MaybeU64":null}"#, "message.MaybeU64", "maybe_u64"),
            (#"{"may-be_flag":1}"#, "message.may-be_flag", "maybe_flag"),
            (#"{"_texts__":[]}"#, "message._texts__", "texts"), (#"{"Blobs":7}"#, "message.Blobs", "blobs"),
            (#"{"PART":{}}"#, "message.PART", "part"), (#"{"Parts":[]}"#, "message.Parts", "parts"),
            (#"{"Counters":{}}"#, "message.Counters", "counters"), (#"{"\u0054ext":"a"}"#, "message.Text", "text"),
            (#"{"te xt":"a"}"#, "message.te xt", "text"), (#"{"text ":"a"}"#, "message.text ", "text"),
            (#"{"part":{"Weight":1}}"#, "message.part.Weight", "weight"),
            (#"{"parts":[{},{"children":[{"Name":""}]}]}"#, "message.parts[1].children[0].Name", "name"),
        ])
    func misspelled(_ input: String, subject: String, right: String) throws {
        let bytes = Array(input.utf8)
        let failure = failure { () throws(DecodingFailure) in
            _ = try Everything(json: bytes, unknownFields: .refusedWhereMisspelled)
        }
        let description = try #require(failure?.description)
        #expect(description.hasPrefix(subject + " at byte "))
        #expect(description.hasSuffix("\"\(right)\" is how it is spelled"))
        _ = try Everything(json: bytes)
    }

    @Test(
        "what is no field's name in any spelling is ignored all the same, and so are names that the caller chooses",
        arguments: [
            #"{"texting":1,"tex":2,"":3,"_":4,"tëxt":5}"#,
            #"{"unknown":{"Text":[{"Flag":1}]}}"#,
            #"{"labels":{"Text":"a","Labels":"b"}}"#, #"{"flag":true,"new_field":{"maybeText":1}}"#,
        ])
    func otherNames(_ input: String) throws {
        let bytes = Array(input.utf8)
        #expect(try Everything(json: bytes, unknownFields: .refusedWhereMisspelled) == Everything(json: bytes))
    }

    @Test("hexadecimal input may have any case and any number of 0x before it")
    func hexInput() throws {
        for (input, expected) in [
            ("aB", [0xAB]), ("0xab", [0xAB]), ("0x0x0xAB", [0xAB]), ("0x", []), ("", []), (#"\u0061b"#, [0xAB]),
            ("00", [0]), ("0x0", nil), ("0X00", nil), ("abc", nil), (" ab", nil), ("ab\u{e9}", nil), ("0x x0", nil),
            ("zz", nil),
        ] as [(String, [UInt8]?)] {
            let message = try? Everything(json: Array(#"{"bytes":"\#(input)"}"#.utf8))
            #expect(message?.bytes == expected, "\(input)")
        }
    }

    @Test(
        "a value of another type is refused",
        arguments: [
            #"{"text":null}"#, #"{"text":1}"#, #"{"bytes":null}"#, #"{"bytes":[1]}"#, #"{"flag":null}"#,
            #"{"flag":1}"#, #"{"flag":"true"}"#, #"{"u32":-1}"#, #"{"u32":4294967296}"#, #"{"u32":1.0}"#,
            #"{"u32":1e2}"#, #"{"u32":"1"}"#, #"{"u64":18446744073709551616}"#, #"{"i32":2147483648}"#,
            #"{"i64":-9223372036854775809}"#, #"{"texts":null}"#, #"{"texts":"a"}"#, #"{"texts":[null]}"#,
            #"{"part":[]}"#, #"{"parts":[null]}"#, #"{"parts":{}}"#, #"{"counters":[]}"#, #"{"counters":{"a":1}}"#,
            #"{"counters":{"1":null}}"#, #"{"counters":{"1":1,"01":2}}"#, #"{"maybe_u64":"1"}"#, "null", "[]", "\"\"",
            "{", "{} {}", #"{"flag":true,"flag":true}"#, "\u{FEFF}{}",
        ])
    func refused(_ input: String) {
        #expect(throws: DecodingFailure.self) { try Everything(json: Array(input.utf8)) }
    }

    @Test("a failure names the field and where it stands")
    func failures() {
        let nested = #"{"parts":[{"weight":1},{"weight":"x"}]}"#
        #expect(
            failure { () throws(DecodingFailure) in _ = try Everything(json: Array(nested.utf8)) }?.description
                == "message.parts[1].weight at byte 33: an integer expected, found a string")
        let odd = #"{"bytes":"0xabc"}"#
        #expect(
            failure { () throws(DecodingFailure) in _ = try Everything(json: Array(odd.utf8)) }?.description
                == "message.bytes at byte 9: odd number of hexadecimal digits (3)")
    }

    @Test("depth and number of values are bounded")
    func limits() {
        var limits = RPCLimits()
        limits.maximumDepth = 5
        limits.maximumElements = 100
        let deep = #"{"x":[[[[[]]]]]}"#
        #expect(
            failure { () throws(DecodingFailure) in _ = try Everything(json: Array(deep.utf8), limits: limits) }?.code
                == .tooLarge)
        let wide = #"{"texts":["# + String(repeating: "\"\",", count: 100) + #"""]}"#
        #expect(
            failure { () throws(DecodingFailure) in _ = try Everything(json: Array(wide.utf8), limits: limits) }?.code
                == .tooLarge)
        let hostile = [UInt8](repeating: UInt8(ascii: "["), count: 1 << 20)
        #expect(failure { () throws(DecodingFailure) in _ = try Everything(json: hostile) }?.code == .tooLarge)
    }
}
