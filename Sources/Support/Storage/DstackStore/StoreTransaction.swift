/// Changes that happen together, on conditions.
///
/// ```swift
/// var change = StoreTransaction()
/// change.require(record.key, version: record.version)
/// change.put(record.key, value)
/// change.append([entry], to: "audit", after: 17)
/// ```
///
/// A condition is about what was there before the transaction; a key or a log is changed once in it.
package struct StoreTransaction: Sendable {
    /// What must hold.
    package enum Condition: Hashable, Sendable {
        case absent(StoreKey)
        case unchanged(StoreKey, version: UInt64)
        /// So many entries.
        case count(log: String, UInt64)
    }

    package enum Write: Sendable {
        case put(StoreKey, [UInt8])
        case remove(StoreKey)
    }

    package struct Append: Sendable {
        package let log: String
        package let entries: [[UInt8]]
    }

    package private(set) var conditions: [Condition] = []
    package private(set) var writes: [Write] = []
    package private(set) var appends: [Append] = []

    package init() {}

    package var isEmpty: Bool { writes.isEmpty && appends.isEmpty }

    /// Nothing happens unless the record is the one that was read.
    package mutating func require(_ key: StoreKey, version: UInt64) {
        conditions.append(.unchanged(key, version: version))
    }

    /// Nothing happens if there is a record.
    package mutating func requireAbsent(_ key: StoreKey) { conditions.append(.absent(key)) }

    /// Nothing happens unless the record is as it was read, or still not there.
    package mutating func requireUnchanged(_ key: StoreKey, since record: StoreRecord?) {
        if let record { require(key, version: record.version) } else { requireAbsent(key) }
    }

    /// Writes a record, new or in place of the one that is there.
    package mutating func put(_ key: StoreKey, _ value: [UInt8]) { writes.append(.put(key, value)) }

    /// Removes a record, if it is there.
    package mutating func remove(_ key: StoreKey) { writes.append(.remove(key)) }

    /// Adds entries to the end of a log.
    ///
    /// - Parameter count: how many entries the log has; nothing happens if it has more or fewer. So the first of the new ones
    ///   has the number behind it.
    package mutating func append(_ entries: [[UInt8]], to log: String, after count: UInt64) {
        conditions.append(.count(log: log, count))
        appends.append(Append(log: log, entries: entries))
    }

    /// Takes over what another one has.
    package mutating func add(_ other: StoreTransaction) {
        conditions += other.conditions
        writes += other.writes
        appends += other.appends
    }
}

/// What a store takes: no more than the stores of clusters do, so that a service can change from one to the other.
package enum StoreLimits {
    /// Bytes of a key and of a log's name.
    package static let key = 1_024
    /// Bytes of a record's value and of an entry.
    package static let value = 512 * 1_024
    /// Bytes of all values of a transaction.
    package static let transaction = 1_024 * 1_024
    /// Conditions of a transaction, and its changes (an entry is one; so is a log that is appended to).
    package static let operations = 128
}

extension StoreTransaction {
    /// - Throws: ``StoreError/Code/tooLarge`` for what is over ``StoreLimits``, ``StoreError/Code/invalid`` for what is changed
    ///   twice or has no name.
    package func check() throws(StoreError) {
        var bytes = 0
        var operations = 0
        var keys: Set<StoreKey> = []
        var logs: Set<String> = []
        for write in writes {
            operations += 1
            let key: StoreKey
            switch write {
            case .put(let name, let value):
                key = name
                try Self.check("the value of \(key)", value.count, StoreLimits.value)
                bytes += value.count
            case .remove(let name): key = name
            }
            try Self.check(name: key.bytes, "key")
            guard keys.insert(key).inserted else {
                throw StoreError(.invalid, "\(key)", "one transaction changes it twice")
            }
        }
        for append in appends {
            operations += 1 + append.entries.count
            try Self.check(name: Array(append.log.utf8), "log's name")
            guard logs.insert(append.log).inserted else {
                throw StoreError(.invalid, append.log, "one transaction appends to it twice")
            }
            for entry in append.entries {
                try Self.check("an entry of \(append.log)", entry.count, StoreLimits.value)
                bytes += entry.count
            }
        }
        try Self.check("a transaction", bytes, StoreLimits.transaction)
        guard max(operations, conditions.count) <= StoreLimits.operations else {
            throw StoreError(
                .tooLarge, "transaction",
                "\(max(operations, conditions.count)) operations, at most \(StoreLimits.operations) are done at once")
        }
    }

    private static func check(name: [UInt8], _ what: String) throws(StoreError) {
        guard !name.isEmpty else { throw StoreError(.invalid, what, "it is empty") }
        try check("a \(what)", name.count, StoreLimits.key)
    }

    private static func check(_ what: String, _ count: Int, _ limit: Int) throws(StoreError) {
        guard count <= limit else {
            throw StoreError(.tooLarge, what, "\(count) bytes, at most \(limit) are stored")
        }
    }
}
