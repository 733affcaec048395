import DstackConcurrency
import Synchronization
import TestKit
import Testing

/// Work that many may wait for: how often it was begun and cancelled, and when it may end.
private final class Work: Sendable {
    let begun = Shared(0)
    let cancelled = Shared(0)
    private let end = Promise<Void>()

    func finish() { end.fulfil(()) }

    /// Its number.
    func run() async -> Int {
        begun.edit { $0 += 1 }
        let number = begun.value
        await withTaskCancellationHandler {
            await end.value()
        } onCancel: {
            cancelled.edit { $0 += 1 }
            finish()
        }
        return number
    }

    func wait(forBegun count: Int) async { while begun.value < count { await Task.yield() } }
}

@Suite("Work that callers share")
struct SingleFlightTests {
    /// Callers that have begun to wait, as far as can be told from outside.
    private func join<Key, Value>(
        _ flights: SingleFlight<Key, Value>, _ key: Key, _ count: Int, _ work: @escaping @Sendable () async -> Value
    ) async -> [Task<Value?, Never>] {
        let began = Shared(0)
        let tasks = (0..<count).map { _ in
            Task {
                began.edit { $0 += 1 }
                return await flights.value(for: key, work)
            }
        }
        while began.value < count { await Task.yield() }
        for _ in 0..<100 { await Task.yield() }
        return tasks
    }

