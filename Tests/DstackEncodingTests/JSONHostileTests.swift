import DstackEncoding
import Testing

/// Texts that are made to cost a reader more than they cost their sender.
@Suite("JSON documents: hostile texts")
struct JSONHostileTests {
    private func failure(_ text: String) -> DecodingFailure? {
        do {
            _ = try JSONDocument(parsing: text, subject: "text")
            return nil
        } catch {
            return error
        }
    }

    private static func many(_ part: String, _ byteCount: Int) -> String {
        String(repeating: part, count: byteCount / part.utf8.count)
    }

    @Test(
        "a text of nothing but small values does not become many times its size in memory",
        arguments: [
            ("zeros", "{\"a\":[" + many("0,", 300_000) + "0]}"), ("empty arrays", "[" + many("[],", 300_000) + "0]"),
            ("empty objects", "[" + many("{},", 300_000) + "0]"), ("empty texts", "[" + many("\"\",", 300_000) + "0]"),
            ("small objects", "[" + many("{\"a\":0},", 300_000) + "0]"),
        ])
    func memory(name: String, text: String) throws {
        let count = text.utf8.count
        guard let failure = failure(text) else {
            // Values with more bytes than the limit takes for granted.
            #expect(try JSONDocument(parsing: text, subject: "text").root.count <= count / 3)
            return
        }
        #expect(failure.code == .tooLarge, "\(name): \(failure)")
        #expect(failure.reason.contains("more than \(count / 3) values"), "\(failure)")
    }

    @Test("short texts may be as dense as they like, and what programs write is far from the limit")
    func dense() throws {
        #expect(try JSONDocument(parsing: "[" + Self.many("0,", 8_000) + "0]", subject: "t").root.count == 4_001)
        let level = #"{"tcb":{"sgxtcbcomponents":[{"svn":2},{"svn":2},{"svn":0}],"pcesvn":5},"tcbStatus":"UpToDate"},"#
        let text = "[" + Self.many(level, 400_000) + "0]"
        #expect(try JSONDocument(parsing: text, subject: "t").root.count > 4_000)
    }

    @Test(
        "a name that occurs twice is found whatever the other names are, and different names are taken",
        arguments: [
            ("few", (0..<10).map { "k\($0)" }), ("as many as are compared each with each", (0..<23).map { "k\($0)" }),
            ("many", (0..<5_000).map { "k\($0)" }),
            (
                "many of one length that begin alike",
                (0..<2_000).map { String(repeating: "p", count: 200) + "\(10_000 + $0)" }
            ),
            ("many that end alike", (0..<2_000).map { "\(10_000 + $0)" + String(repeating: "s", count: 200) }),
            ("each the beginning of the next", (1..<300).map { String(repeating: "a", count: $0) }),
            ("with escapes", (0..<2_000).map { "\\u006b\($0)" }),
            ("escapes alone", (1..<300).map { String(repeating: "\\u0061", count: $0) }),
            ("pairs of surrogates", (1..<100).map { String(repeating: "\\ud83d\\ude00", count: $0) }),
        ])
    func names(kind: String, names: [String]) throws {
        func object(_ names: [String]) -> String { "{" + names.map { "\"\($0)\":0" }.joined(separator: ",") + "}" }
        #expect(failure(object(names)) == nil, "\(kind)")
        for repeated in [names[0], names[names.count / 2], names[names.count - 1]] {
            let found = failure(object(names + [repeated]))
            #expect(found?.reason == "a duplicate member name", "\(kind): \(String(describing: found))")
        }
    }

    @Test("a name with escapes is the name that it means, among few and among many")
    func escapes() {
        let others = (0..<100).map { "\"k\($0)\":0" }.joined(separator: ",")
        for (first, second) in [
            ("a", "\\u0061"), ("\\u0061", "a"), ("\\u0061", "\\u0061"), ("\\/", "/"), ("\\n", "\\u000a"),
            ("😀", "\\ud83d\\ude00"), ("é", "\\u00e9"), ("\\t\\b\\f\\r", "\\u0009\\u0008\\u000c\\u000d"),
        ] {
            for middle in ["", others + ","] {
                let text = "{\"\(first)\":1,\(middle)\"\(second)\":2}"
                #expect(failure(text)?.reason == "a duplicate member name", "\(text.prefix(60))")
            }
        }
        // Texts that only look alike are two names.
        for (first, second) in [("é", "e\u{301}"), ("K", "\u{212A}"), ("a", "\\u0041"), ("", "\\u0000")] {
            for middle in ["", others + ","] { #expect(failure("{\"\(first)\":1,\(middle)\"\(second)\":2}") == nil) }
        }
    }

    @Test("one long name with escapes costs no more than its bytes")
    func longName() {
        let text = "{\"\\u0061\":1,\"" + String(repeating: "k", count: 2_000_000) + "\":2,\"a\":3}"
        #expect(failure(text)?.reason == "a duplicate member name")
    }

    @Test("many objects with many names each are checked one by one")
    func objects() {
        let object = "{" + (0..<40).map { "\"n\($0)\":0" }.joined(separator: ",") + "},"
        #expect(failure("[" + Self.many(object, 200_000) + "0]") == nil)
        let wrong = "{" + (0..<40).map { "\"n\($0 % 39)\":0" }.joined(separator: ",") + "},"
        #expect(failure("[" + Self.many(object, 200_000) + wrong + "0]")?.reason == "a duplicate member name")
    }

    @Test("a long name does not become a long message")
    func messages() throws {
        for name in [String(repeating: "n", count: 500_000), String(repeating: "\\u006e", count: 100_000)] {
            let root = try JSONDocument(parsing: "{\"\(name)\":1}", subject: "text").root
            let member = try #require(root.members.first { _ in true })
            #expect(member.value.subject.utf8.count < 200)
            #expect(member.value.subject.hasPrefix("text."))
        }
    }

    @Test("members and counts of large objects are the same as of small ones")
    func large() throws {
        let count = 70_000
        let text = "{" + (0..<count).map { "\"k\($0)\":\($0)" }.joined(separator: ",") + "}"
        let root = try JSONDocument(parsing: text, subject: "text").root
        #expect(root.count == count)
        #expect(root.members.map(\.name).count == count)
        #expect(try root.member(named: "k69999")?.integer() == 69_999)
        #expect(root.member(named: "k70000") == nil)
        let array = try JSONDocument(
            parsing: "[" + String(repeating: "\"x\",", count: count - 1) + "\"y\"]", subject: "text")
        #expect(array.root.count == count)
    }
}
