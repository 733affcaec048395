import DstackEncoding
import DstackMockTEE
import Testing

@testable import DstackAttestation

@Suite("Verification: policy files")
struct VerificationPolicyTests {
    static let now: Int64 = 1_800_000_000

    func policy(_ json: String) throws(AttestationError) -> VerificationPolicy {
        try VerificationPolicy(parsingJSON: Array(json.utf8))
    }

    @Test("an empty policy file is as strict as the strict preset")
    func empty() throws {
        var strict = VerificationPolicy.strict
        strict.name = "custom"
        #expect(try policy("{}") == strict)
        #expect(try policy(#"{"allowed_statuses":[]}"#) == strict)
    }

    @Test(
        "a policy file that is not fully understood is refused",
        arguments: [
            "", "[]", "null", #"{"allow_debg":true}"#, #"{"allow_debug":"yes"}"#, #"{"allow_debug":1}"#,
            #"{"allowed_statuses":["Revoked"]}"#, #"{"allowed_statuses":["uptodate"]}"#,
            #"{"allowed_statuses":"UpToDate"}"#, #"{"platform_grace_period_secs":-1}"#,
            #"{"platform_grace_period_secs":1.5}"#, #"{"min_tcb_eval_data_number":4294967296}"#,
            #"{"expected_report_data":"00"}"#, #"{"expected_mr_td":""}"#, #"{"expected_rt_mr4":"00"}"#,
            #"{"accepted_sgx_types":[256]}"#, #"{"accepted_ppids":["00"]}"#, #"{"allow_smt":true,"allow_smt":false}"#,
            #"{"expected_app_id":"5bb4ff9a"}"#, #"{"require_os_image":"yes"}"#, #"{"require_os_image":1}"#,
            #"{"qe_grace_period_secs":"for ever"}"#, #"{"name":""}"#, #"{"name":"a\u001b"}"#,
            // A relaxed policy must not be reported as a preset.
            #"{"name":"strict","allow_smt":true}"#, #"{"name":"standard"}"#,
        ])
    func refused(json: String) {
        let error = #expect(throws: AttestationError.self) { try policy(json) }
        #expect(error?.code == .invalidPolicy)
    }

    @Test("a member without a name is shown as it is written")
    func namelessMember() {
        let error = #expect(throws: AttestationError.self) { try policy(#"{"":true}"#) }
        #expect(error?.message.hasPrefix(#"policy."" at byte 4: unknown member"#) == true, "\(error?.message ?? "")")
        #expect(error?.message(about: "p.json").hasPrefix(#"p.json: "" at byte 4: "#) == true)
    }

