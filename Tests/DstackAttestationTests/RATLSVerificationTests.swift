import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

@Suite("RA-TLS verification")
struct RATLSVerificationTests {
    private static let vm = Result { try SimulatedVM() }

    @Test("evidence in a certificate is accepted for the key of that certificate", arguments: [true, false])
    func accepted(isEnvelope: Bool) throws {
        let vm = try Self.vm.get()
        var fixture = RATLSFixture()
        if isEnvelope {
            fixture.add(.attestation, try vm.attestation(fixture.reportData).stripped().encoded(as: .v0))
        } else {
            fixture.add(.quote, try vm.quote(fixture.reportData))
            fixture.add(.eventLog, Array(vm.log.json.utf8))
        }
        let certificate = try RATLSCertificate(parsing: fixture.der)
        let (verifier, collateral) = (try vm.verifier(), try vm.collateral())
        let report = try verifier.verify(certificate, collateral: collateral, at: SimulatedVM.now)
        #expect(report.verdict == .accepted, "\(report.failure?.description ?? "")")
        #expect(report.policy.expected.reportData == certificate.expectedReportData.bytes)
        #expect(report.evidence?.identity?.appID == vm.appID)
        let again = try verifier.prepare(collateral).verify(certificate, at: SimulatedVM.now)
        #expect(again.verdict == .accepted)
    }

    @Test("evidence taken from another certificate is refused: its report data binds it to the other key")
    func stolenEvidence() throws {
        let vm = try Self.vm.get()
        let victim = RATLSFixture()
        var thief = RATLSFixture()
        thief.add(.attestation, try vm.attestation(victim.reportData).encoded(as: .v1))
        let report = try vm.verifier().verify(
            RATLSCertificate(parsing: thief.der), collateral: vm.collateral(), at: SimulatedVM.now)
        #expect(report.verdict == .rejected)
        #expect(report.failure?.check == .expectedReportData)
    }

    @Test("an envelope that only says the right report data is refused: the quote has another")
    func claimedReportData() throws {
        let vm = try Self.vm.get()
        var fixture = RATLSFixture()
        var attestation = try vm.attestation(ReportData(FixedBytes(repeating: 1)))
        attestation.reportData = fixture.reportData
        fixture.add(.attestation, try attestation.encoded(as: .v1))
        let report = try vm.verifier().verify(
            RATLSCertificate(parsing: fixture.der), collateral: vm.collateral(), at: SimulatedVM.now)
        #expect(report.verdict == .rejected)
        #expect(report.checks.contains { $0.id == .envelopeReportData && $0.outcome == .failed(.mismatch) })
        #expect(report.checks.contains { $0.id == .expectedReportData && $0.outcome == .failed(.mismatch) })
    }

