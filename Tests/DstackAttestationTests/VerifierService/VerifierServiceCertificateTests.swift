import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import DstackVerifierService
import Testing

@Suite("Verifier service: certificates")
struct VerifierServiceCertificateTests {
    private static let vm = Result { try SimulatedVM() }

    private func service(
        _ vm: SimulatedVM, policy: VerificationPolicy = .standard, edit: (inout MockCollateral) -> Void = { _ in }
    ) throws -> VerifierService {
        VerifierService(
            collateral: try OfflineCollateral([vm.collateral(edit: edit)]), verifier: try vm.verifier(), policy: policy,
            clock: { SimulatedVM.now })
    }

    /// A certificate of the VM; `change` is applied to the attestation inside.
    private func certificate(
        _ vm: SimulatedVM, _ change: (inout Attestation) -> Void = { _ in }
    ) throws -> (der: [UInt8], publicKey: [UInt8]) {
        var fixture = RATLSFixture()
        var attestation = try vm.attestation(fixture.reportData).stripped()
        change(&attestation)
        fixture.add(.attestation, try attestation.encoded(as: .v1))
        return (try fixture.der, fixture.key.publicKey.spki)
    }

    @Test("a genuine certificate is valid, in upstream's form, from DER and from PEM")
    func valid() async throws {
        let vm = try Self.vm.get()
        let (der, publicKey) = try certificate(vm)
        for bytes in [der, Array(PEM.encode("CERTIFICATE", der).utf8)] {
            let response = try await service(vm).verify(certificate: bytes)
            #expect(response.isValid, "\(response.reason ?? "")")
            #expect(response.isOSImageVerified)
            let json = try JSONDocument(parsing: response.json(), subject: "answer").root
            #expect(try json.member("is_valid").bool())
            let details = try json.member("details")
            #expect(try details.member("tee_variant").string() == "dstack-tdx")
            #expect(try details.member("public_key_der").string() == Hex.encode(publicKey))
            #expect(try details.member("report_data").string() == ReportData(raTLSKey: publicKey).hex)
            #expect(try details.member("simulated").bool())
            let info = try details.member("app_info")
            #expect(
                info.members.map(\.name) == [
                    "app_id", "compose_hash", "instance_id", "device_id", "mr_system", "mr_aggregated",
                    "os_image_hash", "os_image_hash_verified", "key_provider_info",
                ])
            #expect(try info.member("app_id").string() == vm.appID.bytes.hex)
            #expect(try info.member("os_image_hash").string() == vm.osImageHash.hex)
            #expect(try info.member("os_image_hash_verified").bool())
        }
    }

    @Test("an image that was not verified is named and marked, unless the policy expects one")
    func unverifiedImage() async throws {
        let vm = try Self.vm.get()
        for (lite, other) in [("\"lite\"", "\"legacy\""), ("2147483648", "4294967296")] {
            let (der, _) = try certificate(vm) { $0.config = $0.config.replacing(lite, with: other) }
            for policy in [VerificationPolicy.standard, .authentic] {
                let response = try await service(vm, policy: policy).verify(certificate: der)
                #expect(response.isValid && !response.isOSImageVerified, "\(response.reason ?? "")")
                let info = try JSONDocument(parsing: response.json(pretty: true), subject: "answer").root
                    .member("details").member("app_info")
                #expect(try info.member("os_image_hash").string() == vm.osImageHash.hex)
                #expect(try !info.member("os_image_hash_verified").bool())
            }
            var policy = VerificationPolicy.standard
            policy.expected.osImageHash = vm.osImageHash
            let strict = try await service(vm, policy: policy).verify(certificate: der)
            #expect(!strict.isValid && strict.reason?.contains("os_image") == true)
        }
    }

    @Test("what is wrong is the reason: form, profile, evidence, binding, platform, policy")
    func refusals() async throws {
        let vm = try Self.vm.get()
        let service = try service(vm)
        func expectRefusal(
            _ bytes: [UInt8], _ reason: String, by other: VerifierService? = nil,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let response = await (other ?? service).verify(certificate: bytes)
            #expect(!response.isValid, sourceLocation: sourceLocation)
            #expect(
                response.reason?.contains(reason) == true, "\(response.reason ?? "")", sourceLocation: sourceLocation)
            let json = try JSONDocument(parsing: response.json(), subject: "answer").root
            #expect(try !json.member("is_valid").bool() && json["details"] == nil, sourceLocation: sourceLocation)
        }
        try await expectRefusal([], "neither DER nor PEM")
        try await expectRefusal(RATLSFixture().der, "RA-TLS attestation extension missing")
        var expired = RATLSFixture()
        expired.notAfter = SimulatedVM.now - 1
        try await expectRefusal(expired.der, "outside its validity period")
        let (stolen, _) = try certificate(vm) { attestation in
            let evidence = TDXEvidence(quote: (try? vm.quote(ReportData(FixedBytes()))) ?? [], eventLog: vm.log)
            attestation.platform = .tdx(evidence)
        }
        try await expectRefusal(stolen, "expected_report_data: ")
        let (claimed, _) = try certificate(vm) { $0.reportData = ReportData(FixedBytes()) }
        try await expectRefusal(claimed, "envelope_report_data: ")
        let (nitro, _) = try certificate(vm) { $0.platform = .nitroEnclave(document: []) }
        try await expectRefusal(nitro, "dstack-nitro-enclave")
        let (der, _) = try certificate(vm)
        try await expectRefusal(der, "pck_revocation: ", by: self.service(vm) { $0.revokePCK() })
        try await expectRefusal(
            der, "policy_tcb_status: ", by: self.service(vm) { $0.tcbInfo.levels[0].status = .outOfDate })
    }
}

private typealias TDXEvidence = Attestation.TDXEvidence
