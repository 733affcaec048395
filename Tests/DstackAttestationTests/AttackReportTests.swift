import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Testing

/// Attacks by code that is genuine but exposed, or that is not the code which was expected.
@Suite("Attacks: attributes and expectations")
struct AttackReportTests {
    private static func attribute(
        _ name: String, _ bits: TDAttributes, _ check: CheckID, _ code: FailureCode = .notAcceptable
    ) -> [Attack] {
        MockTrustDomain.ReportForm.allCases.flatMap { form in
            Attack.tdx("\(name), \(form)", check, code) {
                $0.domain.reportForm = form
                $0.domain.attributes.insert(bits)
            }
        }
    }

    @Rows<Harmless> static var controlRows: [Harmless] {
        Harmless.both("nothing changed")
        for (name, bits) in [
            ("LASS", .lass), ("PKS", .pks), ("key locker", .keyLocker), ("ICSSD", .icssd), ("TPA", .tpa),
            ("performance monitoring", .perfmon),
        ] as [(String, TDAttributes)] {
            Harmless.tdx(name) { $0.domain.attributes.insert(bits) }
        }
        Harmless.tdx("debug, where it is allowed") {
            $0.policy.allowsDebug = true
            $0.domain.attributes.insert(.debug)
        }
        Harmless.sgx("debug, where it is allowed") {
            $0.policy.allowsDebug = true
            $0.enclave { $0.attributes[0] |= 2 }
        }
        Harmless.tdx("a service TD, where it is allowed") {
            $0.policy.allowsServiceTD = true
            $0.domain.reportForm = .td15
            $0.domain.mrServiceTd = FixedBytes(repeating: 1)
            $0.domain.attributes.insert(.serviceTDExtension)
        }
    }

    @Test("unusual but acceptable reports are accepted", arguments: controlRows)
    func controls(_ control: Harmless) throws { try control.run() }

    private static let serviceTDs: [(String, @Sendable (inout TDReport15Extended) -> Void)] = [
        ("bound now", { $0.curServiceTdHash[47] = 1 }),
        ("bound at initialisation", { $0.initServiceTdHash[0] = 1 }),
    ]

    @Rows<Attack> static var exposureRows: [Attack] {
        attribute("debug", .debug, .debug)
        Attack.sgx("debug", .debug, .notAcceptable) { $0.enclave { $0.attributes[0] |= 2 } }
        for policy in [VerificationPolicy.authentic, .strict] {
            Attack.tdx("debug, \(policy.name)", .debug, .notAcceptable) {
                $0.policy = policy
                if policy == .strict { $0.policy.allowsSMT = true }
                $0.domain.attributes.insert(.debug)
            }
        }
        for bit in [4, 5, 6] {
            attribute("profiling by bit \(bit)", TDAttributes(rawValue: 1 << UInt64(bit)), .tdProfiling)
        }
        attribute("migration", .migratable, .tdMigration)
        attribute("service-TD extensions", .serviceTDExtension, .tdServiceTDExtension)
        Attack.tdx(
            "service-TD extensions of TDX 1.0, where a service TD is allowed", .tdServiceTDExtension, .notAcceptable
        ) {
            $0.policy.allowsServiceTD = true
            $0.domain.attributes.insert(.serviceTDExtension)
        }
        for form in MockTrustDomain.ReportForm.allCases {
            Attack.tdx("SEPT_VE_DISABLE off, \(form)", .tdSeptVEDisable, .notAcceptable) {
                $0.domain.reportForm = form
                $0.domain.attributes = []
            }
        }
        Attack.tdx("a service TD, TDX 1.5", .serviceTD, .notAcceptable) {
            $0.domain.reportForm = .td15
            $0.domain.mrServiceTd[47] = 1
        }
        Attack.tdx("a service TD, TDX 1.5 extended", .serviceTD, .notAcceptable) {
            $0.domain.reportForm = .td15Extended
            $0.domain.mrServiceTd[0] = 1
        }
        for (name, edit) in serviceTDs {
            Attack.tdx("a service TD \(name), by the extended fields alone", .serviceTD, .notAcceptable) {
                $0.domain.reportForm = .td15Extended
                $0.quote {
                    guard case .td15Extended(var report) = $0.body else { return }
                    edit(&report)
                    $0.body = .td15Extended(report)
                }
            }
        }
    }

    @Test(
        "code that somebody else can read, change, profile or move is refused (V52, V53, V54)", arguments: exposureRows)
    func exposure(_ attack: Attack) throws { try attack.run() }

    @Test("every reserved attribute bit is refused (V53)", arguments: [0..<16, 16..<32, 32..<48, 48..<64])
    func reserved(bits: Range<Int>) throws {
        // Those that Intel has given a meaning.
        let known: Set<Int> = Set([0, 4, 5, 6, 27, 28, 29, 30, 31, 62, 63] + Array(16...22))
        for bit in bits {
            var evidence = try MockEvidence(.tdx)
            evidence.policy.allowsDebug = true
            evidence.policy.allowsServiceTD = true
            evidence.domain.attributes.insert(TDAttributes(rawValue: 1 << UInt64(bit)))
            let report = try evidence.verified()
            if known.contains(bit) {
                #expect(report.failure?.check != .tdReservedAttributes, "bit \(bit)")
            } else {
                report.expectRefused(.tdReservedAttributes, .unsupported)
            }
        }
    }

    // MARK: Expectations