    @Test("callers of one key share one piece of work, those of another have their own, and nothing is remembered")
    func sharing() async {
        let flights = SingleFlight<String, Int>()
        let (one, other) = (Work(), Work())
        let first = await join(flights, "a", 5) { await one.run() }
        let second = await join(flights, "b", 1) { await other.run() }
        await one.wait(forBegun: 1)
        await other.wait(forBegun: 1)
        one.finish()
        other.finish()
        for task in first + second { #expect(await task.value == 1) }
        #expect(one.begun.value == 1 && other.begun.value == 1)
        #expect(await flights.value(for: "a") { await one.run() } == 2)
    }

    @Test("a caller that is cancelled leaves, and the others get what they wait for")
    func oneLeaves() async {
        let flights = SingleFlight<Int, Int>()
        let work = Work()
        let tasks = await join(flights, 1, 3) { await work.run() }
        await work.wait(forBegun: 1)
        // Also the one that began it.
        tasks[0].cancel()
        #expect(await tasks[0].value == nil)
        #expect(work.cancelled.value == 0)
        work.finish()
        for task in tasks[1...] { #expect(await task.value == 1) }
        #expect(work.begun.value == 1 && work.cancelled.value == 0)
    }

    @Test("work that nobody waits for any more is cancelled, and who comes then has it done anew")
    func allLeave() async {
        let flights = SingleFlight<Int, Int>()
        let work = Work()
        let tasks = await join(flights, 1, 2) { await work.run() }
        await work.wait(forBegun: 1)
        for task in tasks { task.cancel() }
        for task in tasks { #expect(await task.value == nil) }
        while work.cancelled.value == 0 { await Task.yield() }
        #expect(await flights.value(for: 1) { 7 } == 7)
    }

    @Test("work that is of use to others goes on when nobody waits for it, and who comes then shares it")
    func finished() async {
        let flights = SingleFlight<Int, Int>(abandoned: .finished)
        let work = Work()
        let tasks = await join(flights, 1, 1) { await work.run() }
        await work.wait(forBegun: 1)
        tasks[0].cancel()
        #expect(await tasks[0].value == nil)
        let later = await join(flights, 1, 1) { await work.run() }
        #expect(work.cancelled.value == 0 && work.begun.value == 1)
        work.finish()
        #expect(await later[0].value == 1)
    }

    @Test("a task that was cancelled before begins nothing")
    func cancelledBefore() async {
        let flights = SingleFlight<Int, Int>()
        let (work, mayBegin) = (Work(), Promise<Void>())
        let task = Task {
            await mayBegin.value()
            return await flights.value(for: 1) { await work.run() }
        }
        task.cancel()
        mayBegin.fulfil(())
        #expect(await task.value == nil && work.begun.value == 0)
    }
}

@Suite("Values that are kept for a while")
struct RecentValueTests {
    @Test("a value is handed out until it is too old, and made once for all who ask meanwhile")
    func age() async {
        let count = Shared(0)
        let make = { @Sendable () async -> Int in
            count.edit { $0 += 1 }
            return count.value
        }
        let kept = RecentValue<Int>(maximumAge: .seconds(600))
        #expect(kept.current == nil)
        for _ in 0..<3 { #expect(await kept.value(.shared, make) == 1) }
        #expect(kept.current?.value == 1)
        let old = RecentValue<Int>(maximumAge: .zero)
        #expect(await old.value(.shared, make) == 2)
        #expect(old.current == nil)
        #expect(await old.value(.shared, make) == 3)
    }

    @Test("a failure is for those who wait for it, unless it is to be kept; the value at hand stays")
    func failures() async {
        typealias Outcome = Result<Int, Trouble>
        let outcomes = Shared<[Outcome]>([.failure(.failed), .success(1), .failure(.failed), .success(2)])
        let make = { @Sendable () async -> Outcome in
            var next = Outcome.failure(.late)
            outcomes.edit { next = $0.removeFirst() }
            return next
        }
        let recent = RecentValue<Outcome>(maximumAge: nil) { if case .success = $0 { true } else { false } }
        #expect(await recent.value(.shared, make) == .failure(.failed))
        #expect(recent.current == nil)
        #expect(await recent.value(.shared, make) == .success(1))
        #expect(await recent.value(.renewed, make) == .failure(.failed))
        #expect(recent.current?.value == .success(1))
        #expect(await recent.value(.fresh, make) == .success(2))
        #expect(recent.current?.value == .success(2))

        outcomes.edit { $0 = [.failure(.failed)] }
        let keeping = RecentValue<Outcome>(maximumAge: nil)
        for _ in 0..<2 { #expect(await keeping.value(.shared, make) == .failure(.failed)) }
    }

    @Test("what was being made when the value became invalid is for those who wait for it alone")
    func invalidation() async {
        let recent = RecentValue<Int>(maximumAge: nil)
        let work = Work()
        async let former = recent.value { await work.run() }
        await work.wait(forBegun: 1)
        recent.invalidate()
        #expect(await recent.value { 100 } == 100)
        work.finish()
        #expect(await former == 1)
        #expect(recent.current?.value == 100)
        recent.invalidate()
        #expect(recent.current == nil)
    }

    @Test("a fresh value is begun after it was asked for; a renewed one may be on its way already")
    func ages() async {
        let recent = RecentValue<Int>(maximumAge: nil)
        let work = Work()
        async let first = recent.value { await work.run() }
        await work.wait(forBegun: 1)
        async let renewed = recent.value(.renewed) { 100 }
        #expect(await recent.value(.fresh) { 200 } == 200)
        work.finish()
        #expect(await first == 1)
        // Which of the two it shares depends on who came first.
        #expect(await [1, 100, 200].contains(renewed))
        #expect(await recent.value { 300 } == recent.current?.value)
    }

    @Test("who goes away leaves the value to those who come later")
    func leaving() async {
        let recent = RecentValue<Int>(maximumAge: nil)
        let work = Work()
        let task = Task { await recent.value { await work.run() } }
        await work.wait(forBegun: 1)
        task.cancel()
        #expect(await task.value == nil)
        work.finish()
        while recent.current == nil { await Task.yield() }
        #expect(recent.current?.value == 1 && work.cancelled.value == 0)
    }
}

@Suite("Places in order")
struct GateTests {
    @Test("so many are let in; the others follow in the order in which they came")
    func order() async {
        let gate = Gate(permits: 2)
        #expect(await gate.enter() == .admitted)
        #expect(await gate.enter(until: .now) == .admitted)
        let order = Shared<[Int]>([])
        let tasks = await waiting(5, at: gate) { number in order.edit { $0.append(number) } }
        gate.leave()
        for task in tasks { #expect(await task.value == .admitted) }
        #expect(order.value == Array(0..<5))
    }

    /// Tasks that come one after the other, do something inside, and leave.
    private func waiting(
        _ count: Int, at gate: Gate, _ body: @escaping @Sendable (Int) -> Void = { _ in }
    ) async -> [Task<Gate.Admission, Never>] {
        var tasks: [Task<Gate.Admission, Never>] = []
        for number in 0..<count {
            let begins = Promise<Void>()
            tasks.append(
                Task {
                    begins.fulfil(())
                    let admission = await gate.enter()
                    guard admission == .admitted else { return admission }
                    body(number)
                    gate.leave()
                    return admission
                })
            await begins.value()
            while gate.waitingCount <= number { await Task.yield() }
        }
        return tasks
    }

    @Test("a deadline that has passed ends the wait, and the place goes to the next")
    func deadline() async {
        let gate = Gate(permits: 1)
        #expect(await gate.enter() == .admitted)
        #expect(await gate.enter(until: .now + .milliseconds(5)) == .timedOut)
        #expect(await gate.enter(until: .now - .seconds(5)) == .timedOut)
        let next = await waiting(1, at: gate)
        gate.leave()
        #expect(await next[0].value == .admitted)
        #expect(await gate.enter() == .admitted)
    }

    @Test("a task that is cancelled stands in nobody's way, and the others wait on")
    func cancellation() async {
        let gate = Gate(permits: 1)
        #expect(await gate.enter() == .admitted)
        let tasks = await waiting(3, at: gate)
        tasks[1].cancel()
        #expect(await tasks[1].value == .cancelled)
        #expect(gate.waitingCount == 2)
        gate.leave()
        #expect(await tasks[0].value == .admitted)
        #expect(await tasks[2].value == .admitted)
        // All permits are there again.
        #expect(await gate.enter(until: .now) == .admitted)
    }
}
