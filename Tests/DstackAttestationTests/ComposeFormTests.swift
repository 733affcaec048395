import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Testing

@Suite("Forms of a compose file")
struct ComposeFormTests {
    private static let pretty = """
        {
          "manifest_version": 2,
          "name": "example \\u00e9 \\" : , {",
          "features": [],
          "allowed_envs": [
            "A",
            "B"
          ],
          "runner": "docker-compose",
          "bash_script": "",
          "other": {}
        }
        """

    private static let compact =
        #"{"manifest_version":2,"name":"example \u00e9 \" : , {","features":[],"allowed_envs":["A","B"],"runner":"docker-compose","bash_script":"","other":{}}"#

    private func form(of given: String, measured: String) -> String? {
        ComposeForm(of: Array(given.utf8), reaching: ComposeHash(ofFile: Array(measured.utf8)))?.description
    }

    @Test("what editors and tools do to a file is recognised, in both directions")
    func recognised() throws {
        let (pretty, compact) = (Self.pretty, Self.compact)
        let crlf = pretty.replacing("\n", with: "\r\n")
        let canonical = try AppCompose(parsing: Array(pretty.utf8)).canonicalText()
        let normalized = try AppCompose(parsing: Array(pretty.utf8)).canonicalText(isNormalized: true)
        let rows: [(given: String, measured: String, words: String)] = [
            (pretty + "\n", pretty, "without the line break at its end"),
            (pretty, pretty + "\n", "with one line feed at its end"),
            (pretty + "\n\n", pretty + "\n", "with one line feed at its end"),
            (pretty, pretty + "\r\n", "with CRLF at its end"), (crlf, pretty, "with LF in place of CRLF"),
            (pretty, crlf, "with CRLF in place of LF"),
            (crlf + "\r\n", pretty, "with LF in place of CRLF and without the line break at its end"),
            ("\u{FEFF}" + pretty, pretty, "without the byte-order mark"),
            ("\u{FEFF}" + crlf + "\r\n", pretty + "\n", "without the byte-order mark and with LF in place of CRLF"),
            (pretty, "\u{FEFF}" + pretty, "with a byte-order mark before it"),
            (pretty, compact, "without spaces between its values"), (compact, pretty, "indented by two spaces"),
            (compact, pretty + "\n", "indented by two spaces, with a line feed at its end"),
            (compact, crlf, "indented by two spaces, with CRLF at the ends of its lines"),
            (compact, pretty.replacing("  ", with: "    "), "indented by four spaces"),
            (pretty, pretty.replacing("  ", with: "\t"), "indented by tabs"),
            (compact, #"{"a": 1}"#, ""), (pretty, canonical, "in the canonical form of deploy tools"),
            (compact + "\n", normalized, "in the normalised form of deploy tools"),
            (#"{"a":1,"b":[1,2]}"#, #"{"a": 1, "b": [1, 2]}"#, "with a space behind each comma and colon, on one line"),
        ]
        for (given, measured, words) in rows {
            #expect(form(of: given, measured: measured) == (words.isEmpty ? nil : words))
        }
    }

    @Test("another content is never taken for another form")
    func different() {
        for (given, measured) in [
            (Self.compact, Self.compact.replacing("\"A\"", with: "\"C\"")),
            (Self.compact, Self.compact.replacing("example ", with: "example  ")), (Self.compact, ""),
            ("", Self.compact),
            ("{", "{ "), (Self.compact, Self.compact),
        ] {
            #expect(form(of: given, measured: measured) == nil)
        }
    }

    @Test("a file that differs in form alone is rejected all the same, and the reason names the form")
    func rejected() throws {
        let vm = try SimulatedVM(appCompose: Self.pretty)
        func report(_ compose: String) throws -> VerificationReport {
            let evidence = Evidence(
                attestation: try vm.attestation(ReportData(FixedBytes())).encoded(as: .v1),
                appCompose: Array(compose.utf8))
            return try vm.verifier().verify(evidence, collateral: vm.collateral(), at: SimulatedVM.now)
        }
        #expect(try report(Self.pretty).verdict == .accepted)
        for (compose, words) in [
            (Self.pretty + "\n", "without the line break at its end"), (Self.compact, "indented by two spaces"),
            ("\u{FEFF}" + Self.pretty, "without the byte-order mark"), ("{}", "is not the given one"),
        ] {
            let failure = try #require(try report(compose).failure)
            #expect(failure.check == .composeHash && failure.message.hasSuffix(words), "\(failure.message)")
        }
    }

    @Test("deep nesting and long lines do not make a file grow beyond the limit while its forms are tried")
    func growth() {
        let deep =
            String(repeating: "[", count: 60) + String(repeating: "1,", count: 30_000) + "1"
            + String(repeating: "]", count: 60)
        #expect(form(of: #"{"a":\#(deep)}"#, measured: "x") == nil)
    }

    @Test("a stranger cannot make a verifier try forms of files larger than people write")
    func largeFiles() {
        func compose(_ count: Int) -> String {
            let shell = #"{"a":""}"#
            return #"{"a":"\#(String(repeating: "#", count: count - shell.utf8.count))"}"#
        }
        let (largest, larger) = (compose(ComposeForm.maximumByteCount), compose(ComposeForm.maximumByteCount + 1))
        #expect(form(of: largest, measured: largest + "\n") == "with one line feed at its end")
        #expect(form(of: larger, measured: larger + "\n") == nil)
    }

    @Test("a file of upstream's size is read, a larger one refused by its size; marks and pages are named")
    func limits() throws {
        let padding = [UInt8](repeating: UInt8(ascii: "#"), count: AppCompose.maximumByteCount - 8)
        let largest = Array(#"{"a":""#.utf8) + padding + Array(#""}"#.utf8)
        #expect(largest.count == AppCompose.maximumByteCount)
        #expect(throws: Never.self) { try AppCompose(parsing: largest) }
        for (content, words) in [
            (largest + [0x20], "52428801 bytes"), (Array("\u{FEFF}{}".utf8), "byte-order mark"),
            (Array("<html>".utf8), "an HTML or XML page"), ([], "empty"), (Array("[]".utf8), "object expected"),
        ] as [([UInt8], String)] {
            let error = #expect(throws: AttestationError.self) { try AppCompose(parsing: content) }
            #expect(error?.code == .invalidCompose && error?.reason.contains(words) == true, "\(error?.reason ?? "")")
        }
    }
}
