import DstackAttestation
import DstackMockTEE
import Testing

/// What a person reads of a verification.
@Suite("Report text")
struct ReportTextTests {
    private static let now: Int64 = 1_790_000_000
    private static let compose = Array(
        #"{"manifest_version":2,"name":"t","runner":"docker-compose","docker_compose_file":"services: {}"}"#.utf8)

    private let platform: MockPlatform
    private let evidence: Evidence

    init() throws {
        platform = try MockPlatform(seed: FixedBytes(repeating: 0x21))
        let boot = try MockBoot(platform, appCompose: Self.compose)
        evidence = Evidence(
            attestation: try boot.attestation(reportData: ReportData(padding: [])).encoded.bytes,
            appCompose: Self.compose)
    }

    private func report(
        underIntel: Bool = false, at time: Int64 = now, change: (inout MockCollateral) -> Void = { _ in }
    ) throws -> VerificationReport {
        let root = try TrustAnchor(certificate: platform.rootCertificate)
        return QuoteVerifier(trustAnchor: underIntel ? .intel : root).verify(
            evidence, collateral: try platform.collateral(for: .tdx, at: Self.now, edit: change), at: time)
    }

    private func lines(_ text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    @Test("a terminal of any width gets lines that fit, hashes and all", arguments: [60, 80, 140])
    func width(_ columns: Int) throws {
        for report in [try report(), try report(underIntel: true), try report(at: Self.now + 400 * 86_400)] {
            let text = report.text(style: ReportStyle(isDrawn: true, width: columns, listsChecks: true))
            for line in lines(text) { #expect(line.count <= columns, "\(line)") }
            // What goes on below itself stays behind the rail.
            #expect(lines(text).allSatisfy { $0.first.map { !$0.isHexDigit || $0.isUppercase } ?? true }, "\(text)")
            #expect(!text.contains("\u{1B}"))
        }
    }

    @Test("the verdict is the first line, and at a terminal also the last")
    func verdict() throws {
        for (report, word) in [(try report(), "ACCEPTED"), (try report(underIntel: true), "REJECTED")] {
            let plain = lines(report.text())
            #expect(plain.first?.hasPrefix(word + " TDX 1.0 trust domain") == true)
            #expect(plain.first?.hasSuffix("[simulated]") == true)
            let drawn = lines(report.text(style: ReportStyle(isDrawn: true)))
            #expect(drawn.first == plain.first)
            #expect(drawn.dropLast().last == plain.first)
        }
    }

    @Test("below what failed nothing passes, in the chain and in its drawing")
    func order() throws {
        let intel = try report(underIntel: true)
        #expect(intel.chain.map(\.name) == ["hardware_root", "platform", "quote", "event_log", "application"])
        #expect(intel.chain.first?.outcome == .failed)
        #expect(!intel.chain.contains { $0.outcome == .passed })
        let text = intel.text(style: ReportStyle(isDrawn: true))
        #expect(!text.contains("✓"))
        #expect(!text.contains("by the platform"))
        let accepted = try report()
        #expect(accepted.chain.allSatisfy { $0.outcome == .passed })
        // Failed checks come before all others.
        let listed = lines(intel.text(style: ReportStyle(listsChecks: true)))
        let failed = try #require(listed.lastIndex { $0.hasPrefix("  FAIL ") && $0.contains("[") })
        let other = try #require(listed.firstIndex { $0.hasPrefix("  ok   ") })
        #expect(failed < other)
    }

    @Test("evidence of a simulated TEE under Intel's root says that before any other reason")
    func simulatedUnderIntel() throws {
        let report = try report(underIntel: true)
        #expect(report.isSimulated)
        let text = lines(report.text())
        #expect(text[1].hasPrefix("  note     this TEE is simulated"))
        #expect(text[2].hasPrefix("  because  "))
        #expect(report.remedy?.actions == [.nameRoot])
        #expect(String(decoding: report.json(), as: UTF8.self).contains(#""simulated":true"#))
    }

    @Test("expired collateral and an outdated platform have a hint that fits, which the report does not repeat")
    func hints() throws {
        let expired = try report(at: Self.now + 400 * 86_400)
        #expect(expired.failure?.code == .expired)
        #expect(expired.remedy?.actions == [.renewCollateral, .chooseTime])
        let early = try report(at: Self.now - 400 * 86_400)
        #expect(early.failure?.code == .notYetValid)
        #expect(early.hint?.contains("clock") == true)
        let outdated = try report { collateral in
            for index in collateral.tcbInfo.levels.indices { collateral.tcbInfo.levels[index].status = .outOfDate }
        }
        #expect(outdated.status == .outOfDate)
        #expect(outdated.hint?.contains("updates") == true)
        let unknown = try report { collateral in
            for index in collateral.tcbInfo.levels.indices { collateral.tcbInfo.levels[index].sgxComponents[0] = 255 }
        }
        #expect(unknown.failure?.code == .noMatchingLevel)
        #expect(unknown.hint?.hasPrefix("the host needs ") == true && unknown.remedy?.actions == [])
        #expect(try report().hint == nil)
        let underIntel = try self.report(underIntel: true)
        for report in [expired, early, outdated, unknown, underIntel] {
            let hint = try #require(report.hint)
            // Whoever shows it has options of its own, or none.
            #expect(!hint.contains("--"))
            #expect(!report.text().contains(hint))
            #expect(String(decoding: report.json(), as: UTF8.self).contains(#""hint":""#))
        }
    }

    @Test("a brief report is the verdict and its reason")
    func brief() throws {
        let text = try report(underIntel: true).text(style: ReportStyle(isDrawn: true, isBrief: true))
        #expect(text.hasPrefix("REJECTED"))
        #expect(!text.contains("Chain of trust") && !text.contains("Not checked"))
    }

    @Test("names in a hostile quote cannot reach the terminal, nor begin a line that looks like a verdict")
    func hostile() throws {
        var bytes = try MockBoot(platform, appCompose: Self.compose).attestation(reportData: ReportData(padding: []))
            .encoded.bytes
        bytes[bytes.count / 2] ^= 0xFF
        let report = QuoteVerifier().verify(
            Evidence(attestation: bytes), collateral: try platform.collateral(for: .tdx, at: Self.now), at: Self.now)
        let text = report.text(style: ReportStyle(isDrawn: true, listsChecks: true))
        #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || $0.value >= 0x20 })
        #expect(!lines(text).contains { $0.hasPrefix("ACCEPTED") })
    }
}
