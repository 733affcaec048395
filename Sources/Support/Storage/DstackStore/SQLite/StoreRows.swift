import DstackEncoding

/// The rows as they are written and read. Each is checked against its hash wherever it is read.
enum StoreRows {
    struct Log {
        let name: String
        let id: UInt64
        var count: UInt64

        var checksum: FixedBytes<32> { RowChecksum.log(name, id, count) }
    }

    // MARK: Reading

    static func state(_ connection: SQLiteConnection, path: String) throws(StoreError) -> StoreState {
        var found: StoreState?
        try connection.query("SELECT version, rows, sum, checksum FROM state WHERE id = 0", []) {
            (row: SQLiteRow) throws(StoreError) in
            var state = StoreState(version: try row.number(0), rows: try row.number(1))
            guard let sum = RowSum(try row.bytes(2)) else { throw StoreError.damaged(path, "its sum has no 32 bytes") }
            state.sum = sum
            try check(RowChecksum.state(state), try row.bytes(3), "state", path)
            found = state
        }
        guard let found else { throw StoreError.damaged(path, "it does not say how far it has come") }
        return found
    }

    static func record(_ row: SQLiteRow, path: String) throws(StoreError) -> StoreRecord {
        let record = StoreRecord(
            key: StoreKey(bytes: try row.bytes(0)), value: try row.bytes(2), version: try row.number(1))
        try check(
            RowChecksum.record(record.key.bytes, record.version, record.value), try row.bytes(3), "\(record.key)", path)
        return record
    }

    static func record(
        _ key: StoreKey, _ connection: SQLiteConnection, path: String
    ) throws(StoreError) -> StoreRecord? {
        var found: StoreRecord?
        try connection.query(
            "SELECT key, version, value, checksum FROM records WHERE key = ?1", [.blob(key.bytes)]
        ) { (row: SQLiteRow) throws(StoreError) in found = try record(row, path: path) }
        return found
    }

    static func log(_ row: SQLiteRow, path: String) throws(StoreError) -> Log {
        let log = Log(name: try row.text(0), id: try row.number(1), count: try row.number(2))
        try check(log.checksum, try row.bytes(3), "log \(log.name)", path)
        return log
    }

    static func log(_ name: String, _ connection: SQLiteConnection, path: String) throws(StoreError) -> Log? {
        var found: Log?
        try connection.query("SELECT name, id, count, checksum FROM logs WHERE name = ?1", [.text(name)]) {
            (row: SQLiteRow) throws(StoreError) in found = try log(row, path: path)
        }
        return found
    }

    /// Entries of a log, from a number on. One that is missing is damage.
    static func entries(
        of log: Log, from number: UInt64, limit: Int, _ connection: SQLiteConnection, path: String,
        _ body: (StoreLogEntry) throws(StoreError) -> Void
    ) throws(StoreError) {
        let first = max(number, 1)
        var expected = first
        try connection.query(
            "SELECT number, value, checksum FROM entries WHERE log = ?1 AND number >= ?2 ORDER BY number LIMIT ?3",
            [.number(log.id), .number(first), .integer(Int64(limit))]
        ) { (row: SQLiteRow) throws(StoreError) in
            let entry = StoreLogEntry(number: try row.number(0), value: try row.bytes(1))
            guard entry.number == expected, entry.number <= log.count else {
                throw StoreError.damaged(path, "entry \(expected) of log \(log.name) is not where it should be")
            }
            try check(
                RowChecksum.entry(log.name, entry.number, entry.value), try row.bytes(2),
                "entry \(entry.number) of log \(log.name)", path)
            expected += 1
            try body(entry)
        }
        let available = log.count >= first ? log.count - first + 1 : 0
        guard expected - first == min(available, UInt64(clamping: limit)) else {
            throw StoreError.damaged(path, "entry \(expected) of log \(log.name) is missing")
        }
    }

    private static func check(
        _ checksum: FixedBytes<32>, _ stored: [UInt8], _ what: String, _ path: String
    ) throws(StoreError) {
        guard stored == checksum.bytes else { throw StoreError.damaged(path, "\(what) is not as it was written") }
    }

    // MARK: Writing

    static func write(_ state: StoreState, to connection: SQLiteConnection) throws(StoreError) {
        try connection.execute(
            "INSERT OR REPLACE INTO state (id, version, rows, sum, checksum) VALUES (0, ?1, ?2, ?3, ?4)",
            .number(state.version), .number(state.rows), .blob(state.sum.bytes),
            .blob(RowChecksum.state(state).bytes))
    }

    /// - Returns: the row's checksum.
    static func write(_ record: StoreRecord, to connection: SQLiteConnection) throws(StoreError) -> FixedBytes<32> {
        let checksum = RowChecksum.record(record.key.bytes, record.version, record.value)
        try connection.execute(
            "INSERT OR REPLACE INTO records (key, version, value, checksum) VALUES (?1, ?2, ?3, ?4)",
            .blob(record.key.bytes), .number(record.version), .blob(record.value), .blob(checksum.bytes))
        return checksum
    }

    static func remove(_ key: StoreKey, from connection: SQLiteConnection) throws(StoreError) {
        try connection.execute("DELETE FROM records WHERE key = ?1", .blob(key.bytes))
    }

    static func write(_ log: Log, to connection: SQLiteConnection) throws(StoreError) {
        try connection.execute(
            "INSERT OR REPLACE INTO logs (name, id, count, checksum) VALUES (?1, ?2, ?3, ?4)",
            .text(log.name), .number(log.id), .number(log.count), .blob(log.checksum.bytes))
    }

    static func write(
        _ entry: StoreLogEntry, of log: Log, to connection: SQLiteConnection
    ) throws(StoreError) {
        try connection.execute(
            "INSERT INTO entries (log, number, value, checksum) VALUES (?1, ?2, ?3, ?4)",
            .number(log.id), .number(entry.number), .blob(entry.value),
            .blob(RowChecksum.entry(log.name, entry.number, entry.value).bytes))
    }

    // MARK: The whole

    /// Reads every row, and compares what all together must be.
    static func checkAll(_ connection: SQLiteConnection, path: String) throws(StoreError) -> StoreState {
        let state = try state(connection, path: path)
        var found = StoreState(version: state.version)
        try connection.query("SELECT key, version, value, checksum FROM records", []) {
            (row: SQLiteRow) throws(StoreError) in
            let record = try record(row, path: path)
            guard record.version <= state.version else {
                throw StoreError.damaged(path, "\(record.key) is of a change that was not made yet")
            }
            found.add(RowChecksum.record(record.key.bytes, record.version, record.value))
        }
        var logs: [Log] = []
        try connection.query("SELECT name, id, count, checksum FROM logs", []) {
            (row: SQLiteRow) throws(StoreError) in logs.append(try log(row, path: path))
        }
        for log in logs {
            found.add(log.checksum)
            // One more than there should be, so that too many are noticed.
            try entries(of: log, from: 1, limit: Int(clamping: log.count) + 1, connection, path: path) {
                (_: StoreLogEntry) throws(StoreError) in
            }
        }
        var entries: UInt64 = 0
        try connection.query("SELECT count(*) FROM entries", []) { (row: SQLiteRow) throws(StoreError) in
            entries = try row.number(0)
        }
        let isWhole =
            found == state && Set(logs.map(\.id)).count == logs.count
            && entries == logs.reduce(0) { $0 &+ $1.count }
        guard isWhole else {
            throw StoreError.damaged(path, "rows are missing, or are there that nobody wrote")
        }
        return state
    }
}
