import DstackAttestation
import DstackSystem
import Glibc
import Synchronization

/// The commands of one benchmark run. Workloads are prepared and warmed up once, at their first use.
final class Session {
    private let samples: [String: Sample]
    private var runners: [String: Runner] = [:]

    /// - Parameter arguments: the directory of real vectors, if there is one.
    init(arguments: [String]) throws {
        let now: Int64 = 1_751_624_190
        var all = [
            try Sample.simulated("simulated-requote", platforms: 1, quotes: 256, at: now),
            try Sample.simulated("simulated-fleet", platforms: 96, quotes: 1, at: now),
        ]
        if let directory = arguments.first {
            for tee in ["tdx", "sgx"] {
                all.append(
                    try .real(
                        tee, quote: "\(directory)/\(tee)_quote",
                        collateral: "\(directory)/\(tee)_quote_collateral.json",
                        at: now))
            }
        }
        samples = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
    }

    func answer(_ words: [String]) throws -> String {
        switch (words.first, words.count) {
        case ("run", 4): return try run(runner(words[1], words[2]), count: number(words[3]))
        case ("threads", 5):
            return try run(runner(words[1], words[2]), threads: number(words[3]), count: number(words[4]))
        case ("check", 1):
            try CacheSafety.check(at: 1_751_624_190)
            return "ok 0 0"
        case ("export", 3):
            try export(named(words[1]), to: words[2])
            return "ok 0 0"
        default: throw BenchmarkError("unknown command")
        }
    }

    private func named(_ name: String) throws -> Sample {
        guard let found = samples[name] else { throw BenchmarkError("no sample is named \(name)") }
        return found
    }

    private func number(_ word: String) throws -> Int {
        guard let number = Int(word), number > 0 else { throw BenchmarkError("\(word) is not a positive number") }
        return number
    }

    private func runner(_ workload: String, _ name: String) throws -> Runner {
        let key = workload + " " + name
        if let known = runners[key] { return known }
        guard let workload = Workload(rawValue: workload) else { throw BenchmarkError("no workload \(workload)") }
        let runner = Runner(workload, try named(name))
        try runner.warmUp()
        runners[key] = runner
        return runner
    }

    private func run(_ runner: Runner, count: Int) throws -> String {
        let (cpu, clock) = (nanoseconds(CLOCK_PROCESS_CPUTIME_ID), nanoseconds(CLOCK_MONOTONIC))
        var accepted = 0
        for index in 0..<count where runner.verifyOne(index) { accepted += 1 }
        return try result(accepted == count, cpu, clock)
    }

    private func run(_ runner: Runner, threads: Int, count: Int) throws -> String {
        let accepted = Atomic(0)
        let (cpu, clock) = (nanoseconds(CLOCK_PROCESS_CPUTIME_ID), nanoseconds(CLOCK_MONOTONIC))
        try Threads.run(threads) {
            var mine = 0
            for index in 0..<count where runner.verifyOne(index) { mine += 1 }
            accepted.add(mine, ordering: .relaxed)
        }
        return try result(accepted.load(ordering: .relaxed) == threads * count, cpu, clock)
    }

    private func result(_ allAccepted: Bool, _ cpu: Int64, _ clock: Int64) throws -> String {
        guard allAccepted else { throw BenchmarkError("a quote was rejected") }
        return "ok \(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) \(nanoseconds(CLOCK_MONOTONIC) - clock)"
    }

    private func nanoseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    private func export(_ sample: Sample, to directory: String) throws {
        try AtomicFile.write(sample.quotes[0], to: directory + "/quote", mode: .readable)
        try AtomicFile.write(sample.collateralJSON, to: directory + "/collateral.json", mode: .readable)
        try AtomicFile.write(sample.trustAnchor.der, to: directory + "/root.der", mode: .readable)
    }
}
