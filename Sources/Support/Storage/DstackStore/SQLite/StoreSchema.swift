/// The tables, and what makes a file one of ours.
enum StoreSchema {
    /// `dsst`: in the header of the file.
    static let applicationID: Int64 = 0x6473_7374
    /// Of the tables; a file with a larger one is of a later version of this program.
    static let version: Int64 = 1

    /// In the order of their names, as they stand in the file.
    static let tables = [
        (
            "entries",
            "CREATE TABLE entries (log INTEGER NOT NULL, number INTEGER NOT NULL, value BLOB NOT NULL, "
                + "checksum BLOB NOT NULL, PRIMARY KEY (log, number)) STRICT, WITHOUT ROWID"
        ),
        (
            "logs",
            "CREATE TABLE logs (name TEXT NOT NULL PRIMARY KEY, id INTEGER NOT NULL, count INTEGER NOT NULL, "
                + "checksum BLOB NOT NULL) STRICT, WITHOUT ROWID"
        ),
        (
            "records",
            "CREATE TABLE records (key BLOB NOT NULL PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL, "
                + "checksum BLOB NOT NULL) STRICT, WITHOUT ROWID"
        ),
        (
            "state",
            "CREATE TABLE state (id INTEGER NOT NULL PRIMARY KEY, version INTEGER NOT NULL, rows INTEGER NOT NULL, "
                + "sum BLOB NOT NULL, checksum BLOB NOT NULL) STRICT, WITHOUT ROWID"
        ),
    ]

    /// Makes the tables in a file that has none, or checks that they are these.
    ///
    /// - Returns: whether the file had none.
    static func prepare(_ connection: SQLiteConnection, path: String) throws(StoreError) -> Bool {
        let application = try value(connection, "PRAGMA application_id")
        let version = try value(connection, "PRAGMA user_version")
        if application == 0, version == 0, try value(connection, "SELECT count(*) FROM sqlite_schema") == 0 {
            try create(connection, path: path)
            return true
        }
        guard application == applicationID else {
            throw StoreError.damaged(path, "it is no store of this program")
        }
        guard version <= Self.version else {
            throw StoreError(
                .newerVersion, path, "its format is version \(version); this program knows \(Self.version)",
                hint: "run the version that wrote it, or a later one")
        }
        guard version == Self.version else { throw StoreError.damaged(path, "there is no version \(version) of it") }
        var found: [(String, String)] = []
        try connection.query("SELECT name, sql FROM sqlite_schema ORDER BY name", []) {
            (row: SQLiteRow) throws(StoreError) in
            found.append((try row.text(0), try row.text(1)))
        }
        guard found.elementsEqual(tables, by: { $0 == $1 }) else {
            throw StoreError.damaged(path, "its tables are not those of version \(version)")
        }
        guard try journalMode(connection) == "wal" else {
            throw StoreError.damaged(path, "its header does not say that it has a write-ahead log")
        }
        return false
    }

    private static func create(_ connection: SQLiteConnection, path: String) throws(StoreError) {
        // In the file for good, and outside of a transaction; a file that has only this is still empty.
        try connection.execute("PRAGMA journal_mode = WAL")
        guard try journalMode(connection) == "wal" else {
            throw StoreError(.system, path, "this file system cannot hold a write-ahead log (it has no shared memory)")
        }
        try connection.execute("BEGIN IMMEDIATE")
        for (_, sql) in tables { try connection.execute(sql) }
        try StoreRows.write(StoreState(), to: connection)
        try connection.execute("PRAGMA application_id = \(applicationID)")
        try connection.execute("PRAGMA user_version = \(version)")
        try connection.execute("COMMIT")
    }

    private static func journalMode(_ connection: SQLiteConnection) throws(StoreError) -> String {
        var mode = ""
        try connection.query("PRAGMA journal_mode", []) { (row: SQLiteRow) throws(StoreError) in mode = try row.text(0)
        }
        return mode
    }

    private static func value(_ connection: SQLiteConnection, _ sql: String) throws(StoreError) -> Int64 {
        var value: Int64?
        try connection.query(sql, []) { (row: SQLiteRow) throws(StoreError) in value = try row.integer(0) }
        return value ?? 0
    }
}