    @Test("every expected measurement passes when it is the quote's and rejects when one bit differs")
    func expectedMeasurements() throws {
        let platform = try MockPlatform()
        let boot = try MockBoot(platform, appCompose: Array("{}".utf8))
        let quote = try boot.quote(reportData: [1, 2, 3])
        let collateral = try platform.collateral(for: .tdx, at: Self.now)
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: platform.rootCertificate))
        let report = try #require(try Quote(parsing: quote).body.tdReport)
        let fields: [(String, [UInt8])] = [
            ("mr_td", report.mrTd.bytes), ("rt_mr0", report.rtMr0.bytes), ("rt_mr1", report.rtMr1.bytes),
            ("rt_mr2", report.rtMr2.bytes), ("rt_mr3", report.rtMr3.bytes),
            ("mr_config_id", report.mrConfigId.bytes), ("mr_owner", report.mrOwner.bytes),
            ("mr_owner_config", report.mrOwnerConfig.bytes), ("mr_seam", report.mrSeam.bytes),
            ("td_attributes", report.tdAttributes.bytes), ("xfam", report.xfam.bytes),
            ("report_data", report.reportData.bytes),
        ]
        func check(_ name: String, _ bytes: [UInt8]) throws -> CheckID? {
            let hex = bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            let policy = try policy(
                #"{"allow_smt":true,"require_os_image":"if_named","expected_\#(name)":"\#(hex)"}"#)
            return verifier.verify(quote, collateral: collateral, policy: policy, at: Self.now).failure?.check
        }
        for (name, bytes) in fields {
            #expect(try check(name, bytes) == nil, "\(name)")
            var other = bytes
            other[other.count - 1] ^= 1
            let expected: CheckID = name == "report_data" ? .expectedReportData : .expectedMeasurements
            #expect(try check(name, other) == expected, "\(name)")
        }
        // What belongs to another kind of quote cannot be there.
        #expect(try check("mr_enclave", [UInt8](repeating: 0, count: 32)) == .expectedMeasurements)
        // What only an event log can show is not believed without one.
        #expect(try check("app_id", boot.appID.bytes.bytes) == .expectedApplication)
        #expect(try check("os_image_hash", [UInt8](repeating: 0, count: 32)) == .osImage)
    }

    @Test("an application is found by replaying the event log, and another compose file is refused")
    func application() throws {
        let platform = try MockPlatform()
        let compose = Array(#"{"name":"example"}"#.utf8)
        let boot = try MockBoot(platform, appCompose: compose)
        let collateral = try platform.collateral(for: .tdx, at: Self.now)
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: platform.rootCertificate))
        func verify(_ log: String, _ compose: [UInt8]) throws -> VerificationReport {
            verifier.verify(
                Evidence(
                    quote: try boot.quote(reportData: []), eventLog: Array(log.utf8), appCompose: compose),
                collateral: collateral, at: Self.now)
        }
        let accepted = try verify(boot.eventLog.json, compose)
        #expect(accepted.verdict == .accepted, "\(String(describing: accepted.failure))")
        #expect(accepted.evidence?.identity?.appID == boot.appID)
        #expect(accepted.verifiedQuote?.isSimulated == true)
        #expect(accepted.text().contains("simulated"))
        #expect(try verify(boot.eventLog.json, Array("{}".utf8)).failure?.check == .composeHash)
        var forged = boot.eventLog
        forged.events.removeLast()
        #expect(try verify(forged.json, compose).failure?.check == .eventLogReplay)
        #expect(try verify("[", compose).failure?.check == .eventLogFormat)
    }

    @Test("whatever can be expected is read by its name, written back, and rejects by its own check what is not so")
    func expectations() throws {
        let vm = try SimulatedVM()
        let evidence = Evidence(attestation: try vm.attestation(ReportData(FixedBytes(repeating: 1))).encoded(as: .v1))
        for expectation in Expectation.all {
            let value = expectation.byteCount.map { "\"\(String(repeating: "ab", count: $0))\"" } ?? "65535"
            let text = #"{"\#(expectation.member)":\#(value)}"#
            let root = try JSONDocument(parsing: text, subject: "policy").root
            var policy = VerificationPolicy.standard
            policy.expected = try ExpectedValues(membersOf: root)
            #expect(expectation.json(in: policy.expected) == value)
            #expect(Expectation.all.filter { $0.isStated(in: policy.expected) }.map(\.member) == [expectation.member])
            let written = try JSONDocument(parsing: policy.json(), subject: "policy").root
            #expect(written.member(named: expectation.member)?.rawBytes.elementsEqual(value.utf8) == true)
            let report = try vm.verifier().verify(
                evidence, collateral: vm.collateral(), policy: policy, at: SimulatedVM.now)
            #expect(report.failure?.check == expectation.check, "\(expectation.member)")
            #expect(report.failure?.code == .mismatch)
            // As many bytes as are wanted, and no more.
            guard let count = expectation.byteCount else { continue }
            expectation.set([UInt8](repeating: 1, count: count + 1), in: &policy.expected)
            #expect(expectation.isLost(in: policy.expected))
        }
        #expect(Set(Expectation.all.map(\.member)).count == Expectation.all.count)
    }

    @Test("null in place of a restriction is refused, but where upstream's own files have it")
    func null() throws {
        for name in VerificationPolicy.members {
            if name == "accepted_sgx_types" {
                #expect(try policy(#"{"accepted_sgx_types":null}"#).acceptedSGXTypes == nil)
                #expect(try policy(#"{"accepted_sgx_types":null}"#).lostRestrictions.isEmpty)
                continue
            }
            let error = #expect(throws: AttestationError.self, "\(name)") { try policy(#"{"\#(name)":null}"#) }
            #expect(error?.code == .invalidPolicy && error?.reason.contains("null") == true)
        }
    }

    @Test("every policy that is written reads back as the same policy, presets and reported ones included")
    func roundTrip() throws {
        for preset in [VerificationPolicy.authentic, .standard, .strict] {
            #expect(try VerificationPolicy(parsingJSON: preset.json()) == preset)
            #expect(try VerificationPolicy(parsingJSON: preset.json(pretty: true)) == preset)
            var expecting = preset
            expecting.expected.reportData = FixedBytes(repeating: 7)
            #expect(try VerificationPolicy(parsingJSON: expecting.json()) == expecting)
        }
        var full = VerificationPolicy(name: "mine", allowedStatuses: [.upToDate, .outOfDate])
        full.rejectedAdvisoryIDs = ["A"]
        full.allowedAdvisoryIDs = []
        full.platformGracePeriod = .unlimited
        full.qeGracePeriod = 9
        full.minimumEvaluationDataNumber = 3
        full.allowsDynamicPlatform = true
        full.allowsCachedKeys = true
        full.allowsDebug = true
        full.allowsServiceTD = true
        full.acceptedSGXTypes = []
        full.acceptedPlatforms = [FixedBytes(repeating: 4)]
        full.maximumCollateralAge = 5
        let hashes: [WritableKeyPath<ExpectedValues, FixedBytes<32>?>] = [
            \.mrEnclave, \.mrSigner, \.composeHash, \.osImageHash, \.mrAggregated, \.mrSystem,
        ]
        let measurements: [WritableKeyPath<ExpectedValues, Measurement384?>] = [
            \.mrTd, \.rtMr0, \.rtMr1, \.rtMr2, \.rtMr3, \.mrConfigId, \.mrOwner, \.mrOwnerConfig, \.mrSeam,
        ]
        for (index, path) in hashes.enumerated() {
            full.expected[keyPath: path] = FixedBytes(repeating: UInt8(index + 1))
        }
        for (index, path) in measurements.enumerated() {
            full.expected[keyPath: path] = FixedBytes(repeating: UInt8(index + 1))
        }
        full.expected.reportData = FixedBytes(repeating: 1)
        full.expected.tdAttributes = FixedBytes(repeating: 2)
        full.expected.xfam = FixedBytes(repeating: 3)
        full.expected.appID = FixedBytes(repeating: 4)
        full.expected.instanceID = FixedBytes(repeating: 5)
        full.expected.isvProdId = 6
        full.expected.minimumIsvSvn = 7
        for requirement in OSImageRequirement.allCases {
            full.osImage = requirement
            #expect(try VerificationPolicy(parsingJSON: full.json()) == full)
        }
        // A list of members that grows must grow here too.
        let written = try JSONDocument(parsing: full.json(), subject: "policy").root.members.map(\.name)
        #expect(Set(written) == Set(VerificationPolicy.members))
    }

    @Test("a preset that was changed is written and reported under another name")
    func changedPreset() throws {
        var policy = VerificationPolicy.strict
        policy.allowsDebug = true
        let read = try VerificationPolicy(parsingJSON: policy.json())
        #expect(read.name == "custom" && read.allowsDebug)
        #expect(policy.shownName == "custom")
    }

    @Test("a restriction that nil is assigned to rejects everything, and is written as what no reader takes")
    func lost() throws {
        let lose: [(CheckID, (inout VerificationPolicy) -> Void)] = [
            (.policyAdvisories, { $0.allowedAdvisoryIDs = nil }), (.policySGXType, { $0.acceptedSGXTypes = nil }),
            (.policyCollateralAge, { $0.maximumCollateralAge = nil }),
            (.policyPlatforms, { $0.acceptedPlatforms = nil }), (.osImage, { $0.expected.osImageHash = nil }),
            (.expectedReportData, { $0.expected.reportData = nil }),
            (.expectedMeasurements, { $0.expected.mrTd = nil }),
            (.expectedMeasurements, { $0.expected.isvProdId = nil }),
            (.expectedMeasurements, { $0.expected.minimumIsvSvn = nil }),
            (.expectedApplication, { $0.expected.composeHash = nil }),
            (.osImage, { $0.expected.osImageHash = FixedBytes(hex: "no hexadecimal text") }),
        ]
        for (check, edit) in lose {
            for tee in TEEType.allCases {
                var evidence = try MockEvidence(tee)
                edit(&evidence.policy)
                try evidence.verified().expectRefused(check, .missing)
                // Withdrawn on purpose, as a whole.
                evidence.policy = .standard
                try evidence.verified().expectAccepted()
            }
            var policy = VerificationPolicy.standard
            edit(&policy)
            if policy.$acceptedSGXTypes {
                #expect(try VerificationPolicy(parsingJSON: policy.json()).acceptedSGXTypes == [])
            } else {
                #expect(throws: AttestationError.self) { try VerificationPolicy(parsingJSON: policy.json()) }
            }
        }
    }

    @Test("an empty policy file is refused as empty")
    func emptyFile() {
        let error = #expect(throws: AttestationError.self) { try policy("") }
        #expect(error?.reason.contains("empty") == true)
    }
}
