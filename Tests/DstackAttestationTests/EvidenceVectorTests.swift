import DstackAttestation
import DstackEncoding
import TestKit
import Testing

/// Event logs, applications and OS images of real evidence.
@Suite("Verification: real evidence", .enabled(if: Vectors.areAvailable, Vectors.absence))
struct EvidenceVectorTests {
    /// The outcome of one check.
    func outcome(_ check: CheckID, _ report: VerificationReport) -> VerificationCheck.Outcome? {
        report.checks.first { $0.id == check }?.outcome
    }

    func collateral() throws -> QuoteCollateral {
        try QuoteCollateral(parsingJSON: Vectors.read("attestation/collateral_tdx_B0C06F_2026-10.json"))
    }

    static let envelopes = ["simulator_attestation.bin", "simulator_attestation_v1_derived.msgpack"]

    @Test("an envelope of either version is accepted and identifies its application", arguments: envelopes)
    func envelope(name: String) throws {
        let evidence = Evidence(attestation: try Vectors.read("attestation/\(name)"))
        let report = QuoteVerifier().verify(
            evidence, collateral: try collateral(), policy: .authentic, at: 1_791_500_000)
        #expect(report.verdict == .accepted, "\(String(describing: report.failure))")
        let info = try #require(report.evidence?.appInfo)
        #expect(info.appID.description == "5bb4ff9a3837357f19dc176407a5709c62eb6c56")
        #expect(
            info.composeHash.description == "c143116fef3940e7f776bfc0919c256232ae5338a6e948c96b711e0b2383483a")
        #expect(info.instanceID?.description == "1691ed1b47506cad7d08834668691d88246f5b1f")
        #expect(info.mrSystem.hex == "51ea38f8eee6dc72dbae9b74531ae6d6204295d265dabb4e6c34621a2a1a1197")
        #expect(info.mrAggregated.hex == "85334a62c97d0f8bf82d0245d31b539d17a2d7c258e2a13efc928aaea0e107cb")
        #expect(info.deviceID.description == "c07347d88ac7ef3d42d02ceb80a0e3ac66981cf7382f72d0692ec591ea58cf1f")
        for check in [
            .envelopeFormat, .envelopeReportData, .envelopeRuntimeEvents, .eventLogFormat, .eventLogReplay,
            .applicationIdentity, .configurationID,
        ] as [CheckID] { #expect(outcome(check, report) == .passed, "\(check.name)") }
        // The form of its VM configuration needs the image's files: reported here, refused where an image is required.
        guard case .notApplicable = outcome(.osImage, report) else {
            Issue.record("the OS image cannot have been judged")
            return
        }
        #expect(report.notChecked.contains { $0.contains("recomputation") })
        let standard = QuoteVerifier().verify(evidence, collateral: try collateral(), at: 1_791_500_000)
        #expect(standard.failure?.check == .osImage && standard.failure?.code == .unsupported)
    }

    @Test("a changed envelope is refused by the check that it concerns")
    func changedEnvelope() throws {
        var attestation = try Attestation(decoding: Vectors.read("attestation/simulator_attestation.bin"))
        func check(_ attestation: Attestation) throws -> CheckID? {
            let report = QuoteVerifier().verify(
                Evidence(attestation: attestation.encoded.bytes), collateral: try collateral(), policy: .authentic,
                at: 1_791_500_000)
            return report.failure?.check
        }
        #expect(try check(attestation) == nil)
        let events = attestation.runtimeEvents
        attestation.runtimeEvents[1] = RuntimeEvent(name: "app-id", payload: [UInt8](repeating: 7, count: 20))
        #expect(try check(attestation) == .envelopeRuntimeEvents)
        attestation.runtimeEvents = events
        attestation.reportData = ReportData(FixedBytes(repeating: 1))
        #expect(try check(attestation) == .envelopeReportData)
        let report = QuoteVerifier().verify(
            Evidence(attestation: [0x42]), collateral: try collateral(), policy: .authentic, at: 1_791_500_000)
        #expect(report.failure?.check == .envelopeFormat)
    }

    struct Response: Sendable {
        let file: String
        let appID: String
        let mrSystem: String
        let mrAggregated: String
        let image: String?
    }

