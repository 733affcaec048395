import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

/// Attacks on what a verifier remembers, and on its clock.
@Suite("Attacks: memory and time")
struct AttackMemoryTests {
    private func verifier(_ platform: MockPlatform) throws -> QuoteVerifier {
        QuoteVerifier(trustAnchor: try TrustAnchor(certificate: platform.rootCertificate))
    }

    @Test("revocation reaches a platform that was accepted before (V63)", arguments: TEEType.allCases)
    func revocation(tee: TEEType) throws {
        var evidence = try MockEvidence(tee)
        let quote = try evidence.quoteBytes()
        let verifier = try verifier(evidence.platform)
        let before = verifier.prepare(try evidence.collateralValue())
        for _ in 0..<3 { before.verify(quote, at: evidence.now).expectAccepted() }
        evidence.collateral { $0.revokePCK() }
        let after = verifier.prepare(try evidence.collateralValue())
        for _ in 0..<3 { after.verify(quote, at: evidence.now).expectRefused(.pckRevocation, .revoked) }
        verifier.verify(quote, collateral: try evidence.collateralValue(), at: evidence.now)
            .expectRefused(.pckRevocation, .revoked)
    }

    @Test("expiry reaches a platform that was accepted a second before (V63)", arguments: TEEType.allCases)
    func expiry(tee: TEEType) throws {
        let now = MockEvidence.issued
        for (check, edit) in [
            (.tcbInfoNextUpdate, { $0.tcbInfo.nextUpdate = now }),
            (.qeIdentityNextUpdate, { $0.qeIdentity.nextUpdate = now }),
            (.rootCRLValidity, { $0.rootCRL.builder.nextUpdate = .seconds(now + 1) }),
            (.pckCRLValidity, { $0.pckCRL.builder.nextUpdate = .seconds(now + 1) }),
        ] as [(CheckID, (inout MockCollateral) -> Void)] {
            var evidence = try MockEvidence(tee)
            evidence.collateral(edit)
            let quote = try evidence.quoteBytes()
            let prepared = try verifier(evidence.platform).prepare(evidence.collateralValue())
            for _ in 0..<2 {
                let report = prepared.verify(quote, at: now)
                report.expectAccepted()
                #expect(report.validUntil == now)
                prepared.verify(quote, at: now + 1).expectRefused(check, .expired)
            }
        }
        var configuration = MockPlatform.Configuration()
        configuration.notAfter = now
        let evidence = try MockEvidence(tee, configuration)
        let prepared = try verifier(evidence.platform).prepare(evidence.collateralValue())
        prepared.verify(try evidence.quoteBytes(), at: now).expectAccepted()
        prepared.verify(try evidence.quoteBytes(), at: now + 1).expectRefused(.trustAnchor, .expired)
    }

    @Test("what was found under one policy decides nothing under another (V63)", arguments: TEEType.allCases)
    func policies(tee: TEEType) throws {
        var evidence = try MockEvidence(tee)
        evidence.collateral { $0.tcbInfo.levels[0].status = .outOfDate }
        let quote = try evidence.quoteBytes()
        let prepared = try verifier(evidence.platform).prepare(evidence.collateralValue())
        for _ in 0..<2 {
            prepared.verify(quote, policy: .authentic, at: evidence.now).expectAccepted(.outOfDate)
            prepared.verify(quote, policy: .standard, at: evidence.now).expectRefused(.policyTCBStatus, .notAcceptable)
            var expecting = VerificationPolicy.authentic
            expecting.expected.reportData = FixedBytes()
            prepared.verify(quote, policy: expecting, at: evidence.now).expectRefused(.expectedReportData, .mismatch)
        }
    }

    @Test("what was found under one root decides nothing under another (V63)", arguments: TEEType.allCases)
    func roots(tee: TEEType) throws {
        let evidence = try MockEvidence(tee)
        let quote = try evidence.quoteBytes()
        let collateral = try evidence.collateralValue()
        let honest = try verifier(evidence.platform)
        let other = try verifier(evidence.stranger())
        for _ in 0..<2 {
            honest.verify(quote, collateral: collateral, at: evidence.now).expectAccepted()
            other.verify(quote, collateral: collateral, at: evidence.now).expectRefused(
                .rootCRLSignature, .badSignature)
            QuoteVerifier().verify(quote, collateral: collateral, at: evidence.now)
                .expectRefused(.rootCRLSignature, .unknownIssuer)
        }
    }

