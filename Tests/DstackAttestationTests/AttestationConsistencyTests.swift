import DstackAttestation
import DstackEncoding
import TestKit
import Testing

@Suite("Consistency of evidence")
struct AttestationConsistencyTests {
    /// An attestation and the report that its quote would have. The checks never look at the quote.
    static func sample() throws -> (attestation: Attestation, report: TDReport) {
        let boot = [
            LoggedEvent(register: .rtmr0, type: .separator, digest: FixedBytes(repeating: 7)),
            LoggedEvent(register: .rtmr1, type: .separator, digest: FixedBytes(repeating: 8)),
            LoggedEvent(register: .rtmr2, type: .separator, digest: FixedBytes(repeating: 9)),
        ]
        let events = ApplicationIdentityTests.boot + [RuntimeEvent(name: "own", payload: [1], version: .v2)]
        let log = EventLog(boot + events.map { LoggedEvent($0) })
        let registers = try log.replay().registers
        var report = TDReport()
        (report.rtMr0, report.rtMr1) = (registers.rtmr0, registers.rtmr1)
        (report.rtMr2, report.rtMr3) = (registers.rtmr2, registers.rtmr3)
        report.reportData = ReportData(tag: .appData, content: "hello".utf8).bytes
        report.mrConfigId = MRConfigID.composeHash(ComposeHash(FixedBytes(repeating: 2))).register
        let attestation = Attestation(
            platform: .tdx(.init(quote: [], eventLog: log)), runtimeEvents: events,
            reportData: ReportData(report.reportData), config: "{}", reportDataPayload: "hello")
        return (attestation, report)
    }

    static func edit(_ attestation: inout Attestation, _ body: (inout EventLog) -> Void) {
        guard case .tdx(var evidence) = attestation.platform else { return }
        body(&evidence.eventLog)
        attestation.platform = .tdx(evidence)
    }

    @Test(
        "everything of recorded evidence belongs together", .enabled(if: Vectors.areAvailable, Vectors.absence),
        arguments: RecordedEvidence.all)
    func recorded(evidence: RecordedEvidence) throws {
        let attestation = try evidence.attestation()
        let report = try #require(try attestation.parsedQuote().body.tdReport)
        for moment in MeasurementMoment.allCases {
            let consistency = attestation.consistency(with: report, at: moment)
            #expect(consistency.failures.isEmpty)
            #expect(consistency.findings.map(\.check) == EvidenceFinding.Check.allCases)
            #expect(consistency.identity?.appID == AppID(hex: evidence.appID))
            #expect(consistency.replayedLog?.registers == report.rtmrs)
            let skipped = consistency.findings.filter { if case .skipped = $0.outcome { true } else { false } }
            #expect(skipped.map(\.check) == [.reportDataPayload] + (evidence.mrConfigId.isEmpty ? [.mrConfigID] : []))
        }
        let stripped = attestation.stripped(.init(bootEvents: .dropped, keepsRuntimeDigests: false))
        #expect(stripped.consistency(with: report).failures.isEmpty)
    }

    @Test(
        "the configuration is found at either level", .enabled(if: Vectors.areAvailable, Vectors.absence),
        arguments: RecordedEvidence.all)
    func configuration(evidence: RecordedEvidence) throws {
        let configuration = try evidence.attestation().configuration()
        let root = try JSONDocument(parsing: configuration.vmConfig, subject: "vm_config").root
        #expect(try root.member("os_image_hash").string() == evidence.vmConfigImageHash)
        #expect(configuration.mrConfig == nil)
    }

    @Test("a sample passes every check")
    func passes() throws {
        let (attestation, report) = try Self.sample()
        let consistency = attestation.consistency(with: report)
        #expect(consistency.findings.allSatisfy { $0.outcome == .passed })
        #expect(consistency.findings.map(\.check) == EvidenceFinding.Check.allCases)
        #expect(consistency.identity?.isSystemReady == true)
    }

    typealias Case = (
        name: String, edit: @Sendable (inout Attestation, inout TDReport) -> Void, failures: [EvidenceFinding.Check]
    )

