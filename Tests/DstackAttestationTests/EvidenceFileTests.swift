import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import TestKit
import Testing

/// Evidence of one machine in the forms in which people have it.
private struct Forms {
    let vm: SimulatedVM
    let quote: [UInt8]
    let envelope: [UInt8]

    init() throws {
        vm = try SimulatedVM()
        quote = try vm.quote(ReportData(FixedBytes()))
        envelope = try Attestation(quote: quote, eventLog: vm.log, config: vm.vmConfig).encoded(as: .v1)
    }

    static func text(_ text: String) -> [UInt8] { Array(text.utf8) }

    static func json(_ text: String) -> String {
        var writer = JSONWriter()
        writer.object { $0.member("x", text) }
        return String(writer.text.dropFirst(5).dropLast())
    }

    static func utf16(_ text: String, bigEndian: Bool = false, mark: Bool = true) -> [UInt8] {
        ((mark ? [0xFEFF] : []) + Array(text.utf16)).flatMap { unit in
            let (high, low) = (UInt8(unit >> 8), UInt8(unit & 0xFF))
            return bigEndian ? [high, low] : [low, high]
        }
    }

    static func lines(_ text: String, _ length: Int, end: String = "\n") -> String {
        stride(from: 0, to: text.utf8.count, by: length).map { start in
            String(decoding: Array(text.utf8)[start..<min(start + length, text.utf8.count)], as: UTF8.self)
        }.joined(separator: end)
    }

    /// An agent's answer with these members in place of the usual ones.
    func answer(_ members: [(String, String)]) -> [UInt8] {
        Self.text("{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}")
    }

    /// Fields of bytes, each with its number, as protobuf has them.
    func protobuf(_ fields: [(number: UInt8, bytes: [UInt8])]) -> [UInt8] {
        fields.flatMap { field in
            var length = field.bytes.count
            var head = [field.number << 3 | 2]
            while length >= 0x80 {
                head.append(UInt8(length & 0x7F) | 0x80)
                length >>= 7
            }
            return head + [UInt8(length)] + field.bytes
        }
    }

    var getQuote: [(String, String)] {
        [
            ("quote", "\"\(Hex.encode(quote))\""), ("event_log", Self.json(vm.log.json)), ("report_data", "\"00\""),
            ("vm_config", Self.json(vm.vmConfig)),
        ]
    }

    /// How a byte string is written down, by name.
    static func textForms(_ bytes: [UInt8]) -> [(name: String, content: [UInt8])] {
        let hex = Hex.encode(bytes)
        let base64 = Base64.encode(bytes)
        let colons = bytes.map { Hex.encode([$0]) }.joined(separator: ":")
        let numbers = "[" + bytes.map(String.init).joined(separator: ", ") + "]"
        let all: [(String, String)] = [
            ("hexadecimal", hex), ("capitals", hex.uppercased()), ("0x", "0x" + hex), ("0X", "0X" + hex),
            ("line feed and 0x", "\n0x\(hex)\n"), ("lines of 64", lines(hex, 64)),
            ("lines of 63 with CRLF", lines(hex, 63, end: "\r\n")), ("colons", colons), ("Postgres", "\\x" + hex),
            ("mark", "\u{FEFF}" + hex), ("a C string", hex + "\0"), ("JSON string", json(hex)),
            ("JSON string in a JSON string", json(json(hex))), ("base64", base64),
            ("lines of base64", lines(base64, 76)),
            ("base64url", Base64.encode(bytes, alphabet: .urlSafe, padding: false)),
            ("base64 without padding", Base64.encode(bytes, padding: false)),
            ("base64 of hexadecimal", Base64.encode(text(hex))),
            ("hexadecimal of hexadecimal", Hex.encode(text(hex))), ("numbers", numbers),
            ("Node's Buffer", #"{"type":"Buffer","data":\#(numbers)}"#),
        ]
        return [("binary", bytes)] + all.map { ($0, text($1)) }
    }
}

@Suite("Files of evidence")
struct EvidenceFileTests {
    private let forms = Result { try Forms() }

    @Test("a quote and an envelope are recognised in every text form, and come out as they went in")
    func textForms() throws {
        let forms = try forms.get()
        for (name, content) in Forms.textForms(forms.quote) {
            let file = EvidenceFile(recognising: content)
            #expect(file.kind == .quote && file.bytes == forms.quote, "\(name): \(file.kind)")
            #expect(try file.quote() == forms.quote, "\(name)")
        }
        for (name, content) in Forms.textForms(forms.envelope) {
            let file = EvidenceFile(recognising: content)
            #expect(file.kind == .envelope && file.bytes == forms.envelope, "\(name): \(file.kind)")
            #expect(try file.quote() == forms.quote, "\(name)")
        }
    }

