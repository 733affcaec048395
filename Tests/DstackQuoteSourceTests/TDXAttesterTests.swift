import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

/// Everything of a TDX guest that is not its hardware.
private struct Guest {
    let kernel: FakeKernel
    let folder: ScratchDirectory
    var paths = TDXPlatformPaths()

    init() throws {
        folder = try ScratchDirectory()
        kernel = try FakeKernel()
        paths.quoteEntry = kernel.entry
        paths.device = folder.path("no-device")
        paths.serviceConfiguration = folder.path("tdx-attest.conf")
        paths.register = (kernel.register as NSString).deletingLastPathComponent
        paths.bootLog = folder.path("CCEL")
        paths.runtimeLogDirectory = folder.path("log")
        try folder.write(kernel.domain.ccel, "CCEL")
    }

    func attester(_ timeout: Duration = .seconds(60)) throws -> TDXAttester {
        try TDXAttester(
            paths: paths, config: kernel.domain.image.vmConfig, timeout: timeout, device: kernel.domain, files: kernel)
    }

    /// A host that signs: the configuration names a port, which this stands in for.
    func useService(_ port: UInt32 = 4050) throws { try folder.write("port = \(port)\n".utf8, "tdx-attest.conf") }
}

private func boot(_ attester: TDXAttester, compose: [UInt8]) async throws {
    let hash = ComposeHash(ofFile: compose)
    for (name, payload) in [
        ("system-preparing", []), ("app-id", AppID(defaultFor: hash).bytes.bytes), ("compose-hash", hash.bytes.bytes),
        ("instance-id", []), ("boot-mr-done", []),
        ("key-provider", KeyProviderInfo(kind: .none, id: []).payload), ("system-ready", []),
    ] as [(String, [UInt8])] {
        try await attester.emit(RuntimeEvent(emitting: name, payload: payload))
    }
}

@Suite("Quote sources: the attester of a TDX guest")
struct TDXAttesterTests {
    static let now: Int64 = 1_790_000_000
    private let guest: Guest

    init() throws { guest = try Guest() }