    @Test("a platform that was accepted lends nothing to another quote (V63)", arguments: TEEType.allCases)
    func otherQuotes(tee: TEEType) throws {
        let evidence = try MockEvidence(tee)
        let prepared = try verifier(evidence.platform).prepare(evidence.collateralValue())
        prepared.verify(try evidence.quoteBytes(), at: evidence.now).expectAccepted()

        // The chain is known; the QE report and the quote are forged.
        func attack(_ check: CheckID, _ code: FailureCode, _ edit: @escaping (inout MockQuote) throws -> Void) throws {
            var forged = try MockEvidence(tee)
            forged.quote(edit)
            for _ in 0..<2 { prepared.verify(try forged.quoteBytes(), at: forged.now).expectRefused(check, code) }
        }
        try attack(.qeReportSignature, .badSignature) { $0.qeReportSigner = MockKey() }
        try attack(.qeReportSignature, .badSignature) { $0.tampering = { $0.signature.qeReport.isvSvn += 1 } }
        try attack(.quoteSignature, .badSignature) { $0.tampering = { $0.header.userData[0] ^= 1 } }
        try attack(.attestationKeyBinding, .mismatch) {
            $0.attestationPoint = nil
            $0.qeReportData = FixedBytes()
        }
        // A report that is known, under an attestation key that it does not bind.
        let known = try Quote(parsing: evidence.quoteBytes()).signature
        try attack(.attestationKeyBinding, .mismatch) {
            let key = MockKey()
            $0.tampering = { quote in
                quote.signature.qeReport = known.qeReport
                quote.signature.qeReportSignature = known.qeReportSignature
                quote.signature.attestationKey = key.point
                quote.signature.isvSignature = (try? key.sign(quote.signedBytes)) ?? FixedBytes()
            }
        }
        prepared.verify(try evidence.quoteBytes(), at: evidence.now).expectAccepted()
    }

    @Test("a platform of another family is not judged by what was prepared (V63)", arguments: TEEType.allCases)
    func otherFamily(tee: TEEType) throws {
        let evidence = try MockEvidence(tee)
        let prepared = try verifier(evidence.platform).prepare(evidence.collateralValue())
        prepared.verify(try evidence.quoteBytes(), at: evidence.now).expectAccepted()
        var other = try MockEvidence(tee)
        try other.certificates {
            $0.sgx?.others[1].value = DER.octetString([0, 0, 0, 0, 0, 1])
        }
        for _ in 0..<2 { prepared.verify(try other.quoteBytes(), at: other.now).expectRefused(.fmspc, .mismatch) }
    }

    @Test("quotes verified at once on many threads get the answers they get alone (V63)")
    func concurrency() async throws {
        let good = try MockEvidence(.tdx)
        var bad = try MockEvidence(.tdx)
        bad.quote { $0.tampering = { $0.header.userData[0] ^= 1 } }
        let prepared = try verifier(good.platform).prepare(good.collateralValue())
        let quotes = [try good.quoteBytes(), try bad.quoteBytes()]
        let verdicts = await withTaskGroup(of: (Int, VerificationReport.Verdict).self) { group in
            for index in 0..<64 {
                group.addTask { (index, prepared.verify(quotes[index % 2], at: MockEvidence.issued).verdict) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        for index in 0..<64 { #expect(verdicts[index] == (index % 2 == 0 ? .accepted : .rejected)) }
    }

    @Test("a clock that is far off refuses and never traps", arguments: TEEType.allCases)
    func clocks(tee: TEEType) throws {
        let evidence = try MockEvidence(tee)
        let (quote, collateral) = (try evidence.quoteBytes(), try evidence.collateralValue())
        let verifier = try verifier(evidence.platform)
        var policy = VerificationPolicy.authentic
        policy.maximumCollateralAge = .max
        policy.platformGracePeriod = .seconds(.max)
        for time in [.min, -1, 0, 1, evidence.platform.configuration.notBefore - 1] as [Int64] {
            verifier.verify(quote, collateral: collateral, policy: policy, at: time)
                .expectRefused(.trustAnchor, .notYetValid)
        }
        for time in [2_524_608_000, 253_402_300_799, 253_402_300_800, .max] as [Int64] {
            verifier.verify(quote, collateral: collateral, policy: policy, at: time).expectRefused(
                .trustAnchor, .expired)
        }
        for extreme in [Int64.min, -1, 0] {
            policy.maximumCollateralAge = extreme
            policy.platformGracePeriod = .seconds(extreme)
            policy.qeGracePeriod = .seconds(extreme)
            verifier.verify(quote, collateral: collateral, policy: policy, at: evidence.now)
                .expectRefused(.policyCollateralAge, .notAcceptable)
        }
    }

    @Test("stale evidence is refused by the relying party's challenge (V62)", arguments: TEEType.allCases)
    func staleness(tee: TEEType) throws {
        // Quotes carry no time: only report data that the relying party chose shows that one is fresh.
        var evidence = try MockEvidence(tee)
        evidence.policy.expected.reportData = FixedBytes(repeating: 0x3C)
        try evidence.verified().expectAccepted()
        evidence.policy.expected.reportData = FixedBytes(repeating: 0x3D)
        try evidence.verified().expectRefused(.expectedReportData, .mismatch)
    }
}
