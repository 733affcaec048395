import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Testing

@Suite(
    "Simulated TEE: as another verifier sees it", .enabled(if: PeerVerifier.isAvailable, PeerVerifier.absence))
struct MockTEEPeerTests {
    private static let now: Int64 = 1_790_000_000

    @Test(
        "TDX quotes of every form are up to date under the simulated root",
        arguments: MockTrustDomain.ReportForm.allCases)
    func tdx(form: MockTrustDomain.ReportForm) throws {
        let platform = try MockPlatform()
        var domain = MockTrustDomain(on: platform)
        domain.reportForm = form
        let collateral = try platform.collateral(for: .tdx, at: Self.now)
        for version in form == .td10 ? [4, 5] : [5] as [UInt16] {
            let quote = try domain.quote(reportData: [7], version: version)
            #expect(
                try PeerVerifier.verdict(quote, collateral, root: platform.rootCertificate, now: Self.now) == "UpToDate"
            )
        }
    }

    @Test(
        "SGX quotes are up to date under the simulated root",
        arguments: MockPlatform.Configuration.PCKAuthority.allCases)
    func sgx(authority: MockPlatform.Configuration.PCKAuthority) throws {
        var configuration = MockPlatform.Configuration()
        configuration.authority = authority
        let platform = try MockPlatform(configuration)
        let quote = try platform.quote(.sgxEnclave(platform.enclaveReport(reportData: FixedBytes())))
        let collateral = try platform.collateral(for: .sgx, at: Self.now)
        #expect(
            try PeerVerifier.verdict(quote, collateral, root: platform.rootCertificate, now: Self.now) == "UpToDate")
    }

    @Test("a quote with an encrypted platform identifier is accepted with the chain in the collateral")
    func encryptedPPID() throws {
        let platform = try MockPlatform()
        let body = MockTrustDomain(on: platform).report(reportData: FixedBytes())
        let quote = try platform.quote(body, certification: .encryptedPPIDRSA3072)
        let collateral = try platform.collateral(for: .tdx, at: Self.now) { $0.includesPCKChain = true }
        #expect(
            try PeerVerifier.verdict(quote, collateral, root: platform.rootCertificate, now: Self.now) == "UpToDate")
    }

    @Test("an older platform is out of date, a revoked one and one under another root are refused")
    func others() throws {
        let platform = try MockPlatform()
        let quote = try MockTrustDomain(on: platform).quote(reportData: [])
        func verdict(_ root: [UInt8]? = nil, _ edit: (inout MockCollateral) -> Void) throws -> String {
            let collateral = try platform.collateral(for: .tdx, at: Self.now, edit: edit)
            return try PeerVerifier.verdict(quote, collateral, root: root ?? platform.rootCertificate, now: Self.now)
        }
        #expect(try verdict { $0.tcbInfo.levels[0].pceSvn += 1 } == "OutOfDate")
        #expect(try verdict { $0.tcbInfo.levels[0].status = .configurationNeeded } == "ConfigurationNeeded")
        #expect(try verdict { $0.revokePCK() }.contains("CertRevoked"))
        #expect(try verdict(MockPlatform().rootCertificate) { _ in }.hasPrefix("refused"))
    }

    /// Where the peer refuses, or gives another status to, what is accepted here: by the name of the row, with the reason.
    private static let lenient = [
        "levels of QE identity reversed": "the peer takes the first level of the document, here the best one counts",
        "levels of the TDX module reversed": "the same",
        "a PCESVN above 0x7FFF": "the peer reads two bytes; a positive INTEGER of that size has three",
        "debug, where it is allowed": "the peer was not told",
        "a service TD, where it is allowed": "the peer was not told",
    ]

    @Test("unusual but correct evidence has the same status there, but for known differences")
    func controls() throws {
        let controls =
            AttackChainTests.controlsRows + AttackRevocationTests.controlsRows + AttackDocumentTests.controlRows
            + AttackQuoteTests.controlRows + AttackTCBTests.orderRows + AttackTCBTests.comparisonRows
            + AttackTCBTests.relaunchRows + AttackPlatformTests.controlRows + AttackReportTests.controlRows
        let questions = try controls.map { control in
            var evidence = try MockEvidence(control.tee)
            try control.edit(&evidence)
            return try PeerVerifier.Question(evidence)
        }
        for (control, verdict) in zip(controls, try PeerVerifier.verdicts(questions)) {
            let isSame = verdict == control.status.rawValue
            #expect(isSame == (Self.lenient[control.name] == nil), "\(control.testDescription): \(verdict)")
        }
    }

    /// Checks that are stricter here; all others refuse what the peer refuses too.
    private static let stricter: Set<CheckID> = [
        // Names of certificates and what they are for; name constraints, path length of the root.
        .pckChain, .tcbInfoSigner, .qeIdentitySigner,
        // Documents and lists are strict in every part, also in those that do not count this time.
        .rootCRLFormat, .pckCRLFormat, .tcbInfoFormat, .qeIdentityFormat, .pckExtension,
        // What the peer does not look at: type and version of TCB info, PCE identity, leftovers, other service TDs.
        .tcbInfoType, .pceID, .quoteLayout, .attestationKeyBinding, .serviceTD,
    ]

    @Test("attacks are refused there too, but by checks that are stricter here")
    func attacks() throws {
        let attacks =
            (AttackChainTests.foreignRootsRows + AttackRevocationTests.absentRows
            + AttackRevocationTests.signatureRows + AttackRevocationTests.otherIssuerRows
            + AttackRevocationTests.revokedRows + AttackDocumentTests.signatureRows + AttackDocumentTests.textRows
            + AttackDocumentTests.identityRows + AttackQuoteTests.enclaveRows + AttackQuoteTests.bindingRows
            + AttackQuoteTests.reportSignatureRows + AttackQuoteTests.signatureRows + AttackQuoteTests.keyRows
            + AttackQuoteTests.headerRows + AttackTCBTests.moduleRows + AttackTCBTests.revokedRows
            + AttackReportTests.exposureRows).filter { !Self.stricter.contains($0.check) }
        #expect(attacks.count > 300)
        let questions = try attacks.map { attack in
            var evidence = try MockEvidence(attack.tee)
            try attack.edit(&evidence)
            return try PeerVerifier.Question(evidence)
        }
        for (attack, verdict) in zip(attacks, try PeerVerifier.verdicts(questions)) {
            #expect(verdict.hasPrefix("refused"), "\(attack.testDescription): \(verdict)")
        }
    }
}