    @Test(
        "a quote response replays to its registers and names application and image",
        arguments: [
            Response(
                file: "tdx-lite-getquote.json", appID: "86b0e55f2fa8e4fb69d890f14f54d5612707646e",
                mrSystem: "118f754a080ecb8527df65656ee4e7e97b891cf488ad6a38886ff0dbca0c8f70",
                mrAggregated: "c758fa624b62536ca77504c4c52745e70880220a178a615a859c52f8b101d2ee",
                image: "e6f5cfec20c02e7b97baa213d0f718020b55e040172d90ccbcb946d56c8b09db"),
            Response(
                file: "quote-report.json", appID: "3763bc34552cf3a27ff71ad5f7a90471562a1a2d",
                mrSystem: "e1ae776a1492d4f87937b7e563d265c16300be4aba5d748207587023bb7dbb75",
                mrAggregated: "233c659f83048505bb1ef7f105245aa80f5d04e3d096c329da272d7ee13fbf38", image: nil),
        ])
    func response(expected: Response) throws {
        let root = try JSONDocument(parsing: Vectors.read("attestation/\(expected.file)"), subject: expected.file).root
        let evidence = Evidence(
            quote: try root.member("quote").hexBytes(), eventLog: Array(try root.member("event_log").string().utf8),
            configuration: try root.member("vm_config").string())
        // No collateral of this platform family is at hand, so the verdict is no; what is beside the quote is judged
        // all the same.
        let report = QuoteVerifier().verify(evidence, collateral: try collateral(), at: 1_791_500_000)
        #expect(report.verdict == .rejected)
        #expect(outcome(.eventLogReplay, report) == .passed)
        #expect(outcome(.applicationIdentity, report) == .passed)
        let facts = try #require(report.evidence)
        #expect(facts.identity?.appID.description == expected.appID)
        #expect(facts.measurements?.mrSystem.hex == expected.mrSystem)
        #expect(facts.measurements?.mrAggregated.hex == expected.mrAggregated)
        #expect(facts.osImageHash?.hex == expected.image)
        #expect((outcome(.osImage, report) == .passed) == (expected.image != nil))
        #expect(!facts.areACPITablesVerified)
    }

    @Test("claims of real evidence have the values that other verifiers give")
    func claims() throws {
        let report = QuoteVerifier().verify(
            try Vectors.read("attestation/tdx_quote"),
            collateral: try QuoteCollateral(parsingJSON: Vectors.read("attestation/tdx_quote_collateral.json")),
            at: 1_751_624_190)
        let root = try JSONDocument(parsing: report.json(), subject: "report").root
        #expect(try root.member("verdict").string() == "accepted")
        #expect(try root.member("reason").isNull)
        #expect(try root.member("ppid").string() == "811dca2a26b952e85bb6448b097ba4fd")
        let claims = try root.member("claims")
        #expect(try claims.member("tcb").member("eval_data_number").integer(Int.self) == 17)
        let platform = try claims.member("platform")
        #expect(try platform.member("tcb_date_tag").integer(Int.self) == 1_710_288_000)
        #expect(try platform.member("tcb_level").member("tcb").member("pcesvn").integer(Int.self) == 11)
        #expect(try platform.member("current_tcb_level").isNull)
        #expect(try platform.member("pck_crl_num").integer(Int.self) == 1)
        #expect(try platform.member("root_ca_crl_num").integer(Int.self) == 1)
        #expect(
            try platform.member("root_key_id").elements.map { try $0.integer(UInt8.self) }
                == Hex.decode(
                    "46e403bd34f05a3f2817ab9badcaacc7ffc98e0f261008cd30dae936cace18d5dcf58eef31463613de1570d516200993",
                    subject: "root key id"))
        #expect(
            try claims.member("qe").member("tcb_level").member("tcb").member("isvsvn").integer(Int.self) == 4)
        for (name, value) in [
            ("earliest_issue_date", 1_526_899_510), ("latest_issue_date", 1_750_329_147),
            ("earliest_expiration_date", 1_752_919_235), ("qe_iden_earliest_issue_date", 1_526_899_510),
            ("qe_iden_latest_issue_date", 1_750_329_147), ("qe_iden_earliest_expiration_date", 1_752_921_147),
        ] { #expect(try claims.member(named: name)?.integer(Int.self) == value, "\(name)") }
        #expect(report.validUntil == 1_752_919_234)
    }
}