    private func failure(
        _ attester: TDXAttester, _ code: AttestationError.Code = .quoteUnavailable
    ) async throws -> AttestationError {
        let error = await #expect(throws: AttestationError.self) {
            try await attester.attestation(reportData: ReportData(padding: [1]))
        }
        #expect(error?.code == code, "\(String(describing: error))")
        return try #require(error)
    }

    @Test("evidence of a guest that booted verifies: quote, firmware's log, identity, compose file and OS image")
    func verifies() async throws {
        let attester = try guest.attester()
        let compose = Array(#"{"name":"app"}"#.utf8)
        try await boot(attester, compose: compose)
        let data = try ReportData(padding: [1, 2, 3])
        let attestation = try await attester.attestation(reportData: data)
        #expect(!attester.isSimulated)
        let platform = guest.kernel.domain.platform
        let report = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: platform.rootCertificate)).verify(
            Evidence(attestation: attestation.encoded.bytes, appCompose: compose),
            collateral: try platform.collateral(for: .tdx, at: Self.now), at: Self.now)
        #expect(report.verdict == .accepted, "\(String(describing: report.failure))")
        #expect(report.evidence?.osImageHash == guest.kernel.domain.image.osImageHash)
        #expect(attestation.reportData == data)
        #expect(try await attester.examine() == [])
        let names = attestation.eventLog?.events.filter { $0.isACPIData }.map { $0.name }
        #expect(names == ["acpi-loader", "acpi-rsdp", "acpi-tables"])
    }

    @Test("events and quotes at the same time: each log leads to the registers of its own quote")
    func concurrent() async throws {
        let attester = try guest.attester(.seconds(120))
        let attestations: [Attestation] = try await withThrowingTaskGroup(of: Attestation?.self) { group in
            for number in 0..<8 as Range<UInt8> {
                group.addTask {
                    try await attester.emit(RuntimeEvent(name: "event", payload: [number]))
                    return nil
                }
                group.addTask { try await attester.attestation(reportData: ReportData(padding: [number])) }
            }
            return try await group.reduce(into: []) { if let attestation = $1 { $0.append(attestation) } }
        }
        #expect(attestations.count == 8)
        for attestation in attestations {
            let report = try #require(try attestation.parsedQuote().body.tdReport)
            #expect(try attestation.eventLog?.replay().registers == report.rtmrs)
            #expect(attestation.checkSameRuntimeEvents().outcome == .passed)
        }
        let last = try await attester.attestation(reportData: ReportData(padding: []))
        #expect(last.runtimeEvents.count == 8)
    }

    @Test("an event that is measured while the platform signs is left out of the evidence")
    func eventBetween() async throws {
        let attester = try guest.attester()
        try await attester.emit(RuntimeEvent(emitting: "before", payload: []))
        // Measured after the quote was made and before the record is read.
        let recorder = RuntimeEventRecorder(
            directory: guest.paths.runtimeLogDirectory,
            register: SysfsRegister(path: guest.kernel.register, files: guest.kernel))
        // The platform has signed by the time that the quote is read.
        guest.kernel.plan(
            "read outblob",
            [
                { 0 },
                {
                    try recorder.record(RuntimeEvent(name: "between", payload: []), deadline: soon(1000))
                    return 0
                },
            ])
        let attestation = try await attester.attestation(reportData: ReportData(padding: []))
        #expect(attestation.runtimeEvents.map { $0.name } == ["before"])
        let next = try await attester.attestation(reportData: ReportData(padding: []))
        #expect(next.runtimeEvents.map { $0.name } == ["before", "between"])
    }

    @Test("once the record is in doubt, evidence is refused with the reason, and so are events")
    func inDoubt() async throws {
        let attester = try guest.attester()
        try await attester.emit(RuntimeEvent(emitting: "a", payload: []))
        try guest.kernel.domain.extend(.rtmr3, with: RuntimeEvent(name: "rogue", payload: []).digest)
        try Data(guest.kernel.domain.rtmr3.bytes).write(to: URL(fileURLWithPath: guest.kernel.register))
        let error = try await failure(attester, .measurementInDoubt)
        #expect(error.reason.contains(guest.kernel.domain.rtmr3.hex))
        await #expect(throws: AttestationError(.measurementInDoubt, subject: "", reason: "")) {
            try await attester.emit(RuntimeEvent(emitting: "b", payload: []))
        }
        await #expect(throws: AttestationError(.measurementInDoubt, subject: "", reason: "")) {
            try await attester.examine()
        }
    }

    @Test("a guest that is started again goes on with the record and its version")
    func restart() async throws {
        try await guest.attester().emit(RuntimeEvent(emitting: "a", payload: []))
        let again = try TDXAttester(
            paths: guest.paths, config: "", eventVersion: .v2, device: guest.kernel.domain, files: guest.kernel)
        #expect(again.eventVersion == .v1)
        try await again.emit(RuntimeEvent(emitting: "b", payload: []))
        let attestation = try await again.attestation(reportData: ReportData(padding: []))
        #expect(attestation.runtimeEvents.map { $0.name } == ["a", "b"])
    }

    // MARK: Sources

    @Test("without the kernel's files the device and the host's service do")
    func deviceAndService() async throws {
        let service = try FakeQuoteService(in: guest.folder, guest.kernel.domain)
        defer { withExtendedLifetime(service) {} }
        let attester = try TDXAttester(
            quotes: QGSQuoteProvider(endpoint: service.endpoint, device: guest.kernel.domain),
            register: DeviceRegister(guest.kernel.domain), bootLog: guest.paths.bootLog,
            runtimeLogDirectory: guest.paths.runtimeLogDirectory, config: "")
        try await attester.emit(RuntimeEvent(emitting: "a", payload: []))
        let attestation = try await attester.attestation(reportData: ReportData(padding: []))
        #expect(try attestation.eventLog?.replay().registers.rtmr3 == guest.kernel.domain.rtmr3)
    }

    @Test("a guest without any source says what it looked for")
    func noSource() async throws {
        var paths = guest.paths
        paths.quoteEntry = guest.folder.path("none/com.intel.dcap")
        let attester = try TDXAttester(
            paths: paths, config: "", device: guest.kernel.domain, files: guest.kernel)
        let error = try await failure(attester)
        #expect(error.reason.contains("no quote method available"))
        #expect(error.reason.contains(paths.quoteEntry) && error.reason.contains(paths.serviceConfiguration))
        try guest.folder.write("port = none".utf8, "tdx-attest.conf")
        #expect(try await failure(attester).subject == paths.serviceConfiguration)
    }

    @Test("when configfs fails the host's service is asked, and both reasons are told; not where configfs was chosen")
    func fallback() async throws {
        guest.kernel.set(provider: "nobody")
        let alone = try await failure(guest.attester(.seconds(2)))
        #expect(alone.reason.contains("nobody"))
        try guest.useService()
        let both = try await failure(guest.attester(.seconds(2)))
        #expect(both.reason.contains("nobody") && both.reason.contains("vsock 2:4050"), "\(both)")
        var chosen = guest
        chosen.paths.isQuoteEntryChosen = true
        let one = try await failure(chosen.attester(.seconds(2)))
        #expect(one.reason.contains("nobody") && !one.reason.contains("vsock"))
    }

    @Test("a service's configuration that cannot be read does not keep configfs from working")
    func badServiceConfiguration() async throws {
        try guest.folder.write("port = 0".utf8, "tdx-attest.conf")
        _ = try await guest.attester().attestation(reportData: ReportData(padding: []))
    }

    @Test("what is no quote, or a quote over other report data, is refused")
    func badQuotes() async throws {
        let attester = try guest.attester()
        guest.kernel.set { _ in [1, 2, 3] }
        #expect(try await failure(attester).reason.contains("no quote"))
        let domain = guest.kernel.domain
        guest.kernel.set { _ in try domain.quote([9]) }
        // Taken for another process's, and asked for again until the time is over.
        _ = try await failure(guest.attester(.milliseconds(200)))
        let sgx = try domain.platform.quote(.sgxEnclave(domain.platform.enclaveReport(reportData: FixedBytes())))
        guest.kernel.set { _ in sgx }
        let error = await #expect(throws: AttestationError.self) {
            try await attester.attestation(reportData: ReportData(padding: []))
        }
        #expect(error?.reason.contains("report data") == true)
    }

    /// A source that hangs until it is released.
    private struct Hanging: QuoteProvider {
        let gate: Barrier
        let domain: FakeTrustDomain
        let name = "hanging"

        func quote(
            reportData: ReportData, deadline: ContinuousClock.Instant
        ) throws(AttestationError) -> [UInt8] {
            gate.pass()
            do {
                return try domain.quote(reportData.bytes.bytes)
            } catch {
                throw AttestationError(.quoteUnavailable, subject: name, reason: "\(error)")
            }
        }
    }

    @Test("when the platform hangs, callers are told in time, later ones at once; when it is back, all is well")
    func hangs() async throws {
        let gate = Barrier()
        let attester = try TDXAttester(
            quotes: Hanging(gate: gate, domain: guest.kernel.domain), register: DeviceRegister(guest.kernel.domain),
            bootLog: guest.paths.bootLog, runtimeLogDirectory: guest.paths.runtimeLogDirectory, config: "",
            timeout: .milliseconds(200), queue: 1)
        async let first = failure(attester)
        await gate.wait(for: 1)
        let reasons = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<4 { group.addTask { try await failure(attester).reason } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(reasons.filter { $0.contains("wait already") }.count == 3, "\(reasons)")
        #expect(reasons.filter { $0.contains("other quotes took") }.count == 1, "\(reasons)")
        #expect(try await first.reason.contains("did not answer"))
        // Events have a thread of their own.
        try await attester.emit(RuntimeEvent(emitting: "meanwhile", payload: []))
        gate.open()
        var attestation: Attestation?
        for _ in 0..<200 where attestation == nil {
            attestation = try? await attester.attestation(reportData: ReportData(padding: []))
            // Until the thread has come back the queue is full.
            if attestation == nil { try await Task.sleep(for: .milliseconds(20)) }
        }
        #expect(attestation?.runtimeEvents.map { $0.name } == ["meanwhile"])
    }

    // MARK: The firmware's log

    @Test("a firmware's log that is missing or malformed is told by its path")
    func badBootLog() async throws {
        try guest.folder.write(guest.kernel.domain.ccel.prefix(500), "CCEL")
        #expect(try await failure(guest.attester()).subject == guest.paths.bootLog)
        try FileManager.default.removeItem(atPath: guest.paths.bootLog)
        let error = try await failure(guest.attester())
        #expect(error.subject == guest.paths.bootLog && error.hint.contains("DSTACK_CCEL_FILE"))
    }

    @Test("a firmware's log that does not explain its registers is handed out, and told at start")
    func otherBootLog() async throws {
        var log = try TCGEventLog(parsing: guest.kernel.domain.ccel)
        log.entries.removeLast()
        try guest.folder.write(log.encoded, "CCEL")
        let notices = try await guest.attester().examine()
        #expect(notices.count == 1 && notices[0].contains("RTMR2"), "\(notices)")
    }

    @Test("an entry that names no register does not end the log that the agent hands out", arguments: [0, 1, 3])
    func entriesWithoutRegister(position: Int) async throws {
        let log = try TCGEventLog(parsing: guest.kernel.domain.ccel)
        var changed = log
        // Type EV_NO_ACTION with the index that fills the area elsewhere, as some firmware writes it.
        changed.entries.insert(
            TCGEventLog.Entry(
                registerIndex: 0xFFFF_FFFF, type: .noAction,
                digests: [TCGEventLog.Digest(.sha384, [UInt8](repeating: 0, count: 48))].compactMap { $0 },
                data: Array("StartupLocality".utf8)),
            at: position)
        try guest.folder.write(changed.encoded, "CCEL")
        let attester = try guest.attester()
        #expect(try await attester.examine().isEmpty)
        let attestation = try await attester.attestation(reportData: ReportData(padding: []))
        let handedOut = try #require(attestation.eventLog)
        let report = try #require(try attestation.parsedQuote().body.tdReport)
        #expect(try handedOut.replay().compare(with: report.rtmrs).allSatisfy { $0.matches })
        #expect(handedOut.events.count >= log.entries.count)
    }

    @Test("no changed firmware's log traps; what is handed out is what was parsed")
    func mutatedBootLogs() async throws {
        let good = guest.kernel.domain.ccel
        var generator = SeededGenerator(seed: 5)
        let quotes = Hanging(gate: Barrier(), domain: guest.kernel.domain)
        quotes.gate.open()
        var refused = 0
        for _ in 0..<300 {
            let mutated = generator.mutated(good)
            try guest.folder.write(mutated, "CCEL")
            let attester = try TDXAttester(
                quotes: quotes, register: DeviceRegister(guest.kernel.domain), bootLog: guest.paths.bootLog,
                runtimeLogDirectory: guest.paths.runtimeLogDirectory, config: "")
            do {
                let attestation = try await attester.attestation(reportData: ReportData(padding: []))
                #expect(try attestation.eventLog == EventLog(ccel: mutated))
            } catch {
                refused += 1
            }
        }
        #expect(refused > 20 && refused < 300)
    }

    // MARK: Environment

    @Test("upstream's variables change the paths; what is no absolute path is refused by the variable's name")
    func environment() throws {
        let paths = try TDXPlatformPaths(environment: [
            "DCAP_TDX_QUOTE_CONFIGFS_PATH": "/a/b", "DCAP_TDX_RTMR_SYSFS_PATH": "/c", "DSTACK_CCEL_FILE": "/d",
        ])
        #expect(paths.quoteEntry == "/a/b" && paths.isQuoteEntryChosen)
        #expect(paths.register == "/c" && paths.bootLog == "/d")
        #expect(try TDXPlatformPaths(environment: [:]) == TDXPlatformPaths())
        for name in ["DCAP_TDX_QUOTE_CONFIGFS_PATH", "DCAP_TDX_RTMR_SYSFS_PATH", "DSTACK_CCEL_FILE"] {
            for value in ["", "/", "relative", "./x", "/a\0b"] {
                let error = #expect(throws: AttestationError.self, "\(name)=\(value)") {
                    try TDXPlatformPaths(environment: [name: value])
                }
                #expect(error?.subject == name)
            }
        }
        let long = "/" + String(repeating: "x", count: 239)
        let error = #expect(throws: AttestationError.self) {
            try TDXPlatformPaths(environment: ["DCAP_TDX_QUOTE_CONFIGFS_PATH": long])
        }
        #expect(error?.reason.contains("invalid configfs path from env: ") == true)
        #expect(throws: Never.self) {
            try TDXPlatformPaths(environment: ["DCAP_TDX_QUOTE_CONFIGFS_PATH": String(long.dropLast())])
        }
    }
}
