import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

/// Things that were given in the place of others, and what is said of them.
@Suite("Inputs that are something else")
struct InputNamingTests {
    private static let vm = Result { try SimulatedVM() }

    private static func text(_ text: String) -> String {
        var writer = JSONWriter()
        writer.value(text)
        return writer.text
    }

    private static func verify(_ evidence: Evidence, at time: Int64 = SimulatedVM.now) throws -> VerificationReport {
        let vm = try vm.get()
        return try vm.verifier().verify(evidence, collateral: vm.collateral(), at: time)
    }

    @Test("what is no app-compose.json is called what it is, wherever one is given")
    func composeFiles() throws {
        let vm = try Self.vm.get()
        let compose = #"{"manifest_version":2,"name":"x","docker_compose_file":"services: {}"}"#
        let utf16 = compose.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        let info = #"{"app_id":"00","instance_id":"00","tcb_info":"{\"app_compose\":\"{}\"}"}"#
        let envelope = try vm.attestation(ReportData(FixedBytes())).encoded(as: .v1)
        for (content, words) in [
            (Array("version: '3'\nservices:\n  web:\n    image: x\n".utf8), "a docker-compose file"),
            (Array("services:\r\n  web: {}\r\n".utf8), "a docker-compose file"), (utf16, "UTF-16 text"),
            ([0xFF, 0xFE] + utf16, "UTF-16 text"), (Array(Self.text(compose).utf8), "a compose file in a JSON string"),
            (Array(info.utf8), "an agent's Info answer"), (Array(#"{"quote":"00"}"#.utf8), "an agent's answer"),
            (Array("FROM scratch\n".utf8), "a text of another kind"), (envelope, "an attestation envelope"),
            (try vm.collateral().json, "collateral"), (Array("<html>".utf8), "an HTML or XML page"),
        ] {
            let error = try #require(AppCompose.misnomer(content), "\(words)")
            #expect(error.code == .invalidCompose && error.reason.contains(words), "\(error)")
            let evidence = Evidence(
                quote: try vm.quote(ReportData(FixedBytes())), eventLog: Array(vm.log.json.utf8), appCompose: content)
            let report = try Self.verify(evidence)
            #expect(report.failure?.check == .composeHash && report.failure?.code == .mismatch)
            #expect(report.failure?.message.contains(words) == true, "\(report.failure?.message ?? "")")
        }
        // A compose file is one, whatever members it also has, and another object may be one.
        for content in [
            compose, "\u{FEFF}" + compose, #"{"manifest_version":2,"error":"x","quote":"00"}"#, "{}", #"{"name":"x"}"#,
        ] { #expect(AppCompose.misnomer(Array(content.utf8)) == nil, "\(content)") }
    }

    @Test("a VM configuration that cannot be read fails as the OS image's check, and the quote is judged all the same")
    func configurations() throws {
        let vm = try Self.vm.get()
        let answer =
            #"{"quote":"\#(Hex.encode(try vm.quote(ReportData(FixedBytes()))))","event_log":"#
            + Self.text(vm.log.json) + #","vm_config":\#(Self.text(vm.vmConfig))}"#
        for (content, words) in [
            (Array("nonsense".utf8), "a text of another kind"), ([], "VM configuration: empty"),
            (Array("<html>".utf8), "an HTML or XML page"),
            (Array(#"{"quote":"00","vm_config":""}"#.utf8), "without a VM"),
        ] {
            let report = try Self.verify(
                Evidence(quoteFile: EvidenceFile(recognising: Array(answer.utf8)), configuration: content))
            #expect(report.failure?.check == .osImage, "\(String(describing: report.failure))")
            #expect(report.failure?.message.contains(words) == true, "\(report.failure?.message ?? "")")
            #expect(report.status == .upToDate && report.evidence?.osImageHash == nil)
            #expect(report.evidence?.identity?.appID == vm.appID)
        }
    }

    @Test("that there is no evidence is said before anything about collateral")
    func noEvidence() throws {
        let late = SimulatedVM.now + 400 * 86_400
        for content in [[], Array("<html>".utf8), [1, 2, 3], Array(#"{"error":"no"}"#.utf8)] {
            let file = EvidenceFile(recognising: content)
            let quote = try Self.verify(Evidence(quoteFile: file), at: late)
            #expect(quote.failure?.check == .quoteFormat)
            #expect(quote.remedy?.actions.contains(.renewCollateral) != true)
            #expect(try Self.verify(Evidence(attestationFile: file), at: late).failure?.check == .envelopeFormat)
        }
        let vm = try Self.vm.get()
        let report = try Self.verify(Evidence(quote: vm.quote(ReportData(FixedBytes()))), at: late)
        #expect(report.failure?.code == .expired)
    }

    @Test("bytes that begin with zero are an envelope only if they go on like one")
    func leadingZero() throws {
        let vm = try Self.vm.get()
        let envelope = try vm.attestation(ReportData(FixedBytes())).encoded(as: .v0)
        #expect(EvidenceFile(recognising: envelope).kind == .envelope)
        #expect(EvidenceFile(recognising: Array(envelope.prefix(2000))).kind == .envelope)
        // An icon, a font, a video, a length before other bytes, a date.
        for content in [
            [0, 0, 1, 0, 1, 0, 16, 16, 0, 0], [0, 1, 0, 0, 0, 12, 0, 128, 0, 3], [0, 0, 0, 24, 0x66, 0x74, 0x79, 0x70],
            [0, 7, 9, 9, 9, 9, 9, 9, 9, 9], [0, 0x20, 0x81, 0x90, 4, 5, 6, 7, 8], [0, 1, 2], [0, 0],
        ] as [[UInt8]] { #expect(EvidenceFile(recognising: content).kind != .envelope, "\(content)") }
        for platform in [
            Attestation.Platform.nitroEnclave(document: [0x84, 0x44] + [UInt8](repeating: 1, count: 90)),
            .sevSNP(.init(report: [UInt8](repeating: 2, count: 1184), certificateChain: [], mrConfig: "")),
        ] {
            let other = Attestation(
                platform: platform, runtimeEvents: [], reportData: ReportData(FixedBytes()), config: "")
            #expect(EvidenceFile(recognising: try other.encoded(as: .v0)).kind == .envelope)
        }
    }
}

@Suite("Intel's answers as members of collateral")
struct WholeAnswerTests {
    private static let vm = Result { try SimulatedVM() }

    /// Collateral with members replaced; nil leaves one out.
    private static func json(_ collateral: QuoteCollateral, _ changes: [String: String?]) throws -> [UInt8] {
        var writer = JSONWriter()
        let root = try JSONDocument(parsing: collateral.json, subject: "collateral").root
        writer.object { object in
            for member in root.members {
                guard let change = changes[member.name] else {
                    object.raw(member.name, member.value.rawBytes)
                    continue
                }
                if let change { object.raw(member.name, Array(change.utf8)) }
            }
        }
        return writer.bytes
    }

    private static func quoted(_ text: String) -> String {
        var writer = JSONWriter()
        writer.value(text)
        return writer.text
    }

    @Test("a whole answer in the place of its document is taken for the document in it, byte for byte")
    func answers() throws {
        let collateral = try Self.vm.get().collateral()
        let (info, infoSignature) = (collateral.tcbInfo, Hex.encode(collateral.tcbInfoSignature))
        let (identity, identitySignature) = (collateral.qeIdentity, Hex.encode(collateral.qeIdentitySignature))
        for (tcbInfo, qeIdentity) in [
            (
                #"{"tcbInfo":\#(info),"signature":"\#(infoSignature)"}"#,
                #"{"enclaveIdentity":\#(identity),"signature":"\#(identitySignature)"}"#
            ),
            (
                #" {"signature": "\#(infoSignature)" , "tcbInfo": \#(info) }"#,
                "{\n\"signature\":\"\(identitySignature)\",\n\"enclaveIdentity\":\n\(identity)}\n"
            ),
        ] {
            for signature in [nil, "null", "\"\"", "same"] as [String?] {
                let bytes = try Self.json(
                    collateral,
                    [
                        "tcb_info": Self.quoted(tcbInfo), "qe_identity": Self.quoted(qeIdentity),
                        "tcb_info_signature": signature == "same" ? "\"\(infoSignature)\"" : signature,
                        "qe_identity_signature": signature == "same" ? "\"\(identitySignature)\"" : signature,
                    ])
                #expect(try QuoteCollateral(parsingJSON: bytes) == collateral)
            }
        }
    }

    @Test("an answer with another signature than the one beside it, or as an object, is refused by name")
    func refusals() throws {
        let collateral = try Self.vm.get().collateral()
        let whole = #"{"tcbInfo":\#(collateral.tcbInfo),"signature":"\#(Hex.encode(collateral.tcbInfoSignature))"}"#
        for (changes, words) in [
            (["tcb_info": Self.quoted(whole), "tcb_info_signature": "\"00\""], "whose signature differs"),
            (["tcb_info": whole], "Intel's answer as an object where its signed text is needed"),
            (["tcb_info": collateral.tcbInfo], "an object where its signed text is needed"),
        ] as [([String: String?], String)] {
            let error = #expect(throws: AttestationError.self) {
                try QuoteCollateral(parsingJSON: Self.json(collateral, changes))
            }
            #expect(error?.reason.contains(words) == true, "\(error?.reason ?? "")")
        }
        let inner = String(decoding: collateral.json, as: UTF8.self)
        for text in [
            inner.dropLast() + #","collateral":\#(inner)}"#, inner.dropLast() + #","collateral":{}}"#,
        ] {
            let error = #expect(throws: AttestationError.self) { try QuoteCollateral(parsingJSON: Array(text.utf8)) }
            #expect(error?.reason.contains("has another in this member") == true, "\(error?.reason ?? "")")
        }
        #expect(try QuoteCollateral(parsingJSON: Array(#"{"tcb_info":{},"collateral":\#(inner)}"#.utf8)) == collateral)
    }
}