    @Test("a certificate without evidence cannot be verified by it")
    func noEvidence() throws {
        let vm = try Self.vm.get()
        let certificate = try RATLSCertificate(parsing: RATLSFixture().der)
        #expect {
            try vm.verifier().verify(certificate, collateral: vm.collateral(), at: SimulatedVM.now)
        } throws: { error in
            (error as? AttestationError)?.reason == "RA-TLS attestation extension missing"
        }
    }

    @Test("a policy that expects other report data than the certificate's key is refused, not ignored")
    func conflictingPolicy() throws {
        let vm = try Self.vm.get()
        var fixture = RATLSFixture()
        fixture.add(.attestation, try vm.attestation(fixture.reportData).encoded(as: .v1))
        let certificate = try RATLSCertificate(parsing: fixture.der)
        var policy = VerificationPolicy.standard
        policy.expected.reportData = FixedBytes(repeating: 1)
        #expect(throws: AttestationError(.invalidPolicy, subject: "", reason: "")) {
            try vm.verifier().verify(certificate, collateral: vm.collateral(), policy: policy, at: SimulatedVM.now)
        }
        policy.expected.reportData = certificate.expectedReportData.bytes
        let report = try vm.verifier().verify(
            certificate, collateral: vm.collateral(), policy: policy, at: SimulatedVM.now)
        #expect(report.verdict == .accepted)
    }

    // MARK: Profile

    private func failure(
        _ fixture: borrowing RATLSFixture, at time: Int64 = SimulatedVM.now
    ) throws -> RATLSProfile.Finding? {
        let profile = try RATLSCertificate(parsing: fixture.der).profile(at: time)
        #expect(profile.findings.map(\.rule) == RATLSProfile.Rule.allCases)
        return profile.failure
    }

    private func failure(with extensions: [X509.Extension]) throws -> RATLSProfile.Finding? {
        var fixture = RATLSFixture()
        fixture.extensions = extensions
        return try failure(fixture)
    }

    @Test("a self-signed certificate for a TLS server or client fulfils the profile, at both ends of its validity")
    func profile() throws {
        let fixture = RATLSFixture()
        #expect(try failure(fixture) == nil)
        #expect(try failure(fixture, at: fixture.notBefore) == nil)
        #expect(try failure(fixture, at: fixture.notAfter) == nil)
        for purpose in [ObjectIdentifier.serverAuth, .clientAuth] {
            let extensions = [RATLSFixture.profile[0], RATLSFixture.profile[1], .extendedKeyUsage([purpose])]
            #expect(try failure(with: extensions) == nil)
        }
    }

    @Test("each rule of the profile is broken alone")
    func profileFailures() throws {
        let (names, usage, purposes) = (RATLSFixture.profile[0], RATLSFixture.profile[1], RATLSFixture.profile[2])
        let fixture = RATLSFixture()
        #expect(try failure(fixture, at: fixture.notBefore - 1)?.rule == .validity)
        #expect(try failure(fixture, at: fixture.notAfter + 1)?.rule == .validity)
        #expect(try failure(with: [names, purposes])?.rule == .keyUsage)
        #expect(try failure(with: [names, .keyUsage([.keyCertSign]), purposes])?.rule == .keyUsage)
        #expect(try failure(with: [names, usage])?.rule == .extendedKeyUsage)
        let codeSigning = ObjectIdentifier(1, 3, 6, 1, 5, 5, 7, 3, 3)
        #expect(try failure(with: [names, usage, .extendedKeyUsage([codeSigning])])?.rule == .extendedKeyUsage)
        #expect(try failure(with: [usage, purposes])?.rule == .subjectAlternativeName)
        for value in [DER.sequence(), [], [0x30, 0x01], DER.sequence(DER.octetString([1])), DER.sequence() + [0]] {
            let broken = X509.Extension(.subjectAlternativeName, value: value)
            #expect(try failure(with: [broken, usage, purposes])?.rule == .subjectAlternativeName)
        }
        let unknown = X509.Extension(ObjectIdentifier(1, 2, 3), critical: true, value: [5, 0])
        #expect(try failure(with: RATLSFixture.profile + [unknown])?.rule == .criticalExtensions)
    }

    @Test("a certificate that another key signed, or that was changed after signing, is not self-signed")
    func selfSignature() throws {
        let fixture = RATLSFixture()
        let other = RATLSFixture()
        let builder = CertificateBuilder(
            subject: X509.Name(.commonName("app.example")), publicKey: fixture.key.publicKey.spki,
            notBefore: .seconds(0), notAfter: .seconds(2_000_000_000), extensions: RATLSFixture.profile)
        let issued = try RATLSCertificate(parsing: builder.signed(by: other.key))
        #expect(issued.profile(at: SimulatedVM.now).failure?.rule == .selfSignature)
        var changed = try fixture.der
        let name = try #require(changed.indices.first { changed[$0...].starts(with: Array("app.example".utf8)) })
        changed[name] ^= 0x20
        let finding = try RATLSCertificate(parsing: changed).profile(at: SimulatedVM.now).failure
        #expect(finding?.rule == .selfSignature)
        var mixed = builder
        mixed.innerAlgorithm = .ecdsaWithSHA384
        let twice = try RATLSCertificate(parsing: mixed.signed(by: fixture.key))
        #expect(twice.profile(at: SimulatedVM.now).failure?.rule == .selfSignature)
    }
}
