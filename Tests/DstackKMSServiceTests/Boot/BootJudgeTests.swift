import DstackAttestation
import DstackAuthorization
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKMSService
import DstackMockTEE
import DstackRPC
import DstackSystem
import TestKit
import Testing

@Suite struct BootJudgeTests {
    private let kit: CallerKit
    private let directory: ScratchDirectory

    init() throws {
        kit = try CallerKit.shared()
        directory = try ScratchDirectory()
    }

    private func judge(_ rules: String) throws -> BootJudge {
        let log = Log("auth", to: LogOutput(sink: MemorySink()))
        return BootJudge(FileAuthorizer(try directory.write(rules, "rules.json"), log: log), images: ImageRules())
    }

    private func refusal(
        _ judge: BootJudge, _ report: VerificationReport, at moment: MeasurementMoment = .runtime,
        vmConfiguration: String? = nil
    ) async -> KMSServiceError? {
        await DstackKMSServiceTests.refusal { () async throws(KMSServiceError) in
            try await judge.admit(
                report, as: .app, at: moment, vmConfiguration: vmConfiguration ?? kit.image.vmConfig)
        }
    }

    // MARK: Admitted

    @Test func aCallerIsAdmittedByWhatItsEvidenceSays() async throws {
        let caller = try await judge(kit.rules()).admit(
            kit.report(), as: .app, at: .runtime, vmConfiguration: kit.image.vmConfig)
        let quote = try Quote(parsing: kit.boot.quote(reportData: []))
        let report = try #require(quote.body.tdReport)
        var system: [UInt8] = []
        for register in [report.mrTd, report.rtMr0, report.rtMr1, report.rtMr2] { system += register.bytes }
        let platform = try kit.report().platform
        let device = SHA256.hash(try #require(platform).ppid.bytes)

        #expect(caller.boot.teeVariant == "dstack-tdx")
        #expect(caller.boot.mrSystem == SHA256.hash(system + SHA256.hash(CallerKit.keyProvider.payload).bytes))
        #expect(
            caller.boot.mrAggregated
                == SHA256.hash(
                    system + report.rtMr3.bytes + report.mrConfigId.bytes + [UInt8](repeating: 0, count: 96)))
        #expect(caller.boot.osImageHash == kit.image.osImageHash)
        #expect(caller.boot.appID == kit.boot.appID.bytes && caller.appID == kit.boot.appID)
        #expect(caller.boot.composeHash == ComposeHash(ofFile: CallerKit.compose).bytes)
        #expect(caller.instanceID == kit.boot.instanceID && caller.boot.instanceID == kit.boot.instanceID?.bytes)
        #expect(caller.boot.deviceID == device)
        #expect(caller.boot.keyProviderInfo == CallerKit.keyProvider.payload)
        #expect(caller.boot.tcbStatus == "UpToDate" && caller.boot.advisoryIDs.isEmpty)
        #expect(caller.gatewayAppID == "gate")
        #expect(caller.appInfo.deviceID.bytes == device)
        #expect(caller.appInfo.osImageHash == kit.image.osImageHash)
        #expect(caller.auditSubject.kind == .app && caller.auditSubject.deviceID == device.bytes)
    }

    @Test func anApplicationWithoutInstancesIsAdmittedWithoutOne() async throws {
        let report = kit.report(try kit.attestation(CallerKit.events(["instance-id": []])))
        let authorizer = TestAuthorizer()
        let caller = try await BootJudge(authorizer, images: ImageRules()).admit(
            report, as: .app, at: .runtime, vmConfiguration: "")
        #expect(caller.instanceID == nil && caller.boot.instanceID == nil)
        #expect(authorizer.questions == [.init(info: caller.boot, subject: .app)])
    }

    @Test func aKMSIsDecidedAboutAsOne() async throws {
        let authorizer = TestAuthorizer(.denied("aggregated MR not allowed"))
        let judge = BootJudge(authorizer, images: ImageRules())
        let error = await DstackKMSServiceTests.refusal { () async throws(KMSServiceError) in
            try await judge.admit(try kitReport(), as: .kms, at: .runtime, vmConfiguration: "")
        }
        #expect(error?.rpcError.message == "KMS not allowed: Boot denied: aggregated MR not allowed")
        #expect(authorizer.questions.map(\.subject) == [.kms])
    }

    private func kitReport() throws(KMSServiceError) -> VerificationReport {
        do { return try kit.report() } catch { throw KMSServiceError(.internalFault, "test", "\(error)") }
    }

    // MARK: Moments