    /// What each forgery is caught by.
    static let forgeries: [Case] = [
        ("another payload", { attestation, _ in attestation.reportDataPayload = "hallo" }, [.reportDataPayload]),
        (
            "report data of another quote",
            { attestation, _ in
                attestation.reportData = ReportData(FixedBytes())
                attestation.reportDataPayload = nil
            }, [.reportData]
        ),
        (
            "one bit of report data, the last",
            { _, report in report.reportData[63] ^= 1 }, [.reportData]
        ),
        (
            "an event beside the log that the log does not have",
            { attestation, _ in attestation.runtimeEvents.append(RuntimeEvent(name: "x", payload: [])) },
            [.runtimeEvents, .sameRuntimeEvents]
        ),
        (
            "an event in the log that is not beside it",
            { attestation, _ in
                AttestationConsistencyTests.edit(&attestation) {
                    $0.events.append(LoggedEvent(RuntimeEvent(name: "x", payload: [])))
                }
            }, [.sameRuntimeEvents, .rtmr3]
        ),
        (
            "an exchanged order beside the log",
            { attestation, _ in attestation.runtimeEvents.swapAt(1, 2) }, [.runtimeEvents, .sameRuntimeEvents]
        ),
        (
            "an exchanged payload in the log, digest kept",
            { attestation, _ in AttestationConsistencyTests.edit(&attestation) { $0.events[4].payload[0] ^= 1 } },
            [.eventDigests, .eventLog, .sameRuntimeEvents]
        ),
        (
            "a preimage of something else",
            { attestation, _ in
                AttestationConsistencyTests.edit(&attestation) { $0.events[$0.events.count - 1].preimage = [0] }
            }, [.eventDigests, .eventLog]
        ),
        (
            "a boot event in RTMR3",
            { attestation, _ in AttestationConsistencyTests.edit(&attestation) { $0.events[0].register = .rtmr3 } },
            [.eventLog, .sameRuntimeEvents]
        ),
        (
            "a runtime event in RTMR0",
            { attestation, _ in AttestationConsistencyTests.edit(&attestation) { $0.events[4].register = .rtmr0 } },
            [.eventLog, .sameRuntimeEvents]
        ),
        (
            "a boot event with another digest",
            { attestation, _ in
                AttestationConsistencyTests.edit(&attestation) { $0.events[1].digest = FixedBytes(repeating: 1) }
            }, [.rtmr1]
        ),
        (
            "boot events of one register left out",
            { attestation, _ in AttestationConsistencyTests.edit(&attestation) { $0.events.remove(at: 2) } }, [.rtmr2]
        ),
        ("another RTMR0", { _, report in report.rtMr0 = FixedBytes() }, [.rtmr0]),
        ("another RTMR3", { _, report in report.rtMr3 = FixedBytes() }, [.runtimeEvents, .rtmr3]),
        (
            "another application than the host pinned",
            { _, report in report.mrConfigId = MRConfigID.composeHash(ComposeHash(FixedBytes())).register },
            [.mrConfigID]
        ),
        ("an unknown pin", { _, report in report.mrConfigId[0] = 9 }, [.mrConfigID]),
        (
            "a pin to a document that is not there",
            { _, report in report.mrConfigId = MRConfigID.document(FixedBytes(repeating: 1)).register }, [.mrConfigID]
        ),
    ]

    @Test("V58, V59: what does not belong together is found, and by its name", arguments: forgeries.indices)
    func forgery(index: Int) throws {
        let forgery = Self.forgeries[index]
        var (attestation, report) = try Self.sample()
        forgery.edit(&attestation, &report)
        let consistency = attestation.consistency(with: report)
        #expect(consistency.failures.map(\.check) == forgery.failures, "\(forgery.name)")
        #expect(consistency.findings.map(\.check) == EvidenceFinding.Check.allCases)
    }

