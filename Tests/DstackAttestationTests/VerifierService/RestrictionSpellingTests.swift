import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import DstackVerifierService
import Testing

private struct HeldCollateral: CollateralProvider {
    let collateral: QuoteCollateral

    func collateral(for quote: Quote) async throws -> QuoteCollateral { collateral }
}

/// One machine's evidence, and everybody who may be asked about it.
private struct Askable {
    let vm: SimulatedVM
    let service: VerifierService
    let quote: [UInt8]
    let envelope: [UInt8]
    static let reportData = ReportData(FixedBytes(repeating: 0x5A))

    init() throws {
        vm = try SimulatedVM()
        service = VerifierService(
            collateral: HeldCollateral(collateral: try vm.collateral()), verifier: try vm.verifier(),
            clock: { SimulatedVM.now })
        let attestation = try vm.attestation(Self.reportData)
        quote = try #require(attestation.quote)
        envelope = try attestation.encoded(as: .v1)
    }

    static func text(_ text: String) -> String {
        var writer = JSONWriter()
        writer.value(text)
        return writer.text
    }

    /// The agent's answer, with more members.
    func request(_ more: String = "") -> String {
        let log = Self.text(vm.log.json)
        return #"{"quote":"\#(Hex.encode(quote))","event_log":\#(log),"vm_config":\#(Self.text(vm.vmConfig))"#
            + (more.isEmpty ? "}" : ",\(more)}")
    }

    func ask(_ body: String) async -> (status: Int, text: String, isValid: Bool, reason: String) {
        let answer = await service.answer(toBody: Array(body.utf8))
        return (
            answer.status, String(decoding: answer.json, as: UTF8.self), answer.response?.isValid ?? false,
            answer.response?.reason ?? ""
        )
    }

    func verify(_ evidence: Evidence) throws -> VerificationReport {
        try vm.verifier().verify(evidence, collateral: vm.collateral(), at: SimulatedVM.now)
    }

    func verify(quoteFile: String, log: [UInt8]? = nil) throws -> VerificationReport {
        try verify(Evidence(quoteFile: EvidenceFile(recognising: Array(quoteFile.utf8)), eventLog: log))
    }
}

@Suite("Restrictions in other spellings")
struct RestrictionSpellingTests {
    private static let askable = Result { try Askable() }

