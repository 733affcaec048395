/// State that survives: named records, and logs that only grow.
///
/// What is asked here a single file can do and so can the store of a cluster (etcd): keys in one flat order, a version for
/// each record that grows with every write, transactions that happen only if nothing they rely on has changed meanwhile, and
/// logs whose entries have consecutive numbers. Nothing more is promised, so that services do not come to rely on more.
///
/// - A change is durable before it is acknowledged. Where a call throws, the change has not happened, except for
///   ``StoreError/Code/unknownOutcome``.
/// - What is read was committed and is whole: damage is reported and never read.
/// - Secrets do not belong here: a store neither wipes memory nor encrypts.
package protocol Store: Sendable {
    /// The record of a key; nil if there is none.
    func record(_ key: StoreKey) async throws(StoreError) -> StoreRecord?

    /// Records whose keys begin with a prefix, in the order of their bytes, as they are at one moment.
    ///
    /// - Parameters:
    ///   - last: only those behind this key.
    ///   - limit: how many at most.
    func records(prefix: StoreKey, after last: StoreKey?, limit: Int) async throws(StoreError) -> [StoreRecord]

    /// Makes all changes of a transaction, or none.
    ///
    /// Cancelling the task does not end the wait: whoever changes something has to know what became of it.
    func commit(_ transaction: StoreTransaction) async throws(StoreError) -> StoreOutcome

    /// How many entries a log has, which is also the number of the last; 0 for one that nobody has written to.
    func count(of log: String) async throws(StoreError) -> UInt64

    /// Entries of a log, from one number on, in order.
    ///
    /// - Parameters:
    ///   - number: the first of them; the first entry of a log is number 1.
    ///   - limit: how many at most.
    func entries(of log: String, from number: UInt64, limit: Int) async throws(StoreError) -> [StoreLogEntry]

    /// Writes what is left to be written and lets go of everything. Calls that come later throw
    /// ``StoreError/Code/closed``.
    func close() async
}

extension Store {
    /// All records whose keys begin with a prefix. They are read in pieces, between which others may write.
    package func allRecords(prefix: StoreKey) async throws(StoreError) -> [StoreRecord] {
        var all: [StoreRecord] = []
        while true {
            let piece = try await records(prefix: prefix, after: all.last?.key, limit: 512)
            all += piece
            if piece.count < 512 { return all }
        }
    }
}

/// The name of a record: bytes, compared as such.
package struct StoreKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    /// A text, and bytes behind it.
    package init(_ text: String, _ suffix: [UInt8] = []) { bytes = Array(text.utf8) + suffix }

    package init(bytes: [UInt8]) { self.bytes = bytes }

    package static func < (left: Self, right: Self) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }

    /// As messages show it: what is no visible ASCII as two digits.
    package var description: String {
        bytes.map { byte in
            guard !(0x21...0x7E).contains(byte) || byte == UInt8(ascii: "\\") else {
                return String(Unicode.Scalar(byte))
            }
            let digits = String(byte, radix: 16)
            return "\\" + (digits.utf8.count < 2 ? "0" : "") + digits
        }.joined()
    }

    /// The first key behind all that begin with this one; nil if there is none.
    package var endOfPrefix: StoreKey? {
        guard let last = bytes.lastIndex(where: { $0 < 0xFF }) else { return nil }
        return StoreKey(bytes: bytes[..<last] + [bytes[last] + 1])
    }
}

/// A record as it was at one moment.
package struct StoreRecord: Hashable, Sendable {
    package let key: StoreKey
    package let value: [UInt8]
    /// Of this very content: every write gives a record another, larger one, also after it was removed.
    package let version: UInt64

    package init(key: StoreKey, value: [UInt8], version: UInt64) {
        self.key = key
        self.value = value
        self.version = version
    }
}

/// An entry of a log.
package struct StoreLogEntry: Hashable, Sendable {
    package let number: UInt64
    package let value: [UInt8]

    package init(number: UInt64, value: [UInt8]) {
        self.number = number
        self.value = value
    }
}

/// What became of a transaction.
package enum StoreOutcome: Hashable, Sendable {
    /// All of it happened, and is durable.
    ///
    /// - Parameter version: that of every record which it wrote.
    case committed(version: UInt64)
    /// None of it happened, since a condition does not hold.
    ///
    /// - Parameter what: the key or the log of which it does not.
    case conflict(_ what: String)
}