    @Test func aRunningGuestHasTheMeasurementsOfItsBootAgain() async throws {
        // What the KMS saw when it released the keys: nothing was logged after boot-mr-done yet.
        let booting = CallerKit.events(without: ["key-provider", "system-ready"])
        let judge = BootJudge(TestAuthorizer(), images: ImageRules())
        let released = try judge.examine(
            kit.report(try kit.attestation(booting)), at: .runtime, vmConfiguration: "")
        let running = kit.report(try kit.attestation(CallerKit.events()))
        let again = try judge.examine(running, at: .bootTime, vmConfiguration: "")
        #expect(again.boot == released.boot)
        #expect(again.boot.keyProviderInfo.isEmpty)

        let now = try judge.examine(running, at: .runtime, vmConfiguration: "")
        #expect(now.boot.mrAggregated != again.boot.mrAggregated && now.boot.mrSystem != again.boot.mrSystem)
        #expect(now.boot.keyProviderInfo == CallerKit.keyProvider.payload)
    }

    @Test func evidenceThatNeverCameToTheEndOfItsBootHasNoBootTime() async throws {
        let report = kit.report(try kit.attestation(CallerKit.events(without: ["boot-mr-done"])))
        let authorizer = TestAuthorizer()
        let judge = BootJudge(authorizer, images: ImageRules())
        let error = await refusal(judge, report, at: .bootTime)
        #expect(error?.code == .notAttested)
        #expect(error?.subject == "boot-mr-done")
        #expect(authorizer.questions.isEmpty)
    }

    // MARK: Denied

    @Test func anUnlistedComposeHashIsDeniedWithTheReason() async throws {
        let error = await refusal(
            try judge(kit.rules(composeHash: Hex.encode([UInt8](repeating: 9, count: 32)))), try kit.report())
        #expect(error?.code == .denied)
        #expect(error?.rpcError.message == "App not allowed: Boot denied: compose hash not allowed")
        #expect(error?.rpcError.status == 400)
    }

    @Test func anUnlistedImageIsDenied() async throws {
        let error = await refusal(
            try judge(kit.rules(image: Hex.encode([UInt8](repeating: 9, count: 32)))), try kit.report())
        #expect(error?.rpcError.message == "App not allowed: Boot denied: OS image is not allowed")
    }

    @Test func whetherAnOutdatedPlatformMayBootIsTheAuthorizersToSay() async throws {
        let outdated = try kit.platform.collateral(for: .tdx, at: CallerKit.now) { $0.tcbInfo.levels[0].pceSvn += 1 }
        let report = kit.report(try kit.attestation(), collateral: outdated)
        #expect(report.status == .outOfDate)
        let error = await refusal(try judge(kit.rules()), report)
        #expect(error?.reason == "Boot denied: TCB status is not allowed")

        let caller = try await judge(kit.rules(statuses: ["UpToDate", "OutOfDate"])).admit(
            report, as: .app, at: .runtime, vmConfiguration: "")
        #expect(caller.boot.tcbStatus == "OutOfDate" && caller.boot.advisoryIDs == ["SIMULATED-SA-00001"])
    }

    @Test func aReasonIsShownAsOnePlainLine() async throws {
        let hostile = "no\r\nX-Header: yes \u{1B}[2J" + String(repeating: "x", count: 5000)
        let judge = BootJudge(TestAuthorizer(.denied(hostile)), images: ImageRules())
        let error = await refusal(judge, try kit.report())
        let reason = try #require(error).reason
        #expect(reason.hasPrefix("Boot denied: no"))
        #expect(reason.utf8.count < 1000 && reason.unicodeScalars.allSatisfy { $0.value >= 0x20 })
    }

    @Test func aDenialWithoutAReasonSaysSo() async throws {
        let judge = BootJudge(TestAuthorizer(.denied("")), images: ImageRules())
        #expect(await refusal(judge, try kit.report())?.reason == "Boot denied: no reason was given")
    }

    @Test func nobodyDecidingIsNoYesAndNoNo() async throws {
        let sink = MemorySink()
        let error = AuthorizationError(.unavailable, subject: "http://auth:8000", reason: "it is silent")
        let judge = BootJudge(
            TestAuthorizer(error), images: ImageRules(), log: LimitedLog(Log("boot", to: LogOutput(sink: sink))))
        let refused = await refusal(judge, try kit.report())
        #expect(refused?.code == .unavailable)
        #expect(refused?.rpcError.status == 503)
        #expect(refused?.rpcError.message == "authorization: authorization backend unavailable")
        // Who it was is for the operator.
        #expect(try await eventually { sink.text.contains("http://auth:8000") && sink.text.contains("silent") })
    }
}

/// What must not get as far as a question.
@Suite struct BootEvidenceAttackTests {
    private let kit: CallerKit
    private let authorizer = TestAuthorizer()

    init() throws { kit = try CallerKit.shared() }

