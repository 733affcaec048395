import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import TestKit
import Testing

/// Who is called simulated, and who is not, by everything that says so.
@Suite("Simulated TEEs")
struct SimulatedTEETests {
    private static let now: Int64 = 1_791_500_000

    @Test(
        "genuine evidence is not called simulated under a simulated TEE's root or one's own",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func genuine() throws {
        let platform = try MockPlatform(seed: FixedBytes(repeating: 0x51))
        let simulated = try TrustAnchor(certificate: platform.rootCertificate)
        let own = try TrustAnchor(
            certificate: platform.reissued { certificates in
                let name = X509.Name(.commonName("Laboratory Root"))
                certificates.root.builder.subject = name
                certificates.root.builder.issuer = name
            }.rootCertificate)
        let envelope = try Vectors.read("attestation/simulator_attestation.bin")
        let collateral = try QuoteCollateral(
            parsingJSON: Vectors.read("attestation/collateral_tdx_B0C06F_2026-10.json"))
        #expect(try !Attestation(decoding: envelope).parsedQuote().isSimulated)
        for anchor in [simulated, own, .intel] {
            let report = QuoteVerifier(trustAnchor: anchor).verify(
                Evidence(attestation: envelope), collateral: collateral, policy: .authentic, at: Self.now)
            #expect(!report.isSimulated && !report.text().contains("[simulated]"))
            #expect((report.verdict == .accepted) == anchor.isIntel)
            let json = try JSONDocument(parsing: report.json(), subject: "report").root
            #expect(try !json.member("simulated").bool())
        }
        #expect(simulated.isSimulated && !own.isSimulated)
    }

    @Test("a simulated TEE is called that under every root, and by the name of its root alone, too")
    func simulated() throws {
        var evidence = try MockEvidence(.tdx)
        #expect(try evidence.verified().isSimulated)
        evidence.anchor = TrustAnchor.intel.der
        #expect(try evidence.verified().isSimulated)
        // A platform with Intel's words in its certificate leads to a simulated root all the same.
        evidence = try MockEvidence(.tdx)
        try evidence.certificates { certificates in
            certificates.pck.builder.subject = X509.Name(.commonName("Intel SGX PCK Certificate"))
        }
        evidence.anchor = evidence.platform.rootCertificate
        let report = try evidence.verified()
        #expect(report.isSimulated && report.verifiedQuote?.isSimulated == true)
        // And is nobody's under a root that it does not lead to.
        evidence.anchor = TrustAnchor.intel.der
        #expect(try !evidence.verified().isSimulated)
    }
}
