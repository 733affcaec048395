import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

/// Prepared collateral is faster than verifying everything from bytes, and says nothing else.
@Suite("Prepared collateral")
struct PreparedCollateralTests {
    private static let now = MockEvidence.issued

    private func verifier(_ platform: MockPlatform, threshold: Int = 64) throws -> QuoteVerifier {
        QuoteVerifier(
            trustAnchor: try TrustAnchor(certificate: platform.rootCertificate),
            tables: P256KeyTables(threshold: threshold))
    }

    /// Everything that a report says of its checks, and what comes out of them.
    private func content(_ report: VerificationReport) -> [String] {
        report.checks.map { "\($0.id) \($0.outcome) \($0.message) \($0.found) \($0.expected)" }
            + ["\(report.verdict) \(report.status?.rawValue ?? "-") \(report.advisoryIDs) \(report.validUntil ?? -1)"]
    }

    @Test("gives the report of a verification from bytes, for platforms new and known, keys with tables and without")
    func sameReports() throws {
        for tee in TEEType.allCases {
            let evidence = try MockEvidence(tee)
            let collateral = try evidence.collateralValue()
            let good = try evidence.quoteBytes()
            var damaged = good
            damaged[100] ^= 1
            var unknown = try MockEvidence(tee)
            unknown.quote { $0.qeReportSigner = MockKey() }
            let quotes = [good, damaged, try unknown.quoteBytes(), Array(good.dropLast(400)), []]
            // A threshold of two: keys get their tables in the middle of it.
            let prepared = try verifier(evidence.platform, threshold: 2).prepare(collateral)
            for round in 0..<10 {
                for quote in quotes {
                    for time in [Self.now, Self.now + 40 * 86_400, 0] {
                        let plain = try verifier(evidence.platform)
                            .verify(quote, collateral: collateral, policy: .strict, at: time)
                        let report = prepared.verify(quote, policy: .strict, at: time)
                        #expect(content(report) == content(plain), "\(tee), round \(round)")
                    }
                }
                if round == 5 { prepared.forgetPlatforms() }
            }
        }
    }

    @Test("platforms under one authority are told apart: one revoked, the others not")
    func neighbours() throws {
        let base = try MockPlatform()
        func machine(_ number: UInt8) throws -> (platform: MockPlatform, quote: [UInt8]) {
            let pck = MockKey()
            let platform = try base.reissued { certificates in
                certificates.pck.builder.publicKey = pck.spki
                certificates.pck.builder.serialNumber = DER.integer(magnitude: [0x40, number])
            }
            let report = MockTrustDomain(on: platform).report(reportData: FixedBytes(repeating: number))
            return (platform, try platform.quote(report) { $0.qeReportSigner = pck })
        }
        let machines = try (1...5).map { try machine($0) }
        let verifier = try verifier(base, threshold: 3)
        // The third machine's collateral revokes the third machine's certificate; all else is the same.
        let prepared = verifier.prepare(try machines[2].platform.collateral(for: .tdx, at: Self.now) { $0.revokePCK() })
        for _ in 0..<6 {
            for (index, machine) in machines.enumerated() {
                let report = prepared.verify(machine.quote, at: Self.now)
                if index == 2 {
                    report.expectRefused(.pckRevocation, .revoked)
                } else {
                    report.expectAccepted()
                }
            }
        }
    }

    @Test("a platform that is known is refused under new collateral that revokes it, and after the old has expired")
    func revocationAndExpiry() throws {
        let platform = try MockPlatform()
        let verifier = try verifier(platform, threshold: 2)
        let quote = try MockTrustDomain(on: platform).quote(reportData: [1, 2, 3])
        let prepared = verifier.prepare(try platform.collateral(for: .tdx, at: Self.now))
        for _ in 0..<8 { prepared.verify(quote, at: Self.now).expectAccepted() }
        let revoking = verifier.prepare(try platform.collateral(for: .tdx, at: Self.now) { $0.revokePCK() })
        let later = Self.now + 31 * 86_400
        for _ in 0..<4 {
            revoking.verify(quote, at: Self.now).expectRefused(.pckRevocation, .revoked)
            let report = prepared.verify(quote, at: later)
            #expect(report.verdict == .rejected)
            #expect(report.failure?.code == .expired)
            prepared.verify(quote, at: Self.now).expectAccepted()
        }
    }

    @Test("a revocation list that its authority did not sign is refused for every platform, new or known")
    func forgedList() throws {
        let platform = try MockPlatform()
        let verifier = try verifier(platform)
        let quote = try MockTrustDomain(on: platform).quote(reportData: [1, 2, 3])
        let prepared = verifier.prepare(
            try platform.collateral(for: .tdx, at: Self.now) { $0.pckCRL.signer = MockKey() })
        for _ in 0..<3 { prepared.verify(quote, at: Self.now).expectRefused(.pckCRLSignature, .badSignature) }
    }
}
