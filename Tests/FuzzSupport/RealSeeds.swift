import DstackAttestation
import DstackSystem

/// Intel-signed evidence, from a directory of vectors.
struct RealSeeds {
    private(set) var seeds: [Seed] = []
    private(set) var donors: [Donor] = []

    /// Nil if there are no vectors at this place.
    init?(directory: String) throws(FuzzFailure) {
        let folder = directory + "/attestation/"
        func read(_ name: String) -> [UInt8]? { try? File.read(folder + name, limit: 16 << 20) }
        guard let tdx = read("tdx_quote"), let sgx = read("sgx_quote"),
            let envelope = read("simulator_attestation.bin"), let older = read("tdx_quote_collateral.json"),
            let newer = read("collateral_tdx_B0C06F_2026-10.json"), let enclave = read("sgx_quote_collateral.json")
        else { return nil }
        do {
            guard let simulator = try Attestation(decoding: envelope).quote else { return nil }
            for (name, machine, quote, text, tee, time, window) in [
                ("real-tdx", "1", tdx, older, TEEType.tdx, 1_751_624_190, 1_750_329_147...1_752_919_234),
                ("real-tdx-outdated", "1", tdx, newer, .tdx, 1_792_714_008, nil),
                ("real-tdx-padded", "2", simulator, newer, .tdx, 1_792_714_008, 1_791_419_306...1_794_008_711),
                ("real-sgx", "3", sgx, enclave, .sgx, 1_751_624_190, 1_750_330_571...1_752_919_278),
            ] as [(String, String, [UInt8], [UInt8], TEEType, Int64, ClosedRange<Int64>?)] {
                seeds.append(
                    Seed(
                        name: name,
                        exhibit: Exhibit(
                            quote: quote, collateral: try QuoteCollateral(parsingJSON: text),
                            root: TrustAnchor.intel.der, time: time),
                        anchor: .intel, tee: tee, window: window, source: nil,
                        origin: Self.origin(machine, tee)))
            }
        } catch {
            throw FuzzFailure("vectors in \(folder): \(error)")
        }
        // Authentic too, but of a platform below every level.
        if let old = read("ratls_asset_tdx_quote") {
            donors.append(Donor(quote: old, origin: Self.origin("4", .tdx)))
        }
    }

    /// The TDX machines are of one family and under the Platform CA, the SGX machine is under the Processor CA.
    private static func origin(_ machine: String, _ tee: TEEType) -> Origin {
        Origin(
            root: "Intel", machine: machine, authority: tee == .tdx ? "platform" : "processor",
            family: tee == .tdx ? "B0C06F000000" : "00A067110000", tee: tee)
    }
}
