import DstackConcurrency
package import DstackCrypto
package import DstackEncoding
package import DstackStore
package import DstackSystem

/// A service's audit log: what happened, in order, each entry naming the one before by its hash.
///
/// ```swift
/// let log = try await AuditLog.open(store) { try AuditKey($0, of: roots) }
/// try await log.record(.keysReleased(.app, epoch: epoch, subject, receiver: key))
/// // Only now do the keys leave.
/// ```
///
/// When ``record(_:with:)`` returns, the entry is on the disk: a service that may not act without a record waits for it. Many
/// that wait at once are written together, so that the log does not limit how many are served.
package actor AuditLog {
    private struct Waiting: Sendable {
        let events: [AuditEvent]
        let changes: StoreTransaction?
        let time: Int64
        let answer: Promise<Result<UInt64, KMSStateError>>
    }

    /// The name of the log in the store.
    private let name: String
    private let store: any Store
    private let clock: any WallClock
    private let observer: Observer
    private let key: AuditKey
    private var count: UInt64
    private var lastHash: FixedBytes<32>
    private var waiting: [Waiting] = []
    private var isWriting = false

    /// Entries that go to the disk together at most: a store takes so many operations at once, of which one is the log's.
    private static let group = StoreLimits.operations - 1
    /// Entries that can be recorded in one step, which leaves room for changes beside them.
    package static let maximumCount = 100
    private static let capacity = 16_384
    private static let page = 256

    /// Random, chosen when the log began.
    package nonisolated let id: FixedBytes<16>

    /// Told of what becomes of entries, for metrics.
    package struct Observer: Sendable {
        let written: @Sendable (_ entries: Int) -> Void
        let failed: @Sendable () -> Void

        package init(
            written: @escaping @Sendable (_ entries: Int) -> Void, failed: @escaping @Sendable () -> Void
        ) {
            self.written = written
            self.failed = failed
        }

        package static let none = Observer(written: { _ in }, failed: {})
    }

    /// Opens the log of a store, or begins one.
    ///
    /// - Parameters:
    ///   - name: of the log in the store.
    ///   - node: what the operator calls this service; goes into the first entry.
    ///   - key: the key for the log of this id.
    /// - Throws: ``KMSStateError/Code/corrupt`` for a log that does not begin and end with entries of one log. All that is
    ///   between is looked at by ``check(root:known:)``.
    package static func open(
        _ store: any Store, name: String = "audit", node: String = "", clock: any WallClock = SystemWallClock(),
        random: any RandomBytes = SystemRandom(), observer: Observer = .none,
        key: (FixedBytes<16>) throws(KMSStateError) -> AuditKey
    ) async throws(KMSStateError) -> AuditLog {
        guard let (first, last) = try await ends(of: store, name) else {
            let log = AuditLog(
                store, name, clock, observer, try key(random.fixed(FixedBytes<16>.self)), count: 0,
                lastHash: FixedBytes())
            try await log.record(.logBegun(node: node))
            return log
        }
        return AuditLog(store, name, clock, observer, try key(first.log), count: last.number, lastHash: last.hash)
    }

    /// The first and the last entry; nil for a log without.
    private static func ends(
        of store: any Store, _ name: String
    ) async throws(KMSStateError) -> (first: AuditEntry, last: AuditEntry)? {
        let count: UInt64
        let lines: [[UInt8]]
        do throws(StoreError) {
            count = try await store.count(of: name)
            guard count > 0 else { return nil }
            lines =
                try await store.entries(of: name, from: 1, limit: 1).map(\.value)
                + store.entries(of: name, from: count, limit: 1).map(\.value)
        } catch {
            throw KMSStateError(error)
        }
        guard lines.count == 2, let first = try? AuditEntry(line: lines[0]), let last = try? AuditEntry(line: lines[1]),
            first.number == 1, first.previous == FixedBytes(), last.number == count, last.log == first.log
        else { throw KMSStateError(.corrupt, "audit log", "it does not begin and end with entries of one log") }
        return (first, last)
    }

    private init(
        _ store: any Store, _ name: String, _ clock: any WallClock, _ observer: Observer, _ key: consuming AuditKey,
        count: UInt64,
        lastHash: FixedBytes<32>
    ) {
        id = key.log
        self.store = store
        self.name = name
        self.clock = clock
        self.observer = observer
        self.key = key
        self.count = count
        self.lastHash = lastHash
    }

    // MARK: Writing

    /// Records what happens.
    ///
    /// - Parameter changes: of the store, which happen together with the entry, or neither does.
    /// - Returns: the entry's number, once it is durable.
    /// - Throws: ``KMSStateError``: `.conflict` where a condition of the changes does not hold; `.overloaded`, `.storage`,
    ///   `.corrupt`. Nothing was recorded then, and nothing must happen that would have to be.
    @discardableResult
    package func record(
        _ event: AuditEvent, with changes: StoreTransaction? = nil
    ) async throws(KMSStateError) -> UInt64 {
        try await record([event], with: changes)
    }

    /// The same for several, one behind the other: all of them are recorded or none.
    ///
    /// - Parameter events: at least one, and ``maximumCount`` at most.
    /// - Returns: the number of the first.
    @discardableResult
    package func record(
        _ events: [AuditEvent], with changes: StoreTransaction? = nil
    ) async throws(KMSStateError) -> UInt64 {
        guard (1...Self.maximumCount).contains(events.count) else {
            throw KMSStateError(
                .malformed, "audit log", "\(events.count) entries at once; 1 to \(Self.maximumCount) can be recorded")
        }
        guard waiting.count < Self.capacity else {
            throw KMSStateError(.overloaded, "audit log", "\(waiting.count) entries wait for the disk")
        }
        let answer = Promise<Result<UInt64, KMSStateError>>()
        waiting.append(
            Waiting(events: events, changes: changes, time: clock.unixMilliseconds, answer: answer))
        if !isWriting {
            isWriting = true
            // A task of its own: a caller that is cancelled does not disappoint the others.
            Task { await writeWaiting() }
        }
        return try await answer.value().get()
    }

    private func writeWaiting() async {
        while !waiting.isEmpty { await settle(nextGroup()) }
        isWriting = false
    }

    /// Writes a group, and tells everybody in it what became of theirs.
    private func settle(_ group: [Waiting]) async {
        do throws(KMSStateError) {
            var number = try await write(group)
            observer.written(group.reduce(0) { $0 + $1.events.count })
            for one in group {
                one.answer.fulfil(.success(number))
                number += UInt64(one.events.count)
            }
        } catch {
            guard group.count > 1 else {
                if error.code != .conflict { observer.failed() }
                for one in group { one.answer.fulfil(.failure(error)) }
                return
            }
            // One that the store does not take (all together may be too large) must not cost the others theirs.
            for one in group { await settle([one]) }
        }
    }

    /// Entries alone go together. One with changes goes for itself: its conditions are nobody else's.
    private func nextGroup() -> [Waiting] {
        var room = Self.group
        let alone = waiting.prefix { one in
            room -= one.events.count
            return one.changes == nil && room >= 0
        }
        let group = Array(alone.isEmpty ? waiting.prefix(1) : alone)
        waiting.removeFirst(group.count)
        return group
    }

    /// - Returns: the number of the first.
    private func write(_ group: [Waiting]) async throws(KMSStateError) -> UInt64 {
        var (number, previous) = (count, lastHash)
        var lines: [[UInt8]] = []
        for one in group {
            for event in one.events {
                number += 1
                let entry = try AuditEntry(event, log: id, number: number, previous: previous, time: one.time)
                previous = entry.hash
                lines.append(entry.line)
            }
        }
        var transaction = group.count == 1 ? group[0].changes ?? StoreTransaction() : StoreTransaction()
        transaction.append(lines, to: name, after: count)
        let outcome: StoreOutcome
        do throws(StoreError) {
            outcome = try await store.commit(transaction)
        } catch {
            throw KMSStateError(error)
        }
        if case .conflict(let what) = outcome {
            throw KMSStateError(.conflict, what, "somebody else has changed it meanwhile")
        }
        defer { (count, lastHash) = (number, previous) }
        return count + 1
    }

    // MARK: Reading

    /// How far the log has come, signed now. To be given to whoever may notice if it goes back.
    package func signedHead() throws(KMSStateError) -> SignedAuditHead {
        try key.sign(count: count, hash: lastHash, time: clock.unixMilliseconds)
    }

    /// Reads the whole log and checks that every entry is there and as it was written.
    ///
    /// - Parameters:
    ///   - root: the root CA's key.
    ///   - known: heads that were kept elsewhere.
    package func check(
        root: P256.PublicKey, known: [SignedAuditHead] = []
    ) async throws(KMSStateError) -> AuditReport {
        let head = try signedHead()
        var checker = AuditChecker(root: root, known: known)
        try await read(upTo: head.count) { checker.add($0) }
        checker.add(head: head)
        return checker.finish()
    }

    /// Writes all entries and the head behind them, as JSON Lines.
    ///
    /// - Parameter sink: takes the pieces in order. What it throws ends the export.
    package func export(to sink: @Sendable ([UInt8]) async throws -> Void) async throws {
        let head = try signedHead()
        var next: UInt64 = 1
        while next <= head.count {
            let lines = try await page(from: next, upTo: head.count)
            try await sink(lines.reduce(into: []) { $0 += $1 + [UInt8(ascii: "\n")] })
            next += UInt64(lines.count)
        }
        try await sink(AuditExport.headLine(head) + [UInt8(ascii: "\n")])
    }

    private func read(upTo count: UInt64, _ body: ([UInt8]) -> Void) async throws(KMSStateError) {
        var next: UInt64 = 1
        while next <= count {
            let lines = try await page(from: next, upTo: count)
            for line in lines { body(line) }
            next += UInt64(lines.count)
        }
    }

    /// Some entries, one at least.
    private func page(from next: UInt64, upTo count: UInt64) async throws(KMSStateError) -> [[UInt8]] {
        let entries: [StoreLogEntry]
        do throws(StoreError) {
            entries = try await store.entries(
                of: name, from: next, limit: Int(min(UInt64(Self.page), count - next + 1)))
        } catch {
            throw KMSStateError(error)
        }
        guard !entries.isEmpty else {
            throw KMSStateError(.corrupt, "audit log", "entry \(next) of \(count) is missing")
        }
        return entries.map(\.value)
    }
}
