import Synchronization

/// Runs cases and counts what becomes of them.
package final class FuzzRun: Sendable {
    /// What became of the cases of one kind.
    package struct Tally: Sendable {
        package var cases = 0
        package var neutral = 0
        package var expected = 0
        package var rejections: [String: Int] = [:]

        package var rejected: Int { rejections.values.reduce(0, +) }

        mutating func count(_ judgement: Judgement) {
            cases += 1
            switch judgement {
            case .rejected(let check): rejections[check, default: 0] += 1
            case .neutral: neutral += 1
            case .expected: expected += 1
            case .wrong: break
            }
        }

        mutating func add(_ other: Tally) {
            cases += other.cases
            neutral += other.neutral
            expected += other.expected
            rejections.merge(other.rejections) { $0 + $1 }
        }
    }

    /// A case with a wrong result.
    package struct Finding: Sendable {
        package let fuzzCase: FuzzCase
        package let seedName: String
        package let reason: String
        /// Seed of the run.
        package let seed: UInt64

        /// All that is needed to see it again.
        package var description: String {
            "--seed \(seed) --kind \(fuzzCase.kind.rawValue) --first \(fuzzCase.number) --count 1: \(seedName): "
                + "\(fuzzCase.summary): \(reason)"
        }
    }

    package let maker: CaseMaker
    private let oracle: Oracle

    private struct State {
        var tallies: [FuzzKind: Tally] = [:]
        var findings: [Finding] = []
    }

    private let state = Mutex(State())

    package init(_ corpus: Corpus, seed: UInt64) throws(FuzzFailure) {
        maker = CaseMaker(corpus: corpus, seed: seed)
        oracle = try Oracle(corpus)
    }

    package var tallies: [FuzzKind: Tally] { state.withLock { $0.tallies } }
    package var findings: [Finding] {
        state.withLock {
            $0.findings.sorted {
                ($0.fuzzCase.kind.rawValue, $0.fuzzCase.number) < ($1.fuzzCase.kind.rawValue, $1.fuzzCase.number)
            }
        }
    }

    /// Name of what a case was made from.
    package func seedName(_ fuzzCase: FuzzCase) -> String {
        switch fuzzCase.subject {
        case .exhibit: maker.corpus.seeds[fuzzCase.seed].name
        case .evidence: maker.corpus.texts.evidence[fuzzCase.seed].name
        case .bytes: "\(fuzzCase.kind.rawValue) \(fuzzCase.seed)"
        }
    }

    /// Makes and judges one case.
    @discardableResult
    package func run(_ kind: FuzzKind, _ number: Int) -> Judgement {
        let judgement: Judgement
        let fuzzCase: FuzzCase
        do throws(FuzzFailure) {
            fuzzCase = try maker.make(kind, number)
            judgement = oracle.judge(fuzzCase)
        } catch {
            fuzzCase = FuzzCase(kind, number: number, seed: 0, changes: ["could not be made"], subject: .bytes([]))
            judgement = .wrong(error.description)
        }
        let name = seedName(fuzzCase)
        state.withLock { state in
            state.tallies[kind, default: Tally()].count(judgement)
            if case .wrong(let reason) = judgement {
                state.findings.append(Finding(fuzzCase: fuzzCase, seedName: name, reason: reason, seed: maker.seed))
            }
        }
        return judgement
    }
}