    @Test("what is asked inside a part of the evidence, however deep, is refused by service, command and library alike")
    func deeperInside() async throws {
        let askable = try Self.askable.get()
        let digits = Hex.encode(askable.envelope)
        for asked in [
            #""expected_app_id":"\#(String(repeating: "00", count: 20))""#, #""policy":"strict""#,
            #""app_compose":"{}""#,
            #""report_data":"\#(String(repeating: "01", count: 64))""#,
        ] {
            let inner = #"{"attestation":"\#(digits)",\#(asked)}"#
            for body in [
                #"{"attestation":\#(inner)}"#, #"{"attestation":\#(Askable.text(inner))}"#,
                #"{"attestation":{"attestation":\#(inner)}}"#, #"{"attestation":"\#(digits)","data":\#(inner)}"#,
                #"{"attestation":"\#(digits)","result":{\#(asked)}}"#,
                #"{"attestation":"\#(digits)","vm_config":{\#(asked)}}"#,
            ] {
                let answer = await askable.ask(body)
                #expect(!answer.isValid, "\(body.suffix(120))")
                guard !body.contains("\"data\""), !body.contains("\"result\""), !body.contains("\"vm_config\"") else {
                    continue
                }
                let file = EvidenceFile(recognising: Array(body.utf8))
                #expect(try askable.verify(Evidence(attestationFile: file)).verdict == .rejected, "\(body.suffix(120))")
            }
        }
        #expect(await askable.ask(#"{"attestation":{"attestation":"\#(digits)"}}"#).isValid)
        let stated = Hex.encode(Askable.reportData.bytes.bytes)
        #expect(await askable.ask(#"{"attestation":{"attestation":"\#(digits)","report_data":"\#(stated)"}}"#).isValid)
        // A second piece of evidence, of which one would be passed over.
        #expect(await !askable.ask(#"{"attestation":"\#(digits)","data":{"attestation":"\#(digits)"}}"#).isValid)
        // Files beside a quote.
        let asking = Array(askable.request(#""policy":"strict""#).utf8)
        let report = try askable.verify(quoteFile: Hex.encode(askable.quote), log: asking)
        #expect(report.verdict == .rejected)
        #expect(throws: AttestationError.self) { try EvidenceFile(recognising: asking).configuration() }
    }

    @Test("names without number are refused before each is compared with all that ask for something")
    func manyMembers() async throws {
        let askable = try Self.askable.get()
        let names = (0..<20_000).map { #""expected_of_nobody_\#($0)_at_all":0"# }.joined(separator: ",")
        let inner = #"{"attestation":"\#(Hex.encode(askable.envelope))",\#(names)}"#
        for body in [inner, #"{"attestation":\#(inner)}"#, #"{"data":\#(inner)}"#] {
            let answer = await askable.ask(body)
            #expect(!answer.isValid && answer.text.contains("more than 256 members"), "\(answer.text.prefix(200))")
        }
        let report = try askable.verify(Evidence(attestationFile: EvidenceFile(recognising: Array(inner.utf8))))
        #expect(report.verdict == .rejected && report.failure?.message.contains("more than 256 members") == true)
    }

    @Test(
        "a request's restriction in another spelling or by half its name is refused, naming the right one",
        arguments: [
            ("appCompose", "write app_compose"), ("App-Compose", "write app_compose"), ("compose", "write app_compose"),
            ("minIsvSvn", "write min_isv_svn"), ("isv_svn", "write min_isv_svn"),
            ("maxCollateralAgeSecs", "policy file, as max_collateral_age_secs"),
            ("max_collateral_age", "policy file, as max_collateral_age_secs"), ("Policy", "write policy"),
            ("preset", "write policy"), ("polcy", "write policy"), ("compose_hash", "write expected_compose_hash"),
            ("composeHash", "write expected_compose_hash"), ("mr_td", "write expected_mr_td"),
            ("MRTD", "write expected_mr_td"), ("rtmr3", "write expected_rt_mr3"), ("app_id", "write expected_app_id"),
            ("os_image_hash", "write expected_os_image_hash"), ("instanceId", "write expected_instance_id"),
            ("key_provider", "details.key_provider"), ("keyProviderInfo", "details.key_provider"),
            ("expectedReportData", "write expected_report_data"), ("ExpectedAppId", "write expected_app_id"),
            ("expeced_app_id", "write expected_app_id"), ("expectations", "a request states expected_… values"),
            ("expected", "a request states expected_… values"),
            ("reportData", "write report_data"), ("nonce", "write expected_report_data"),
            ("requireOsImage", "policy file, as require_os_image"), ("tcb_status", "policy file, as allowed_statuses"),
            ("Allowed-Statuses", "policy file, as allowed_statuses"), ("minimum_version", "a request states"),
            ("Report", "write report"), ("eventLog", "write event_log"),
            // Where the words that many names share are alike, and no more, the rest says what is meant.
            ("expected_nonce", "write expected_report_data"), ("expected_rt_mr4", "a request states expected_… values"),
            ("expected_owner", "write expected_mr_owner"), ("expectd_mr_owner", "write expected_mr_owner"),
            // Other words around a name.
            ("want_app_id", "write expected_app_id"), ("trusted_app_ids", "write expected_app_id"),
            ("appIdWhitelist", "write expected_app_id"), ("compose_sha256", "write expected_compose_hash"),
            ("app_compose_hash_hex", "write expected_compose_hash"), ("mrtd_sha384", "write expected_mr_td"),
            ("verify_os_image", "policy file, as require_os_image"), ("min_status", "policy file, as allowed_statuses"),
            ("status", "policy file, as allowed_statuses"), ("ppid_allowlist", "policy file, as accepted_ppids"),
            // Words of the programs, of settings and of other verifiers.
            ("strict", "write policy"), ("policies", "write policy"), ("policy_file", "verifier's policy file"),
            ("whitelist", "verifier's policy file"), ("trusted_root", "attestation.root_ca"),
            ("trust_root", "attestation.root_ca"), ("root_ca", "attestation.root_ca"),
            ("collateral", "in its settings (collateral"), ("pccs_url", "in its settings (collateral"),
            ("ca", "collateral.tls_authorities"), ("at", "verify --at"), ("now", "verify --at"),
            ("time", "verify --at"), ("verify_time", "verify --at"), ("fmspc", "accepted_ppids"),
            ("measurements", "expected_mr_td, expected_rt_mr0"), ("tag", "dstack-verifier report-data"),
            ("session_bound", "dstack verify URL"),
        ])
    func requests(name: String, words: String) async throws {
        let askable = try Self.askable.get()
        let answer = await askable.ask(askable.request(#""\#(name)":"00""#))
        #expect(answer.status == 422 && !answer.isValid, "\(answer.text)")
        #expect(answer.text.contains(words), "\(answer.text)")
    }

    @Test(
        "a policy that is named as policy files name theirs is refused with the form of requests",
        arguments: [
            (#""policy":{"name":"strict"}"#, #"write "policy":"strict""#),
            (#""policy":{"name":"Strict","allow_smt":true}"#, #"write "policy":"strict""#),
            (#""policy":{"allow_smt":true}"#, #"write "policy":"strict", or another preset"#),
            (#""name":"authentic""#, #"write "policy":"authentic""#),
        ])
    func policyFile(_ member: String, words: String) async throws {
        let askable = try Self.askable.get()
        let answer = await askable.ask(askable.request(member))
        #expect(answer.status == 422, "\(answer.text)")
        #expect(
            try JSONDocument(parsing: Array(answer.text.utf8), subject: "answer").root.member("error")
                .member("description").string().contains(words), "\(answer.text)")
        #expect(await askable.ask(askable.request(#""name":"my app""#)).status == 422)
    }

    @Test(
        "no member of a request is passed over, whatever it is called and however deep it stands",
        arguments: [
            "rules", "reference_values", "approved_app_ids", "no_debug", "verifier_nonce", "root_pem", "options", "",
            "gateway", "id", "jsonrpc", "timestamp", "tcb_info", "app_name", "_", "quote ",
        ])
    func unknownMembers(name: String) async throws {
        let askable = try Self.askable.get()
        let digits = Hex.encode(askable.envelope)
        for value in [#""00""#, "null", "{}", #"{"expected_app_id":"00"}"#, "[]", "true"] {
            let answer = await askable.ask(askable.request(#""\#(name)":\#(value)"#))
            #expect(answer.status == 422 && answer.text.contains("is not known here"), "\(value): \(answer.text)")
            #expect(name.isEmpty || answer.text.contains(name), "\(answer.text)")
        }
        guard !["id", "jsonrpc"].contains(name) else { return }
        let inner = #"{"attestation":"\#(digits)","\#(name)":"00"}"#
        let log = #"{"event_log":\#(askable.vm.log.json),"\#(name)":"00"}"#
        let configuration = Askable.text(askable.vm.vmConfig)
        for body in [
            #"{"attestation":\#(inner)}"#, #"{"attestation":\#(Askable.text(inner))}"#,
            #"{"attestation":{"attestation":\#(inner)}}"#,
            #"{"attestation":{"jsonrpc":"2.0","result":\#(inner)}}"#,
            #"{"attestation":{"attestation":"\#(digits)","data":{"\#(name)":1}}}"#,
            #"{"attestation":{"result":{"attestation":"\#(digits)"},"data":{"\#(name)":1}}}"#,
            #"{"quote":{"quote":"\#(Hex.encode(askable.quote))","\#(name)":1},"event_log":[],"vm_config":"{}"}"#,
            #"{"quote":"\#(Hex.encode(askable.quote))","event_log":\#(log),"vm_config":\#(configuration)}"#,
        ] {
            let answer = await askable.ask(body)
            // What reads like a restriction is told where it goes.
            let isNamed = ["is not known here", "is not looked at here", "several pieces of evidence"]
                .contains { answer.text.contains($0) }
            #expect(answer.status == 422 && isNamed, "\(body.suffix(200)): \(answer)")
        }
    }

    @Test("what is asked after `?` is not passed over: the members go into the body")
    func query() async throws {
        let askable = try Self.askable.get()
        for query in ["policy=strict&expected_compose_hash=00", "x", ""] {
            let answer = await askable.service.answer(toBody: Array(askable.request().utf8), query: query)
            #expect(answer.status == 400 && answer.response == nil)
            #expect(String(decoding: answer.json, as: UTF8.self).contains("go into the body"))
        }
    }

    @Test("what upstream's agents answer and its SDKs make of it is taken as it is")
    func clients() async throws {
        let askable = try Self.askable.get()
        let data = Askable.reportData.hex
        for more in [
            "", #""report_data":"\#(data)""#, #""report_data":"0x\#(data)","attestation":"""#,
            #""report_data":"","attestation":null"#, #""hash_algorithm":"raw","prefix":"""#,
            #""__name__":"GetQuoteResponse""#, #""debug":true"#, #""boottime_gpu_evidence":[]"#, #""report_data":null"#,
            #""attestation":"\#(Hex.encode(askable.envelope))","report_data":"\#(data)""#,
            #""version":"0.5.8","url":"https://gateway.example/quote""#, #""public_key":"","result":null"#,
        ] {
            let answer = await askable.ask(askable.request(more))
            #expect(answer.status == 200 && answer.isValid, "\(more.prefix(60)): \(answer.text.prefix(300))")
            #expect(!answer.text.contains(#""expected""#))
        }
        let envelope = Hex.encode(askable.envelope)
        let alone = #"{"quote":"","event_log":"","attestation":"\#(envelope)","report_data":"\#(data)"}"#
        #expect(await askable.ask(alone).isValid)
    }

    @Test("what asks by its name is refused in a file of evidence, too; what may be a claim is none there")
    func claims() throws {
        let askable = try Self.askable.get()
        for name in [
            "want_app_id", "trusted_app_ids", "strict", "verify_os_image", "whitelist", "policy_file",
            "app_id_expected",
            "expected_nonce", "min_status",
        ] {
            let report = try askable.verify(quoteFile: askable.request(#""\#(name)":"00""#))
            #expect(
                report.failure?.message.hasPrefix(name) == true, "\(name): \(report.failure?.message ?? "accepted")")
        }
        for name in [
            "status", "time", "root_ca", "tag", "measurements", "verified", "verified_at", "checks", "matches",
        ] {
            #expect(try askable.verify(quoteFile: askable.request(#""\#(name)":"00""#)).verdict == .accepted, "\(name)")
        }
    }

    @Test("a policy file's mistyped member is answered with the one that is meant")
    func policies() {
        for (name, meant) in [
            ("minIsvSvn", "min_isv_svn"), ("mr_td", "expected_mr_td"), ("report_data", "expected_report_data"),
            ("maxCollateralAge", "max_collateral_age_secs"), ("AllowedStatuses", "allowed_statuses"),
            ("expected_composehash", "expected_compose_hash"), ("require_image", "require_os_image"),
            ("expected_nonce", "expected_report_data"), ("trusted_app_ids", "expected_app_id"),
            ("compose_sha256", "expected_compose_hash"), ("status", "allowed_statuses"),
        ] {
            let error = #expect(throws: AttestationError.self) {
                try VerificationPolicy(parsingJSON: Array(#"{"\#(name)":1}"#.utf8))
            }
            #expect(error?.reason.contains("did you mean \(meant)?") == true, "\(name): \(error?.reason ?? "")")
        }
        for name in ["expected_rt_mr4", "trust_root", "collateral", "whitelist"] {
            let error = #expect(throws: AttestationError.self) {
                try VerificationPolicy(parsingJSON: Array(#"{"\#(name)":1}"#.utf8))
            }
            #expect(error?.reason.contains("known are") == true, "\(name): \(error?.reason ?? "")")
        }
    }

    @Test("report data beside a quote that is not the quote's makes it a no, for the service and for files")
    func reportData() async throws {
        let askable = try Self.askable.get()
        for other in [String(repeating: "5b", count: 64), "5a", String(repeating: "00", count: 64)] {
            let answer = await askable.ask(askable.request(#""report_data":"\#(other)""#))
            #expect(!answer.isValid)
            #expect(answer.reason.hasPrefix("Policy check failed: expected_report_data"), "\(answer.reason)")
            let report = try askable.verify(quoteFile: askable.request(#""report_data":"\#(other)""#))
            #expect(report.failure?.check == .expectedReportData)
        }
        for unreadable in [#""zz""#, "1", "{}", "\"" + String(repeating: "5a", count: 65) + "\""] {
            #expect(await askable.ask(askable.request(#""report_data":\#(unreadable)"#)).status == 422)
            let report = try askable.verify(quoteFile: askable.request(#""report_data":\#(unreadable)"#))
            #expect(report.failure?.check == .expectedReportData)
        }
        let same = #""report_data":"\#(Askable.reportData.hex)""#
        #expect(try askable.verify(quoteFile: askable.request(same)).verdict == .accepted)
        // Agents fill up with zeros, and older ones repeat what they were asked.
        let padded = ReportData(try #require(FixedBytes<64>([1, 2] + [UInt8](repeating: 0, count: 62))))
        let quote = Hex.encode(try askable.vm.quote(padded))
        #expect(try askable.verify(quoteFile: #"{"quote":"\#(quote)","report_data":"0102"}"#).verdict == .accepted)
        let envelope = #"{"attestation":"\#(Hex.encode(askable.envelope))","report_data":"01"}"#
        #expect(await askable.ask(envelope).reason.contains("expected_report_data"))
        let file = EvidenceFile(recognising: Array(envelope.utf8))
        #expect(try askable.verify(Evidence(attestationFile: file)).failure?.check == .expectedReportData)
    }

    @Test("a request that asks for something is no file of evidence, because what it asks would not be checked")
    func requestsAsFiles() throws {
        let askable = try Self.askable.get()
        for name in ["expected_compose_hash", "min_isv_svn", "policy", "Policy", "app_compose", "maxCollateralAgeSecs"]
        {
            let report = try askable.verify(quoteFile: askable.request(#""\#(name)":"strict""#))
            #expect(report.verdict == .rejected)
            #expect(report.failure?.message.hasPrefix(name) == true, "\(report.failure?.message ?? "")")
            #expect(report.hint?.contains("--verify FILE") == true)
        }
        let wrapped = #"{"jsonrpc":"2.0","id":1,"expected_compose_hash":"00","result":\#(askable.request())}"#
        #expect(try askable.verify(quoteFile: wrapped).failure?.message.hasPrefix("expected_compose_hash") == true)
        // What an answer says of itself asks for nothing.
        #expect(try askable.verify(quoteFile: askable.request(#""app_id":"00","name":"x""#)).verdict == .accepted)
    }
}

@Suite("Several pieces of evidence in one file")
struct AmbiguousEvidenceTests {
    private static let askable = Result { try Askable() }

    /// Every reader of the text; none may take a part of it.
    private func expectRefusal(_ text: String, _ words: String) async throws {
        let askable = try Self.askable.get()
        let answer = await askable.ask(text)
        #expect(answer.status == 422 && answer.text.contains(words), "service: \(answer.text)")
        let file = EvidenceFile(recognising: Array(text.utf8))
        for report in [
            try askable.verify(Evidence(quoteFile: file)), try askable.verify(Evidence(attestationFile: file)),
            try askable.verify(Evidence(quoteFile: file, eventLog: Array(askable.vm.log.json.utf8))),
        ] {
            #expect(report.verdict == .rejected)
            #expect(report.failure?.message.contains(words) == true, "\(report.failure?.message ?? "")")
        }
        #expect(throws: AttestationError.self) { try file.quote() }
        #expect(throws: AttestationError.self) { try file.envelope() }
    }

    @Test("a quote and an attestation of another quote are refused by everybody, naming both")
    func quoteAndAttestation() async throws {
        let askable = try Self.askable.get()
        let envelope = Hex.encode(askable.envelope)
        let other = Hex.encode(try askable.vm.quote(ReportData(FixedBytes(repeating: 1))))
        let words = "both are given, and the quote is not the one in the attestation"
        try await expectRefusal(#"{"quote":"\#(other)","attestation":"\#(envelope)"}"#, words)
        try await expectRefusal(
            #"{"quote":"\#(Hex.encode(askable.quote.dropLast(9)))","attestation":"\#(envelope)"}"#, words)
        let cut = Hex.encode(askable.envelope.prefix(3000))
        try await expectRefusal(
            #"{"quote":"\#(Hex.encode(askable.quote))","attestation":"\#(cut)"}"#, "the attestation cannot be read")
    }

    @Test("a quote and the attestation that has it are one piece: the attestation counts, for everybody")
    func samePiece() async throws {
        let askable = try Self.askable.get()
        // The log beside them is another one; it is ignored with the quote.
        let both =
            #"{"quote":"\#(Hex.encode(askable.quote + [0, 0]))","event_log":"[]","#
            + #""attestation":"\#(Hex.encode(askable.envelope))"}"#
        #expect(await askable.ask(both).isValid)
        #expect(try askable.verify(quoteFile: both).evidence?.identity?.appID == askable.vm.appID)
        let file = EvidenceFile(recognising: Array(both.utf8))
        #expect(try askable.verify(Evidence(attestationFile: file)).verdict == .accepted)
        // Whoever gives a log means the quote.
        let report = try askable.verify(quoteFile: both, log: Array(askable.vm.log.json.utf8))
        #expect(report.evidence?.identity?.appID == askable.vm.appID)
    }

    @Test(
        "a log or a configuration beside a quote, and another one inside it, are refused by everybody; the same is one")
    func insideTheQuote() async throws {
        let askable = try Self.askable.get()
        let quote = Hex.encode(askable.quote)
        let (log, configuration) = (Askable.text(askable.vm.log.json), Askable.text(askable.vm.vmConfig))
        let otherLog = Askable.text(
            #"[{"imr":3,"event_type":134217729,"digest":"","event":"app-id","event_payload":"00"}]"#)
        let otherConfiguration = Askable.text(#"{"os_image_hash":"00"}"#)
        for (inner, part) in [
            (#""event_log":\#(otherLog)"#, "event_log"), (#""vm_config":\#(otherConfiguration)"#, "vm_config"),
        ] {
            let answer = #"{"quote":"\#(quote)",\#(inner)}"#
            for value in [answer, Askable.text(answer), #"{"data":\#(answer)}"#, #"{"quote":\#(answer)}"#] {
                try await expectRefusal(
                    #"{"quote":\#(value),"event_log":\#(log),"vm_config":\#(configuration)}"#, "another \(part) inside")
            }
        }
        // The same, once as a text and once as JSON with space in it.
        let spaced = askable.vm.log.json.split(separator: ",").joined(separator: " ,\n ")
        let same =
            #"{"quote":{"quote":"\#(quote)","event_log":\#(spaced)},"event_log":\#(log),"vm_config":\#(configuration)}"#
        #expect(await askable.ask(same).isValid)
        #expect(try askable.verify(quoteFile: same).evidence?.identity?.appID == askable.vm.appID)
    }

    @Test("a quote, an attestation, a log or a configuration inside another part never is passed over where it differs")
    func insideOtherParts() async throws {
        let askable = try Self.askable.get()
        let (quote, envelope) = (Hex.encode(askable.quote), Hex.encode(askable.envelope))
        let (log, configuration) = (Askable.text(askable.vm.log.json), Askable.text(askable.vm.vmConfig))
        let foreign = try askable.vm.attestation(ReportData(FixedBytes(repeating: 1)))
        let otherQuote = Hex.encode(try #require(foreign.quote))
        let otherEnvelope = Hex.encode(try foreign.encoded(as: .v1))
        let otherLog = #"[{"imr":3,"event_type":134217729,"digest":"","event":"app-id","event_payload":"00"}]"#
        let otherConfiguration = #"{"os_image_hash":"00"}"#
        let others = [
            ("quote", #""quote":"\#(otherQuote)""#), ("attestation", #""attestation":"\#(otherEnvelope)""#),
            ("event_log", #""event_log":\#(otherLog)"#), ("vm_config", #""vm_config":\#(otherConfiguration)"#),
        ]
        for (part, other) in others where part != "event_log" {
            let inside = #"{"event_log":\#(log),\#(other)}"#
            for value in [inside, Askable.text(inside), #"{"event_log":\#(inside)}"#] {
                try await expectRefusal(
                    #"{"quote":"\#(quote)","event_log":\#(value),"vm_config":\#(configuration)}"#,
                    "another \(part) inside the event_log")
            }
        }
        for (part, other) in others where part != "vm_config" {
            try await expectRefusal(
                #"{"quote":"\#(quote)","event_log":\#(log),"vm_config":{"os_image_hash":"00",\#(other)}}"#,
                "another \(part) inside the vm_config")
        }
        for (part, other) in others where part == "event_log" || part == "vm_config" {
            let text = #"{"attestation":{"attestation":"\#(envelope)",\#(other)}}"#
            let words = "another \(part) inside the attestation"
            let answer = await askable.ask(text)
            #expect(answer.status == 422 && answer.text.contains(words), "\(answer.text)")
            let report = try askable.verify(Evidence(attestationFile: EvidenceFile(recognising: Array(text.utf8))))
            #expect(report.failure?.message.contains(words) == true, "\(report.failure?.message ?? "accepted")")
        }
        // All of it the same.
        let same = #"{"quote":"\#(quote)","event_log":\#(log),"vm_config":\#(configuration)}"#
        #expect(
            await askable.ask(#"{"quote":\#(same),"event_log":\#(same),"vm_config":\#(configuration)}"#).isValid)
        let attested =
            #"{"attestation":{"attestation":"\#(envelope)","event_log":\#(log),"vm_config":\#(configuration)}}"#
        #expect(await askable.ask(attested).isValid)
    }

    @Test("wrapped answers that differ are refused by the names of both; the same one twice is one")
    func wrappers() throws {
        let askable = try Self.askable.get()
        let (good, other) = (
            askable.request(), #"{"quote":"\#(Hex.encode(try askable.vm.quote(ReportData(FixedBytes()))))"}"#
        )
        for (text, names) in [
            (#"{"result":\#(good),"data":\#(other)}"#, "in result and in data"),
            (#"{"data":\#(other),"response":\#(good)}"#, "in data and in response"),
            (#"{"result":\#(good),"data":{"error":"no"}}"#, "in result and in data"),
            (String(good.dropLast()) + #","result":\#(other)}"#, "in the object itself and in result"),
        ] {
            let file = EvidenceFile(recognising: Array(text.utf8))
            #expect(file.kind == .ambiguous)
            let report = try askable.verify(Evidence(quoteFile: file))
            #expect(report.failure?.check == .quoteFormat)
            #expect(report.failure?.message.contains(names) == true, "\(report.failure?.message ?? "")")
        }
        let twice = #"{"result":\#(good),"data":\#(good),"id":1}"#
        #expect(try askable.verify(quoteFile: twice).verdict == .accepted)
        #expect(try askable.verify(quoteFile: #"{"result":\#(good),"data":{"time":1}}"#).verdict == .accepted)
    }

    @Test("an envelope in the place of a quote is refused by name, by the service and for files")
    func envelopeAsQuote() async throws {
        let askable = try Self.askable.get()
        let text = #"{"quote":"\#(Hex.encode(askable.envelope))","event_log":"[]"}"#
        #expect(await askable.ask(text).text.contains("this is an attestation envelope"))
        #expect(try askable.verify(quoteFile: text).failure?.message.contains("an attestation envelope") == true)
    }

    @Test("an attestation in any form that a file may have is taken in a request, too")
    func forms() async throws {
        let askable = try Self.askable.get()
        let numbers = "[" + askable.envelope.map { "\($0)" }.joined(separator: ",") + "]"
        for value in [
            numbers, #"{"type":"Buffer","data":\#(numbers)}"#, "\"\(Base64.encode(askable.envelope))\"",
            "\"0x\(Hex.encode(askable.envelope))\"",
        ] {
            let text = #"{"attestation":\#(value)}"#
            #expect(await askable.ask(text).isValid, "\(value.prefix(20))")
            let file = EvidenceFile(recognising: Array(text.utf8))
            #expect(try askable.verify(Evidence(attestationFile: file)).verdict == .accepted, "\(value.prefix(20))")
        }
    }
}
