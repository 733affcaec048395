import DstackEncoding
import DstackRPC
import Testing

@Suite("Messages in query strings")
struct RPCQueryTests {
    private func read(_ items: [(name: String, value: String)]) throws(DecodingFailure) -> Everything {
        try Everything(query: items)
    }

    @Test("values of every type are read, unknown ones ignored")
    func values() throws {
        let message = try read([
            ("text", "a b"), ("bytes", "0xAB"), ("flag", "true"), ("u32", "4294967295"), ("i64", "-5"),
            ("maybe_u64", ""), ("maybe_flag", "false"), ("json", ""), ("unknown", "x"),
        ])
        #expect(
            message
                == Everything.with {
                    $0.text = "a b"
                    $0.bytes = [0xAB]
                    $0.flag = true
                    $0.u32 = .max
                    $0.i64 = -5
                    $0.maybeFlag = false
                })
        #expect(try read([]) == Everything())
    }

    @Test("a parameter that is a field's but for its spelling is refused where requests are read, with the right one")
    func misspelled() throws {
        for (name, right) in [
            ("Text", "text"), ("maybeText", "maybe_text"), ("Texts[0]", "texts"), ("Texts[]", "texts"),
            ("part[Weight]", "weight"),
            ("parts[0][children][0][NAME]", "name"), ("COUNTERS[1]", "counters"),
        ] {
            let items = [(name: "flag", value: "true"), (name: name, value: "1")]
            let failure = failure { () throws(DecodingFailure) in
                _ = try Everything(query: items, unknownFields: .refusedWhereMisspelled)
            }
            #expect(failure?.description.hasSuffix("\"\(right)\" is how it is spelled") == true, "\(name)")
            #expect(try Everything(query: items).flag)
        }
        let others = [(name: "json", value: ""), (name: "labels[Text]", value: "a"), (name: "texting", value: "b")]
        #expect(
            try Everything(query: others, unknownFields: .refusedWhereMisspelled) == .with { $0.labels = ["Text": "a"] }
        )
    }

    @Test("lists are given by index, by empty brackets or by repetition; messages and maps by name")
    func lists() throws {
        #expect(try read([("texts[1]", "b"), ("texts[0]", "a")]).texts == ["a", "b"])
        #expect(try read([("texts[]", "a"), ("texts[]", "b")]).texts == ["a", "b"])
        #expect(try read([("texts", "a"), ("texts", "b")]).texts == ["a", "b"])
        #expect(try read([("blobs[]", "0x01")]).blobs == [[1]])
        #expect(
            try read([("part[name]", "x"), ("part[weight]", "3")]).part == .with { ($0.name, $0.weight) = ("x", 3) })
        #expect(
            try read([("parts[0][name]", "x"), ("parts[1][children][0][name]", "y")]).parts
                == [.with { $0.name = "x" }, .with { $0.children = [.with { $0.name = "y" }] }])
        #expect(try read([("counters[7]", "8"), ("labels[a]", "b")]).counters == [7: 8])
    }

    @Test(
        "what can be read in two ways, or in none, is refused",
        arguments: [
            [("text", "a"), ("text", "b")], [("flag", "1")], [("flag", "")], [("u32", "-1")], [("u32", "+1")],
            [("u32", "")], [("u32", "1.0")], [("bytes", "abc")], [("bytes", "0X00")], [("text[0]", "a")],
            [("texts[x]", "a")], [("texts[0", "a")], [("texts[0]]", "a")], [("texts]0[", "a")], [("texts[0]x", "a")],
            [("texts[0]", "a"), ("texts[0]", "b")], [("counters[x]", "1")], [("part[weight]", "x")],
            [("a[b][c][d][e][f][g]", "")], [(String, String)](repeating: ("x", "y"), count: 513),
        ] as [[(String, String)]])
    func refused(_ items: [(String, String)]) {
        #expect(throws: DecodingFailure.self) { try read(items.map { (name: $0.0, value: $0.1) }) }
    }

    @Test("many parameters are found by their bytes: those that only look alike are others")
    func many() throws {
        let noise = (0..<400).map { ("noise\($0)", "x") }
        let message = try read(noise + [("te\u{301}xt", "no"), ("text", "yes"), ("flag", "true")])
        #expect(message.text == "yes" && message.flag)
        #expect(throws: DecodingFailure.self) { try read(noise + [("text", "a"), ("text", "b")]) }
        #expect(throws: DecodingFailure.self) { try read((0..<513).map { ("p\($0)", "") }) }
        let list = try read(noise + (0..<40).map { ("texts[\(39 - $0)]", "\(39 - $0)") } + [("texts[]", "end")])
        #expect(list.texts == (0..<40).map { "\($0)" } + ["end"])
    }
}
