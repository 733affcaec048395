import DstackKeys
import DstackRPC
import DstackRPCServer
import DstackSystem
import Synchronization

/// Evidence about the keys that sign messages, which anybody may ask for on the public port: made once for each key and
/// state of the registers, and never more often than configured, whoever asks how often.
final class AppKeyEvidence: Sendable {
    private struct Entry {
        let reply: RPCReply<AgentRPC.GetQuoteResponse>
        let madeAt: ContinuousClock.Instant
    }

    private struct State {
        var entries: [KeyAlgorithm: Entry] = [:]
        var flights: [KeyAlgorithm: Task<RPCReply<AgentRPC.GetQuoteResponse>, any Error>] = [:]
        var generation: UInt64 = 0
        /// The quotes that may be made.
        var quotes: TokenBucket
    }

    /// Collateral changes over the months; evidence of today should not be of last week.
    private static let maximumAge = Duration.seconds(600)

    private let state: Mutex<State>

    init(quotesPerMinute: Int) {
        let perMinute = Double(quotesPerMinute)
        state = Mutex(State(quotes: TokenBucket(burst: max(2, perMinute / 4), perSecond: perMinute / 60)))
    }

    func current(_ algorithm: KeyAlgorithm) -> RPCReply<AgentRPC.GetQuoteResponse>? {
        state.withLock { state in
            guard let entry = state.entries[algorithm], entry.madeAt.duration(to: .now) < Self.maximumAge else {
                return nil
            }
            return entry.reply
        }
    }

    func invalidate() {
        state.withLock { state in
            state.generation += 1
            state.entries = [:]
            state.flights = [:]
        }
    }

    /// - Throws: an `RPCError` with status 429 where strangers have had quotes enough, else what `make` throws.
    func reply(
        _ algorithm: KeyAlgorithm, _ make: @escaping @Sendable () async throws -> AgentRPC.GetQuoteResponse
    ) async throws -> RPCReply<AgentRPC.GetQuoteResponse> {
        if let reply = current(algorithm) { return reply }
        let task = try state.withLock { state throws(RPCError) in
            if let flight = state.flights[algorithm] { return flight }
            guard state.quotes.take() else {
                throw RPCError("too many quotes were asked for on this port; try again in a minute", status: 429)
            }
            let generation = state.generation
            let task = Task<RPCReply<AgentRPC.GetQuoteResponse>, any Error> { [self] in
                do {
                    let reply = RPCReply<AgentRPC.GetQuoteResponse>.prepared(try await make())
                    finish(algorithm, generation, Entry(reply: reply, madeAt: .now))
                    return reply
                } catch {
                    finish(algorithm, generation, nil)
                    throw error
                }
            }
            state.flights[algorithm] = task
            return task
        }
        return try await task.value
    }

    private func finish(_ algorithm: KeyAlgorithm, _ generation: UInt64, _ entry: Entry?) {
        state.withLock { state in
            guard state.generation == generation else { return }
            state.flights[algorithm] = nil
            if let entry { state.entries[algorithm] = entry }
        }
    }
}
