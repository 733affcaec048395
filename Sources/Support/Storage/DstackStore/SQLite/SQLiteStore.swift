import DstackConcurrency
import Synchronization

/// A store in one SQLite file, for one process.
///
/// ```swift
/// let store = try await SQLiteStore.open("/var/lib/dstack-kms")
/// ```
///
/// One thread writes and one reads. Changes that come while others are made durable wait, and then go together: under load
/// one flush of the disk serves many. When it is opened everything in it is read and checked; it refuses to open damaged.
package final class SQLiteStore: Store {
    private typealias Threads = JobThreads<@Sendable () -> Void>

    private struct Waiting: Sendable {
        let transaction: StoreTransaction
        let answer: Promise<Result<StoreOutcome, StoreError>>
    }

    private struct State {
        var waiting: [Waiting] = []
        var isClosed = false
    }

    /// Transactions that may wait, and reads.
    private static let capacity = 4_096
    /// Transactions that are made durable together at most.
    private static let group = 512

    private let path: String
    private let writer: SQLiteWriter
    private let reader: SQLiteReader
    private let writing: Threads
    private let reading: Threads
    private let state = Mutex(State())

    /// Opens a store, or makes an empty one.
    ///
    /// - Parameters:
    ///   - directory: is made if it is not there; must belong to this user, and nobody else may write in it.
    ///   - name: of the files in it.
    ///   - patience: how long to wait for another process to give it back.
    /// - Throws: ``StoreError``: `.corrupt`, `.newerVersion`, `.inUse`, `.unsafePlace`, `.full`, `.system`.
    package static func open(
        _ directory: String, name: String = "state", patience: Duration = .seconds(5)
    ) async throws(StoreError) -> SQLiteStore {
        let threads = Threads { $0() }
        let opened = Promise<Result<(SQLiteWriter, SQLiteReader), StoreError>>()
        let refusal = threads.append {
            do throws(StoreError) {
                let files = try StoreDirectory(directory, name: name)
                let writer = try SQLiteWriter(files, patience: patience)
                opened.fulfil(.success((writer, try SQLiteReader(files.database))))
            } catch {
                opened.fulfil(.failure(error))
            }
        }
        guard refusal == nil else { throw StoreError(.system, directory, "the system gives no thread") }
        do {
            let (writer, reader) = try await opened.value().get()
            return SQLiteStore("\(directory)/\(name).sqlite", writer, reader, threads)
        } catch {
            threads.stop()
            throw error
        }
    }

    private init(_ path: String, _ writer: SQLiteWriter, _ reader: SQLiteReader, _ writing: Threads) {
        self.path = path
        self.writer = writer
        self.reader = reader
        self.writing = writing
        reading = Threads { $0() }
    }

    deinit {
        // Nobody waits for anything: who does keeps this alive.
        writing.stop()
        reading.stop()
    }

    // MARK: Changes

    package func commit(_ transaction: StoreTransaction) async throws(StoreError) -> StoreOutcome {
        try transaction.check()
        let answer = Promise<Result<StoreOutcome, StoreError>>()
        let refusal: StoreError? = state.withLock { state in
            if state.isClosed { return .closed(path) }
            guard state.waiting.count < Self.capacity else {
                return StoreError(.overloaded, path, "\(state.waiting.count) changes wait for the disk")
            }
            // One turn for each, of which most find that an earlier one has taken theirs along.
            guard writing.append({ [self] in commitWaiting() }) == nil else {
                return StoreError(.system, path, "the system gives no thread")
            }
            state.waiting.append(Waiting(transaction: transaction, answer: answer))
            return nil
        }
        if let refusal { throw refusal }
        return try await answer.value().get()
    }

    /// On the writing thread.
    private func commitWaiting() {
        let group = state.withLock { state in
            let group = Array(state.waiting.prefix(Self.group))
            state.waiting.removeFirst(group.count)
            return group
        }
        guard !group.isEmpty else { return }
        for (waiting, outcome) in zip(group, writer.commit(group.map(\.transaction))) {
            waiting.answer.fulfil(outcome)
        }
    }

    // MARK: Reading

    package func record(_ key: StoreKey) async throws(StoreError) -> StoreRecord? {
        try await read { (reader) throws(StoreError) in try reader.record(key) }
    }

    package func records(
        prefix: StoreKey, after last: StoreKey?, limit: Int
    ) async throws(StoreError) -> [StoreRecord] {
        try await read { (reader) throws(StoreError) in try reader.records(prefix, after: last, limit: limit) }
    }

    package func count(of log: String) async throws(StoreError) -> UInt64 {
        try await read { (reader) throws(StoreError) in try reader.count(of: log) }
    }

    package func entries(
        of log: String, from number: UInt64, limit: Int
    ) async throws(StoreError) -> [StoreLogEntry] {
        try await read { (reader) throws(StoreError) in try reader.entries(of: log, from: number, limit: limit) }
    }

    private func read<Value: Sendable>(
        _ body: @escaping @Sendable (SQLiteReader) throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        let answer = Promise<Result<Value, StoreError>>()
        let refusal: StoreError? = state.withLock { state in
            if state.isClosed { return .closed(path) }
            guard reading.waitingCount < Self.capacity else {
                return StoreError(.overloaded, path, "too many reads wait for the disk")
            }
            let refusal = reading.append { [reader] in
                do throws(StoreError) {
                    answer.fulfil(.success(try body(reader)))
                } catch {
                    answer.fulfil(.failure(error))
                }
            }
            return refusal.map { _ in StoreError(.system, path, "the system gives no thread") }
        }
        if let refusal { throw refusal }
        return try await answer.value().get()
    }

    // MARK: The end

    package func close() async {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        // Behind all that waits. The reader first: pages go to their places only where nobody reads the old ones.
        await Self.last(on: reading) { [reader] in reader.close() }
        await Self.last(on: writing) { [writer] in writer.close() }
    }

    private static func last(on threads: Threads, _ body: @escaping @Sendable () -> Void) async {
        let done = Promise<Void>()
        let refusal = threads.append {
            body()
            done.fulfil(())
        }
        // Without a thread nothing was ever begun.
        if refusal == nil { await done.value() }
        threads.stop()
    }
}
