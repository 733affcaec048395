import DstackAttestation
import DstackEncoding
import DstackMockTEE
import DstackVerifierService
import Testing

/// Attacks by leaving something out: what a relying party requires must not pass for want of anything to check.
@Suite("Attacks: what is left out")
struct AttackOmissionTests {
    static let vm = Result { try SimulatedVM() }
    static let reportData = ReportData(FixedBytes(repeating: 0x3C))

    static func policy(_ requirement: OSImageRequirement) -> VerificationPolicy {
        var policy = VerificationPolicy.standard
        policy.osImage = requirement
        return policy
    }

    private func verify(_ evidence: Evidence, _ policy: VerificationPolicy) throws -> VerificationReport {
        let vm = try Self.vm.get()
        let (verifier, collateral) = (try vm.verifier(), try vm.collateral())
        let report = verifier.verify(evidence, collateral: collateral, policy: policy, at: SimulatedVM.now)
        #expect(
            verifier.prepare(collateral).verify(evidence, policy: policy, at: SimulatedVM.now).failure == report.failure
        )
        return report
    }

    /// The same evidence in every form that it comes in, with a configuration.
    private func forms(_ config: String) throws -> [(name: String, evidence: Evidence)] {
        let vm = try Self.vm.get()
        var attestation = try vm.attestation(Self.reportData)
        attestation.config = config
        let quote = try vm.quote(Self.reportData)
        return [
            ("version 0", Evidence(attestation: try attestation.encoded(as: .v0))),
            ("version 1", Evidence(attestation: try attestation.encoded(as: .v1))),
            ("quote and log", Evidence(quote: quote, eventLog: Array(vm.log.json.utf8), configuration: config)),
        ]
    }

    @Test("an OS image that is required and there is verified")
    func control() throws {
        let vm = try Self.vm.get()
        for (_, evidence) in try forms(vm.vmConfig) + forms(#"{"vm_config":\#(quoted(vm.vmConfig))}"#) {
            for requirement in OSImageRequirement.allCases {
                let report = try verify(evidence, Self.policy(requirement))
                report.expectAccepted()
                #expect(report.evidence?.osImageHash == vm.osImageHash)
            }
        }
    }

    private func quoted(_ text: String) -> String {
        var writer = JSONWriter()
        writer.value(text)
        return writer.text
    }

    @Test(
        "a required OS image is not given up because the VM configuration is left out",
        arguments: ["", #"{"vm_config":""}"#, #"{"vm_config":"","mr_config":""}"#, "{}"])
    func configuration(config: String) throws {
        for (name, evidence) in try forms(config) {
            let report = try verify(evidence, Self.policy(.required))
            #expect(report.failure?.check == .osImage, "\(name): the attack was accepted")
            var expecting = Self.policy(.optional)
            expecting.expected.osImageHash = try Self.vm.get().osImageHash
            #expect(try verify(evidence, expecting).failure?.check == .osImage, "\(name): the attack was accepted")
            // Nothing is known of the system, and the report says so.
            guard config != "{}" else { continue }
            let known = try verify(evidence, Self.policy(.ifNamed))
            known.expectAccepted()
            #expect(known.evidence?.osImageHash == nil)
            #expect(known.notChecked.contains { $0.hasPrefix("OS image: ") })
        }
    }

    @Test("a required OS image is not given up because evidence comes without an event log, or is of an enclave")
    func bareQuotes() throws {
        let vm = try Self.vm.get()
        let bare = Evidence(quote: try vm.quote(Self.reportData))
        try verify(bare, Self.policy(.required)).expectRefused(.osImage, .missing)
        try verify(bare, .standard).expectAccepted()
        try verify(Evidence(quote: try vm.quote(Self.reportData), configuration: vm.vmConfig), .standard)
            .expectRefused(.osImage, .missing)
        for tee in TEEType.allCases {
            var configuration = MockPlatform.Configuration()
            configuration.smtEnabled = false
            var evidence = try MockEvidence(tee, configuration)
            for policy in [VerificationPolicy.standard, .authentic] {
                evidence.policy = policy
                try evidence.verified().expectAccepted()
            }
            evidence.policy = .strict
            try evidence.verified().expectRefused(.osImage, .missing)
            evidence.policy.osImage = .ifNamed
            try evidence.verified().expectAccepted()
        }
    }

    @Test("an image in the form that cannot be verified passes only where the policy says that it need not be")
    func legacy() throws {
        let config = #"{"os_image_hash":"\#(FixedBytes<32>(repeating: 1).hex)"}"#
        for (_, evidence) in try forms(config) {
            try verify(evidence, Self.policy(.required)).expectRefused(.osImage, .unsupported)
            try verify(evidence, Self.policy(.ifNamed)).expectRefused(.osImage, .unsupported)
            try verify(evidence, Self.policy(.optional)).expectAccepted()
        }
    }

    @Test(
        "null, unknown and misplaced restrictions in a request are refused, and not taken for nothing asked",
        arguments: [
            #""expected_compose_hash":null"#, #""expected_report_data":null"#, #""expected_os_image_hash":null"#,
            #""min_isv_svn":null"#, #""policy":null"#, #""expected_nothing":null"#, #""Expected_app_id":"00""#,
            #""expectedComposeHash":"00""#, #""expect_app_id":"00""#, #""require_os_image":true"#,
            #""accepted_ppids":[]"#, #""allowed_statuses":["UpToDate"]"#, #""allow_smt":false"#,
            #""max_collateral_age_secs":1"#, #""min_tcb_eval_data_number":17"#, #""rejected_advisory_ids":["A"]"#,
            #""platform_grace_period_secs":0"#, #""qe_grace_period_secs":0"#,
        ])
    func request(member: String) {
        let error = #expect(throws: VerifierRequest.Malformed.self) {
            try VerifierRequest(parsingJSON: Array(#"{"quote":"00","event_log":"[]",\#(member)}"#.utf8))
        }
        #expect(error?.isJSON == true)
    }

    @Test("what clients pass on of a quote API's answer may be null, and is then absent")
    func nullEvidence() throws {
        let text = #"{"quote":null,"event_log":null,"vm_config":null,"attestation":"00","report_data":null}"#
        #expect(try VerifierRequest(parsingJSON: Array(text.utf8)).evidence == .attestation([0]))
        let quote = #"{"quote":"00","event_log":"[]","vm_config":null,"attestation":null}"#
        #expect(
            try VerifierRequest(parsingJSON: Array(quote.utf8)).evidence
                == .quote([0], eventLog: "[]", vmConfig: ""))
    }

    @Test("a certificate's evidence without an image is refused where the service's policy requires one")
    func certificate() async throws {
        let vm = try Self.vm.get()
        let (root, collateral) = (try vm.verifier(), try vm.collateral())
        for (config, requirement, isValid) in [
            ("", OSImageRequirement.required, false), ("", .ifNamed, true), (vm.vmConfig, .required, true),
        ] {
            let service = VerifierService(
                collateral: try OfflineCollateral([collateral]), verifier: root, policy: Self.policy(requirement),
                clock: { SimulatedVM.now })
            var fixture = RATLSFixture()
            var attestation = try vm.attestation(fixture.reportData)
            attestation.config = config
            fixture.add(.attestation, try attestation.encoded(as: .v1))
            let response = await service.verify(certificate: try fixture.der)
            #expect(response.isValid == isValid, "\(response.reason ?? "")")
        }
    }
}