    @Test("saved answers of every agent are taken, with the log and the configuration that they bring")
    func answers() throws {
        let forms = try forms.get()
        let envelope = "\"\(Hex.encode(forms.envelope))\""
        let quote = "\"\(Hex.encode(forms.quote))\""
        let log = forms.getQuote[1]
        let whole = String(decoding: forms.answer(forms.getQuote), as: UTF8.self)
        let rows: [(String, [UInt8])] = [
            ("GetQuote", forms.answer(forms.getQuote)),
            ("GetQuote with an envelope", forms.answer(forms.getQuote + [("attestation", envelope)])),
            ("TdxQuote", forms.answer([("quote", quote), log, ("hash_algorithm", "\"raw\""), ("prefix", "\"\"")])),
            ("an older agent's 0x", forms.answer([("quote", "\"0x\(Hex.encode(forms.quote))\""), log])),
            ("base64", forms.answer([("quote", "\"\(Base64.encode(forms.quote))\""), log])),
            ("the log as an array", forms.answer([("quote", quote), ("event_log", forms.vm.log.json)])),
            ("a request", forms.answer(forms.getQuote + [("attestation", "null"), ("debug", "true")])),
            ("JSON-RPC", Forms.text(#"{"jsonrpc":"2.0","id":1,"result":\#(whole)}"#)),
            ("a string", Forms.text(Forms.json(whole))), ("a mark", Forms.text("\u{FEFF}" + whole)),
        ]
        for (name, content) in rows {
            let file = EvidenceFile(recognising: content)
            #expect(file.kind == .agentAnswer, "\(name): \(file.kind)")
            #expect(try file.quote() == forms.quote, "\(name)")
            #expect(try file.eventLog() == forms.vm.log, "\(name)")
        }
        #expect(try EvidenceFile(recognising: rows[0].1).configuration() == forms.vm.vmConfig)
        for members in [
            [("attestation", envelope)], [("attestation", envelope), ("boottime_gpu_evidence", "[]")],
            [("quote", "\"\""), ("event_log", "\"\""), ("attestation", envelope)],
            [("attestation", envelope), ("public_key", "\"00\"")],
        ] {
            let file = EvidenceFile(recognising: forms.answer(members))
            #expect(try file.envelope() == forms.envelope && file.quote() == forms.quote)
        }
    }

    @Test("an event log is read in every form, and another object's log from where it lies")
    func eventLogs() throws {
        let forms = try forms.get()
        let log = forms.vm.log
        let text = log.json
        let info = #"{"mrtd":"00","rtmr0":"00","rtmr3":"00","event_log":\#(text)}"#
        let entries = try JSONDocument(parsing: text, subject: "log").root.elements.map {
            String(decoding: $0.rawBytes, as: UTF8.self)
        }
        let rows: [(String, String)] = [
            ("an array", text), ("white space", "\r\n \t" + text + "\n"), ("a mark", "\u{FEFF}" + text),
            ("a string", Forms.json(text)), ("base64", Base64.encode(Forms.text(text))),
            ("hexadecimal", Hex.encode(Forms.text(text))), ("one a line", entries.joined(separator: "\n")),
            ("one a line with CRLF", entries.joined(separator: "\r\n") + "\r\n"), ("tcb_info", info),
            ("Info", #"{"app_id":"00","instance_id":"00","tcb_info":\#(Forms.json(info))}"#),
            ("an answer", #"{"event_log":\#(Forms.json(text))}"#),
            ("an array in an answer", #"{"event_log":\#(text)}"#),
            ("0x", text.replacing(#""digest":""#, with: #""digest":"0x"#)),
            (
                "0x, and nothing behind it where there is nothing",
                text.replacing(#""digest":""#, with: #""digest":"0x"#)
                    .replacing(#""event_payload":""#, with: #""event_payload":"0x"#)
            ),
            ("Attest", #"{"attestation":"\#(Hex.encode(forms.envelope))"}"#),
            ("GetQuote of a simulator", #"{"event_log":"","attestation":"\#(Hex.encode(forms.envelope))"}"#),
        ]
        for (name, content) in rows {
            #expect(try EvidenceFile(recognising: Forms.text(content)).eventLog() == log, "\(name)")
        }
        #expect(try EvidenceFile(recognising: forms.envelope).eventLog() == log)
        #expect(try EvidenceFile(recognising: Forms.text("[]")).eventLog() == EventLog())
        #expect(throws: AttestationError.self) { try EvidenceFile(recognising: Forms.text("[{}]")).eventLog() }
    }

    @Test("answers that were saved in protobuf bring what they have")
    func protobuf() throws {
        let forms = try forms.get()
        let quote = forms.protobuf([
            (1, forms.quote), (2, Forms.text(forms.vm.log.json)), (3, [UInt8](repeating: 0, count: 64)),
            (4, Forms.text(forms.vm.vmConfig)),
        ])
        let getQuote = EvidenceFile(recognising: quote)
        #expect(getQuote.kind == .agentAnswer)
        #expect(try getQuote.quote() == forms.quote && getQuote.eventLog() == forms.vm.log)
        #expect(try getQuote.configuration() == forms.vm.vmConfig)
        for version in [Attestation.WireForm.v0, .v1] {
            let envelope = try Attestation(quote: forms.quote, eventLog: forms.vm.log, config: forms.vm.vmConfig)
                .encoded(as: version)
            let attest = EvidenceFile(recognising: forms.protobuf([(1, envelope)]))
            #expect(attest.kind == .agentAnswer)
            #expect(try attest.envelope() == envelope && attest.quote() == forms.quote)
            #expect(try attest.eventLog() == forms.vm.log)
            #expect(throws: AttestationError.self) { try attest.configuration() }
        }
    }

    @Test("an OS image is not passed over because a file named for the VM configuration has none in it")
    func emptyConfigurations() throws {
        let forms = try forms.get()
        let answer = EvidenceFile(recognising: forms.answer(forms.getQuote))
        func verify(_ configuration: [UInt8]?) throws -> VerificationReport {
            try forms.vm.verifier().verify(
                Evidence(quoteFile: answer, configuration: configuration), collateral: forms.vm.collateral(),
                at: SimulatedVM.now)
        }
        #expect(try verify(nil).evidence?.osImageHash == forms.vm.osImageHash)
        #expect(try verify(Forms.text(forms.vm.vmConfig)).verdict == .accepted)
        #expect(try verify(forms.answer(forms.getQuote)).verdict == .accepted)
        let envelope = ("attestation", "\"\(Hex.encode(forms.envelope))\"")
        for content in [
            forms.answer([envelope]), forms.protobuf([(1, forms.envelope)]),
            forms.answer(Array(forms.getQuote.prefix(2))),
            forms.protobuf([(1, forms.quote)]), Forms.text(#"{"app_id":"00","instance_id":"00"}"#),
            Forms.text(#"{"app_id":"00","instance_id":"00","vm_config":""}"#), Forms.text(#"{"vm_config":""}"#),
            Forms.text(#"{"vm_config":"","mr_config":""}"#),
            Forms.text(#"{"quote":"00","vm_config":{"vm_config":""}}"#),
            Forms.text(#"{"quote":"00","vm_config":null}"#), Forms.text("{}"),
            Forms.text(#"{"name":1}"#), Forms.text(#"{"vm_config":"{}"}"#), Forms.text(#"{"os_image_hash":null}"#),
            Forms.text(" "), [],
        ] {
            let report = try verify(content)
            #expect(
                report.verdict == .rejected,
                "the attack was accepted: \(String(decoding: content.prefix(60), as: UTF8.self))")
        }
        #expect(try verify(forms.answer([envelope])).failure?.message.contains("without a VM configuration") == true)
    }

    @Test("what is no quote is not called simulated, whatever it is to be verified under")
    func nothing() throws {
        let forms = try forms.get()
        for content in [
            [], Forms.text(" \n"), [0xEF, 0xBB, 0xBF], [0, 0], Forms.text("\"\""), Forms.text("<html></html>"),
            Forms.text("null"), Array(forms.quote.prefix(40)),
        ] {
            let report = try forms.vm.verifier().verify(
                Evidence(quoteFile: EvidenceFile(recognising: content)), collateral: forms.vm.collateral(),
                at: SimulatedVM.now)
            #expect(report.verdict == .rejected && !report.isSimulated)
            #expect(!report.text().contains("[simulated]"))
            #expect(String(decoding: report.json(), as: UTF8.self).contains(#""simulated":false"#))
        }
        let report = try forms.vm.verifier().verify(
            Evidence(quoteFile: EvidenceFile(recognising: forms.quote)), collateral: forms.vm.collateral(),
            at: SimulatedVM.now)
        #expect(report.isSimulated && report.text().contains("[simulated]"))
    }

    @Test("an answer whose quote or attestation is empty is called that")
    func emptyParts() {
        for (text, words) in [
            (#"{"quote":""}"#, "whose quote is empty"), (#"{"quote":null}"#, "whose quote is empty"),
            (#"{"quote":"0x","event_log":"[]"}"#, "whose quote is empty"),
            (#"{"attestation":""}"#, "whose attestation is empty"), (#"{"event_log":"[]"}"#, "a quote is needed"),
        ] {
            let file = EvidenceFile(recognising: Forms.text(text))
            let error = #expect(throws: AttestationError.self) { try file.quote() }
            #expect(error?.reason.contains(words) == true, "\(text): \(error?.reason ?? "")")
        }
        let error = #expect(throws: AttestationError.self) {
            try EvidenceFile(recognising: Forms.text(#"{"attestation":""}"#)).envelope()
        }
        #expect(error?.reason.contains("whose attestation is empty") == true)
    }

    @Test("a guest's own record leads to RTMR3 alone, and evidence with it says what that leaves open")
    func record() throws {
        let forms = try forms.get()
        let events = forms.vm.log.events.compactMap(\.runtimeEvent)
        let record = Forms.text(events.map { $0.logLine + "\n" }.joined())
        let file = EvidenceFile(recognising: record)
        #expect(file.kind == .eventRecord)
        #expect(try file.eventLog() == EventLog(runtimeEvents: events))
        #expect(EvidenceFile(recognising: Forms.text(events[0].logLine)).kind == .eventRecord)
        let report = try forms.vm.verifier().verify(
            Evidence(quoteFile: EvidenceFile(recognising: forms.quote), eventLog: record),
            collateral: forms.vm.collateral(), at: SimulatedVM.now)
        #expect(report.verdict == .accepted, "\(report.text())")
        #expect(report.notChecked.contains { $0.contains("RTMR0") })
    }

    @Test("what is no evidence is called what it is")
    func named() throws {
        let forms = try forms.get()
        let hex = Hex.encode(forms.quote)
        let collateral = try forms.vm.collateral()
        let rows: [(EvidenceFile.Kind, [UInt8])] = [
            (.empty, []), (.empty, Forms.text(" \r\n\t")), (.empty, [0xEF, 0xBB, 0xBF]), (.null, Forms.text(" null\n")),
            (.zeros, [UInt8](repeating: 0, count: 4096)),
            (.tdReport, [0x81, 0, 0, 0] + [UInt8](repeating: 0, count: 1020)),
            (.markup, Forms.text("<html>502 Bad Gateway</html>")),
            (.markup, Forms.text("\n<?xml version=\"1.0\"?><a/>")),
            (.utf16, Forms.utf16(hex)), (.utf16, Forms.utf16(hex, bigEndian: true)),
            (.utf16, Forms.utf16(hex, mark: false)),
            (.utf16, Forms.utf16(hex, bigEndian: true, mark: false)),
            (.damagedHexadecimal, Forms.text(String(hex.dropLast()))),
            (.damagedHexadecimal, Forms.text(hex.prefix(400) + "O" + hex.dropFirst(401))),
            (.hexDump, Forms.text("00000000: 0400 0200 8100 0000  ........\n00000010: 0000")),
            (.compressed, [0x1F, 0x8B, 8, 0]),
            (.certificate, Forms.text(MockPlatform.pem([forms.vm.platform.rootCertificate]))),
            (.certificate, forms.vm.platform.rootCertificate), (.revocationList, collateral.rootCACRL),
            (.revocationList, Forms.text(PEM.encode("X509 CRL", collateral.pckCRL))), (.collateral, collateral.json),
            (.pem, Forms.text(PEM.encode("PRIVATE KEY", [1, 2, 3]))),
            (.composeFile, Forms.text(#"{"manifest_version":2}"#)),
            (.vmConfiguration, Forms.text(forms.vm.vmConfig)),
            (.agentError, Forms.text(#"{"error":"no quote today"}"#)),
            (.signedDocument, Forms.text(#"{"tcbInfo":{},"signature":"00"}"#)),
            (.report, Forms.text(#"{"verdict":"rejected"}"#)),
            (.object, Forms.text(#"{"name":1}"#)), (.object, Forms.text("{}")), (.text, Forms.text("502 Bad Gateway")),
            (.text, Forms.text("{ quote: 1 }")), (.binaryEventLog, TCGEventLog(header: .init(), entries: []).encoded),
            (.nitroDocument, [0x84, 0x44, 0xA1, 0x01]), (.tpmQuote, [0xFF, 0x54, 0x43, 0x47, 0x80]),
            (.binary, [7, 7, 7, 7]),
            (.array, Forms.text("[]")), (.array, Forms.text(" [ ]\n")),
            (.array, Forms.text(#"[{"certificate":"00"}]"#)),
            (.array, Forms.text(#"[{}]"#)), (.eventLog, Forms.text(forms.vm.log.json)),
        ]
        for (kind, content) in rows {
            let file = EvidenceFile(recognising: content)
            #expect(file.kind == kind, "\(String(decoding: content.prefix(40), as: UTF8.self))")
            guard kind != .binary else { continue }
            let error = #expect(throws: AttestationError.self) { try file.quote() }
            #expect(
                error?.code == .invalidQuote && error?.reason.contains(kind.rawValue) == true, "\(error?.reason ?? "")")
        }
        let failure = #expect(throws: AttestationError.self) {
            try EvidenceFile(recognising: Forms.text(#"{"error":"no quote today"}"#)).quote()
        }
        #expect(failure?.reason.contains("no quote today") == true)
    }

    @Test("a file named for the VM configuration that has none does not switch off the check of the OS image")
    func absentConfiguration() throws {
        let forms = try Forms()
        for answer in [
            ##"{"attestation":"\##(Hex.encode(forms.envelope))"}"##, #"{"quote":"00","event_log":"[]","vm_config":""}"#,
        ] {
            let file = EvidenceFile(recognising: Forms.text(answer))
            #expect(file.kind == .agentAnswer)
            let error = #expect(throws: AttestationError.self) { try file.configuration() }
            #expect(error?.reason.contains("without a VM configuration") == true, "\(answer.prefix(40))")
            let report = try forms.vm.verifier().verify(
                Evidence(
                    quoteFile: EvidenceFile(recognising: forms.answer(forms.getQuote)),
                    configuration: Forms.text(answer)),
                collateral: forms.vm.collateral(), at: SimulatedVM.now)
            #expect(report.verdict == .rejected)
        }
    }

    @Test("an envelope is never replaced by a bare quote, and nothing beside it counts")
    func substitutes() throws {
        let forms = try forms.get()
        func verify(_ evidence: Evidence) throws -> VerificationReport {
            try forms.vm.verifier().verify(evidence, collateral: forms.vm.collateral(), at: SimulatedVM.now)
        }
        for content in [forms.quote, forms.answer(forms.getQuote), Forms.text("<html>"), []] {
            let report = try verify(Evidence(attestationFile: EvidenceFile(recognising: content)))
            #expect(report.verdict == .rejected && report.failure?.check == .envelopeFormat)
        }
        let envelope = EvidenceFile(recognising: forms.envelope)
        #expect(try verify(Evidence(attestationFile: envelope)).verdict == .accepted)
        #expect(try verify(Evidence(quoteFile: envelope)).verdict == .accepted)
        for report in [
            try verify(Evidence(quoteFile: envelope, eventLog: Forms.text(forms.vm.log.json))),
            try verify(Evidence(quoteFile: envelope, configuration: Forms.text(forms.vm.vmConfig))),
        ] {
            #expect(report.verdict == .rejected && report.failure?.message.contains("beside it") == true)
        }
    }

    @Test("an answer's own log is verified, and one that was given takes its place")
    func answerLogs() throws {
        let forms = try forms.get()
        func verify(_ members: [(String, String)], _ log: [UInt8]? = nil) throws -> VerificationReport {
            let file = EvidenceFile(recognising: forms.answer(members))
            return try forms.vm.verifier().verify(
                Evidence(quoteFile: file, eventLog: log), collateral: forms.vm.collateral(), at: SimulatedVM.now)
        }
        let quote = forms.getQuote[0]
        #expect(try verify(forms.getQuote).evidence?.identity?.appID == forms.vm.appID)
        var other = forms.vm.log
        other.events.removeLast()
        let lie = ("event_log", Forms.json(other.json))
        #expect(try verify([quote, lie]).failure?.check == .eventLogReplay)
        #expect(try verify([quote, lie], Forms.text(forms.vm.log.json)).verdict == .accepted)
        // An empty log is none, and says so.
        for empty in ["\"\"", "\"[]\"", "[]", "null"] {
            let report = try verify([quote, ("event_log", empty)])
            #expect(report.verdict == .accepted && report.evidence == nil)
        }
    }

    @Test("a library's reader of bytes says what it was given in place of a quote")
    func libraries() throws {
        let forms = try forms.get()
        for (content, words) in [
            (Forms.text(Hex.encode(forms.quote)), "a quote as text"), (forms.envelope, "an attestation envelope"),
            (Forms.text("<html>"), "an HTML or XML page"), (Forms.utf16("0400"), "UTF-16 text"),
        ] {
            let report = try forms.vm.verifier().verify(content, collateral: forms.vm.collateral(), at: SimulatedVM.now)
            #expect(report.verdict == .rejected && report.failure?.message.contains(words) == true)
        }
    }
}

@Suite("Files of evidence: what nobody wrote")
struct EvidenceFileMutationTests {
    @Test("mutated and truncated files never trap, and a quote that comes out is one that went in")
    func mutations() throws {
        let forms = try Forms()
        let seeds =
            Forms.textForms(forms.quote).map(\.content)
            + Forms.textForms(Array(forms.envelope.prefix(3000))).map(\.content)
            + [forms.answer(forms.getQuote), Forms.text(forms.vm.log.json), try forms.vm.collateral().json]
        var random = SeededGenerator(seed: 0x10F0)
        for (index, seed) in seeds.enumerated() {
            for round in SeededGenerator.rounds(8) {
                let content = round == 0 ? Array(seed.prefix(seed.count / 2)) : random.mutated(seed)
                let file = EvidenceFile(recognising: content)
                if file.kind == .quote {
                    #expect(file.bytes.first.map { 2...8 ~= $0 } == true, "seed \(index)")
                }
                _ = try? file.quote()
                _ = try? file.envelope()
                _ = try? file.eventLog()
                _ = try? file.configuration()
                _ = try? QuoteCollateral(parsingJSON: content)
            }
        }
        // Every beginning of a short file.
        let small = forms.answer([("quote", "\"0x0400\""), ("event_log", "[]")])
        for count in 0...small.count { _ = try? EvidenceFile(recognising: Array(small.prefix(count))).quote() }
    }

    @Test("text forms in each other end, and bytes that are read again and again do not grow")
    func nesting() throws {
        var text = "[]"
        // Strings within strings double their escapes; twenty levels would be a megabyte of them.
        for _ in 0..<14 { text = Forms.json(text) }
        #expect(EvidenceFile(recognising: Forms.text(text)).kind == .text)
        var hex = Forms.text("04000200")
        for _ in 0..<12 { hex = Forms.text(Hex.encode(hex)) }
        let file = EvidenceFile(recognising: hex)
        #expect(file.bytes.count <= hex.count)
        var answer = "{\"quote\":\"\"}"
        for name in ["result", "data", "response", "result", "data", "response", "result"] {
            answer = "{\"\(name)\":\(answer)}"
        }
        #expect(EvidenceFile(recognising: Forms.text(answer)).kind == .object)
        let deep = String(repeating: #"{"data":"#, count: 40) + "1" + String(repeating: "}", count: 40)
        #expect(EvidenceFile(recognising: Forms.text(deep)).kind == .object)
    }

    @Test("a megabyte of what is dearest to look at is looked at a few times only", .timeLimit(.minutes(1)))
    func size() {
        let count = 1 << 20
        for content in [
            [UInt8](repeating: UInt8(ascii: "["), count: count), [UInt8](repeating: UInt8(ascii: "{"), count: count),
            [UInt8](repeating: UInt8(ascii: "\""), count: count), [UInt8](repeating: UInt8(ascii: "a"), count: count),
            Forms.text("[" + String(repeating: "1,", count: count / 2) + "1]"),
            Forms.text("{\"data\":[" + String(repeating: "1,", count: count / 2) + "1]}"),
            Forms.text(String(repeating: "{\"event\":1}\n", count: count / 12)),
            Forms.text(String(repeating: "-----BEGIN A-----\n", count: count / 18)),
        ] {
            #expect(EvidenceFile(recognising: content).bytes.count <= content.count)
        }
    }
}
