import DstackAttestation
import DstackAuthorization
import DstackEncoding
import DstackKMSService
import DstackSystem
import TestKit
import Testing

/// What a real machine's evidence makes of itself, under Intel's root.
@Suite(.enabled(if: Vectors.areAvailable, Vectors.absence))
struct RealEvidenceTests {
    private let attestation: Attestation
    private let report: VerificationReport

    init() throws {
        let bytes = try Vectors.read("attestation/simulator_attestation.bin")
        attestation = try Attestation(decoding: bytes)
        var policy = BootJudge.policy
        policy.expected.reportData = attestation.reportData.bytes
        let collateral = try QuoteCollateral(
            parsingJSON: Vectors.read("attestation/collateral_tdx_B0C06F_2026-10.json"))
        report = QuoteVerifier().verify(
            Evidence(attestation: bytes), collateral: collateral, policy: policy, at: 1_791_500_000)
    }

    private func admit(
        verifying verifies: Bool, at moment: MeasurementMoment
    ) async throws(KMSServiceError) -> AdmittedCaller {
        var rules = ImageRules()
        rules.verifies = verifies
        let attestation = attestation
        return try await BootJudge(TestAuthorizer(), images: rules).admit(
            report, as: .app, at: moment, vmConfiguration: "",
            ownConfiguration: { attestation.ownVMConfiguration })
    }

    @Test(arguments: [
        (
            MeasurementMoment.runtime, "51ea38f8eee6dc72dbae9b74531ae6d6204295d265dabb4e6c34621a2a1a1197",
            "85334a62c97d0f8bf82d0245d31b539d17a2d7c258e2a13efc928aaea0e107cb"
        ),
        (
            .bootTime, "ef6af583432288c877e412740aa7d8a844a18920ad98e9b1d95d42a07a3044c8",
            "787f9fe525fcb61e81f31a30225a86674412088f2f1b683a421a7e9cbcd40551"
        ),
    ])
    func itIsWhatUpstreamMakesOfIt(moment: MeasurementMoment, system: String, aggregated: String) async throws {
        let boot = try await admit(verifying: false, at: moment).boot
        #expect(boot.mrSystem?.hex == system && boot.mrAggregated.hex == aggregated)
        #expect(boot.appID.hex == "5bb4ff9a3837357f19dc176407a5709c62eb6c56")
        #expect(boot.composeHash.hex == "c143116fef3940e7f776bfc0919c256232ae5338a6e948c96b711e0b2383483a")
        #expect(boot.instanceID?.hex == "1691ed1b47506cad7d08834668691d88246f5b1f")
        #expect(boot.deviceID.hex == "c07347d88ac7ef3d42d02ceb80a0e3ac66981cf7382f72d0692ec591ea58cf1f")
        #expect(boot.osImageHash?.hex == "e61be43dd1cc6a6f5edefd7c51b608983780839b0000ce60dd99737dcffe09b9")
        #expect(boot.keyProviderInfo.isEmpty == (moment == .bootTime))
    }

    /// Its image is of the form that needs the image's files.
    @Test func anImageThatCannotBeVerifiedIsRefusedAndNeverCertified() async throws {
        let error = await refusal { () async throws(KMSServiceError) in
            try await admit(verifying: true, at: .runtime)
        }
        #expect(error?.code == .imageNotVerified)
        #expect(error?.explanation.contains("legacy") == true)
        #expect(try await admit(verifying: false, at: .runtime).appInfo.osImageHash == nil)
    }
}
