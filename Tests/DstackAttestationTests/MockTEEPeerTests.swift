import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Foundation
import Testing

/// Another implementation of quote verification, `dcap-qvl` for Python, where it is installed.
private enum PeerVerifier {
    static let absence: Testing.Comment = "needs another verifier: pip install dcap-qvl==0.7.0"

    static let isAvailable: Bool = (try? run("import dcap_qvl", [])) != nil

    static let script = """
        import sys, dcap_qvl
        directory, now = sys.argv[1], int(sys.argv[2])
        read = lambda name: open(directory + "/" + name, "rb").read()
        collateral = dcap_qvl.QuoteCollateralV3.from_json(read("collateral").decode())
        try:
            report = dcap_qvl.verify_with_root_ca(read("quote"), collateral, read("root"), now)
            print(report.status, end="")
        except ValueError as error:
            print("refused:", error, end="")
        """

    private struct Failure: Error {}

    private static func run(_ script: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure() }
        return String(decoding: text, as: UTF8.self)
    }

    /// The status, or "refused: …".
    static func verdict(_ quote: [UInt8], _ collateral: QuoteCollateral, root: [UInt8], now: Int64) throws -> String {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("dstack-peer-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        for (name, bytes) in [("quote", quote), ("collateral", collateral.json), ("root", root)] {
            try Data(bytes).write(to: directory.appendingPathComponent(name))
        }
        return try run(script, [directory.path, String(now)])
    }
}

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
}
