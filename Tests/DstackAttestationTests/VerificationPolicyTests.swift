import DstackAttestation
import DstackMockTEE
import Testing

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
            #"{"expected_app_id":"5bb4ff9a"}"#,
        ])
    func refused(json: String) {
        let error = #expect(throws: AttestationError.self) { try policy(json) }
        #expect(error?.code == .invalidPolicy)
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
            let policy = try policy(#"{"allow_smt":true,"expected_\#(name)":"\#(hex)"}"#)
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
}
