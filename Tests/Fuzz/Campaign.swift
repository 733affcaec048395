import DstackCommandLine
import DstackSystem
import FuzzSupport
import Glibc
import Synchronization

/// One run over many cases on several threads.
struct Campaign: Sendable {
    /// Cases of one kind with numbers of their own.
    private struct Share: Sendable {
        /// Nil for all kinds of quotes and collateral by turns.
        let kind: FuzzKind?
        let first: Int
        let count: Int
    }

    private let console: Console
    private let shares: [Share]
    private let total: Int
    private let threads: Int
    private let limit: Duration
    private let fuzz: FuzzRun
    private let next = Counter()

    /// Which case is to be run next.
    private final class Counter: Sendable {
        let value = Atomic<Int>(0)
    }

    init(_ arguments: Arguments, _ console: Console) throws {
        self.console = console
        let first = arguments[Main.first]
        let count = arguments[Main.count]
        if let kind = arguments[Main.kind] {
            shares = [Share(kind: kind, first: first, count: count)]
        } else {
            let others = FuzzKind.allCases.filter { !$0.isOfQuotes }
            shares =
                [Share(kind: nil, first: first, count: count)]
                + others.map { Share(kind: $0, first: first / 10, count: max(1, count / 10)) }
        }
        total = shares.reduce(0) { $0 + $1.count }
        threads = arguments[Main.threads]
        limit = arguments[Main.limit]
        let corpus = try Main.corpus(arguments)
        do {
            fuzz = try FuzzRun(corpus, seed: UInt64(arguments[Main.seed]))
        } catch {
            throw CommandFailure(.worldFailed, error.description)
        }
        console.note("seed \(arguments[Main.seed]), \(corpus.seeds.count) exhibits, \(corpus.vectors)")
    }

    func run() async throws -> ExitStatus {
        let start = ContinuousClock.now
        let watch = Watch(limit: limit)
        Watch.reportCrashes(seed: fuzz.maker.seed)
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<threads { group.addTask { work(worker, watch) } }
            group.addTask { await report(start) }
        }
        let duration = ContinuousClock.now - start
        return summarize(duration)
    }

    private func work(_ worker: Int, _ watch: Watch) {
        while true {
            let index = next.value.wrappingAdd(1, ordering: .relaxed).oldValue
            guard let (kind, number) = item(index) else { return }
            watch.begin(worker, kind, number)
            fuzz.run(kind, number)
            watch.end(worker)
        }
    }

    private func item(_ index: Int) -> (FuzzKind, Int)? {
        var rest = index
        for share in shares {
            if rest < share.count {
                let number = share.first + rest
                return (share.kind ?? CaseMaker.kind(ofNumber: number), number)
            }
            rest -= share.count
        }
        return nil
    }

    /// Says every few seconds how far it is.
    private func report(_ start: ContinuousClock.Instant) async {
        var shown = start
        while next.value.load(ordering: .relaxed) < total {
            try? await Task.sleep(for: .milliseconds(200))
            guard ContinuousClock.now - shown > .seconds(5) else { continue }
            shown = ContinuousClock.now
            let done = min(total, next.value.load(ordering: .relaxed))
            let seconds = Self.seconds(shown - start)
            console.note("\(done) of \(total) cases, \(Int(Double(done) / seconds)) a second, \(Int(seconds)) s")
        }
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    private func summarize(_ duration: Duration) -> ExitStatus {
        let tallies = fuzz.tallies
        console.print(Self.row("kind", "cases", "rejected", "neutral", "as issued", "rejected most often by"))
        for kind in FuzzKind.allCases {
            guard let tally = tallies[kind] else { continue }
            let reasons = tally.rejections.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            console.print(
                Self.row(
                    kind.rawValue, "\(tally.cases)", "\(tally.rejected)", "\(tally.neutral)", "\(tally.expected)",
                    reasons.prefix(4).map { "\($0.key) \($0.value)" }.joined(separator: ", ")))
        }
        let checks = tallies.values.reduce(into: [String: Int]()) { $0.merge($1.rejections) { $0 + $1 } }
        console.print("")
        console.print("rejected by")
        for (check, count) in checks.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            console.print("  \(count) \(check)")
        }
        let findings = fuzz.findings
        let cases = tallies.values.reduce(0) { $0 + $1.cases }
        let seconds = Int(Self.seconds(duration))
        let quotes = tallies.filter { $0.key.isOfQuotes }.values.reduce(0) { $0 + $1.cases }
        console.print("")
        console.print(
            "\(cases) cases, \(quotes) of them quotes and collateral, in \(seconds) s: \(findings.count) wrong")
        for finding in findings.prefix(50) { console.print("wrong: \(finding.description)") }
        return findings.isEmpty && cases == total ? .yes : .no
    }

    private static func row(_ columns: String...) -> String {
        let widths = [18, 9, 9, 9, 10]
        return columns.enumerated().map { index, text in
            guard widths.indices.contains(index) else { return text }
            let padding = String(repeating: " ", count: max(1, widths[index] - text.count))
            return index == 0 ? text + padding : padding + text + " "
        }.joined()
    }
}
