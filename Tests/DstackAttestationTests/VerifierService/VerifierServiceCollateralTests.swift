import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Foundation
import TestKit
import Testing

@Suite("Collateral from files")
struct VerifierServiceCollateralTests {
    private static let now = SimulatedVM.now

    private func platform(
        _ authority: MockPlatform.Configuration.PCKAuthority = .platform, fmspc: UInt8 = 1
    ) throws -> MockPlatform {
        var configuration = MockPlatform.Configuration()
        configuration.authority = authority
        configuration.fmspc = FixedBytes(repeating: fmspc)
        return try MockPlatform(seed: FixedBytes(repeating: 9), configuration)
    }

    private func quote(_ platform: MockPlatform) throws -> Quote {
        try Quote(parsing: MockTrustDomain(on: platform).quote(reportData: [1]))
    }

    @Test("the set for a quote's platform family, TEE and issuer is chosen, the latest of several")
    func choice() throws {
        let (one, two, processor) = (try platform(), try platform(fmspc: 2), try platform(.processor))
        let latest = try one.collateral(for: .tdx, at: Self.now)
        let sets = [
            try one.collateral(for: .tdx, at: Self.now - 86_400), latest,
            try one.collateral(for: .sgx, at: Self.now + 9),
            try two.collateral(for: .tdx, at: Self.now + 9), try processor.collateral(for: .tdx, at: Self.now + 9),
        ]
        for order in [sets, sets.reversed()] {
            let provider = try OfflineCollateral(order)
            #expect(try provider.collateral(for: quote(one)) == latest)
            #expect(try provider.collateral(for: quote(two)) == sets[3])
            #expect(try provider.collateral(for: quote(processor)) == sets[4])
        }
    }

    @Test("a platform that no set is for is an error that names it; one set alone answers everything")
    func noneFits() throws {
        let sets = [
            try platform().collateral(for: .tdx, at: Self.now), try platform().collateral(for: .sgx, at: Self.now),
        ]
        let other = try quote(platform(fmspc: 3))
        let error = #expect(throws: AttestationError.self) { try OfflineCollateral(sets).collateral(for: other) }
        #expect(error?.code == .collateralUnavailable)
        #expect(error?.reason == "none of 2 sets is for TDX on FMSPC 030303030303")
        #expect(try OfflineCollateral([sets[0]]).collateral(for: other) == sets[0])
        #expect(throws: AttestationError.self) { try OfflineCollateral([]).collateral(for: other) }
    }

    @Test("a file is one set, a directory one for each *.json")
    func files() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        #expect(throws: AttestationError.self) { try OfflineCollateral(path: directory.path) }
        let (one, two) = (try platform(), try platform(fmspc: 2))
        let sets = [try one.collateral(for: .tdx, at: Self.now), try two.collateral(for: .tdx, at: Self.now)]
        for (index, set) in sets.enumerated() {
            try Data(set.json).write(to: directory.appendingPathComponent("\(index).json"))
        }
        try Data("no collateral".utf8).write(to: directory.appendingPathComponent("README.md"))
        let provider = try OfflineCollateral(path: directory.path)
        #expect(try provider.collateral(for: quote(one)) == sets[0])
        #expect(try provider.collateral(for: quote(two)) == sets[1])
        let single = try OfflineCollateral(path: directory.appendingPathComponent("1.json").path)
        #expect(try single.collateral(for: quote(one)) == sets[1])

        try Data("{}".utf8).write(to: directory.appendingPathComponent("broken.json"))
        let error = #expect(throws: AttestationError.self) { try OfflineCollateral(path: directory.path) }
        #expect(error?.code == .invalidCollateral && error?.subject.hasSuffix("/broken.json") == true)
        let missing = #expect(throws: AttestationError.self) { try OfflineCollateral(path: "/nonexistent/c.json") }
        #expect(missing?.code == .collateralUnavailable)
    }

    @Test("a status that nobody knows is a verdict's to refuse, and keeps no set from being found")
    func unknownStatus() async throws {
        let platform = try platform()
        var strange = try platform.collateral(for: .tdx, at: Self.now)
        strange.tcbInfo = strange.tcbInfo.replacing("\"UpToDate\"", with: "\"Splendid\"")
        let files = try OfflineCollateral([strange, platform.collateral(for: .sgx, at: Self.now)])
        let quote = try quote(platform)
        #expect(try files.collateral(for: quote) == strange)
        let report = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: platform.rootCertificate)).verify(
            quote.encoded, collateral: strange, at: Self.now)
        #expect(report.verdict == .rejected && report.failure?.check == .tcbInfoFormat)
        #expect(report.failure?.message.contains("unknown TCB status") == true)
        strange.tcbInfo = strange.tcbInfo.replacing("\"fmspc\"", with: "\"fmspd\"")
        #expect(throws: AttestationError.self) { try OfflineCollateral([strange]) }
    }

    @Test(
        "real quotes find their collateral among others",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func real() throws {
        func collateral(_ name: String) throws -> QuoteCollateral {
            try QuoteCollateral(parsingJSON: Vectors.read("attestation/\(name)"))
        }
        let (tdx, sgx) = (try collateral("tdx_quote_collateral.json"), try collateral("sgx_quote_collateral.json"))
        let newer = try collateral("collateral_tdx_B0C06F_2026-10.json")
        let provider = try OfflineCollateral([tdx, sgx])
        #expect(try provider.collateral(for: Quote(parsing: Vectors.read("attestation/tdx_quote"))) == tdx)
        #expect(try provider.collateral(for: Quote(parsing: Vectors.read("attestation/sgx_quote"))) == sgx)
        let both = try OfflineCollateral([newer, tdx, sgx])
        #expect(try both.collateral(for: Quote(parsing: Vectors.read("attestation/tdx_quote"))) == newer)
    }
}
