/// The one that reads, beside the one that writes: what was committed, and so is durable.
///
/// All of it runs on the store's reading thread, one call after another; that makes it sendable.
final class SQLiteReader: @unchecked Sendable {
    private let path: String
    private var connection: SQLiteConnection?

    init(_ path: String) throws(StoreError) {
        self.path = path
        connection = try SQLiteConnection(path, .readOnly)
    }

    func close() { connection = nil }

    private func open() throws(StoreError) -> SQLiteConnection {
        guard let connection else { throw .closed(path) }
        return connection
    }

    func record(_ key: StoreKey) throws(StoreError) -> StoreRecord? {
        try StoreRows.record(key, open(), path: path)
    }

    func records(_ prefix: StoreKey, after last: StoreKey?, limit: Int) throws(StoreError) -> [StoreRecord] {
        // Everything behind `last` is behind the prefix, unless it comes before it.
        let start = last.map { max($0, prefix) } ?? prefix
        let isStartIncluded = last.map { $0 < prefix } ?? true
        var sql = "SELECT key, version, value, checksum FROM records WHERE key \(isStartIncluded ? ">=" : ">") ?1"
        var values = [SQLiteValue.blob(start.bytes), .integer(Int64(max(limit, 0)))]
        if let end = prefix.endOfPrefix {
            sql += " AND key < ?3"
            values.append(.blob(end.bytes))
        }
        var found: [StoreRecord] = []
        try open().query(sql + " ORDER BY key LIMIT ?2", values) { (row: SQLiteRow) throws(StoreError) in
            found.append(try StoreRows.record(row, path: path))
        }
        return found
    }

    func count(of log: String) throws(StoreError) -> UInt64 {
        try StoreRows.log(log, open(), path: path)?.count ?? 0
    }

    func entries(of log: String, from number: UInt64, limit: Int) throws(StoreError) -> [StoreLogEntry] {
        let connection = try open()
        // Log and entries of one moment: what is committed between two statements would look like too many entries.
        try connection.execute("BEGIN")
        defer { try? connection.execute("COMMIT") }
        guard let log = try StoreRows.log(log, connection, path: path) else { return [] }
        var found: [StoreLogEntry] = []
        try StoreRows.entries(of: log, from: number, limit: max(limit, 0), connection, path: path) {
            (entry: StoreLogEntry) throws(StoreError) in found.append(entry)
        }
        return found
    }
}
