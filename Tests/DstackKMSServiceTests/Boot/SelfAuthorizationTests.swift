import DstackAttestation
import DstackAuthorization
import DstackEncoding
import DstackKMSService
import DstackMockTEE
import DstackRPC
import DstackSystem
import TestKit
import Testing

@Suite struct SelfAuthorizationTests {
    private let kit: CallerKit
    private let authorizer = TestAuthorizer()
    private let attested = Shared<[ReportData]>([])
    private let problem = Shared<AttestationError?>(nil)
    private let clock = FixedWallClock(unixSeconds: CallerKit.now)

    init() throws { kit = try CallerKit.shared() }

    private func authorization(
        _ authorizer: TestAuthorizer? = nil, isEnforced: Bool = true, gate: Shared<Bool>? = nil,
        attestation: (@Sendable (ReportData) throws -> Attestation)? = nil
    ) throws -> SelfAuthorization {
        let evidence = OwnEvidence(of: { [kit, attested, problem] reportData in
            attested.edit { $0.append(reportData) }
            while let gate, !gate.value { await Task.yield() }
            if let problem = problem.value { throw problem }
            return try attestation?(reportData) ?? kit.attestation(reportData)
        })
        let verifier = try AttestedPeerVerifier(
            policy: BootJudge.policy,
            collateral: ReadyCollateral(try OfflineCollateral([kit.collateral]), verifier: kit.verifier),
            acceptsAnyApplication: true, clock: clock)
        return SelfAuthorization(
            BootJudge(authorizer ?? self.authorizer, images: ImageRules()), isEnforced: isEnforced, evidence: evidence,
            verifier: verifier, clock: clock)
    }

    @Test func thisServiceAsksEachTimeAndAttestsOnce() async throws {
        let authorization = try authorization()
        for _ in 0..<3 { try await authorization.check() }
        #expect(attested.value == [ReportData(FixedBytes())])
        #expect(authorizer.questions.count == 3)
        #expect(authorizer.questions.allSatisfy { $0.subject == .kms && $0.info.appID == kit.boot.appID.bytes })
        #expect(authorizer.questions.first?.info.osImageHash == kit.image.osImageHash)
    }

    @Test func aServiceThatIsTakenOffTheListStopsAtOnce() async throws {
        let authorization = try authorization()
        try await authorization.check()
        authorizer.set(.denied("aggregated MR not allowed"))
        let error = await refusal { () async throws(KMSServiceError) in try await authorization.check() }
        #expect(error?.code == .denied)
        #expect(
            error?.rpcError.message
                == "KMS self authorization failed: KMS is not allowed: aggregated MR not allowed")
        authorizer.set(.allowed(gatewayAppID: ""))
        try await authorization.check()
    }

    @Test func nobodyDecidingIsNoYes() async throws {
        let silent = TestAuthorizer(AuthorizationError(.unavailable, subject: "auth", reason: "silent"))
        let authorization = try authorization(silent)
        let error = await refusal { () async throws(KMSServiceError) in try await authorization.check() }
        #expect(error?.code == .unavailable)
    }

    @Test func aFailureIsForThoseWhoWaitedForIt() async throws {
        let authorization = try authorization()
        problem.edit { $0 = AttestationError(.quoteUnavailable, subject: "agent", reason: "no answer") }
        let error = await refusal { () async throws(KMSServiceError) in try await authorization.check() }
        #expect(error?.code == .unavailable)
        #expect(authorizer.questions.isEmpty)
        problem.edit { $0 = nil }
        try await authorization.check()
        #expect(attested.value.count == 2)
    }

    @Test func firstRequestsShareOneAttestation() async throws {
        let gate = Shared(false)
        let authorization = try authorization(gate: gate)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 { group.addTask { try await authorization.check() } }
            #expect(try await eventually { attested.value.count == 1 })
            gate.edit { $0 = true }
            try await group.waitForAll()
        }
        #expect(attested.value.count == 1)
        #expect(authorizer.questions.count == 20)
    }

    @Test func itAttestsAgainWhenItsEvidenceNoLongerHolds() async throws {
        let authorization = try authorization()
        try await authorization.check()
        let end = try kit.report().validUntil
        let validUntil = try #require(end)
        clock.set(unixSeconds: validUntil)
        try await authorization.check()
        #expect(attested.value.count == 1)
        // The collateral has run out, and there is no other: this service can verify nobody, itself included.
        clock.set(unixSeconds: validUntil + 1)
        let error = await refusal { () async throws(KMSServiceError) in try await authorization.check() }
        #expect(error?.code == .notAttested)
        #expect(attested.value.count == 2)
        #expect(authorizer.questions.count == 2)
    }

    @Test func evidenceOfAnotherTimeIsNotItsOwn() async throws {
        let replayed = try kit.attestation(CallerKit.reportData)
        let authorization = try authorization(attestation: { _ in replayed })
        let error = await refusal { () async throws(KMSServiceError) in try await authorization.check() }
        #expect(error?.code == .internalFault)
        #expect(authorizer.questions.isEmpty)
    }

    @Test func whoeverNeedNotAskDoesNot() async throws {
        let authorization = try authorization(isEnforced: false)
        try await authorization.check()
        #expect(attested.value.isEmpty && authorizer.questions.isEmpty)
    }

    @Test func itsOwnImageMayBeOfAFormThatCannotBeVerified() async throws {
        var configuration = try StatedConfiguration(kit.image.vmConfig)
        configuration["tdx_attestation_variant"] = "legacy"
        configuration["tdx_measurement"] = nil
        let text = try configuration.text
        let authorization = try authorization(attestation: { [kit] in try kit.attestation(config: text, $0) })
        try await authorization.check()
        #expect(authorizer.questions.first?.info.osImageHash == kit.image.osImageHash)
    }
}
