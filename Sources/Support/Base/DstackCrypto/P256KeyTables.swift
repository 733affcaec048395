package import DstackEncoding
import Synchronization

/// Verifying keys with tables, for public keys that come back: Intel's root, its PCK CAs and its TCB signing key are the
/// same for every platform in the world.
///
/// A table is a function of the public key alone, so keeping one remembers no decision: everything is still checked from
/// bytes at every call. Building one costs as much as some four hundred verifications under a key that has one, and
/// 150 KiB, so a key gets one only after it has served often in verifications that succeeded to the end (a stranger's
/// forged quotes cannot make us build any), only so many are kept, and none has to go that is still in use.
package final class P256KeyTables: Sendable {
    package static let shared = P256KeyTables()

    /// Keys counted at once.
    private static let countedKeys = 4096

    private struct State {
        var tables: [FixedBytes<64>: (key: P256VerifyingKey, lastUse: UInt64)] = [:]
        var uses: [FixedBytes<64>: Int] = [:]
        /// Look-ups of keys with tables so far.
        var clock: UInt64 = 0

    }

    private let state = Mutex(State())
    private let threshold: Int
    private let capacity: Int
    private let idleLookups: UInt64

    /// - Parameters:
    ///   - threshold: successful uses before a table is built.
    ///   - capacity: tables kept.
    ///   - idleLookups: a full store replaces the table that has gone unused longest, if that is for this many look-ups
    ///     of others. In a fleet larger than the store, tables would otherwise replace each other for ever, at 20 ms each.
    package init(threshold: Int = 64, capacity: Int = 48, idleLookups: UInt64 = 100_000) {
        self.threshold = threshold
        self.capacity = capacity
        self.idleLookups = idleLookups
    }

    /// Whether a table may be added now, and which one goes for it.
    private func room(_ state: borrowing State) -> (isThere: Bool, replaced: FixedBytes<64>?) {
        guard state.tables.count >= capacity else { return (true, nil) }
        guard let oldest = state.tables.min(by: { $0.value.lastUse < $1.value.lastUse }),
            state.clock - oldest.value.lastUse > idleLookups
        else { return (false, nil) }
        return (true, oldest.key)
    }

    /// The key for a point, with a table if there is one. Nil if it is no point of the curve.
    package func key(for point: FixedBytes<64>) -> P256VerifyingKey? {
        let known = state.withLock { state -> P256VerifyingKey? in
            guard let index = state.tables.index(forKey: point) else { return nil }
            state.clock += 1
            state.tables.values[index].lastUse = state.clock
            return state.tables.values[index].key
        }
        return known ?? P256VerifyingKey(point: point)
    }

    /// Counts keys that served in a verification that succeeded; builds the table of one that has now served often. One
    /// at a time, so that no call takes longer by more than that.
    package func recordSuccess(of keys: [P256VerifyingKey]) {
        guard keys.contains(where: { !$0.hasTable }) else { return }
        let due = state.withLock { state -> FixedBytes<64>? in
            var due: FixedBytes<64>?
            for key in keys where !key.hasTable && state.tables[key.point] == nil {
                if state.uses.count >= Self.countedKeys, state.uses[key.point] == nil { state.uses.removeAll() }
                let count = state.uses[key.point, default: 0] + 1
                state.uses[key.point] = count
                guard count >= threshold, due == nil else { continue }
                due = room(state).isThere ? key.point : nil
                // Nobody else builds it meanwhile; without room, the key may try again when it has earned it again.
                state.uses[key.point] = due == nil ? 0 : .min
            }
            return due
        }
        if let due { build(for: due) }
    }

    /// Builds the table of a key now. False if there is no such point or no room.
    @discardableResult
    package func build(for point: FixedBytes<64>) -> Bool {
        guard let built = P256VerifyingKey(point: point, table: true), built.hasTable else { return false }
        return state.withLock { state in
            state.uses[point] = nil
            let (isThere, replaced) = room(state)
            guard isThere else { return false }
            if let replaced { state.tables[replaced] = nil }
            state.clock += 1
            state.tables[point] = (built, state.clock)
            return true
        }
    }
}
