import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import DstackVerifierService
import TestKit
import Testing

/// A provider that has what it was given and says what it was asked for.
private struct FixedCollateral: CollateralProvider {
    let result: Result<QuoteCollateral, AttestationError>

    func collateral(for quote: Quote) async throws -> QuoteCollateral { try result.get() }
}

@Suite("Verifier service")
struct VerifierServiceTests {
    private static let vm = Result { try SimulatedVM() }
    private static let reportData = ReportData(FixedBytes(repeating: 0x5A))

    private func service(
        _ vm: SimulatedVM, policy: VerificationPolicy = .standard, edit: (inout MockCollateral) -> Void = { _ in }
    ) throws -> VerifierService {
        VerifierService(
            collateral: FixedCollateral(result: .success(try vm.collateral(edit: edit))), verifier: try vm.verifier(),
            policy: policy, clock: { SimulatedVM.now })
    }

    private func quoteRequest(_ vm: SimulatedVM, _ extra: String = "") throws -> String {
        var writer = JSONWriter()
        writer.object { object in
            object.member("quote", Hex.encode((try? vm.quote(Self.reportData)) ?? []))
            object.member("event_log", vm.log.json)
            object.member("vm_config", vm.vmConfig)
        }
        return extra.isEmpty ? writer.text : writer.text.dropLast() + "," + extra + "}"
    }

    private func attestationRequest(_ attestation: Attestation, _ extra: String = "") throws -> String {
        let bytes = Hex.encode(try attestation.encoded(as: .v1))
        return #"{"attestation":"\#(bytes)"\#(extra.isEmpty ? "" : ",")\#(extra)}"#
    }

    private static func text(_ text: String) throws -> String {
        var writer = JSONWriter()
        writer.object { $0.member("x", text) }
        return String(writer.text.dropFirst(5).dropLast())
    }

    private struct Answer {
        let json: JSONNode
        let text: String
        var isValid: Bool { get throws { try json.member("is_valid").bool() } }
        var reason: String? { get throws { try json.optionalMember("reason")?.string() } }
        var details: JSONNode { get throws { try json.member("details") } }

        func flags() throws -> [Bool] {
            let details = try details
            return [
                try details.member("quote_verified").bool(), try details.member("os_image_hash_verified").bool(),
                try details.member("event_log_verified").bool(),
            ]
        }
    }

    private func ask(_ service: VerifierService, _ body: String, status: Int = 200) async throws -> Answer {
        let answer = await service.answer(toBody: Array(body.utf8))
        #expect(answer.status == status, "\(String(decoding: answer.json, as: UTF8.self))")
        let json = try JSONDocument(parsing: answer.json, subject: "answer").root
        return Answer(json: json, text: String(decoding: answer.json, as: UTF8.self))
    }

    /// The answer is no, for this reason, and as far as this came everything was right.
    private func expectRefusal(
        _ answer: Answer, _ reason: String, flags: [Bool] = [false, false, false],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(try !answer.isValid, sourceLocation: sourceLocation)
        let found = try answer.reason ?? ""
        #expect(found.hasPrefix(reason), "\(found)", sourceLocation: sourceLocation)
        #expect(try answer.flags() == flags, sourceLocation: sourceLocation)
    }

    // MARK: Yes

