import DstackSystem

/// The one that writes: owns the store's files, and makes changes of many callers durable at once.
///
/// All of it runs on the store's writing thread, one call after another; that makes it sendable.
final class SQLiteWriter: @unchecked Sendable {
    private let directory: StoreDirectory
    private let path: String
    private var connection: SQLiteConnection?
    private var mark: StoreMark
    private var lock: LockFile?
    private var state: StoreState
    /// Bytes written since pages were last moved to their places, about; and how many may be.
    private var unsettled = 0
    private static let settlingByteCount = 4 << 20
    /// Why nothing more is done.
    private var failure: StoreError?

    /// Opens the files, or makes them, and checks every byte that will be relied on.
    init(_ directory: StoreDirectory, patience: Duration) throws(StoreError) {
        path = directory.database
        self.directory = directory
        let taken: LockFile?
        do {
            taken = try LockFile.taken(directory.lock, until: .now + patience)
        } catch {
            throw StoreError(error, directory.lock)
        }
        guard let held = taken else {
            throw StoreError(.inUse, path, "another process has it open", hint: "end it; a store has one owner")
        }
        let isNew = try directory.prepareDatabase()
        let mark = try StoreMark.opened(directory)
        let marked = mark.start
        guard !isNew || marked == 0 else {
            throw StoreError.damaged(path, "it is gone, and its mark says that it had \(marked) changes")
        }
        let connection = try SQLiteConnection(path, .readWrite)
        // Every commit reaches the disk before it is acknowledged: the log of a commit is flushed, and before pages go from
        // there to their places, too.
        try connection.execute("PRAGMA synchronous = FULL")
        // By itself SQLite would move pages to their places after a commit, and keep quiet about a disk that fails then.
        try connection.execute("PRAGMA wal_autocheckpoint = 0")
        let isEmpty = try StoreSchema.prepare(connection, path: path)
        guard !isEmpty || marked == 0 else {
            throw StoreError.damaged(path, "it is empty, and its mark says that it had \(marked) changes")
        }
        try Self.quickCheck(connection, path)
        let state = try StoreRows.checkAll(connection, path: path)
        guard state.version >= marked else {
            throw StoreError(
                .corrupt, path, "it ends with change \(state.version), and change \(marked) was acknowledged",
                hint: "if an older copy was put back on purpose, remove \(directory.mark)")
        }
        do throws(SystemError) {
            try mark.move(to: state.version)
            try mark.synchronize()
        } catch {
            throw StoreError(error, directory.mark)
        }
        self.connection = connection
        self.mark = mark
        self.state = state
        lock = consume held
    }

    private static func quickCheck(_ connection: SQLiteConnection, _ path: String) throws(StoreError) {
        var found: [String] = []
        try connection.query("PRAGMA quick_check(1)", []) { (row: SQLiteRow) throws(StoreError) in
            found.append(try row.text(0))
        }
        guard found == ["ok"] else {
            throw StoreError.damaged(path, "SQLite finds its pages damaged")
        }
    }

    // MARK: Changes

    /// Makes the changes of several callers, with one wait for the disk.
    ///
    /// - Returns: what became of each, in order.
    func commit(_ transactions: [StoreTransaction]) -> [Result<StoreOutcome, StoreError>] {
        if let failure { return transactions.map { _ in .failure(failure) } }
        guard let connection else { return transactions.map { _ in .failure(.closed(path)) } }
        let former = state
        do {
            try connection.execute("BEGIN IMMEDIATE")
            var outcomes: [StoreOutcome] = []
            for transaction in transactions { outcomes.append(try apply(transaction, connection)) }
            if state != former { try StoreRows.write(state, to: connection) }
            try connection.execute("COMMIT")
            advanceMark(from: former)
            settle(transactions, connection)
            return outcomes.map { .success($0) }
        } catch {
            state = former
            let cause = undo(error, connection)
            // One that finds no room must not cost the others theirs.
            if cause.code == .full, transactions.count > 1 { return transactions.flatMap { commit([$0]) } }
            return transactions.map { _ in .failure(cause) }
        }
    }

    /// Goes back to where it was.
    ///
    /// - Returns: what callers are told.
    private func undo(_ error: StoreError, _ connection: SQLiteConnection) -> StoreError {
        if connection.isInTransaction {
            do {
                try connection.execute("ROLLBACK")
            } catch {
                failure = error
            }
        }
        switch error.code {
        case .full, .inUse: break
        case .corrupt: failure = error
        default:
            // After a write or a flush that failed, Linux may take for written what is not: asking again proves nothing.
            failure = StoreError(
                .unknownOutcome, error.subject, error.reason, hint: "look after the disk, then start again")
        }
        return failure ?? error
    }

