import CSQLite

/// A connection to a SQLite file, with its statements. For one thread at a time.
final class SQLiteConnection {
    enum Access {
        case readOnly
        case readWrite
    }

    fileprivate let database: OpaquePointer
    fileprivate let path: String
    private var statements: [String: SQLiteStatement] = [:]

    /// Opens a file that is there.
    init(_ path: String, _ access: Access) throws(StoreError) {
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_NOMUTEX | (access == .readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE)
        let code = sqlite3_open_v2(path, &opened, flags, nil)
        guard let opened else { throw StoreError(.system, path, "no memory for SQLite") }
        database = opened
        self.path = path
        guard code == SQLITE_OK else { throw failure(code) }
        sqlite3_extended_result_codes(database, 1)
        // What comes from the file is data; its schema is compared with ours before anything is believed.
        let hardened = dstack_sqlite_harden(database)
        guard hardened == SQLITE_OK else { throw failure(hardened) }
        // The two connections of a store get in each other's way for moments only.
        sqlite3_busy_timeout(database, 5_000)
        try execute("PRAGMA cell_size_check = ON")
    }

    deinit {
        statements = [:]
        sqlite3_close_v2(database)
    }

    /// Whether a transaction is open.
    var isInTransaction: Bool { sqlite3_get_autocommit(database) == 0 }

    /// Runs a statement and does not look at its rows.
    func execute(_ sql: String, _ values: SQLiteValue...) throws(StoreError) {
        try query(sql, values) { (_: SQLiteRow) throws(StoreError) in }
    }

    /// Runs a statement and shows each row.
    func query(
        _ sql: String, _ values: [SQLiteValue], _ body: (SQLiteRow) throws(StoreError) -> Void
    ) throws(StoreError) {
        let statement: SQLiteStatement
        if let prepared = statements[sql] {
            statement = prepared
        } else {
            statement = try SQLiteStatement(self, sql)
            statements[sql] = statement
        }
        // Locks and copies of bytes go with it, also where a row is refused.
        defer { statement.reset() }
        try statement.bind(values)
        while try statement.step() { try body(SQLiteRow(statement)) }
    }

    /// What became of the call that gave this code.
    func failure(_ code: Int32) -> StoreError {
        switch code & 0xFF {
        // No room for the index of the log in shared memory, which comes before anything is written.
        case _ where code == SQLITE_IOERR | 19 << 8:
            return StoreError(.full, path, "no room on the disk", hint: "make room; nothing of the store is lost")
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            return StoreError.damaged(path, "SQLite finds its pages damaged")
        case SQLITE_FULL:
            return StoreError(.full, path, "no room on the disk", hint: "make room; nothing of the store is lost")
        case SQLITE_BUSY, SQLITE_LOCKED:
            return StoreError(.inUse, path, "another process has it open", hint: "end it; a store has one owner")
        default:
            let text = sqlite3_errmsg(database).map { String(cString: $0) } ?? "error \(code)"
            return StoreError(.system, path, "SQLite: \(text) (code \(code), error \(sqlite3_system_errno(database)))")
        }
    }
}

extension StoreError {
    static func damaged(_ path: String, _ reason: String) -> StoreError {
        StoreError(
            .corrupt, path, reason,
            hint: "it is not used any further; restore it from a copy, or from another replica, and look after the disk"
        )
    }
}

enum SQLiteValue {
    case integer(Int64)
    case text(String)
    case blob([UInt8])

    /// Numbers are kept as SQLite's signed ones; what is counted here never gets near the end of those.
    static func number(_ value: UInt64) -> Self { .integer(Int64(clamping: value)) }
}

/// A prepared statement of a connection.
final class SQLiteStatement {
    fileprivate let handle: OpaquePointer
    // The connection owns its statements, and lets go of them first.
    private unowned let connection: SQLiteConnection

    fileprivate init(_ connection: SQLiteConnection, _ sql: String) throws(StoreError) {
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v3(
            connection.database, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard code == SQLITE_OK, let prepared else { throw connection.failure(code) }
        handle = prepared
        self.connection = connection
    }

    deinit { sqlite3_finalize(handle) }

    fileprivate func bind(_ values: [SQLiteValue]) throws(StoreError) {
        for (index, value) in values.enumerated() {
            let position = Int32(index + 1)
            let code =
                switch value {
                case .integer(let number): sqlite3_bind_int64(handle, position, number)
                case .blob(let bytes): dstack_sqlite_bind_blob(handle, position, bytes, Int32(bytes.count))
                case .text(let text): dstack_sqlite_bind_text(handle, position, text, Int32(text.utf8.count))
                }
            guard code == SQLITE_OK else { throw connection.failure(code) }
        }
    }

    /// - Returns: whether there is a row.
    fileprivate func step() throws(StoreError) -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code: throw connection.failure(code)
        }
    }

    fileprivate func reset() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    fileprivate var path: String { connection.path }
}

/// A row, as long as the statement stands at it. Values of another type than is asked for are damage: the tables are strict.
struct SQLiteRow {
    private let statement: SQLiteStatement

    fileprivate init(_ statement: SQLiteStatement) { self.statement = statement }

    func integer(_ column: Int32) throws(StoreError) -> Int64 {
        try expect(column, SQLITE_INTEGER)
        return sqlite3_column_int64(statement.handle, column)
    }

    func number(_ column: Int32) throws(StoreError) -> UInt64 {
        guard let number = UInt64(exactly: try integer(column)) else { throw wrong(column) }
        return number
    }

    func bytes(_ column: Int32) throws(StoreError) -> [UInt8] {
        try expect(column, SQLITE_BLOB)
        guard let start = sqlite3_column_blob(statement.handle, column) else { return [] }
        return [UInt8](
            UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement.handle, column))))
    }

    func text(_ column: Int32) throws(StoreError) -> String {
        try expect(column, SQLITE_TEXT)
        guard let start = sqlite3_column_text(statement.handle, column),
            let text = String(
                validating: UnsafeBufferPointer(
                    start: start, count: Int(sqlite3_column_bytes(statement.handle, column))),
                as: UTF8.self)
        else { throw wrong(column) }
        return text
    }

    private func expect(_ column: Int32, _ type: Int32) throws(StoreError) {
        guard sqlite3_column_type(statement.handle, column) == type else { throw wrong(column) }
    }

    private func wrong(_ column: Int32) -> StoreError {
        StoreError.damaged(statement.path, "a row has something else in column \(column) than is ever written there")
    }
}
