import DstackCrypto
import DstackEncoding
import TestKit
import Testing

/// Keys with tables, and inverses found together: neither may change any answer.
@Suite("P-256 verification: keys and tables")
struct P256KeyTablesTests {
    private let source = PredictableBytesForTests("P-256 tables")

    private struct Signed {
        let point: FixedBytes<64>
        let digest: FixedBytes<32>
        let signature: P256Signature
    }

    private func signed() throws -> Signed {
        let key = P256.PrivateKey(random: source)
        let digest = source.bytes(32)
        return Signed(
            point: key.publicKey.point, digest: try #require(FixedBytes<32>(digest)),
            signature: P256Signature(raw: try #require(FixedBytes<64>(try key.signature(forDigest: digest).raw))))
    }

    @Test("bytes that are no point of the curve make no key")
    func invalidPoints() throws {
        let prime = hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff")
        let point = try signed().point
        var offCurve = point
        offCurve[63] ^= 1
        let (x, y) = (Array(point.bytes[..<32]), Array(point.bytes[32...]))
        // A number that is x modulo p, but not below p.
        var large = prime
        large[31] &+= 5
        let invalid = [
            [UInt8](repeating: 0, count: 64), [UInt8](repeating: 0xFF, count: 64), offCurve.bytes, y + x,
            prime + y, x + prime, large + y, x + [UInt8](repeating: 0, count: 32),
        ]
        for bytes in invalid {
            let point = try #require(FixedBytes<64>(bytes))
            #expect(P256VerifyingKey(point: point) == nil)
            #expect(P256VerifyingKey(point: point, table: true) == nil)
            #expect(P256KeyTables().key(for: point) == nil)
            #expect(!P256KeyTables().build(for: point))
        }
        #expect(P256VerifyingKey(point: point) != nil)
    }

    @Test("inverses found together give the answers of inverses found alone, bad numbers among them or not")
    func batches() throws {
        for count in [0, 1, 2, 9, 40] {
            let all = try (0..<count).map { _ in try signed() }
            var batch = all.map(\.signature)
            // Out of range: r or s of zero or of n and above.
            var zero = FixedBytes<64>()
            batch.insert(P256Signature(raw: zero), at: batch.count / 2)
            zero[0] = 1
            batch.append(P256Signature(raw: zero))
            batch.append(P256Signature(raw: FixedBytes(repeating: 0xFF)))
            P256Signature.prepare(&batch)
            for item in all {
                let key = try #require(P256VerifyingKey(point: item.point))
                for signature in batch {
                    #expect(key.isValid(signature, digest: item.digest) == (signature == item.signature))
                }
            }
        }
    }

    @Test("a key gets a table after serving often, one a call, and verifies as before")
    func threshold() throws {
        let tables = P256KeyTables(threshold: 3)
        let items = try (0..<2).map { _ in try signed() }
        var built: [Int] = []
        for _ in 0..<6 {
            let keys = try items.map { try #require(tables.key(for: $0.point)) }
            built.append(keys.count(where: \.hasTable))
            for (key, item) in zip(keys, items) {
                #expect(key.isValid(item.signature, digest: item.digest))
                #expect(!key.isValid(item.signature, digest: FixedBytes(repeating: 1)))
            }
            tables.recordSuccess(of: keys)
        }
        #expect(built == [0, 0, 0, 1, 2, 2])
        // Somebody who has held a key from before its table neither counts nor builds again.
        let old = try #require(P256VerifyingKey(point: items[0].point))
        for _ in 0..<6 { tables.recordSuccess(of: [old]) }
        #expect(try #require(tables.key(for: items[0].point)).hasTable)
    }

    @Test("a full store keeps the tables that are in use")
    func capacity() throws {
        let tables = P256KeyTables(capacity: 4, idleLookups: 100)
        let first = try signed()
        #expect(tables.build(for: first.point))
        for _ in 1..<4 { #expect(tables.build(for: try signed().point)) }
        let late = try signed()
        #expect(!tables.build(for: late.point))
        #expect(try !#require(tables.key(for: late.point)).hasTable)
        #expect(try #require(tables.key(for: first.point)).hasTable)
        // All but the first go unused for long: one of them makes room.
        for _ in 0...100 { _ = tables.key(for: first.point) }
        #expect(tables.build(for: late.point))
        #expect(try #require(tables.key(for: late.point)).hasTable)
        #expect(try #require(tables.key(for: first.point)).hasTable)
    }

    @Test("many threads verify with the same keys while tables are built")
    func threads() async throws {
        let tables = P256KeyTables(threshold: 5)
        let items = try (0..<4).map { _ in try signed() }
        let wrong = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var wrong = 0
                    for round in 0..<40 {
                        let (item, other) = (items[round % 4], items[(round + 1) % 4])
                        guard let key = tables.key(for: item.point) else { return 1_000 }
                        if !key.isValid(item.signature, digest: item.digest) { wrong += 1 }
                        if key.isValid(other.signature, digest: other.digest) { wrong += 1 }
                        tables.recordSuccess(of: [key])
                    }
                    return wrong
                }
            }
            return await group.reduce(0, +)
        }
        #expect(wrong == 0)
        for item in items { #expect(try #require(tables.key(for: item.point)).hasTable) }
    }
}
