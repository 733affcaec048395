import DstackAttestation
import DstackEncoding
import DstackMockTEE

/// Simulated evidence of every kind.
struct SimulatedSeeds {
    private(set) var seeds: [Seed] = []
    private(set) var donors: [Donor] = []
    let strangers: [Mint]
    /// A machine with the Platform CA, one with the Processor CA, both under one root.
    private let platform: Mint
    private let processor: Mint

    init() throws(FuzzFailure) {
        platform = try Mint(authorities: "A", machine: "1", MockPlatform.Configuration())
        processor = try Mint(authorities: "A", machine: "2", Self.processorConfiguration)
        // The same machine's description under another root; and a machine under the same root with the same versions.
        strangers = [
            try Mint(authorities: "B", machine: "3", MockPlatform.Configuration()),
            try Mint(authorities: "A", machine: "4", MockPlatform.Configuration()),
        ]
    }

    private static var processorConfiguration: MockPlatform.Configuration {
        var configuration = MockPlatform.Configuration()
        configuration.authority = .processor
        configuration.fmspc = FixedBytes(Array("SIMUL\u{1}".utf8)) ?? FixedBytes()
        configuration.sgxType = 0
        configuration.pceSvn = 11
        configuration.cpuSvn = FixedBytes([7, 9, 3, 3, 255, 255, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]) ?? FixedBytes()
        configuration.pceId = FixedBytes([0x12, 0xAB]) ?? FixedBytes()
        configuration.teeTcbSvn = FixedBytes([2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) ?? FixedBytes()
        return configuration
    }

    /// A body with a value of its own in every register.
    private static func body(_ mint: Mint, _ form: MockTrustDomain.ReportForm, _ text: String) -> QuoteBody {
        var domain = MockTrustDomain(on: mint.platform)
        domain.reportForm = form
        domain.mrConfigId = FixedBytes(repeating: 0xC1)
        domain.mrOwner = FixedBytes(repeating: 0xC2)
        domain.mrOwnerConfig = FixedBytes(repeating: 0xC3)
        for register in 0..<4 { try? domain.extend(register, with: FixedBytes(repeating: UInt8(0xD0 + register))) }
        return domain.report(reportData: Self.reportData(text))
    }

    private static func reportData(_ text: String) -> FixedBytes<64> {
        FixedBytes(Array(text.utf8) + [UInt8](repeating: 0, count: 64 - text.utf8.count)) ?? FixedBytes()
    }

    mutating func build() throws(FuzzFailure) {
        let current = SeedDocuments(status: .upToDate)
        let hardening = SeedDocuments(status: .swHardeningNeeded, advisoryIDs: ["SIMULATED-SA-00030"])
        try add("tdx10-v4", platform, Self.body(platform, .td10, "one"), nil, .chain, current)
        try add("tdx10-v5", platform, Self.body(platform, .td10, "two"), 5, .chain, hardening)
        try add("tdx15", platform, Self.body(platform, .td15, "three"), nil, .chain, current)
        try add("tdx15ex", platform, Self.body(platform, .td15Extended, "four"), nil, .chain, hardening)
        try add("tdx15-relaunch", processor, Self.relaunching(processor), nil, .chain, current)
        try add(
            "tdx10-encrypted-ppid", platform, Self.body(platform, .td10, "six"), nil, .encryptedPPIDRSA3072,
            SeedDocuments(status: .outOfDate, advisoryIDs: ["SIMULATED-SA-00031", "SIMULATED-SA-00032"]))
        try add(
            "tdx10-processor", processor, Self.body(processor, .td10, "seven"), nil, .chain,
            SeedDocuments(status: .upToDate, qeStatus: .outOfDate))
        for (name, mint, documents) in [
            ("sgx", platform, SeedDocuments(status: .configurationAndSWHardeningNeeded)),
            ("sgx-processor", processor, current),
        ] {
            let report = mint.platform.enclaveReport(reportData: Self.reportData(name))
            try add(name, mint, .sgxEnclave(report), nil, .chain, documents)
        }
        for (stranger, root) in zip(strangers, ["B", "A"]) {
            for (tee, body) in [
                (TEEType.tdx, Self.body(stranger, .td10, "stranger")),
                (.sgx, .sgxEnclave(stranger.platform.enclaveReport(reportData: FixedBytes()))),
            ] {
                donors.append(
                    Donor(
                        quote: try stranger.quote(body), collateral: try stranger.collateral(for: tee, at: Corpus.now),
                        origin: Self.origin(stranger, root: root, tee)))
            }
        }
        // Editions of the first machine's collateral: a year old, and of a platform that is out of date.
        for tee in TEEType.allCases {
            for collateral in [
                try platform.collateral(for: tee, at: Corpus.now - 365 * 86_400),
                try platform.collateral(for: tee, at: Corpus.now, edit: { $0.tcbInfo.levels[0].status = .outOfDate }),
            ] { donors.append(Donor(collateral: collateral, origin: Self.origin(platform, root: "A", tee))) }
        }
    }

    private static func origin(_ mint: Mint, root: String, _ tee: TEEType) -> Origin {
        let configuration = mint.platform.configuration
        return Origin(
            root: root, machine: mint.pck.point.hex, authority: configuration.authority.rawValue,
            family: configuration.fmspc.hex + configuration.pceId.hex, tee: tee)
    }

    /// Launched on an older TDX module than the one that runs now.
    private static func relaunching(_ mint: Mint) -> QuoteBody {
        guard case .td15(var report) = body(mint, .td15, "five") else { return body(mint, .td15, "five") }
        report.base.teeTcbSvn[0] = 1
        return .td15(report)
    }

    private mutating func add(
        _ name: String, _ mint: Mint, _ body: QuoteBody, _ version: UInt16?, _ certification: MockCertification,
        _ documents: SeedDocuments
    ) throws(FuzzFailure) {
        let source = Seed.Source(
            mint: mint, body: body, version: version, certification: certification, documents: documents)
        let exhibit = try source.exhibit()
        let anchor: TrustAnchor
        do {
            anchor = try TrustAnchor(certificate: exhibit.root)
        } catch {
            throw FuzzFailure("simulated root: \(error)")
        }
        let tee: TEEType = body.enclaveReport != nil ? .sgx : .tdx
        seeds.append(
            Seed(
                name: name, exhibit: exhibit, anchor: anchor, tee: tee,
                window: SeedDocuments.window(at: exhibit.time), source: source,
                origin: Self.origin(mint, root: "A", tee)))
    }
}
