import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Testing

@Suite("Verification: why a platform is outdated")
struct TCBShortfallTests {
    /// A change of Intel's statements, and what must be said of the platform then.
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let tee: TEEType
        let edit: @Sendable (inout MockCollateral) -> Void
        let lines: [(TCBShortfall.Component, UInt16, UInt16, TCBShortfall.Remedy)]

        init(
            _ name: String, _ lines: [(TCBShortfall.Component, UInt16, UInt16, TCBShortfall.Remedy)],
            _ tee: TEEType = .tdx,
            _ edit: @escaping @Sendable (inout MockCollateral) -> Void
        ) {
            (testDescription, self.tee, self.lines, self.edit) = (name, tee, lines, edit)
        }
    }

    static let rows: [Row] = [
        Row("nothing", []) { _ in },
        Row("the TDX module", [(.tdxModule, 5, 7, .tdxModule)]) {
            $0.tcbInfo.moduleIdentities?[0].levels[0].isvSvn = 7
        },
        Row("microcode of the BIOS", [(.sgx(1), 5, 6, .biosMicrocode)]) { $0.tcbInfo.levels[0].sgxComponents[0] = 6 },
        Row("microcode of the operating system", [(.sgx(2), 5, 9, .microcode)], .sgx) {
            $0.tcbInfo.levels[0].sgxComponents[1] = 9
        },
        Row("SINIT", [(.sgx(3), 2, 3, .authenticatedCodeModule)]) { $0.tcbInfo.levels[0].sgxComponents[2] = 3 },
        Row("the BIOS", [(.sgx(4), 2, 3, .bios)]) { $0.tcbInfo.levels[0].sgxComponents[3] = 3 },
        Row("a component without a name", [(.sgx(16), 0, 1, .microcodeOrBIOS)]) {
            $0.tcbInfo.levels[0].sgxComponents[15] = 1
        },
        Row("a TDX component", [(.tdx(3), 2, 4, .microcode)]) { $0.tcbInfo.levels[0].tdxComponents?[2] = 4 },
        Row("the PCE", [(.pce, 13, 14, .pce)], .sgx) { $0.tcbInfo.levels[0].pceSvn = 14 },
        Row("the quoting enclave", [(.quotingEnclave, 8, 9, .quotingEnclave)]) {
            $0.qeIdentity.levels[0].isvSvn = 9
        },
        Row(
            "several at once",
            [
                (.sgx(1), 5, 6, .biosMicrocode), (.pce, 13, 20, .pce), (.tdxModule, 5, 6, .tdxModule),
                (.quotingEnclave, 8, 10, .quotingEnclave),
            ]
        ) {
            $0.tcbInfo.levels[0].sgxComponents[0] = 6
            $0.tcbInfo.levels[0].pceSvn = 20
            $0.tcbInfo.moduleIdentities?[0].levels[0].isvSvn = 6
            $0.qeIdentity.levels[0].isvSvn = 10
        },
        Row("a platform below every level", [(.pce, 13, 20, .pce)]) {
            $0.tcbInfo.levels.removeLast()
            $0.tcbInfo.levels[0].pceSvn = 20
        },
        Row("a quoting enclave below every level", [(.quotingEnclave, 8, 10, .quotingEnclave)]) {
            $0.qeIdentity.levels.removeLast()
            $0.qeIdentity.levels[0].isvSvn = 10
        },
        Row("the nearest of several levels", [(.pce, 13, 14, .pce)]) {
            var nearer = $0.tcbInfo.levels[0]
            nearer.pceSvn = 14
            nearer.status = .swHardeningNeeded
            $0.tcbInfo.levels[0].pceSvn = 15
            $0.tcbInfo.levels[0].sgxComponents[0] = 9
            $0.tcbInfo.levels.insert(nearer, at: 1)
        },
    ]

    @Test("each component that falls short is named, with what is found, needed, and raises it", arguments: rows)
    func components(_ row: Row) throws {
        var evidence = try MockEvidence(row.tee)
        evidence.collateral { row.edit(&$0) }
        for policy in [VerificationPolicy.standard, .authentic] {
            evidence.policy = policy
            let report = try evidence.verified()
            // Accepted or not: what is outdated is said.
            #expect((report.status == .upToDate) == row.lines.isEmpty)
            let found = report.tcbShortfalls
            #expect(found.map(\.component) == row.lines.map(\.0))
            #expect(found.map(\.found) == row.lines.map(\.1))
            if policy == .standard { #expect(found.map(\.needed) == row.lines.map(\.2)) }
            #expect(found.map(\.remedy) == row.lines.map(\.3))
            let text = report.text()
            for shortfall in found { #expect(text.contains(shortfall.line)) }
            let json = try JSONDocument(parsing: report.json(), subject: "report").root
            let members = try json.member("tcb_shortfalls").array().map { $0 }
            #expect(try members.map { try $0.member("found").integer(UInt16.self) } == row.lines.map(\.1))
            #expect(try members.allSatisfy { try !$0.member("advice").string().isEmpty })
        }
    }

    @Test("what a check of levels expects is what the level demands, not what the platform has")
    func demand() throws {
        for tee in TEEType.allCases {
            var evidence = try MockEvidence(tee)
            evidence.collateral { $0.tcbInfo.levels[0].pceSvn = 11 }
            let check = try #require(try evidence.verified().checks.first { $0.id == .tcbLevel })
            #expect(check.expected.contains("PCESVN 11") && check.found.contains("PCESVN 13"))
            #expect(check.found.contains("UpToDate"))
            #expect(check.expected.contains("TEE TCB SVN from byte 2") == (tee == .tdx))
            // Reaches no level: the lowest is what would be needed.
            evidence.collateral {
                $0.tcbInfo.levels.removeLast()
                $0.tcbInfo.levels[0].pceSvn = 99
            }
            let failed = try #require(try evidence.verified().checks.first { $0.id == .tcbLevel })
            #expect(failed.expected.contains("at least") && failed.expected.contains("PCESVN 99"))
        }
    }

    @Test("statements that are not Intel's explain nothing")
    func forged() throws {
        var evidence = try MockEvidence(.tdx)
        evidence.collateral {
            $0.tcbInfo.levels[0].pceSvn = 99
            $0.tampering = { $0.tcbInfoSignature = [UInt8](repeating: 1, count: 64) }
        }
        let report = try evidence.verified()
        #expect(report.failure?.check == .tcbInfoSignature && report.tcbShortfalls.isEmpty)
    }

    @Test("a trust domain that was launched before the update is to be launched again")
    func relaunch() throws {
        var evidence = try MockEvidence(.tdx)
        evidence.domain.reportForm = .td15
        evidence.quote { quote in
            guard case .td15(var report) = quote.body else { return }
            report.base.teeTcbSvn = FixedBytes([3, 1, 2] + [UInt8](repeating: 0, count: 13)) ?? FixedBytes()
            quote.body = .td15(report)
        }
        let report = try evidence.verified()
        #expect(report.status == .tdRelaunchAdvised)
        #expect(report.tcbShortfalls.map(\.component) == [.tdxModule])
        #expect(report.tcbShortfalls.map(\.remedy) == [.relaunch])
    }
}