    @Test("genuine evidence of a known image is valid, with all that upstream's clients look at")
    func valid() async throws {
        let vm = try Self.vm.get()
        for body in [
            try quoteRequest(vm), try attestationRequest(vm.attestation(Self.reportData)),
            try attestationRequest(vm.attestation(Self.reportData).stripped(.upstream)),
        ] {
            let answer = try await ask(service(vm), body)
            #expect(try answer.isValid, "\(answer.text.suffix(400))")
            #expect(answer.json.members.map(\.name) == ["is_valid", "details", "reason"])
            let details = try answer.details
            #expect(
                details.members.map(\.name) == [
                    "quote_verified", "event_log_verified", "os_image_hash_verified", "acpi_tables_verified",
                    "os_image_is_dev", "os_image_version", "tee_variant", "report_data", "tcb_status", "advisory_ids",
                    "key_provider", "app_info", "boot_info", "simulated",
                ])
            #expect(try answer.flags() == [true, true, true])
            #expect(try !details.member("acpi_tables_verified").bool())
            #expect(try details.member("tee_variant").string() == "dstack-tdx")
            #expect(try details.member("report_data").string() == Self.reportData.hex)
            #expect(try details.member("tcb_status").string() == "UpToDate")
            #expect(details["os_image_is_dev"]?.isNull == true && details["os_image_version"]?.isNull == true)
            #expect(try details.member("key_provider").member("name").string() == "kms")
            #expect(try details.member("key_provider").member("id").string() == "010203")
            let info = try details.member("app_info")
            #expect(try info.member("app_id").string() == vm.appID.bytes.hex)
            #expect(try info.member("os_image_hash").string() == vm.osImageHash.hex)
            #expect(try info.member("device_id").string() == DeviceID(ppid: vm.platform.ppid.bytes).bytes.hex)
            let boot = try details.member("boot_info")
            #expect(
                boot.members.map(\.name) == [
                    "teeVariant", "mrAggregated", "osImageHash", "mrSystem", "appId", "composeHash", "instanceId",
                    "deviceId", "keyProviderInfo", "tcbStatus", "advisoryIds",
                ])
            #expect(try boot.member("composeHash").string() == vm.composeHash.bytes.hex)
            #expect(try boot.member("mrSystem").string() == info.member("mr_system").string())
        }
    }

    @Test("under Intel's root the same evidence is not valid, and under its own it is called simulated")
    func simulated() async throws {
        let vm = try Self.vm.get()
        let provider = FixedCollateral(result: .success(try vm.collateral()))
        let intel = VerifierService(collateral: provider, clock: { SimulatedVM.now })
        try expectRefusal(try await ask(intel, quoteRequest(vm)), "Quote verification failed: ")
        let own = try await ask(service(vm), quoteRequest(vm))
        #expect(try own.details.member("simulated").bool())
    }

    @Test("the whole report comes with the answer when it is asked for")
    func report() async throws {
        let vm = try Self.vm.get()
        let answer = try await ask(service(vm), quoteRequest(vm, #""report":true"#))
        #expect(try answer.json.member("report").member("verdict").string() == "accepted")
        #expect(try Array(answer.json.member("report").member("checks").array()).count == CheckID.allCases.count)
        let without = try await ask(service(vm), quoteRequest(vm, #""report":false"#))
        #expect(without.json["report"] == nil)
    }

    // MARK: No

    @Test("what cannot be decoded is an internal error, in upstream's words")
    func undecodable() async throws {
        let vm = try Self.vm.get()
        let service = try service(vm)
        let quote = Hex.encode(try vm.quote(Self.reportData))
        for (body, reason) in [
            ("{}", "Internal error: Quote is required"),
            (#"{"event_log":"[]"}"#, "Internal error: Quote is required"),
            (#"{"quote":"\#(quote)"}"#, "Internal error: Event log is required"),
            (#"{"quote":"","event_log":"[]"}"#, "Internal error: quote: empty quote bytes"),
            (#"{"quote":""}"#, "Internal error: quote: empty quote bytes"),
            (#"{"quote":"0x"}"#, "Internal error: quote: empty quote bytes"),
            (#"{"quote":"\#(quote.dropLast(2))","event_log":"[]"}"#, "Internal error: "),
            (#"{"quote":"\#(quote)","event_log":"{}"}"#, "Internal error: event_log"),
            (#"{"attestation":""}"#, "Internal error: attestation: empty attestation bytes"),
            (#"{"attestation":"42"}"#, "Internal error: attestation: unknown attestation wire format"),
        ] { try expectRefusal(try await ask(service, body), reason) }
        let sgx = Hex.encode(try vm.platform.quote(.sgxEnclave(EnclaveReport())))
        try expectRefusal(
            try await ask(service, #"{"quote":"\#(sgx)","event_log":"[]"}"#),
            "Internal error: quote: a TDX quote is needed"
        )
    }

    @Test("an attestation is never mixed with what is given beside it")
    func attestationAlone() async throws {
        let vm = try Self.vm.get()
        let attestation = try vm.attestation(Self.reportData)
        let beside = #""quote":"\#(Hex.encode(attestation.quote ?? []))","event_log":"nonsense","vm_config":"{}""#
        let answer = try await ask(service(vm), attestationRequest(attestation, beside))
        #expect(try answer.isValid)
        var bare = try vm.attestation(Self.reportData)
        bare.config = ""
        var config = JSONWriter()
        config.value(vm.vmConfig)
        try expectRefusal(
            try await ask(service(vm), attestationRequest(bare, #""vm_config":\#(config.text)"#)),
            "OS image hash verification failed: ",
            flags: [true, false, false])
    }

    @Test("a changed quote, log or report data is refused in the quote's step")
    func forgedEvidence() async throws {
        let vm = try Self.vm.get()
        let service = try service(vm)
        let genuine = try vm.attestation(Self.reportData)

        var quote = try #require(genuine.quote)
        quote[400] ^= 1
        let bent = try Attestation(quote: quote, eventLog: vm.log, config: vm.vmConfig)
        try expectRefusal(try await ask(service, attestationRequest(bent)), "Quote verification failed: ")

        var otherData = genuine
        otherData.reportData = ReportData(FixedBytes())
        try expectRefusal(
            try await ask(service, attestationRequest(otherData)),
            "Quote verification failed: envelope_report_data: tdx report_data mismatch")

        var events = genuine
        events.runtimeEvents[1] = RuntimeEvent(name: "app-id", payload: [UInt8](repeating: 9, count: 20))
        try expectRefusal(
            try await ask(service, attestationRequest(events)),
            "Quote verification failed: envelope_runtime_events: RTMR3 mismatch")

        var log = vm
        log.log.events.swapAt(0, 1)
        try expectRefusal(
            try await ask(service, quoteRequest(log)), "Quote verification failed: event_log_replay: RTMR0 mismatch")
        log.log = EventLog(vm.log.events.dropLast())
        try expectRefusal(
            try await ask(service, quoteRequest(log)), "Quote verification failed: event_log_replay: RTMR3 mismatch")
    }

    @Test("a revoked or debuggable platform is refused in the quote's step")
    func badPlatform() async throws {
        let vm = try Self.vm.get()
        let revoked = try await ask(service(vm) { $0.revokePCK() }, quoteRequest(vm))
        try expectRefusal(revoked, "Quote verification failed: pck_revocation: ")
        #expect(try revoked.details.member("tcb_status").isNull)
        var debug = vm
        debug.domain.attributes.insert(.debug)
        try expectRefusal(try await ask(service(vm), quoteRequest(debug)), "Quote verification failed: debug: ")
    }

    @Test("without collateral there is no yes, but a reason")
    func noCollateral() async throws {
        let vm = try Self.vm.get()
        let failure = AttestationError(.collateralUnavailable, subject: "PCS", reason: "did not answer")
        let service = VerifierService(
            collateral: FixedCollateral(result: .failure(failure)), verifier: try vm.verifier(),
            clock: { SimulatedVM.now })
        try expectRefusal(
            try await ask(service, quoteRequest(vm)), "Quote verification failed: PCS: did not answer")
    }

    @Test("an image that needs its files, has no configuration or is another one is not verified")
    func osImage() async throws {
        let vm = try Self.vm.get()
        var other = vm
        for policy in [VerificationPolicy.standard, .authentic] {
            let service = try service(vm, policy: policy)
            other.vmConfig = vm.vmConfig.replacing("\"lite\"", with: "\"legacy\"")
            let legacy = try await ask(service, quoteRequest(other))
            try expectRefusal(legacy, "OS image hash verification failed: ", flags: [true, false, false])
            #expect(try legacy.reason?.contains("recomput") == true)
            #expect(try legacy.details.member("tcb_status").string() == "UpToDate")
            for config in ["", "{}", "null", "[", vm.vmConfig.replacing("8.2.2", with: "9.1.0")] {
                other.vmConfig = config
                try expectRefusal(
                    try await ask(service, quoteRequest(other)), "OS image hash verification failed: ",
                    flags: [true, false, false])
            }
        }
    }

    @Test("with debug, registers that are not the image's are explained event by event")
    func registerMismatch() async throws {
        let vm = try Self.vm.get()
        var other = vm
        // The configuration says more memory than the VM had: another TD HOB, so another RTMR0.
        other.vmConfig = vm.vmConfig.replacing("2147483648", with: "4294967296")
        let quiet = try await ask(service(vm), quoteRequest(other))
        #expect(try quiet.details["rtmr_debug"] == nil)
        let answer = try await ask(service(vm), quoteRequest(other, #""debug":true"#))
        try expectRefusal(answer, "OS image hash verification failed: ", flags: [true, false, false])
        let mismatches = Array(try answer.details.member("rtmr_debug").array())
        let first = try #require(mismatches.first)
        #expect(mismatches.count == 1)
        #expect(try first.member("rtmr").string() == "RTMR0")
        #expect(try first.member("actual").string() == vm.domain.registers[0].hex)
        #expect(try first.member("expected").string() != vm.domain.registers[0].hex)
        let events = Array(try first.member("events").array())
        let statuses = try events.map { try $0.member("status").string() }
        #expect(statuses.first == "mismatch" && Set(statuses.dropFirst()) == ["match"])
        #expect(first["missing_expected_digests"] == nil)
    }

    @Test("a log that identifies no application, or another than the host pinned, is refused in the log's step")
    func eventLog() async throws {
        let vm = try Self.vm.get()
        var pinned = vm
        pinned.domain.mrConfigId = MRConfigID.composeHash(ComposeHash(ofFile: [])).register
        try expectRefusal(
            try await ask(service(vm), quoteRequest(pinned)), "Event log verification failed: mr_config_id: ",
            flags: [true, true, false])
        // Two boots in one register: the first event of a name counts, and here it has no proper value.
        var short = try SimulatedVM(runtimeEvents: [(.appID, [1, 2, 3])])
        short.domain.mrConfigId = FixedBytes()
        try expectRefusal(
            try await ask(service(vm), quoteRequest(short)), "Event log verification failed: application_identity: ",
            flags: [true, true, false])
    }

    // MARK: Policy

    @Test("the TCB status decides, by the service's policy or the one that the request names")
    func policy() async throws {
        let vm = try Self.vm.get()
        let outdated = { (collateral: inout MockCollateral) in collateral.tcbInfo.levels[0].status = .outOfDate }
        let body = try quoteRequest(vm)
        let refused = try await ask(service(vm, edit: outdated), body)
        try expectRefusal(refused, "Policy check failed: policy_tcb_status: ", flags: [true, true, true])
        #expect(try refused.details.member("tcb_status").string() == "OutOfDate")
        #expect(refused.json["policy"] == nil)
        #expect(try await ask(service(vm, policy: .authentic, edit: outdated), body).isValid)

        let lax = try await ask(service(vm, edit: outdated), quoteRequest(vm, #""policy":"authentic""#))
        #expect(try lax.isValid)
        #expect(try lax.json.member("policy").member("name").string() == "authentic")
        #expect(try lax.json.member("policy").member("satisfied").bool())
        let strict = try await ask(service(vm), quoteRequest(vm, #""policy":"strict""#))
        try expectRefusal(strict, "Policy check failed: policy_smt: ", flags: [true, true, true])
        #expect(try !strict.json.member("policy").member("satisfied").bool())
    }

    @Test("each expected value has a flag of its own, and one that does not hold makes the answer a no")
    func expectations() async throws {
        let vm = try Self.vm.get()
        let (right, wrong) = (Self.reportData.hex, FixedBytes<64>().hex)
        let all = """
            "expected_report_data":"\(right.uppercased())","expected_compose_hash":"\(vm.composeHash)",\
            "expected_app_id":"\(vm.appID)","expected_os_image_hash":"\(vm.osImageHash)",\
            "expected_instance_id":"\(vm.instanceID)","expected_mr_td":"\(vm.domain.mrTd)",\
            "expected_rt_mr3":"\(vm.domain.registers[3])"
            """
        let answer = try await ask(service(vm), quoteRequest(vm, all))
        #expect(try answer.isValid, "\(answer.text.suffix(400))")
        let flags = try answer.json.member("expected").members
        #expect(
            flags.map(\.name) == [
                "expected_report_data", "expected_compose_hash", "expected_app_id", "expected_os_image_hash",
                "expected_instance_id", "expected_mr_td", "expected_rt_mr3",
            ])
        #expect(try flags.allSatisfy { try $0.value.bool() })

        for (name, value) in [
            ("report_data", wrong), ("compose_hash", FixedBytes<32>().hex), ("app_id", FixedBytes<20>().hex),
            ("instance_id", FixedBytes<20>().hex), ("os_image_hash", FixedBytes<32>().hex),
            ("mr_td", FixedBytes<48>().hex), ("rt_mr0", FixedBytes<48>().hex), ("mr_config_id", FixedBytes<48>().hex),
            ("mr_aggregated", FixedBytes<32>().hex), ("mr_system", FixedBytes<32>().hex),
            ("mr_enclave", FixedBytes<32>().hex),
        ] {
            let extra = #""expected_\#(name)":"\#(value)","expected_mr_owner":"\#(FixedBytes<48>().hex)""#
            let answer = try await ask(service(vm), quoteRequest(vm, extra))
            try expectRefusal(answer, "Policy check failed: ", flags: [true, true, true])
            let flags = try answer.json.member("expected").members
            #expect(try flags.map { try $0.value.bool() } == [false, true], "\(name)")
        }
    }

    @Test("nothing that was expected is said to be there while the quote is not verified")
    func expectationsOfForgery() async throws {
        let vm = try Self.vm.get()
        let extra = #""expected_report_data":"\#(Self.reportData.hex)","policy":"authentic""#
        let forged = try await ask(service(vm) { $0.revokePCK() }, quoteRequest(vm, extra))
        #expect(try !forged.json.member("expected").member("expected_report_data").bool())
        #expect(try !forged.json.member("policy").member("satisfied").bool())
        let empty = try await ask(service(vm), "{\(extra)}")
        #expect(try !empty.json.member("expected").member("expected_report_data").bool())
        #expect(try !empty.json.member("policy").member("satisfied").bool())
    }

    @Test("a request cannot overrule what the service's policy expects")
    func conflictingExpectations() async throws {
        let vm = try Self.vm.get()
        var policy = VerificationPolicy.standard
        policy.expected.appID = vm.appID.bytes
        let service = try service(vm, policy: policy)
        #expect(try await ask(service, quoteRequest(vm)).isValid)
        #expect(try await ask(service, quoteRequest(vm, #""expected_app_id":"\#(vm.appID)""#)).isValid)
        let other = FixedBytes<20>().hex
        try expectRefusal(
            try await ask(service, quoteRequest(vm, #""policy":"authentic","expected_app_id":"\#(other)""#)),
            "Policy check failed: expected_app_id: the request expects")
        let foreign = try SimulatedVM(appCompose: "{}")
        try expectRefusal(
            try await ask(service, quoteRequest(foreign, #""policy":"authentic""#)),
            "Policy check failed: expected_application: ", flags: [true, true, true])
    }

    // MARK: Other platforms

    @Test("evidence of other platforms is answered with a no that names them")
    func otherPlatforms() async throws {
        let vm = try Self.vm.get()
        let genuine = try vm.attestation(Self.reportData)
        let evidence = try #require(genuine.tdxEvidence)
        let tpmQuote = TPMQuote(
            message: [], signature: [], registers: [], attestationKeyCertificate: [], platform: .gcp, eventLog: [])
        let platforms: [Attestation.Platform] = [
            .nitroEnclave(document: [1]), .awsNitroTPM(document: [1]),
            .sevSNP(.init(report: [1], certificateChain: [], mrConfig: "")),
            .gcpTDX(evidence, tpmQuote: tpmQuote),
        ]
        for platform in platforms {
            var attestation = genuine
            attestation.platform = platform
            let answer = try await ask(service(vm), attestationRequest(attestation))
            try expectRefusal(answer, "Quote verification failed: ")
            #expect(try answer.reason?.contains(platform.variant) == true)
            #expect(try answer.details.member("tee_variant").isNull)
        }
    }

    // MARK: The form of requests

    @Test("a body that is not JSON is 400, JSON that is no request 422, as with unknown members")
    func malformedBodies() async throws {
        let vm = try Self.vm.get()
        let service = try service(vm)
        for body in ["", "quote=00", "{", "{}x", "{\"quote\":\"\",\"quote\":\"\"}", "<html>"] {
            let answer = try await ask(service, body, status: 400)
            #expect(try answer.json.member("error").member("code").integer(Int.self) == 400)
        }
        let deep = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
        _ = try await ask(service, #"{"x":\#(deep)}"#, status: 400)
        for body in [
            "[]", "null", "\"\"", #"{"quote":1}"#, #"{"quote":"0"}"#, #"{"quote":"0x0"}"#, #"{"quote":"zz"}"#,
            #"{"event_log":1}"#, #"{"vm_config":true}"#, #"{"attestation":[1]}"#, #"{"quote":"<html>"}"#,
            #"{"debug":"true"}"#,
            #"{"report":1}"#, #"{"policy":"lax"}"#, #"{"policy":{}}"#, #"{"expected_app_id":"00"}"#,
            #"{"expected_report_data":1}"#, #"{"expected_composehash":"00"}"#, #"{"min_isv_svn":-1}"#,
        ] {
            let answer = try await ask(service, body, status: 422)
            #expect(try answer.json.member("error").member("reason").string() == "Unprocessable Entity", "\(body)")
        }
        // What a client's tools make of the same request.
        let quote = try vm.quote(Self.reportData)
        for (written, log, mark) in [
            ("0x" + Hex.encode(quote), try Self.text(vm.log.json), ""), (Base64.encode(quote), vm.log.json, ""),
            (Hex.encode(quote), vm.log.json, "\u{FEFF}"),
        ] {
            let body = #"\#(mark){"quote":"\#(written)","event_log":\#(log),"vm_config":\#(vm.vmConfig)}"#
            #expect(try await ask(service, body).isValid)
        }
        // The client's own copy is compared byte for byte, and another form of it is named.
        let compose = #"{"manifest_version":2,"name":"example"}"#
        let (same, other) = (try Self.text(compose), try Self.text(compose + "\n"))
        #expect(try await ask(service, quoteRequest(vm, #""app_compose":\#(same)"#)).isValid)
        let formed = try await ask(service, quoteRequest(vm, #""app_compose":\#(other)"#))
        #expect(try formed.reason?.hasSuffix("it is the given file without the line break at its end") == true)
        _ = try await ask(service, quoteRequest(vm, #""app_compose":null"#), status: 422)
        let named = try await ask(service, #"{"quote":"<html>"}"#, status: 422)
        #expect(named.text.contains("an HTML or XML page"))
        let capital = try await ask(service, #"{"policy":"STRICT"}"#, status: 422)
        #expect(capital.text.contains("lower case: strict"))
        let swapped = Hex.encode(try vm.attestation(Self.reportData).encoded(as: .v1))
        let envelope = try await ask(service, #"{"quote":"\#(swapped)","event_log":"[]"}"#)
        #expect(try envelope.reason?.contains("this is an attestation envelope") == true)
        let extra =
            #""report_data":"\#(Self.reportData.hex)","hash_algorithm":"raw","prefix":"","version":"0.5.8","debug":null"#
        #expect(try await ask(service, quoteRequest(vm, extra)).isValid)
        _ = try await ask(service, quoteRequest(vm, #""nested":{"quote":"00"}"#), status: 422)
    }

    @Test("mutated requests never trap and never become valid with other evidence")
    func mutations() async throws {
        let vm = try Self.vm.get()
        let service = try service(vm)
        let bodies = [try quoteRequest(vm), try attestationRequest(vm.attestation(Self.reportData))]
        var random = SeededGenerator(seed: 0x5E41)
        for _ in SeededGenerator.rounds(400) {
            for body in bodies {
                let answer = await service.answer(toBody: random.mutated(Array(body.utf8)))
                guard let response = answer.response, response.isValid else { continue }
                #expect(response.details.reportData == Self.reportData.bytes)
                #expect(response.details.appInfo?.composeHash == vm.composeHash)
                #expect(response.details.osImageHash == vm.osImageHash)
            }
        }
    }
}
