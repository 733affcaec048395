import DstackCrypto
import DstackEncoding
import Synchronization

/// A platform that prepared collateral has seen: what its PCK chain is worth under that collateral, and which quoting
/// enclave reports its PCK has signed.
///
/// What is remembered are facts about bytes ("this signature over these bytes is by this key", "this serial number is not
/// on this list"), never a verdict: validity in time, policy and everything in a quote are evaluated anew each time.
final class PlatformCache: Sendable {
    let evaluation: PlatformEvaluation

    private struct ProvenReport: Equatable {
        let digest: FixedBytes<32>
        let signature: FixedBytes<64>
    }

    /// A platform has one attestation key at a time, and so one report; a few more cover several quoting enclaves.
    private static let capacity = 4
    private let proven = Mutex<[ProvenReport]>([])

    init(_ evaluation: PlatformEvaluation) { self.evaluation = evaluation }

    /// Whether the PCK's signature over a report with this digest has been found good.
    func isProven(digest: FixedBytes<32>, signature: FixedBytes<64>) -> Bool {
        proven.withLock { $0.contains(ProvenReport(digest: digest, signature: signature)) }
    }

    func setProven(digest: FixedBytes<32>, signature: FixedBytes<64>) {
        proven.withLock { reports in
            if reports.count == Self.capacity { reports.removeFirst() }
            reports.append(ProvenReport(digest: digest, signature: signature))
        }
    }
}
