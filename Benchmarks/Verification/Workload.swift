import DstackAttestation
import DstackCrypto
import DstackEncoding

/// A way to verify that is measured. One call verifies one quote.
enum Workload: String, CaseIterable, Sendable {
    /// Everything from bytes; tables for the keys that all platforms share, none for the platform's own: what a verifier
    /// that has run for a while spends on a platform that it has never seen.
    case cold
    /// The same with the collateral's JSON parsed each time.
    case coldJSON = "cold-json"
    /// Everything from bytes, the same platform over and over, so that its keys have tables too.
    case coldRepeated = "cold-repeated"
    /// Everything from bytes without any table, as in the first verifications of a process.
    case coldFirst = "cold-first"
    /// Prepared collateral, a platform that has been seen, its keys with tables.
    case preparedSeen = "prepared-seen"
    /// Prepared collateral, a platform that has been seen, its keys without tables, as in a fleet of thousands.
    case preparedFleet = "prepared-fleet"
    /// Prepared collateral, a platform that has not been seen.
    case preparedNew = "prepared-new"
}

/// A workload over a sample, ready to run.
struct Runner: Sendable {
    let verifyOne: @Sendable (Int) -> Bool

    init(_ workload: Workload, _ sample: Sample) {
        let quotes = sample.quotes
        let collateral = sample.collateral
        let anchor = sample.trustAnchor
        let time = sample.time
        @Sendable func isAccepted(_ report: VerificationReport) -> Bool { report.verdict == .accepted }

        // Tables for the common keys alone, and a threshold that no key reaches.
        let common = P256KeyTables(threshold: .max)
        if workload != .coldFirst { for key in sample.commonKeys { common.build(for: key) } }
        let verifier = QuoteVerifier(trustAnchor: anchor, tables: common)

        switch workload {
        case .cold, .coldFirst:
            verifyOne = { index in
                isAccepted(
                    verifier.verify(
                        quotes[index % quotes.count], collateral: collateral, policy: .authentic, at: time))
            }
        case .coldJSON:
            let json = sample.collateralJSON
            verifyOne = { index in
                guard let collateral = try? QuoteCollateral(parsingJSON: json) else { return false }
                return isAccepted(
                    verifier.verify(
                        quotes[index % quotes.count], collateral: collateral, policy: .authentic, at: time))
            }
        case .coldRepeated:
            let verifier = QuoteVerifier(trustAnchor: anchor, tables: P256KeyTables())
            verifyOne = { _ in
                isAccepted(verifier.verify(quotes[0], collateral: collateral, policy: .authentic, at: time))
            }
        case .preparedSeen:
            let prepared = QuoteVerifier(trustAnchor: anchor, tables: P256KeyTables()).prepare(collateral)
            verifyOne = { index in
                isAccepted(prepared.verify(quotes[index % quotes.count], policy: .authentic, at: time))
            }
        case .preparedFleet:
            let prepared = verifier.prepare(collateral)
            verifyOne = { index in
                isAccepted(prepared.verify(quotes[index % quotes.count], policy: .authentic, at: time))
            }
        case .preparedNew:
            let prepared = verifier.prepare(collateral)
            verifyOne = { index in
                prepared.forgetPlatforms()
                return isAccepted(prepared.verify(quotes[index % quotes.count], policy: .authentic, at: time))
            }
        }
    }

    /// Verifies so often that tables are built and platforms known.
    func warmUp() throws {
        for index in 0..<512 where !verifyOne(index) { throw BenchmarkError("a quote was rejected") }
    }
}

struct BenchmarkError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