    private func advanceMark(from former: StoreState) {
        guard state.version != former.version else { return }
        do {
            try mark.move(to: state.version)
        } catch {
            // What was committed is; but nothing more can be promised about what comes.
            failure = StoreError(error, directory.mark)
        }
    }

    /// Moves pages from the write-ahead log to their places, now and then.
    private func settle(_ transactions: [StoreTransaction], _ connection: SQLiteConnection) {
        unsettled += transactions.reduce(0) { $0 + $1.estimatedByteCount }
        guard unsettled > Self.settlingByteCount else { return }
        unsettled = 0
        do {
            try connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        } catch {
            // Without room it is tried again later. After a flush that failed a second one may succeed without the pages, and
            // the log that has them would be written over: that must not come to pass.
            if error.code != .full, error.code != .inUse { failure = error }
        }
    }

    /// Makes one caller's changes, or none of them.
    private func apply(
        _ transaction: StoreTransaction, _ connection: SQLiteConnection
    ) throws(StoreError) -> StoreOutcome {
        // All conditions come before all changes, so that nothing has to be undone.
        for condition in transaction.conditions {
            let (holds, what) = try check(condition, connection)
            guard holds else { return .conflict(what) }
        }
        guard !transaction.isEmpty else { return .committed(version: state.version) }
        state.version += 1
        for write in transaction.writes {
            switch write {
            case .put(let key, let value):
                try forget(key, connection)
                let record = StoreRecord(key: key, value: value, version: state.version)
                state.add(try StoreRows.write(record, to: connection))
            case .remove(let key):
                try forget(key, connection)
                try StoreRows.remove(key, from: connection)
            }
        }
        for append in transaction.appends { try self.append(append, connection) }
        return .committed(version: state.version)
    }

    private func check(
        _ condition: StoreTransaction.Condition, _ connection: SQLiteConnection
    ) throws(StoreError) -> (holds: Bool, what: String) {
        switch condition {
        case .absent(let key):
            return (try StoreRows.record(key, connection, path: path) == nil, key.description)
        case .unchanged(let key, let version):
            return (try StoreRows.record(key, connection, path: path)?.version == version, key.description)
        case .count(let log, let count):
            return (try StoreRows.log(log, connection, path: path)?.count ?? 0 == count, log)
        }
    }

    /// Takes the record that is there, if any, out of the sum.
    private func forget(_ key: StoreKey, _ connection: SQLiteConnection) throws(StoreError) {
        guard let old = try StoreRows.record(key, connection, path: path) else { return }
        state.remove(RowChecksum.record(old.key.bytes, old.version, old.value))
    }

    private func append(
        _ append: StoreTransaction.Append, _ connection: SQLiteConnection
    ) throws(StoreError) {
        var log: StoreRows.Log
        if let found = try StoreRows.log(append.log, connection, path: path) {
            log = found
            state.remove(log.checksum)
        } else {
            // No row ever goes from this table, so that the number of rows names the next.
            var count: UInt64 = 0
            try connection.query("SELECT count(*) FROM logs", []) { (row: SQLiteRow) throws(StoreError) in
                count = try row.number(0)
            }
            log = StoreRows.Log(name: append.log, id: count + 1, count: 0)
        }
        for value in append.entries {
            log.count += 1
            try StoreRows.write(StoreLogEntry(number: log.count, value: value), of: log, to: connection)
        }
        try StoreRows.write(log, to: connection)
        state.add(log.checksum)
    }

    // MARK: The end

    /// Moves everything from the write-ahead log to its place, and gives the files back. Readers have to be gone.
    func close() {
        guard connection != nil else { return }
        // What fails here is made up for when the store is opened again.
        try? connection?.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection = nil
        try? mark.synchronize()
        lock = nil
    }
}

extension StoreTransaction {
    /// About what it adds to the write-ahead log: whole pages.
    fileprivate var estimatedByteCount: Int {
        let values = writes.reduce(0) { sum, write in
            if case .put(_, let value) = write { sum + value.count } else { sum }
        }
        return appends.reduce(values + 8_192) { sum, append in sum + append.entries.reduce(0) { $0 + $1.count } }
    }
}

extension StoreError {
    static func closed(_ path: String) -> StoreError { StoreError(.closed, path, "the store is closed") }
}
