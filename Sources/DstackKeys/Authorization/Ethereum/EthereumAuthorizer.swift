import DstackConcurrency
package import DstackEncoding
package import DstackSystem
import Synchronization

/// Asks the contract of a key management service on an Ethereum chain, through one node or several.
///
/// All that belongs to one decision is read at one block, whose hash is the same before and after. With ``Configuration/agree``
/// beyond one, so many nodes must give the very same answer at the very same block; then no single one of them can allow, or
/// keep up, what the chain does not say.
package final class EthereumAuthorizer: BootAuthorizer {
    package struct Configuration: Sendable, Equatable {
        /// Where nodes answer; with ``agree`` of one they are asked in this order, until one answers.
        package var nodes: [String]
        /// Of the service's contract.
        package var contract: FixedBytes<20>
        /// Nil for that of the first answer, which no later one may differ from.
        package var chainID: UInt64?
        /// How many nodes must give the same answer.
        package var agree = 1
        package var block = EthereumBlock.Choice.latest
        /// How old the block may be: a node that has stopped, or is being kept from the rest, still has what was revoked
        /// since. Nil for chains that make blocks only when there is something to put into them.
        package var maximumBlockAge: Duration? = .seconds(3600)
        package var connectTimeout = Duration.seconds(3)
        /// For one question to one node.
        package var nodeTimeout = Duration.seconds(5)
        /// For a decision with everything that belongs to it.
        package var timeout = Duration.seconds(15)

        package init(nodes: [String], contract: FixedBytes<20>) {
            self.nodes = nodes
            self.contract = contract
        }
    }

    /// What one node says, all of it at one block.
    private struct Reading: Hashable, Sendable {
        let chainID: UInt64
        let block: EthereumBlock
        let returned: [[UInt8]]
    }

    private struct Head: Sendable {
        let node: Int
        let chainID: UInt64
        /// The newest block that may be read at.
        let number: UInt64
    }

    private struct State {
        var chainID: UInt64?
        /// Until when a node that failed is left alone, as long as there are others.
        var avoidedUntil: [Int: ContinuousClock.Instant] = [:]
    }

    private static let avoidance = Duration.seconds(30)
    private static let patience = Duration.seconds(1)

    private let configuration: Configuration
    private let nodes: [EthereumNode]
    private let clock: any WallClock
    private let state: Mutex<State>

    /// - Throws: ``AuthorizationError`` `invalidConfiguration` for settings by which nothing could be decided, or one node
    ///   would count as several.
    package init(_ configuration: Configuration, clock: any WallClock = .system) throws(AuthorizationError) {
        func wrong(_ reason: String, _ hint: String) -> AuthorizationError {
            AuthorizationError(.invalidConfiguration, subject: "Ethereum nodes", reason: reason, hint: hint)
        }
        var nodes: [EthereumNode] = []
        for url in configuration.nodes {
            nodes.append(
                try EthereumNode(
                    url, connectTimeout: configuration.connectTimeout, timeout: configuration.nodeTimeout))
        }
        guard !nodes.isEmpty else { throw wrong("there is none", "give the URL of one at least") }
        guard 1...nodes.count ~= configuration.agree else {
            throw wrong(
                "\(configuration.agree) cannot agree where there are \(nodes.count)",
                "give more nodes, or ask for fewer")
        }
        // By host: another path, port or spelling there is the same party.
        guard configuration.agree == 1 || Set(nodes.map(\.host)).count == nodes.count else {
            throw wrong("two of them are at one host", "name each party once: agreement with oneself proves nothing")
        }
        guard !configuration.contract.isZero else {
            throw wrong("the contract's address is zero", "give the address of the KMS contract")
        }
        self.nodes = nodes
        self.configuration = configuration
        self.clock = clock
        state = Mutex(State(chainID: configuration.chainID))
    }

    // MARK: Deciding

    package func decide(_ info: BootInfo, as subject: BootSubject) async throws(AuthorizationError) -> BootDecision {
        let call: [UInt8]
        do throws(KMSContract.Missing) { call = try KMSContract.call(subject, info) } catch {
            // The contract would be asked about zeros, which somebody may have listed.
            return .denied("\(error.name) is missing")
        }
        return try await read([call, KMSContract.gatewayAppIDCall]) { (reading) throws(DecodingFailure) in
            let (isAllowed, reason) = try KMSContract.decision(reading.returned[0])
            return BootDecision(
                isAllowed: isAllowed, gatewayAppID: try KMSContract.gatewayAppID(reading.returned[1]),
                reason: isAllowed ? "" : reason)
        }
    }

    package func info() async throws(AuthorizationError) -> AuthorizerInfo {
        let calls = [KMSContract.gatewayAppIDCall, KMSContract.appImplementationCall]
        return try await read(calls) {
            [contract = configuration.contract, url = nodes.first?.name]
            (reading) throws(DecodingFailure) in
            AuthorizerInfo(
                kmsContractAddress: "0x" + contract.hex, ethereumURL: url,
                gatewayAppID: try KMSContract.gatewayAppID(reading.returned[0]), chainID: reading.chainID,
                appImplementation: "0x" + (try KMSContract.appImplementation(reading.returned[1])).hex)
        }
    }

    private typealias Decoder<Value> = @Sendable (Reading) throws(DecodingFailure) -> Value

    private static func decoded<Value>(
        _ reading: Reading, _ decode: Decoder<Value>
    ) throws(AuthorizationError) -> Value {
        do throws(DecodingFailure) { return try decode(reading) } catch {
            throw AuthorizationError(.invalidAnswer, subject: "contract", reason: error.description)
        }
    }

    // MARK: Reading

    /// - Parameter decode: what the contract's functions returned, as what it means.
    private func read<Value: Sendable>(
        _ calls: [[UInt8]], _ decode: @escaping Decoder<Value>
    ) async throws(AuthorizationError) -> Value {
        do {
            return try await Deadline.run(
                within: configuration.timeout,
                orThrow: AuthorizationError(
                    .unavailable, subject: "Ethereum nodes",
                    reason: "no answer within \(DurationText.format(self.configuration.timeout))")
            ) { [self] in
                guard configuration.agree > 1 else { return try await first(calls, decode) }
                let reading = try await agreed(calls)
                try remember(reading.chainID)
                return try Self.decoded(reading, decode)
            }
        } catch let error as AuthorizationError {
            throw error
        } catch {
            throw AuthorizationError(.unavailable, subject: "Ethereum nodes", reason: "the question was withdrawn")
        }
    }

    /// The chain of the first answer is that of all.
    private func remember(_ chainID: UInt64) throws(AuthorizationError) {
        let known = state.withLock { state in
            state.chainID = state.chainID ?? chainID
            return state.chainID ?? chainID
        }
        guard known == chainID else {
            throw AuthorizationError(
                .invalidAnswer, subject: "Ethereum nodes", reason: "they are of chain \(chainID), expected \(known)")
        }
    }

    /// The answer of the first node that has one.
    private func first<Value>(
        _ calls: [[UInt8]], _ decode: Decoder<Value>
    ) async throws(AuthorizationError) -> Value {
        var failures: [AuthorizationError] = []
        for node in order() {
            do throws(AuthorizationError) {
                let head = try await head(of: node)
                let reading = try await reading(of: node, head.chainID, at: head.number, calls)
                let value = try Self.decoded(reading, decode)
                try remember(reading.chainID)
                return value
            } catch {
                failures.append(error)
                avoid(node)
            }
        }
        throw Self.together(failures)
    }

    /// An answer that so many nodes give.
    ///
    /// Nodes are not equally far: what is tried first is the newest block that enough of them have, and then older ones, in
    /// case one of them only claims to be ahead.
    private func agreed(_ calls: [[UInt8]]) async throws(AuthorizationError) -> Reading {
        var failures: [AuthorizationError] = []
        let preferred = order().filter { !isAvoided($0) }
        // Nobody is waited for long who is not needed; only where the others do not agree.
        let rounds: [(nodes: [Int], patience: Duration?)] =
            (preferred.count >= configuration.agree ? [(preferred, Self.patience)] : []) + [(order(), nil)]
        for (nodes, patience) in rounds {
            failures = []
            var heads: [Head] = []
            let isEnough: ([Head]) -> Bool = { patience != nil && $0.count >= self.configuration.agree }
            let results = await asking(nodes, until: isEnough, patience ?? .zero) { try await self.head(of: $0) }
            for (node, result) in results {
                switch result {
                case .success(let head): heads.append(head)
                case .failure(let error):
                    failures.append(error)
                    avoid(node)
                }
            }
            heads.sort { $0.number > $1.number }
            var candidates: [UInt64] = []
            for head in heads.dropFirst(configuration.agree - 1) where candidates.last != head.number {
                candidates.append(head.number)
            }
            for number in candidates {
                let able = heads.filter { $0.number >= number }
                switch await consensus(able, at: number, calls) {
                case .success(let reading): return reading
                case .failure(let error): failures.append(error)
                }
            }
        }
        throw Self.together(failures)
    }

    /// What enough of some nodes say at a block.
    private func consensus(
        _ heads: [Head], at number: UInt64, _ calls: [[UInt8]]
    ) async -> Result<Reading, AuthorizationError> {
        let chains = Dictionary(heads.map { ($0.node, $0.chainID) }) { first, _ in first }
        var failures: [AuthorizationError] = []
        var counts: [Reading: Int] = [:]
        // Where more than half must agree, two answers cannot both be agreed upon.
        let isMajority = configuration.agree * 2 > nodes.count
        let isEnough: ([Reading]) -> Bool = { [agree = configuration.agree] readings in
            guard isMajority, let last = readings.last else { return false }
            return readings.count { $0 == last } >= agree
        }
        let results = await asking(heads.map(\.node), until: isEnough) { node in
            try await self.reading(of: node, chains[node] ?? 0, at: number, calls)
        }
        for (node, result) in results {
            switch result {
            case .success(let reading): counts[reading, default: 0] += 1
            case .failure(let error):
                failures.append(error)
                if error.code == .unavailable { avoid(node) }
            }
        }
        let winners = counts.filter { $0.value >= configuration.agree }
        if let winner = winners.first, winners.count == 1 { return .success(winner.key) }
        guard counts.count > 1 else { return .failure(Self.together(failures)) }
        return .failure(
            AuthorizationError(
                .invalidAnswer, subject: "Ethereum nodes",
                reason: "they say different things of block \(number), where \(configuration.agree) must agree"))
    }

    /// Asks nodes all at once.
    ///
    /// - Parameters:
    ///   - isEnough: whether the answers so far will do; the others are waited for no longer than `patience` then.
    private func asking<Answer: Sendable>(
        _ nodes: [Int], until isEnough: ([Answer]) -> Bool, _ patience: Duration = .zero,
        _ ask: @escaping @Sendable (Int) async throws -> Answer
    ) async -> [(Int, Result<Answer, AuthorizationError>)] {
        // Nil when the patience is over.
        await withTaskGroup(of: (Int, Result<Answer, AuthorizationError>)?.self) { group in
            for node in nodes {
                group.addTask {
                    do { return (node, .success(try await ask(node))) } catch {
                        let error = error as? AuthorizationError
                        return (
                            node,
                            .failure(error ?? self.nodes[node].failure(.unavailable, "the question was withdrawn"))
                        )
                    }
                }
            }
            var results: [(Int, Result<Answer, AuthorizationError>)] = []
            var answers: [Answer] = []
            var isImpatient = false
            for await result in group {
                guard let result else { break }
                results.append(result)
                if case .success(let answer) = result.1 { answers.append(answer) }
                guard results.count < nodes.count else { break }
                if isImpatient || !isEnough(answers) { continue }
                guard patience > .zero else { break }
                isImpatient = true
                group.addTask {
                    try? await Task.sleep(for: patience)
                    return nil
                }
            }
            group.cancelAll()
            return results
        }
    }

    // MARK: One node

    private func head(of index: Int) async throws(AuthorizationError) -> Head {
        let node = nodes[index]
        let chainID = try await node.chainID()
        if let known = state.withLock({ $0.chainID }), known != chainID {
            throw node.failure(.invalidAnswer, "it is of chain \(chainID), expected \(known)")
        }
        let newest = try await node.block(configuration.block.tag).number
        guard case .confirmations(let count) = configuration.block else {
            return Head(node: index, chainID: chainID, number: newest)
        }
        guard newest >= count else {
            throw node.failure(.unavailable, "its chain has no block with \(count) confirmations")
        }
        return Head(node: index, chainID: chainID, number: newest - count)
    }

    private func reading(
        of index: Int, _ chainID: UInt64, at number: UInt64, _ calls: [[UInt8]]
    ) async throws(AuthorizationError) -> Reading {
        let node = nodes[index]
        let tag = EthereumNode.numberTag(number)
        let block = try await node.block(tag)
        guard block.number == number else {
            throw node.failure(.invalidAnswer, "it has block \(block.number) in place of \(number)")
        }
        try checkAge(block, node)
        var returned: [[UInt8]] = []
        for call in calls { returned.append(try await node.call(configuration.contract, call, at: number)) }
        // Were the chain to change its mind in between, the parts would be of different ones.
        guard try await node.block(tag) == block else {
            throw node.failure(.unavailable, "block \(number) was replaced meanwhile")
        }
        return Reading(chainID: chainID, block: block, returned: returned)
    }

    private func checkAge(_ block: EthereumBlock, _ node: EthereumNode) throws(AuthorizationError) {
        guard let limit = configuration.maximumBlockAge else { return }
        let now = UInt64(clamping: clock.unixSeconds)
        let age = Duration.seconds(Int64(clamping: now > block.timestamp ? now - block.timestamp : 0))
        guard age <= limit else {
            throw node.failure(
                .unavailable,
                "block \(block.number) is \(DurationText.format(age)) old, at most \(DurationText.format(limit)) are accepted"
            )
        }
    }

    // MARK: Which are asked

    /// All nodes, those that failed a moment ago last.
    private func order() -> [Int] {
        let avoided = Set(nodes.indices.filter(isAvoided))
        return nodes.indices.filter { !avoided.contains($0) } + nodes.indices.filter { avoided.contains($0) }
    }

    private func isAvoided(_ node: Int) -> Bool {
        state.withLock { $0.avoidedUntil[node].map { $0 > .now } ?? false }
    }

    private func avoid(_ node: Int) {
        // Whoever gives up waiting says nothing about the node.
        guard !Task.isCancelled else { return }
        state.withLock { $0.avoidedUntil[node] = .now + Self.avoidance }
    }

    /// One failure of several: what came back and was no answer says more than that somebody could not be reached.
    private static func together(_ failures: [AuthorizationError]) -> AuthorizationError {
        guard let first = failures.first else {
            return AuthorizationError(
                .unavailable, subject: "Ethereum nodes", reason: "too few have a block that may be read at")
        }
        guard failures.count > 1 else { return first }
        let code: AuthorizationError.Code =
            failures.contains { $0.code == .invalidAnswer } ? .invalidAnswer : .unavailable
        return AuthorizationError(
            code, subject: "Ethereum nodes", reason: failures.map(\.description).joined(separator: "; "))
    }
}
