import DstackEncoding
import DstackMockTEE
import Testing

@testable import DstackAttestation
@testable import DstackVerifierService

/// Logs that tell of the boot only its three ACPI events, as upstream's certificates and small envelopes have them, and what
/// a host might try with such a form.
@Suite("Attacks: stripped event logs")
struct AttackStrippedLogTests {
    static let vm = Result { try SimulatedVM() }
    static let reportData = ReportData(FixedBytes(repeating: 0x3C))
    static let small = EventLog.Stripping(bootEvents: .acpiEventsOnly, keepsRuntimeDigests: false)

    static func required() -> VerificationPolicy {
        var policy = VerificationPolicy.standard
        policy.osImage = .required
        return policy
    }

    /// Verifies the VM's evidence with a log, in every form that evidence comes in; the answers must be the same.
    private func verify(
        _ log: EventLog, config: String? = nil, policy: VerificationPolicy = .standard,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> VerificationReport {
        let vm = try Self.vm.get()
        let config = config ?? vm.vmConfig
        var attestation = try vm.attestation(Self.reportData)
        attestation.platform = .tdx(
            Attestation.TDXEvidence(quote: try #require(attestation.quote), eventLog: log))
        attestation.config = config
        let forms = [
            Evidence(attestation: try attestation.encoded(as: .v1)),
            Evidence(attestation: try attestation.encoded(as: .v0)),
            Evidence(quote: try #require(attestation.quote), eventLog: Array(log.json.utf8), configuration: config),
        ]
        let reports = try forms.map {
            try vm.verifier().verify($0, collateral: vm.collateral(), policy: policy, at: SimulatedVM.now)
        }
        for report in reports {
            #expect(report.verdict == reports[0].verdict, sourceLocation: sourceLocation)
            // An envelope has the runtime events twice, and is refused for the difference first.
            if reports[0].failure?.check != .envelopeRuntimeEvents {
                #expect(report.failure?.message == reports[0].failure?.message, sourceLocation: sourceLocation)
            }
            #expect(report.notChecked == reports[0].notChecked, sourceLocation: sourceLocation)
        }
        return reports[0]
    }

    private static let unchecked = "RTMR0, RTMR1 and RTMR2"

    @Test("genuine evidence with a stripped log is accepted, and its image is verified")
    func genuine() throws {
        let vm = try Self.vm.get()
        for keeps in [true, false] {
            let log = vm.log.stripped(.init(bootEvents: .acpiEventsOnly, keepsRuntimeDigests: keeps))
            #expect(log.events.count { $0.type != .runtime } == 3)
            let report = try verify(log, policy: Self.required())
            report.expectAccepted()
            #expect(report.evidence?.osImageHash == vm.osImageHash)
            #expect(report.evidence?.identity?.appID == vm.appID)
            // The image's verification has recomputed all three registers.
            #expect(!report.notChecked.contains { $0.hasPrefix(Self.unchecked) })
        }
    }

    @Test("without a verified image the three registers are listed as not checked, and no value is shown for them")
    func unverified() throws {
        let vm = try Self.vm.get()
        let legacy = #"{"os_image_hash":"\#(FixedBytes<32>(repeating: 1).hex)"}"#
        for (config, policy) in [("", VerificationPolicy.standard), (legacy, .authentic)] {
            let report = try verify(vm.log.stripped(Self.small), config: config, policy: policy)
            report.expectAccepted()
            #expect(report.notChecked.filter { $0.hasPrefix(Self.unchecked) }.count == 1)
            #expect(report.evidence?.osImageHash == nil)
            let log = try JSONDocument(parsing: report.json(), subject: "report").root.member("event_log")
            #expect(["rtmr0", "rtmr1", "rtmr2"].allSatisfy { log.member(named: $0)?.isNull == true })
            #expect(try log.member("rtmr3").string() == vm.domain.registers[3].hex)
        }
        try verify(vm.log.stripped(Self.small), config: "", policy: Self.required())
            .expectRefused(.osImage, .missing)
    }

    /// A change to a stripped log.
    struct Forgery: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let check: CheckID
        let edit: @Sendable (inout EventLog) -> Void

        init(_ name: String, _ check: CheckID, _ edit: @escaping @Sendable (inout EventLog) -> Void) {
            (testDescription, self.check, self.edit) = (name, check, edit)
        }
    }

    private static func acpi(_ log: EventLog) -> [Int] { log.events.indices.filter { log.events[$0].isACPIData } }

    static let forgeries: [Forgery] = [
        Forgery("another digest of the ACPI tables", .osImage) {
            $0.events[acpi($0)[2]].digest = FixedBytes(repeating: 0x77)
        },
        Forgery("two of the digests exchanged", .osImage) { log in
            let places = acpi(log)
            let first = log.events[places[0]].digest
            log.events[places[0]].digest = log.events[places[1]].digest
            log.events[places[1]].digest = first
        },
        Forgery("two of the three events", .eventLogReplay) { $0.events.remove(at: acpi($0)[1]) },
        Forgery("one of the three events", .eventLogReplay) { log in
            let places = acpi(log)
            log.events.remove(at: places[2])
            log.events.remove(at: places[0])
        },
        Forgery("one of them twice", .eventLogReplay) { $0.events.insert($0.events[acpi($0)[0]], at: 0) },
        Forgery("the first in place of the second", .eventLogReplay) { log in
            let places = acpi(log)
            log.events[places[1]] = log.events[places[0]]
        },
        Forgery("another event of RTMR0 beside them", .eventLogReplay) {
            $0.events.insert(
                LoggedEvent(register: .rtmr0, type: .separator, digest: FixedBytes(repeating: 1)), at: 0)
        },
        Forgery("an event of RTMR1 beside them", .eventLogReplay) {
            $0.events.insert(
                LoggedEvent(register: .rtmr1, type: .efiBootServicesApplication, digest: FixedBytes(repeating: 1)),
                at: 0)
        },
        Forgery("an event of RTMR2 that extends nothing beside them", .eventLogReplay) {
            $0.events.append(LoggedEvent(register: .rtmr2, type: .noAction, digest: nil))
        },
        Forgery("them in another order", .eventLogReplay) { log in
            let places = acpi(log)
            log.events.swapAt(places[0], places[2])
        },
        Forgery("another name", .eventLogReplay) { $0.events[acpi($0)[1]].name = "acpi-rsdb" },
        Forgery("no names", .eventLogReplay) { log in for place in acpi(log) { log.events[place].name = "" } },
        Forgery("them in another register", .eventLogReplay) { log in
            for place in acpi(log) { log.events[place].register = .rtmr1 }
        },
        Forgery("other data", .eventLogReplay) { $0.events[acpi($0)[0]].payload = Array("ACPI DATB".utf8) },
        Forgery("no digest", .eventLogFormat) { $0.events[acpi($0)[0]].digest = nil },
    ]

    @Test("nothing but the three genuine events passes for a stripped log", arguments: forgeries)
    func forged(_ forgery: Forgery) throws {
        var log = try Self.vm.get().log.stripped(Self.small)
        forgery.edit(&log)
        for policy in [Self.required(), .standard, .authentic] {
            let report = try verify(log, policy: policy)
            #expect(report.failure?.check == forgery.check, "\(report.failure?.description ?? "accepted")")
        }
        // Where no image is named, digests of ACPI tables are nobody's proof: what passes is listed as not checked.
        let unnamed = try verify(log, config: "")
        if forgery.check == .osImage {
            unnamed.expectAccepted()
            #expect(unnamed.notChecked.contains { $0.hasPrefix(Self.unchecked) })
        } else {
            #expect(unnamed.failure?.check == forgery.check)
        }
    }

    @Test("a stripped log hides and changes nothing in RTMR3")
    func runtimeEvents() throws {
        let vm = try Self.vm.get()
        let changes: [(inout EventLog) -> Void] = [
            { $0.events.removeAll { $0.name == "compose-hash" } }, { $0.events.removeLast() },
            { log in
                for index in log.events.indices where log.events[index].name == "compose-hash" {
                    log.events[index] = LoggedEvent(
                        RuntimeEvent(name: "compose-hash", payload: [UInt8](repeating: 9, count: 32)))
                }
            },
            { $0.events.append(LoggedEvent(RuntimeEvent(name: "more", payload: []))) },
        ]
        for (index, change) in changes.enumerated() {
            var log = vm.log.stripped(Self.small)
            change(&log)
            for policy in [VerificationPolicy.authentic, .standard, Self.required()] {
                let report = try verify(log, policy: policy)
                #expect(report.verdict == .rejected, "change \(index)")
            }
        }
    }

    @Test("another machine's stripped log, or another image's configuration, does not verify")
    func others() throws {
        let vm = try Self.vm.get()
        let other = vm.vmConfig.replacing("2147483648", with: "4294967296")
        try verify(vm.log.stripped(Self.small), config: other).expectRefused(.osImage, .mismatch)
        var policy = VerificationPolicy.standard
        policy.expected.osImageHash = FixedBytes(repeating: 5)
        try verify(vm.log.stripped(Self.small), policy: policy).expectRefused(.osImage, .mismatch)
    }

    @Test("the service and certificates take stripped logs as the whole ones")
    func service() async throws {
        let vm = try Self.vm.get()
        let (collateral, verifier) = (try vm.collateral(), try vm.verifier())
        let service = VerifierService(
            collateral: try OfflineCollateral([collateral]), verifier: verifier, policy: Self.required(),
            clock: { SimulatedVM.now })
        let attestation = try vm.attestation(Self.reportData).stripped(Self.small)
        let requests: [VerifierRequest.Evidence] = [
            .attestation(try attestation.encoded(as: .v1)), .attestation(try attestation.encoded(as: .v0)),
            .quote(
                try #require(attestation.quote), eventLog: attestation.eventLog?.json, vmConfig: vm.vmConfig),
        ]
        for evidence in requests {
            let response = await service.verify(VerifierRequest(evidence))
            #expect(response.isValid && response.details.isOSImageVerified, "\(response.reason ?? "")")
        }
        var fixture = RATLSFixture()
        fixture.add(
            .attestation, try vm.attestation(fixture.reportData).stripped(Self.small).encoded(as: .v1))
        let response = await service.verify(certificate: try fixture.der)
        #expect(response.isValid && response.isOSImageVerified, "\(response.reason ?? "")")
    }

    @Test("a mismatch of a stripped log's registers is explained by the names of its events")
    func explanation() async throws {
        let vm = try Self.vm.get()
        let (collateral, verifier) = (try vm.collateral(), try vm.verifier())
        let service = VerifierService(
            collateral: try OfflineCollateral([collateral]), verifier: verifier, clock: { SimulatedVM.now })
        var log = vm.log.stripped(Self.small)
        log.events[Self.acpi(log)[1]].digest = FixedBytes(repeating: 1)
        var request = VerifierRequest(
            .quote(try vm.quote(Self.reportData), eventLog: log.json, vmConfig: vm.vmConfig))
        request.isDebug = true
        let response = await service.verify(request)
        #expect(!response.isValid)
        let mismatch = try #require(response.details.registerMismatches?.first)
        // What is predicted takes the log's own digests, so that each event is as logged and the register is not.
        #expect(mismatch.register == .rtmr0 && mismatch.events.map(\.status) == [.match, .match, .match])
        #expect(mismatch.missingDigests.count == 10)
    }
}
