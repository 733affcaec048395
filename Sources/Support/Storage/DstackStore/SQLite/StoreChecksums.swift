import DstackCrypto
import DstackEncoding

// SQLite finds pages that contradict each other, not a bit that changed inside a value. So every row carries a hash of all
// that it says, and the rows together have a sum: one that is changed, missing or doubled is found.

/// SHA-256 of a row, with a tag for its table and a length before every part.
enum RowChecksum {
    static func record(_ key: [UInt8], _ version: UInt64, _ value: [UInt8]) -> FixedBytes<32> {
        hash("record", key, version, value)
    }

    static func log(_ name: String, _ id: UInt64, _ count: UInt64) -> FixedBytes<32> {
        hash("log", Array(name.utf8), count, number(id))
    }

    static func entry(_ log: String, _ number: UInt64, _ value: [UInt8]) -> FixedBytes<32> {
        hash("entry", Array(log.utf8), number, value)
    }

    static func state(_ state: StoreState) -> FixedBytes<32> {
        hash("state", state.sum.bytes, state.version, number(state.rows))
    }

    /// Of the file beside the store that says how far it had come.
    static func mark(_ version: UInt64) -> FixedBytes<32> { hash("mark", [], version, []) }

    private static func hash(
        _ table: StaticString, _ name: [UInt8], _ number: UInt64, _ value: [UInt8]
    ) -> FixedBytes<32> {
        var writer = ByteWriter(capacity: value.count + name.count + 64)
        writer.framed("dstack-store/v1".utf8)
        writer.framed("\(table)".utf8)
        writer.framed(name)
        writer.bigEndian(number)
        writer.framed(value)
        return SHA256.hash(writer.bytes)
    }

    private static func number(_ number: UInt64) -> [UInt8] {
        var writer = ByteWriter()
        writer.bigEndian(number)
        return writer.bytes
    }
}

/// What holds of all records and logs together.
struct StoreState: Equatable {
    /// Of the last change; 0 before the first.
    var version: UInt64 = 0
    /// How many records and logs there are.
    var rows: UInt64 = 0
    var sum = RowSum()

    mutating func add(_ checksum: FixedBytes<32>) {
        rows &+= 1
        sum.add(checksum)
    }

    mutating func remove(_ checksum: FixedBytes<32>) {
        rows &-= 1
        sum.remove(checksum)
    }
}

/// The sum of the hashes of rows, in whatever order they come and go. It is for accidents: who can compute hashes of rows can
/// make two sets with one sum, and could as well write the sum anew.
struct RowSum: Equatable {
    private var words = [UInt64](repeating: 0, count: 4)

    init() {}

    init?(_ bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        words = Self.words(bytes)
    }

    var bytes: [UInt8] {
        var writer = ByteWriter(capacity: 32)
        for word in words { writer.bigEndian(word) }
        return writer.bytes
    }

    mutating func add(_ checksum: FixedBytes<32>) {
        for (index, word) in Self.words(checksum.bytes).enumerated() { words[index] &+= word }
    }

    mutating func remove(_ checksum: FixedBytes<32>) {
        for (index, word) in Self.words(checksum.bytes).enumerated() { words[index] &-= word }
    }

    private static func words(_ bytes: [UInt8]) -> [UInt64] {
        (0..<4).map { word in bytes[word * 8..<word * 8 + 8].reduce(0) { $0 << 8 | UInt64($1) } }
    }
}