    @Test("report data is compared whole (V57)", arguments: TEEType.allCases)
    func reportData(tee: TEEType) throws {
        var evidence = try MockEvidence(tee)
        let actual = FixedBytes<64>(repeating: 0x3C)
        evidence.policy.expected.reportData = actual
        try evidence.verified().expectAccepted()
        for index in 0..<64 {
            var wrong = actual
            wrong[index] ^= 1 << UInt8(index % 8)
            evidence.policy.expected.reportData = wrong
            try evidence.verified().expectRefused(.expectedReportData, .mismatch)
        }
        let half = FixedBytes<64>([UInt8](repeating: 0x3C, count: 32) + [UInt8](repeating: 0, count: 32))
        for wrong in [FixedBytes(), FixedBytes(repeating: 0xC3), try #require(half)] {
            evidence.policy.expected.reportData = wrong
            try evidence.verified().expectRefused(.expectedReportData, .mismatch)
        }
    }

    private static let tdExpectations: [(String, @Sendable (inout ExpectedValues, Measurement384) -> Void)] = [
        ("mr_td", { $0.mrTd = $1 }), ("rt_mr0", { $0.rtMr0 = $1 }), ("rt_mr1", { $0.rtMr1 = $1 }),
        ("rt_mr2", { $0.rtMr2 = $1 }), ("rt_mr3", { $0.rtMr3 = $1 }), ("mr_config_id", { $0.mrConfigId = $1 }),
        ("mr_owner", { $0.mrOwner = $1 }), ("mr_owner_config", { $0.mrOwnerConfig = $1 }),
        ("mr_seam", { $0.mrSeam = $1 }),
    ]

    private static let applicationExpectations: [(String, @Sendable (inout ExpectedValues) -> Void)] = [
        ("compose hash", { $0.composeHash = FixedBytes() }), ("application", { $0.appID = FixedBytes() }),
        ("instance", { $0.instanceID = FixedBytes() }), ("mr_aggregated", { $0.mrAggregated = FixedBytes() }),
        ("mr_system", { $0.mrSystem = FixedBytes() }),
    ]

    @Rows<Attack> static var expectationRows: [Attack] {
        for (name, set) in tdExpectations {
            Attack.tdx("another \(name)", .expectedMeasurements, .mismatch) {
                set(&$0.policy.expected, FixedBytes(repeating: 7))
            }
            Attack.sgx("\(name) of an enclave", .expectedMeasurements, .mismatch) {
                set(&$0.policy.expected, FixedBytes())
            }
        }
        // Zeros in the quote are a value like any other, and so are zeros in the policy.
        Attack.tdx("mr_config_id of zeros where one is expected", .expectedMeasurements, .mismatch) {
            $0.policy.expected.mrConfigId = FixedBytes(repeating: 1)
        }
        Attack.tdx("mr_config_id where zeros are expected", .expectedMeasurements, .mismatch) {
            $0.policy.expected.mrConfigId = FixedBytes()
            $0.domain.mrConfigId = FixedBytes(repeating: 1)
        }
        Attack.tdx("an owner where zeros are expected", .expectedMeasurements, .mismatch) {
            $0.policy.expected.mrOwner = FixedBytes()
            $0.domain.mrOwner[47] = 1
        }
        Attack.sgx("another mr_enclave", .expectedMeasurements, .mismatch) {
            $0.policy.expected.mrEnclave = FixedBytes(repeating: 7)
        }
        Attack.sgx("another mr_signer", .expectedMeasurements, .mismatch) {
            $0.policy.expected.mrSigner = FixedBytes(repeating: 7)
        }
        Attack.sgx("another isv_prod_id", .expectedMeasurements, .mismatch) { $0.policy.expected.isvProdId = 0x0101 }
        Attack.sgx("too old an enclave", .expectedMeasurements, .mismatch) { $0.policy.expected.minimumIsvSvn = 2 }
        Attack.tdx("mr_enclave of a TD", .expectedMeasurements, .mismatch) {
            $0.policy.expected.mrEnclave = FixedBytes()
        }
        Attack.tdx("isv_svn of a TD", .expectedMeasurements, .mismatch) { $0.policy.expected.minimumIsvSvn = 0 }
        for (name, set) in applicationExpectations {
            Attack.both("\(name) without an event log", .expectedApplication, .missing) { set(&$0.policy.expected) }
        }
        Attack.both("an OS image without its configuration", .osImage, .missing) {
            $0.policy.expected.osImageHash = FixedBytes()
        }
    }

    @Test(
        "code other than the expected is refused, also where nothing says what it is (V55, V56)",
        arguments: expectationRows)
    func expectations(_ attack: Attack) throws { try attack.run() }

    @Test("what is expected and found is accepted (V55)")
    func met() throws {
        var evidence = try MockEvidence(.tdx)
        try evidence.domain.extend(3, with: FixedBytes(repeating: 9))
        evidence.domain.mrConfigId = FixedBytes(repeating: 8)
        let report = try #require(evidence.domain.report(reportData: FixedBytes()).tdReport)
        for (index, set) in Self.tdExpectations.enumerated() {
            let values = [
                report.mrTd, report.rtMr0, report.rtMr1, report.rtMr2, report.rtMr3, report.mrConfigId, report.mrOwner,
                report.mrOwnerConfig, report.mrSeam,
            ]
            set.1(&evidence.policy.expected, values[index])
        }
        try evidence.verified().expectAccepted()
        var enclave = try MockEvidence(.sgx)
        enclave.policy.expected.mrEnclave = FixedBytes(repeating: 0xE1)
        enclave.policy.expected.mrSigner = FixedBytes(repeating: 0xE2)
        enclave.policy.expected.isvProdId = 1
        enclave.policy.expected.minimumIsvSvn = 1
        try enclave.verified().expectAccepted()
    }
}
