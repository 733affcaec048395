package import DstackAttestation
import DstackCrypto
import DstackEncoding
package import DstackMockTEE
import DstackSystem

/// Genuine evidence to mutate.
package struct Seed: Sendable {
    package let name: String
    package let exhibit: Exhibit
    package let anchor: TrustAnchor
    package let tee: TEEType
    /// When it is accepted, both ends inclusive; nil where nobody has measured it.
    package let window: ClosedRange<Int64>?
    /// How to make more of it; nil for real evidence.
    package let source: Source?
    /// Whose it is.
    let origin: Origin

    /// A simulated platform and what its evidence is made from.
    package struct Source: Sendable {
        package var mint: Mint
        package var body: QuoteBody
        package var version: UInt16?
        package var certification: MockCertification
        package var documents: SeedDocuments

        /// Quote and collateral, issued anew.
        package func exhibit(
            at now: Int64 = Corpus.now, editQuote: (inout MockQuote) -> Void = { _ in },
            editCollateral: (inout MockCollateral) -> Void = { _ in }
        ) throws(FuzzFailure) -> Exhibit {
            let quote = try mint.quote(body, version: version, certification: certification, edit: editQuote)
            let collateral = try mint.collateral(for: body.enclaveReport != nil ? .sgx : .tdx, at: now) { draft in
                documents.apply(to: &draft)
                draft.includesPCKChain = certification != .chain
                editCollateral(&draft)
            }
            return Exhibit(quote: quote, collateral: collateral, root: mint.platform.rootCertificate, time: now)
        }
    }
}

/// What genuine evidence is for: parts go together only as far as this is the same.
struct Origin: Hashable, Sendable {
    /// Which root everything leads back to.
    var root: String
    /// Which machine's key signs.
    var machine: String
    /// Which CA issued the PCK certificate.
    var authority: String
    /// FMSPC and PCE-ID.
    var family: String
    var tee: TEEType
}

/// Genuine evidence that is no seed: whole, or a part.
struct Donor: Sendable {
    var quote: [UInt8]?
    var collateral: QuoteCollateral?
    let origin: Origin
}

/// The genuine evidence of a run: a simulated platform's of every kind, and real vectors where they are at hand.
package struct Corpus: Sendable {
    /// The time of verification of simulated evidence: 2026-09-21T14:13:20Z.
    package static let now: Int64 = 1_790_000_000

    package let seeds: [Seed]
    /// Seeds that can be issued anew.
    package let simulated: [Int]
    /// Genuine quotes and collateral that are for something else: other machines, other roots, other editions.
    let donors: [Donor]
    let donorQuotes: [[UInt8]]
    let donorCollateral: [QuoteCollateral]
    /// Keys that sign nothing in any seed, or something else: forgers'.
    let strangers: [Mint]
    /// Evidence beside a quote.
    let texts: SeedTexts
    /// What was found of real evidence, for the summary.
    package let vectors: String

    /// - Parameter vectors: a directory with `attestation/`; nil for simulated evidence only.
    package init(vectors: String?) throws(FuzzFailure) {
        var makers = try SimulatedSeeds()
        try makers.build()
        var seeds = makers.seeds
        simulated = Array(seeds.indices)
        var donors = makers.donors
        if let vectors, let real = try RealSeeds(directory: vectors) {
            seeds += real.seeds
            donors += real.donors
            self.vectors = "\(real.seeds.count) real exhibits from \(vectors)"
        } else {
            self.vectors = "no real exhibits (\(vectors ?? "none asked for"))"
        }
        strangers = makers.strangers
        for seed in seeds {
            donors.append(
                Donor(quote: seed.exhibit.quote, collateral: seed.exhibit.collateral, origin: seed.origin))
        }
        self.donors = donors
        donorQuotes = donors.compactMap(\.quote)
        donorCollateral = donors.compactMap(\.collateral)
        self.seeds = seeds
        texts = try SeedTexts(vectors: vectors)
    }
}
