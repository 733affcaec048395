import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Testing

/// What somebody who obeys a remedy ends up with.
@Suite("Remedies")
struct RemedyTests {
    /// A policy file that expects something, and as for the rest accepts what is given.
    private static func policyFile(_ members: String...) -> String {
        let challenge = String(repeating: "ab", count: 64)
        return "{" + (members + [#""expected_report_data":"\#(challenge)""#]).joined(separator: ",") + "}"
    }

    /// Files each of which makes another check fail first, with evidence for which it does.
    private static let cases: [(file: String, check: CheckID)] = [
        (policyFile(#""require_os_image":false"#, #""allow_dynamic_platform":true"#), .policyCachedKeys),
        (policyFile(#""require_os_image":false"#), .policyDynamicPlatform),
        (policyFile(#""allow_dynamic_platform":true"#, #""allow_cached_keys":true"#), .policySMT),
    ]

    private func report(_ policy: VerificationPolicy, outdated: Bool = false) throws -> VerificationReport {
        var configuration = MockPlatform.Configuration()
        configuration.dynamicPlatform = true
        configuration.cachedKeys = true
        configuration.smtEnabled = true
        var evidence = try MockEvidence(.tdx, configuration)
        evidence.policy = policy
        if outdated {
            evidence.collateral { collateral in
                for index in collateral.tcbInfo.levels.indices { collateral.tcbInfo.levels[index].status = .outOfDate }
            }
        }
        return try evidence.verified()
    }

    /// The policy of a file into which a member was written, as a remedy says.
    private func policy(_ file: String, _ member: String? = nil) throws -> VerificationPolicy {
        var text = file
        if let member {
            let name = member.prefix { $0 != ":" }
            // In place of the same member, where the file has it.
            let others = try JSONDocument(parsing: file, subject: "policy").root.members
                .filter { "\"\($0.name)\"" != name }
                .map { "\"\($0.name)\":\(String(decoding: $0.value.rawBytes, as: UTF8.self))" }
            text = "{" + (others + [member]).joined(separator: ",") + "}"
        }
        return try VerificationPolicy(parsingJSON: Array(text.utf8))
    }

    @Test("obeying the remedy for a policy file never drops what it expects, nor ends in a yes for another challenge")
    func files() throws {
        for (file, check) in Self.cases {
            let before = try policy(file)
            let report = try report(before)
            #expect(report.failure?.check == check, "\(report.failure?.description ?? "")")
            let remedy = try #require(report.remedy)
            #expect(remedy.actions.contains(.amendPolicy), "\(remedy)")
            #expect(!remedy.actions.contains(.useStandardPolicy) && !remedy.actions.contains(.useAuthenticPolicy))
            let member = try #require(remedy.policyMember)
            #expect(remedy.text.contains(member) && !remedy.text.contains("`standard`"), "\(remedy)")
            let after = try policy(file, member)
            #expect(after.expected == before.expected)
            let obeyed = try self.report(after)
            #expect(obeyed.failure?.check != check, "\(member) does not help")
            #expect(obeyed.verdict == .rejected)
        }
    }

    @Test("a status is accepted beside those that are accepted already, and no preset is proposed to a policy file")
    func statuses() throws {
        let file = Self.policyFile(
            #""allowed_statuses":["UpToDate","SWHardeningNeeded"]"#, #""require_os_image":false"#)
        let report = try report(policy(file), outdated: true)
        #expect(report.failure?.check == .policyTCBStatus, "\(report.failure?.description ?? "")")
        let remedy = try #require(report.remedy)
        #expect(remedy.actions == [.amendPolicy])
        #expect(
            remedy.policyMember == #""allowed_statuses": ["UpToDate", "SWHardeningNeeded", "OutOfDate"]"#, "\(remedy)")
        let after = try policy(file, remedy.policyMember)
        #expect(after.allowedStatuses == [.upToDate, .swHardeningNeeded, .outOfDate])
        // A status that is accepted, and a grace period that is over.
        let graceless = try self.report(after, outdated: true)
        #expect(graceless.failure?.check == .policyPlatformGrace, "\(graceless.failure?.description ?? "")")
        #expect(graceless.remedy?.policyMember?.contains("platform_grace_period_secs") == true)
    }

    @Test("a preset in place of a preset keeps what is expected, says so, and says what else it accepts")
    func presets() throws {
        var strict = VerificationPolicy.strict
        #expect(try report(strict).remedy?.actions == [.useStandardPolicy])
        #expect(try report(strict).hint?.contains("expected values") == false)
        strict.expected.reportData = FixedBytes(repeating: 0xAB)
        let hint = try #require(try report(strict).hint)
        #expect(hint.contains("`standard`, with the same expected values,"), "\(hint)")
        #expect(hint.contains("SWHardeningNeeded") && hint.contains("OS image"), "\(hint)")
        let outdated = try #require(try report(.standard, outdated: true).remedy)
        #expect(outdated.actions == [.useAuthenticPolicy] && outdated.text.contains("OS image"), "\(outdated)")
    }

    @Test("whoever expects an OS image is not told to judge without one")
    func expectedImage() throws {
        var policy = VerificationPolicy.strict
        (policy.allowsDynamicPlatform, policy.allowsCachedKeys, policy.allowsSMT) = (true, true, true)
        #expect(try report(policy).remedy?.actions == [.giveEventLog, .giveConfiguration, .amendPolicy])
        policy.expected.osImageHash = FixedBytes(repeating: 1)
        #expect(try report(policy).remedy?.actions == [.giveEventLog, .giveConfiguration])
    }

    @Test(
        "evidence, root and collateral of two simulations: what is of the other one is named, though all names are the same"
    )
    func otherSimulation() throws {
        let own = try MockEvidence(.tdx)
        let other = try own.stranger()
        let quote = try own.quoteBytes()
        func verify(root: MockPlatform, collateral: MockPlatform) throws -> VerificationReport {
            try QuoteVerifier(trustAnchor: TrustAnchor(certificate: root.rootCertificate)).verify(
                Evidence(quote: quote), collateral: collateral.collateral(for: .tdx, at: own.now), at: own.now)
        }
        #expect(try verify(root: own.platform, collateral: own.platform).verdict == .accepted)
        let digest = try TrustAnchor(certificate: other.rootCertificate).publicKeyDigest.hex
        for collateral in [own.platform, other] {
            let report = try verify(root: other, collateral: collateral)
            #expect(report.verdict == .rejected && report.remedy?.actions == [.nameRoot])
            #expect(report.hint?.contains(digest) == true && report.hint?.contains("another simulation's") == true)
        }
        let report = try verify(root: own.platform, collateral: other)
        #expect(report.verdict == .rejected && report.remedy?.actions == [.giveCollateral], "\(report.hint ?? "")")
    }

    @Test("public services are not asked about a simulated TEE; one that somebody named is")
    func simulatedPlatform() async throws {
        let quote = try Quote(parsing: MockEvidence(.tdx).quoteBytes())
        for verifier in [nil, QuoteVerifier(trustAnchor: try TrustAnchor(certificate: MockEvidence(.tdx).anchor))] {
            let error = await #expect(throws: AttestationError.self) {
                // Without a network it would be `collateral_unavailable` after a minute.
                _ = try await CollateralService().fetch(for: quote, verifiedBy: verifier)
            }
            #expect(error?.code == .simulatedPlatform && error?.hint.contains("collateral.json") == true)
        }
        var named = CollateralService.Configuration()
        named.endpoints = [try CollateralEndpoint("http://127.0.0.1:1")]
        named.retry.totalTimeout = .seconds(1)
        let error = await #expect(throws: AttestationError.self) {
            _ = try await CollateralService(named).fetch(for: quote)
        }
        #expect(error?.code == .collateralUnavailable)
    }

    @Test("what ends too early is called cut, and what is something else by that")
    func cut() throws {
        let quote = try MockEvidence(.tdx).quoteBytes()
        let error = #expect(throws: AttestationError.self) { try Quote(parsing: Array(quote.prefix(3000))) }
        #expect(error?.hint.contains("it was cut") == true)
        let root = #expect(throws: AttestationError.self) { try TrustAnchor(certificate: quote) }
        #expect(root?.reason == "this is a quote; a root certificate is needed" && root?.hint.isEmpty == false)
        let compose = #expect(throws: AttestationError.self) { try AppCompose(ownCopy: quote) }
        #expect(compose?.message(about: "x.json") == "x.json: this is a quote; a compose file is needed")
        #expect(compose?.hint == "name the app-compose.json that was deployed")
    }
}
