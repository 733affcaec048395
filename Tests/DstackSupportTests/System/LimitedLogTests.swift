import DstackSystem
import Glibc
import Synchronization
import TestKit
import Testing

@Suite("Logs that strangers cannot flood")
struct LimitedLogTests {
    private func written(_ sink: MemorySink, _ text: String) async throws -> Bool {
        try await eventually { sink.text.contains(text) }
    }

    @Test("a thousand refusals leave a few lines, and one that says how many were left out")
    func flood() async throws {
        let sink = MemorySink()
        let log = LimitedLog(
            Log("server", to: LogOutput(sink: sink)),
            LimitedReports(burst: 5, perSecond: 0, sumInterval: .milliseconds(50)))
        for number in 0..<1000 { log.info("refused", ["number": number]) }
        #expect(try await written(sink, "count=995"))
        let lines = sink.text.split(separator: "\n")
        #expect(lines.count == 6)
        #expect(lines.prefix(5).enumerated().allSatisfy { $1.hasSuffix("message=\"refused\" number=\($0)") })
        #expect(lines.last?.hasSuffix("message=\"lines were left out\" of=refused count=995") == true)
    }

    @Test("a flood of one kind leaves room for another, and what is not logged at all is not counted")
    func kinds() async throws {
        let sink = MemorySink()
        let log = LimitedLog(
            Log("server", to: LogOutput(filter: LogFilter(from: .warn), sink: sink)),
            LimitedReports(burst: 2, perSecond: 0, sumInterval: .milliseconds(50)))
        for _ in 0..<100 { log.info("answered") }
        for _ in 0..<3 { log.warn("refused") }
        log.error("failed")
        #expect(try await written(sink, "of=refused count=1"))
        #expect(sink.text.contains("message=\"failed\""))
        #expect(!sink.text.contains("answered"))
    }

    @Test("a log that nobody reads does not hold up who writes to it")
    func blocked() async throws {
        let sink = StuckSink()
        let log = LimitedLog(
            Log("server", to: LogOutput(sink: sink)),
            LimitedReports(burst: 1_000, perSecond: 0, sumInterval: .milliseconds(50)))
        let before = ContinuousClock.now
        for _ in 0..<2_000 { log.info("refused") }
        // The sink takes nothing before it is told to, which is only now.
        #expect(before.duration(to: .now) < .seconds(60))
        sink.open()
        #expect(try await eventually { sink.text.contains("lines were left out") })
    }

    /// Takes nothing until it is told to.
    private final class StuckSink: ByteSink {
        private let gate = Mutex(false)
        private let memory = MemorySink()

        var text: String { memory.text }
        func open() { gate.withLock { $0 = true } }

        func write(_ bytes: [UInt8]) throws(SystemError) {
            while !gate.withLock({ $0 }) { usleep(1000) }
            try memory.write(bytes)
        }
    }
}

@Suite("The watchdog's thread")
struct ServiceWatchdogTests {
    private final class Counter: Sendable {
        private let number = Atomic<Int>(0)
        func add() { number.add(1, ordering: .sequentiallyConsistent) }
        var value: Int { number.load(ordering: .sequentiallyConsistent) }
    }

    @Test("signs of life come while all threads that tasks share are blocked")
    func independence() async throws {
        let signs = Counter()
        let watchdog = ServiceWatchdog(every: .milliseconds(1), { $0(true) }) { signs.add() }
        let running = Task { await watchdog.run() }
        #expect(try await eventually { signs.value > 0 })
        // More than there are threads.
        let wereHeard = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    let before = signs.value
                    for _ in 0..<60_000 where signs.value < before + 5 { usleep(1000) }
                    return signs.value >= before + 5
                }
            }
            return await group.reduce(true) { $0 && $1 }
        }
        #expect(wereHeard)
        watchdog.stop()
        await running.value
    }

    @Test("a probe that says no, or does not answer, gets no sign, and is not asked a second time while it thinks")
    func silence() async throws {
        let signs = Counter()
        let asked = Mutex<[@Sendable (Bool) -> Void]>([])
        let watchdog = ServiceWatchdog(every: .milliseconds(1), { answer in asked.withLock { $0.append(answer) } }) {
            signs.add()
        }
        let running = Task { await watchdog.run() }
        #expect(try await eventually { asked.withLock { $0.count } == 1 })
        try await Task.sleep(for: .milliseconds(50))
        #expect(asked.withLock { $0.count } == 1)
        asked.withLock { $0[0] }(false)
        #expect(try await eventually { asked.withLock { $0.count } == 2 })
        #expect(signs.value == 0)
        asked.withLock { $0[1] }(true)
        #expect(try await eventually { signs.value == 1 })
        watchdog.stop()
        await running.value
    }
}
