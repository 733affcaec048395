import DstackStore
import Foundation
import Glibc
import TestKit

/// A directory for a store; gone when the tests end.
func storeDirectory() -> String { Scratch.path("store") }

func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

extension StoreTransaction {
    static func put(_ key: String, _ value: String) -> StoreTransaction {
        var transaction = StoreTransaction()
        transaction.put(StoreKey(key), Array(value.utf8))
        return transaction
    }
}

extension Store {
    /// Puts, and expects that nothing stands in the way.
    func put(_ key: String, _ value: String) async throws {
        guard case .committed = try await commit(.put(key, value)) else { throw StoreError(.invalid, key, "conflict") }
    }

    /// Everything that there is, as text.
    func contents(logs: [String]) async throws -> [String: String] {
        var all: [String: String] = [:]
        for record in try await allRecords(prefix: StoreKey("")) { all[record.key.description] = text(record.value) }
        for log in logs {
            let count = try await count(of: log)
            all["count of \(log)"] = "\(count)"
            var next: UInt64 = 1
            while next <= count {
                for entry in try await entries(of: log, from: next, limit: 100) {
                    all["\(log) \(entry.number)"] = text(entry.value)
                    next = entry.number + 1
                }
            }
        }
        return all
    }
}
