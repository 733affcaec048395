/// What a connection has in the memory for bodies.
struct BodyHolding {
    let holder: HTTPPeer.Identity
    let bytes: Int
    /// How its body comes; nil for one that is complete and being handled, which cannot be freed.
    let arrival: EvictionCandidate?
}

/// Decides whose bodies go where the memory for them is full. Pure.
///
/// Bodies that come too slowly go first. Where none does, the address that holds most loses its latest, and so on until there
/// is room, unless that is the address of whoever asks for it and it has nothing else to lose: so one who keeps just above
/// the least rate takes from himself, and nobody who holds less is refused.
enum BodyEviction {
    /// The slots whose bodies are to be freed; as few as may be if that is not enough.
    ///
    /// - Parameters:
    ///   - holdings: of all but the asker.
    ///   - asker: whose body needs room, and what it would hold with it.
    ///   - needed: bytes to be freed.
    ///   - spare: bytes to be freed beyond, so that looking through all is not repeated for each piece of a body.
    static func victims(
        of holdings: [BodyHolding], asker: (holder: HTTPPeer.Identity, bytes: Int), needed: Int, spare: Int
    ) -> [Int] {
        var freed = 0
        var victims: [Int] = []
        let slow = holdings.filter { $0.arrival?.rank == .slow }
        for victim in inOrder(slow, asker: nil) where freed < needed + spare {
            victims.append(victim.slot)
            freed += victim.bytes
        }
        guard freed < needed else { return victims }
        let slowVictims = victims
        let rest = holdings.filter { $0.arrival?.rank != .slow }
        let askerShare = rest.reduce(asker.bytes) { $0 + ($1.holder == asker.holder ? $1.bytes : 0) }
        for victim in inOrder(rest, asker: asker) {
            // Those who hold less than the asker's address keep what they have.
            guard freed < needed + spare, victim.share > askerShare || victim.isAskers else { break }
            victims.append(victim.slot)
            freed += victim.bytes
        }
        return freed < needed ? slowVictims : victims
    }

    private struct Victim {
        let slot: Int
        let bytes: Int
        /// What its address holds before it goes.
        let share: Int
        let isAskers: Bool
    }

    /// Those that can be freed: of the largest share first, and of an address the latest.
    private static func inOrder(
        _ holdings: [BodyHolding], asker: (holder: HTTPPeer.Identity, bytes: Int)?
    ) -> [Victim] {
        var shares: [HTTPPeer.Identity: Int] = [:]
        if let asker { shares[asker.holder] = asker.bytes }
        for holding in holdings { shares[holding.holder, default: 0] += holding.bytes }
        var latestFirst = holdings.compactMap { holding in
            holding.arrival.map { (candidate: $0, bytes: holding.bytes) }
        }
        latestFirst.sort { $0.candidate.goesBefore($1.candidate) }
        let victims = latestFirst.map { candidate, bytes in
            let share = shares[candidate.holder, default: 0]
            shares[candidate.holder] = share - bytes
            return Victim(
                slot: candidate.slot, bytes: bytes, share: share, isAskers: candidate.holder == asker?.holder)
        }
        let order = victims.indices.sorted { left, right in
            let (one, other) = (victims[left], victims[right])
            if one.share != other.share { return one.share > other.share }
            // Of two that hold as much, the asker's own goes.
            return one.isAskers != other.isAskers ? one.isAskers : left < right
        }
        return order.map { victims[$0] }
    }
}