    @Test("an identity that cannot be read is a finding, and nothing is believed of it")
    func identity() throws {
        var (attestation, _) = try Self.sample()
        attestation.runtimeEvents.remove(at: 1)
        let log = EventLog(runtimeEvents: attestation.runtimeEvents)
        attestation.platform = .tdx(.init(quote: [], eventLog: log))
        var report = TDReport()
        report.rtMr3 = try log.replay().registers.rtmr3
        report.reportData = attestation.reportData.bytes
        let consistency = attestation.consistency(with: report)
        #expect(consistency.failures.map(\.check) == [.identity] && consistency.identity == nil)
    }

    @Test("failures say what was quoted and what was replayed, as upstream words it")
    func wording() throws {
        var (attestation, report) = try Self.sample()
        let replayed = report.rtMr3
        report.rtMr3 = FixedBytes(repeating: 0xEE)
        report.reportData = FixedBytes()
        attestation.reportDataPayload = "x"
        let reason = "RTMR3 mismatch, quoted: \(report.rtMr3), replayed: \(replayed)"
        #expect(attestation.checkRuntimeEvents(with: report).outcome == .failed(reason))
        #expect(attestation.checkRuntimeEvents(with: report).expected == report.rtMr3.hex)
        #expect(attestation.checkRuntimeEvents(with: report).found == replayed.hex)
        #expect(attestation.checkReportData(with: report).outcome == .failed("tdx report_data mismatch"))
        #expect(
            attestation.checkReportDataPayload().outcome == .failed("report_data does not match report_data_payload"))
    }

    @Test("platforms without event log skip its checks")
    func otherPlatforms() throws {
        var (attestation, report) = try Self.sample()
        attestation.platform = .awsNitroTPM(document: [])
        let findings = attestation.consistency(with: report).findings
        let skipped = findings.filter { if case .skipped = $0.outcome { true } else { false } }.map(\.check)
        #expect(skipped == [.eventDigests, .eventLog, .sameRuntimeEvents, .rtmr0, .rtmr1, .rtmr2, .rtmr3])
    }

    // MARK: Configuration

    @Test("vm_config is taken as it is, or out of a system configuration; mr_config from either")
    func configurations() throws {
        for (config, vmConfig, mrConfig) in [
            ("", "", nil), (#"{"a":1}"#, #"{"a":1}"#, nil), (#"{"vm_config":"{\"a\":1}"}"#, #"{"a":1}"#, nil),
            (#"{"vm_config":"","mr_config":""}"#, "", nil), (#"{"vm_config":"{}","mr_config":"D"}"#, "{}", "D"),
            (#"{"vm_config":"{\"mr_config\":\"D\"}"}"#, #"{"mr_config":"D"}"#, "D"),
            (#"{"mr_config":"D"}"#, #"{"mr_config":"D"}"#, "D"),
            (#"{"vm_config":"{\"mr_config\":\"E\"}","mr_config":"D"}"#, #"{"mr_config":"E"}"#, "D"),
        ] as [(String, String, String?)] {
            let configuration = try EvidenceConfiguration(parsing: config)
            #expect(configuration.vmConfig == vmConfig && configuration.mrConfig == mrConfig, "\(config)")
        }
        for config in ["x", "[]", #"{"vm_config":{}}"#, #"{"mr_config":1}"#, #"{"vm_config":"["}"#, #"{"a":1,"a":2}"#] {
            #expect(throws: AttestationError.self, "\(config)") { try EvidenceConfiguration(parsing: config) }
        }
    }

    @Test("a document in the configuration is checked against the register that pins it")
    func document() throws {
        var (attestation, report) = try Self.sample()
        let document = MRConfigDocument(composeHash: ComposeHash(FixedBytes(repeating: 2)), keyProvider: .kms)
            .canonicalText
        report.mrConfigId = MRConfigID.document(MRConfigDocument.hash(document)).register
        let escaped = document.replacing("\"", with: "\\\"")
        attestation.config = "{\"vm_config\":\"{}\",\"mr_config\":\"\(escaped)\"}"
        #expect(attestation.consistency(with: report).failures.isEmpty)
        attestation.config = "{\"vm_config\":\"{}\",\"mr_config\":\"\(escaped) \"}"
        #expect(attestation.consistency(with: report).failures.map(\.check) == [.mrConfigID])
    }
}
