import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

/// Attacks by a host or an application with a genuine quote: the event log, the compose file, the configuration and the
/// envelope say something else than what was measured.
@Suite("Attacks: evidence beside the quote")
struct AttackEvidenceTests {
    /// A simulated guest that has booted, and the evidence it hands out.
    struct Guest {
        static let compose = Array(#"{"manifest_version":2,"name":"demo","runner":"docker-compose"}"#.utf8)

        let platform: MockPlatform
        /// What the guest measures, in order.
        var events: [RuntimeEvent]
        var boot: [LoggedEvent] = (0..<3).map { index in
            LoggedEvent(
                register: RTMR(rawValue: index) ?? .rtmr0, type: .separator, digest: FixedBytes(repeating: index + 7))
        }
        /// Changes to the evidence after the quote was made.
        var editLog: (inout EventLog) -> Void = { _ in }
        var editAttestation: (inout Attestation) -> Void = { _ in }
        var configuration = ""
        var appCompose: [UInt8]? = Self.compose
        var mrConfigID: Measurement384 = FixedBytes()
        var policy = VerificationPolicy.standard

        init(version: RuntimeEvent.Version = .v1) throws {
            platform = try MockPlatform(seed: FixedBytes(repeating: 0xA7))
            let hash = ComposeHash(ofFile: Self.compose).bytes.bytes
            events = [
                ("system-preparing", []), ("app-id", Array(hash.prefix(20))), ("compose-hash", hash),
                ("instance-id", [UInt8](repeating: 4, count: 20)), ("boot-mr-done", []),
                ("key-provider", Array(#"{"name":"kms","id":"3059"}"#.utf8)), ("storage-fs", Array("zfs".utf8)),
                ("system-ready", []), ("app-event", [1, 2, 3]),
            ].map { RuntimeEvent(name: $0.0, payload: $0.1, version: version) }
        }

        private func domain() throws -> MockTrustDomain {
            var domain = MockTrustDomain(on: platform)
            domain.mrConfigId = mrConfigID
            for event in boot { try domain.extend(Int(event.register.rawValue), with: event.digest ?? FixedBytes()) }
            for event in events { try domain.extend(3, with: event.digest) }
            return domain
        }

        private func attestation() throws -> Attestation {
            var log = EventLog(boot + events.map { LoggedEvent($0) })
            let quote = try domain().quote(reportData: FixedBytes<64>(repeating: 0x3C))
            var attestation = Attestation(
                platform: .tdx(.init(quote: quote, eventLog: log)), runtimeEvents: events,
                reportData: ReportData(FixedBytes(repeating: 0x3C)), config: configuration)
            editLog(&log)
            attestation.platform = .tdx(.init(quote: quote, eventLog: log))
            editAttestation(&attestation)
            return attestation
        }

        private func verify(_ evidence: Evidence) throws -> VerificationReport {
            let collateral = try platform.collateral(for: .tdx, at: MockEvidence.issued)
            return QuoteVerifier(trustAnchor: try TrustAnchor(certificate: platform.rootCertificate))
                .verify(evidence, collateral: collateral, policy: policy, at: MockEvidence.issued)
        }

        /// Quote and event log one beside the other.
        func verifiedParts() throws -> VerificationReport {
            let attestation = try attestation()
            let log = try #require(attestation.eventLog)
            return try verify(
                Evidence(
                    quote: try #require(attestation.quote), eventLog: Array(log.json.utf8),
                    configuration: configuration,
                    appCompose: appCompose))
        }

        /// Everything in one envelope.
        func verifiedEnvelope() throws -> VerificationReport {
            try verify(Evidence(attestation: try attestation().encoded(as: .v1), appCompose: appCompose))
        }
    }

    @Test("honest evidence is accepted and names the application", arguments: RuntimeEvent.Version.allCases)
    func control(version: RuntimeEvent.Version) throws {
        var guest = try Guest(version: version)
        for report in [try guest.verifiedParts(), try guest.verifiedEnvelope()] {
            report.expectAccepted()
            #expect(report.evidence?.identity?.composeHash == ComposeHash(ofFile: Guest.compose))
            #expect(report.evidence?.identity?.applicationEvents.map(\.name) == ["app-event"])
        }
        // Digests of runtime events may be blank, and the events of the boot may be left out.
        guest.editLog = { log in
            for index in log.events.indices where log.events[index].register == .rtmr3 {
                log.events[index].digest = nil
            }
        }
        try guest.verifiedParts().expectAccepted()
        guest.editLog = { $0.events.removeAll { $0.register != .rtmr3 } }
        let report = try guest.verifiedParts()
        report.expectAccepted()
        #expect(report.evidence?.notChecked.isEmpty == false)
    }

    /// A change to the event log after the quote was made.
    struct Forgery: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let check: CheckID
        let code: FailureCode
        let edit: @Sendable (inout EventLog) -> Void

        init(
            _ name: String, _ check: CheckID, _ code: FailureCode, _ edit: @escaping @Sendable (inout EventLog) -> Void
        ) {
            (testDescription, self.check, self.code, self.edit) = (name, check, code, edit)
        }
    }

    private static func replace(_ log: inout EventLog, _ name: String, _ payload: [UInt8], keepDigest: Bool = false) {
        for index in log.events.indices where log.events[index].name == name {
            let digest = log.events[index].digest
            log.events[index] = LoggedEvent(RuntimeEvent(name: name, payload: payload))
            if keepDigest { log.events[index].digest = digest }
        }
    }

    static let forgeries: [Forgery] = [
        Forgery("another compose hash with its digest", .eventLogReplay, .mismatch) {
            replace(&$0, "compose-hash", [UInt8](repeating: 9, count: 32))
        },
        Forgery("another compose hash under the measured digest", .eventLogFormat, .malformed) {
            replace(&$0, "compose-hash", [UInt8](repeating: 9, count: 32), keepDigest: true)
        },
        Forgery("another application under the measured digest", .eventLogFormat, .malformed) {
            replace(&$0, "app-id", [UInt8](repeating: 9, count: 20), keepDigest: true)
        },
        Forgery("another compose hash with a blank digest", .eventLogReplay, .mismatch) {
            replace(&$0, "compose-hash", [UInt8](repeating: 9, count: 32))
            for index in $0.events.indices where $0.events[index].name == "compose-hash" {
                $0.events[index].digest = nil
            }
        },
        Forgery("an event removed", .eventLogReplay, .mismatch) { $0.events.removeAll { $0.name == "app-event" } },
        Forgery("all runtime events removed", .eventLogReplay, .mismatch) {
            $0.events.removeAll { $0.register == .rtmr3 }
        },
        Forgery("an event added at the end", .eventLogReplay, .mismatch) {
            $0.events.append(LoggedEvent(RuntimeEvent(name: "extra", payload: [])))
        },
        Forgery("an identity before the measured one", .eventLogReplay, .mismatch) {
            let forged = RuntimeEvent(name: "compose-hash", payload: [UInt8](repeating: 9, count: 32))
            $0.events.insert(LoggedEvent(forged), at: 0)
        },
        Forgery("two events exchanged", .eventLogReplay, .mismatch) { log in
            log.events.swapAt(log.events.count - 1, log.events.count - 2)
        },
        Forgery("an event of RTMR3 that is no runtime event", .eventLogFormat, .malformed) { log in
            for index in log.events.indices where log.events[index].name == "app-event" {
                log.events[index].type = .separator
            }
        },
        Forgery("an identity in another register", .eventLogFormat, .malformed) { log in
            var event = LoggedEvent(RuntimeEvent(name: "compose-hash", payload: [UInt8](repeating: 9, count: 32)))
            event.register = .rtmr2
            log.events.insert(event, at: 0)
        },
        Forgery("an identity that extends nothing", .eventLogFormat, .malformed) { log in
            var event = LoggedEvent(RuntimeEvent(name: "compose-hash", payload: [UInt8](repeating: 9, count: 32)))
            event.type = .noAction
            log.events.insert(event, at: 0)
        },
        Forgery("another digest of a boot event", .eventLogReplay, .mismatch) {
            $0.events[0].digest = FixedBytes(repeating: 1)
        },
        Forgery("a boot event removed", .eventLogReplay, .mismatch) { $0.events.removeFirst() },
        Forgery("a boot event without digest", .eventLogFormat, .malformed) { $0.events[0].digest = nil },
        Forgery("an event of version 1 said to be of version 2", .eventLogReplay, .mismatch) { log in
            for index in log.events.indices where log.events[index].name == "app-event" {
                log.events[index].version = .v2
                log.events[index].digest = nil
            }
        },
        Forgery("a preimage of another event", .eventLogFormat, .malformed) { log in
            for index in log.events.indices where log.events[index].name == "app-event" {
                log.events[index].preimage = [1]
            }
        },
    ]

    @Test("an event log other than the measured one is refused (V58)", arguments: forgeries)
    func forgedLog(_ forgery: Forgery) throws {
        var guest = try Guest()
        guest.editLog = forgery.edit
        try guest.verifiedParts().expectRefused(forgery.check, forgery.code)
    }

    @Test("an event split at another colon, with the same digest, hides nothing (V58)")
    func colon() throws {
        var guest = try Guest()
        // `key-provider` ‖ `{"name"` and the rest of the payload hash to the same bytes.
        guest.editLog = { log in
            for index in log.events.indices where log.events[index].name == "key-provider" {
                var event = log.events[index]
                let payload = String(decoding: event.payload, as: UTF8.self)
                event.name = #"key-provider:{"name""#
                event.payload = Array(payload.dropFirst(#"{"name":"#.count).utf8)
                log.events[index] = event
            }
        }
        try guest.verifiedParts().expectRefused(.applicationIdentity, .malformed)
    }

    @Test("what an application measures after the boot changes nothing about who it is (V58)")
    func lateIdentity() throws {
        var guest = try Guest()
        for name in ["compose-hash", "app-id", "instance-id", "key-provider", "system-ready"] {
            guest.events.append(RuntimeEvent(name: name, payload: [UInt8](repeating: 9, count: 32)))
        }
        let report = try guest.verifiedParts()
        report.expectAccepted()
        #expect(report.evidence?.identity?.composeHash == ComposeHash(ofFile: Guest.compose))
        #expect(report.evidence?.identity?.instanceID?.bytes == FixedBytes(repeating: 4))
    }

    @Test("the first identity counts, and a second one before the end of the boot does not replace it (V58)")
    func secondIdentity() throws {
        var guest = try Guest()
        let index = try #require(guest.events.firstIndex { $0.name == "system-ready" })
        guest.events.insert(
            RuntimeEvent(name: "compose-hash", payload: [UInt8](repeating: 9, count: 32)), at: index)
        let report = try guest.verifiedParts()
        report.expectAccepted()
        #expect(report.evidence?.identity?.composeHash == ComposeHash(ofFile: Guest.compose))
    }

    @Test(
        "a boot that measured no identity, or half of one, is refused (V58)",
        arguments: ["app-id", "compose-hash", "instance-id"])
    func noIdentity(name: String) throws {
        var guest = try Guest()
        guest.events.removeAll { $0.name == name }
        try guest.verifiedParts().expectRefused(.applicationIdentity, .malformed)
        // After the boot it comes too late.
        guest.events.append(
            RuntimeEvent(name: name, payload: [UInt8](repeating: 9, count: name == "compose-hash" ? 32 : 20)))
        try guest.verifiedParts().expectRefused(.applicationIdentity, .malformed)
        var short = try Guest()
        for index in short.events.indices where short.events[index].name == name {
            short.events[index] = RuntimeEvent(name: name, payload: [1, 2, 3])
        }
        try short.verifiedParts().expectRefused(.applicationIdentity, .malformed)
    }

    @Test("a compose file other than the measured one is refused (V58)")
    func otherCompose() throws {
        var guest = try Guest()
        for other in [Guest.compose + [0x0A], Array(Guest.compose.dropLast()), []] {
            guest.appCompose = other
            try guest.verifiedParts().expectRefused(.composeHash, .mismatch)
            try guest.verifiedEnvelope().expectRefused(.composeHash, .mismatch)
        }
    }

    @Test("an application, instance or compose hash other than the expected is refused (V58)")
    func expectedApplication() throws {
        let hash = ComposeHash(ofFile: Guest.compose).bytes
        var guest = try Guest()
        guest.policy.expected.composeHash = hash
        guest.policy.expected.appID = FixedBytes(hash.bytes.prefix(20))
        guest.policy.expected.instanceID = FixedBytes(repeating: 4)
        try guest.verifiedParts().expectAccepted()
        for edit in [
            { $0.composeHash?[31] ^= 1 }, { $0.appID?[0] ^= 1 }, { $0.instanceID?[19] ^= 1 },
            { $0.mrSystem = FixedBytes() }, { $0.mrAggregated = FixedBytes() },
        ] as [(inout ExpectedValues) -> Void] {
            var other = guest
            edit(&other.policy.expected)
            try other.verifiedParts().expectRefused(.expectedApplication, .mismatch)
            try other.verifiedEnvelope().expectRefused(.expectedApplication, .mismatch)
        }
    }

    @Test("an instance that is not what its host pinned is refused (V56)")
    func pinned() throws {
        var guest = try Guest()
        guest.mrConfigID = MRConfigID.composeHash(ComposeHash(ofFile: Guest.compose)).register
        try guest.verifiedParts().expectAccepted()
        guest.mrConfigID = MRConfigID.composeHash(ComposeHash(ofFile: [1])).register
        try guest.verifiedParts().expectRefused(.configurationID, .mismatch)
        var unknown = FixedBytes<48>()
        unknown[0] = 9
        var trailing = MRConfigID.composeHash(ComposeHash(ofFile: Guest.compose)).register
        trailing[47] = 1
        for register in [unknown, trailing, MRConfigID.document(FixedBytes(repeating: 1)).register] {
            guest.mrConfigID = register
            try guest.verifiedParts().expectRefused(.configurationID, .mismatch)
        }
        // Zeros pin nothing; a policy that expects a value refuses them.
        guest.mrConfigID = FixedBytes()
        guest.policy.expected.mrConfigId = MRConfigID.composeHash(ComposeHash(ofFile: Guest.compose)).register
        try guest.verifiedParts().expectRefused(.expectedMeasurements, .mismatch)
    }

    @Test("what the configuration claims is not believed (V59)")
    func configuration() throws {
        var guest = try Guest()
        let hash = String(repeating: "ab", count: 32)
        guest.configuration = #"{"os_image_hash":"\#(hash)"}"#
        // The standard policy wants an image that is named to be verified.
        let report = try guest.verifiedParts()
        #expect(report.failure?.check == .osImage)
        guest.policy = .authentic
        let lax = try guest.verifiedParts()
        lax.expectAccepted()
        #expect(lax.evidence?.osImageHash == nil)
        guest.policy.expected.osImageHash = FixedBytes(repeating: 0xAB)
        #expect(try guest.verifiedParts().failure?.check == .osImage)
        for broken in ["x", "[]", "{\"os_image_hash\":1}", "{"] {
            guest.policy = .authentic
            guest.configuration = broken
            #expect(try guest.verifiedParts().verdict == .rejected, "\(broken)")
        }
    }

    // MARK: Envelopes

    struct EnvelopeForgery: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let check: CheckID
        let code: FailureCode
        let edit: @Sendable (inout Attestation) -> Void
    }

    static let envelopeForgeries: [EnvelopeForgery] = [
        EnvelopeForgery(testDescription: "other report data", check: .envelopeReportData, code: .mismatch) {
            $0.reportData = ReportData(FixedBytes(repeating: 1))
        },
        EnvelopeForgery(
            testDescription: "report data that is right in the first half", check: .envelopeReportData, code: .mismatch
        ) {
            $0.reportData = ReportData(
                FixedBytes([UInt8](repeating: 0x3C, count: 32) + [UInt8](repeating: 0, count: 32)) ?? FixedBytes())
        },
        EnvelopeForgery(testDescription: "a payload that is not hashed", check: .envelopeReportData, code: .mismatch) {
            $0.reportDataPayload = "hello"
        },
        EnvelopeForgery(testDescription: "no runtime events", check: .envelopeRuntimeEvents, code: .mismatch) {
            $0.runtimeEvents = []
        },
        EnvelopeForgery(
            testDescription: "runtime events other than the log's", check: .envelopeRuntimeEvents, code: .mismatch
        ) {
            $0.runtimeEvents[2] = RuntimeEvent(name: "compose-hash", payload: [UInt8](repeating: 9, count: 32))
        },
        EnvelopeForgery(
            testDescription: "a log other than the runtime events", check: .envelopeRuntimeEvents, code: .mismatch
        ) { attestation in
            guard case .tdx(var evidence) = attestation.platform else { return }
            Self.replace(&evidence.eventLog, "compose-hash", [UInt8](repeating: 9, count: 32))
            attestation.platform = .tdx(evidence)
        },
        EnvelopeForgery(
            testDescription: "both forged alike", check: .envelopeRuntimeEvents, code: .mismatch
        ) { attestation in
            guard case .tdx(var evidence) = attestation.platform else { return }
            Self.replace(&evidence.eventLog, "compose-hash", [UInt8](repeating: 9, count: 32))
            attestation.runtimeEvents = evidence.eventLog.events.compactMap(\.runtimeEvent)
            attestation.platform = .tdx(evidence)
        },
        EnvelopeForgery(testDescription: "a TEE that is not verified here", check: .envelopeFormat, code: .unsupported)
        {
            $0.platform = .nitroEnclave(document: [1])
        },
    ]

    @Test("an envelope whose parts do not belong together is refused (V58, V59)", arguments: envelopeForgeries)
    func forgedEnvelope(_ forgery: EnvelopeForgery) throws {
        var guest = try Guest()
        guest.editAttestation = forgery.edit
        try guest.verifiedEnvelope().expectRefused(forgery.check, forgery.code)
    }

    @Test("evidence of another machine's quote is refused: the log does not lead to its registers (V61)")
    func relayed() throws {
        let guest = try Guest()
        var other = try Guest()
        other.events[2] = RuntimeEvent(name: "compose-hash", payload: [UInt8](repeating: 9, count: 32))
        var relayed = guest
        // The honest quote with the other guest's log.
        let log = EventLog(other.boot + other.events.map { LoggedEvent($0) })
        relayed.editLog = { $0 = log }
        try relayed.verifiedParts().expectRefused(.eventLogReplay, .mismatch)
    }
}
