import DstackConcurrency
import DstackKeys
import DstackRPC
import DstackRPCServer
import Synchronization

/// Evidence about the keys that sign messages, which anybody may ask for on the public port: made once for each key and
/// state of the registers, and never more often than configured, whoever asks how often.
final class AppKeyEvidence: Sendable {
    private typealias Answer = Result<RPCReply<AgentRPC.GetQuoteResponse>, any Error>

    /// Collateral changes over the months; evidence of today should not be of last week.
    private static let maximumAge = Duration.seconds(600)

    private let recent: [KeyAlgorithm: RecentValue<Answer>]
    /// The quotes that may be made.
    private let quotes: Mutex<TokenBucket>

    init(quotesPerMinute: Int) {
        let perMinute = Double(quotesPerMinute)
        quotes = Mutex(TokenBucket(burst: max(2, perMinute / 4), perSecond: perMinute / 60))
        recent = KeyAlgorithm.allCases.reduce(into: [:]) { recent, algorithm in
            recent[algorithm] = RecentValue(maximumAge: Self.maximumAge) {
                if case .success = $0 { true } else { false }
            }
        }
    }

    func current(_ algorithm: KeyAlgorithm) -> RPCReply<AgentRPC.GetQuoteResponse>? {
        try? recent[algorithm]?.current?.value.get()
    }

    func invalidate() { for value in recent.values { value.invalidate() } }

    /// - Throws: an `RPCError` with status 429 where strangers have had quotes enough, else what `make` throws.
    func reply(
        _ algorithm: KeyAlgorithm, _ make: @escaping @Sendable () async throws -> AgentRPC.GetQuoteResponse
    ) async throws -> RPCReply<AgentRPC.GetQuoteResponse> {
        let answer = await recent[algorithm]?.value { [self] in
            guard quotes.withLock({ $0.take() }) else {
                return .failure(
                    RPCError("too many quotes were asked for on this port; try again in a minute", status: 429))
            }
            do { return .success(.prepared(try await make())) } catch { return .failure(error) }
        }
        guard let answer else { throw CancellationError() }
        return try answer.get()
    }
}