    private func expectRefused(
        _ report: VerificationReport, _ code: KMSServiceError.Code = .notAttested, about text: String? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        let judge = BootJudge(authorizer, images: ImageRules())
        for moment in MeasurementMoment.allCases {
            let error = await refusal { () async throws(KMSServiceError) in
                try await judge.admit(report, as: .app, at: moment, vmConfiguration: kit.image.vmConfig)
            }
            #expect(error?.code == code, sourceLocation: sourceLocation)
            if let text {
                #expect(
                    error?.explanation.contains(text) == true, "\(error?.explanation ?? "")",
                    sourceLocation: sourceLocation)
            }
        }
        #expect(authorizer.questions.isEmpty, sourceLocation: sourceLocation)
    }

    @Test(arguments: [
        ("app-id", 19), ("app-id", 21), ("app-id", 0), ("compose-hash", 31), ("compose-hash", 0),
        ("instance-id", 19), ("instance-id", 32),
    ])
    func identifiersOfAnotherLengthAreNotAskedAbout(event: String, count: Int) async throws {
        let events = CallerKit.events([event: [UInt8](repeating: 7, count: count)])
        await expectRefused(kit.report(try kit.attestation(events)), about: event)
    }

    @Test(arguments: ["app-id", "compose-hash", "instance-id"])
    func identifiersThatAreNotThereAreNotTakenForEmpty(event: String) async throws {
        await expectRefused(
            kit.report(try kit.attestation(CallerKit.events(without: [event]))), about: event)
    }

    @Test func aDomainThatCanBeDebuggedGetsNothing() async throws {
        let attestation = try kit.attestation(CallerKit.events()) { $0.attributes.insert(.debug) }
        await expectRefused(kit.report(attestation))
        // Nor where somebody verified it by a policy that lets it pass.
        var policy = BootJudge.policy
        policy.allowsDebug = true
        await expectRefused(kit.report(attestation, policy: policy), .internalFault)
    }

    @Test func aRevokedPlatformGetsNothingWhateverTheAuthorizerAllows() async throws {
        let revoked = try kit.platform.collateral(for: .tdx, at: CallerKit.now) { $0.revokePCK() }
        await expectRefused(kit.report(try kit.attestation(), collateral: revoked))
        let status = try kit.platform.collateral(for: .tdx, at: CallerKit.now) {
            $0.tcbInfo.levels[0].status = .revoked
        }
        await expectRefused(kit.report(try kit.attestation(), collateral: status))
    }

    @Test func evidenceAboutAnotherKeyGetsNothing() async throws {
        let other = try kit.attestation(ReportData(raTLSKey: Array("another key".utf8)))
        await expectRefused(kit.report(other))
    }

    @Test func evidenceThatWasNotComparedWithAKeyGetsNothing() async throws {
        await expectRefused(kit.report(try kit.attestation(), nil), .internalFault)
    }

    @Test func aQuoteWithoutALogGetsNothing() async throws {
        var policy = BootJudge.policy
        policy.expected.reportData = CallerKit.reportData.bytes
        let quote = try kit.boot.quote(reportData: CallerKit.reportData.bytes.bytes)
        let report = kit.verifier.verify(
            Evidence(quote: quote), collateral: kit.collateral, policy: policy, at: CallerKit.now)
        #expect(report.verdict == .accepted)
        await expectRefused(report, about: "event log")
    }

    @Test func anEnclaveGetsNothing() async throws {
        var policy = BootJudge.policy
        policy.expected.reportData = CallerKit.reportData.bytes
        let quote = try kit.platform.quote(
            .sgxEnclave(kit.platform.enclaveReport(reportData: CallerKit.reportData.bytes)))
        let report = kit.verifier.verify(
            Evidence(quote: quote), collateral: try kit.platform.collateral(for: .sgx, at: CallerKit.now),
            policy: policy, at: CallerKit.now)
        #expect(report.verdict == .accepted)
        await expectRefused(report, about: "SGX enclave")
    }

    @Test func aLogThatDoesNotReplayGetsNothing() async throws {
        var attestation = try kit.attestation(CallerKit.events())
        let other = try kit.attestation(CallerKit.events(["compose-hash": [UInt8](repeating: 0xC0, count: 32)]))
        attestation.platform = .tdx(
            Attestation.TDXEvidence(
                quote: try #require(attestation.quote), eventLog: try #require(other.eventLog)))
        attestation.runtimeEvents = other.runtimeEvents
        await expectRefused(kit.report(attestation))
    }

    @Test func aSimulatedPlatformUnderIntelsRootGetsNothing() async throws {
        var policy = BootJudge.policy
        policy.expected.reportData = CallerKit.reportData.bytes
        await expectRefused(
            QuoteVerifier().verify(
                Evidence(attestation: try kit.attestation().encoded.bytes), collateral: kit.collateral,
                policy: policy, at: CallerKit.now))
    }
}
