package import DstackEncoding
import Synchronization

/// Verifying keys with tables, for public keys that come back: Intel's root, its PCK CAs and its TCB signing key are the
/// same for every platform in the world.
///
/// A table is a function of the public key alone, so keeping one remembers no decision: everything is still checked from
/// bytes at every call. Building one costs as much as some forty verifications and 150 KiB, so a key gets one only after
/// it has served that often in verifications that succeeded to the end (a stranger's forged quotes cannot make us build
/// any), and only `capacity` are kept.
package final class P256KeyTables: Sendable {
    package static let shared = P256KeyTables()

    /// Successful uses before a table is built.
    package static let threshold = 64
    /// Tables kept.
    package static let capacity = 48
    /// Keys counted at once.
    private static let countedKeys = 4096

    private struct State {
        var tables: [FixedBytes<64>: (key: P256VerifyingKey, lastUse: UInt64)] = [:]
        var uses: [FixedBytes<64>: Int] = [:]
        var clock: UInt64 = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// The key for a point, with a table if there is one. Nil if it is no point of the curve.
    package func key(for point: FixedBytes<64>) -> P256VerifyingKey? {
        let known = state.withLock { state -> P256VerifyingKey? in
            guard let entry = state.tables[point] else { return nil }
            state.clock += 1
            state.tables[point]?.lastUse = state.clock
            return entry.key
        }
        return known ?? P256VerifyingKey(point: point)
    }

    /// Counts keys that served in a verification that succeeded; builds the table of one that has now served often.
    package func recordSuccess(of keys: [P256VerifyingKey]) {
        guard keys.contains(where: { !$0.hasTable }) else { return }
        for key in keys where !key.hasTable {
            let isDue = state.withLock { state -> Bool in
                if state.uses.count >= Self.countedKeys, state.uses[key.point] == nil { state.uses.removeAll() }
                let count = state.uses[key.point, default: 0] + 1
                state.uses[key.point] = count
                return count == Self.threshold
            }
            guard isDue, let built = P256VerifyingKey(point: key.point, table: true), built.hasTable else { continue }
            state.withLock { state in
                state.uses[key.point] = nil
                if state.tables.count >= Self.capacity,
                    let oldest = state.tables.min(by: { $0.value.lastUse < $1.value.lastUse })?.key
                {
                    state.tables[oldest] = nil
                }
                state.clock += 1
                state.tables[key.point] = (built, state.clock)
            }
        }
    }
}
