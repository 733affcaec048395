/// What a connection has in the memory for bodies.
struct BodyHolding {
    let slot: Int
    let holder: HTTPPeer.Identity
    let bytes: Int
    /// How its body comes; nil for one that is complete and being handled, which cannot be freed.
    let arrival: (rank: EvictionCandidate.Rank, lateness: Int64)?
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
        for (_, holding) in inOrder(slow, of: slow, asker: nil) where freed < needed + spare {
            victims.append(holding.slot)
            freed += holding.bytes
        }
        guard freed < needed else { return victims }
        let slowVictims = victims
        let rest = holdings.filter { $0.arrival?.rank != .slow }
        let askerShare = rest.reduce(asker.bytes) { $0 + ($1.holder == asker.holder ? $1.bytes : 0) }
        for (share, holding) in inOrder(rest.filter { $0.arrival != nil }, of: rest, asker: asker) {
            // Those who hold less than the asker's address keep what they have.
            guard freed < needed + spare, share > askerShare || holding.holder == asker.holder else { break }
            victims.append(holding.slot)
            freed += holding.bytes
        }
        return freed < needed ? slowVictims : victims
    }

    /// With what their addresses hold, before each goes: of the largest share first, and of an address the latest.
    private static func inOrder(
        _ some: [BodyHolding], of all: [BodyHolding], asker: (holder: HTTPPeer.Identity, bytes: Int)?
    ) -> [(share: Int, holding: BodyHolding)] {
        var shares: [HTTPPeer.Identity: Int] = [:]
        if let asker { shares[asker.holder] = asker.bytes }
        for holding in all { shares[holding.holder, default: 0] += holding.bytes }
        let latestFirst = some.sorted { ($0.arrival?.lateness ?? 0) > ($1.arrival?.lateness ?? 0) }
        var weighed: [(share: Int, order: Int)] = []
        for (order, holding) in latestFirst.enumerated() {
            let share = shares[holding.holder, default: 0]
            shares[holding.holder] = share - holding.bytes
            weighed.append((share, order))
        }
        weighed.sort { left, right in
            guard left.share == right.share else { return left.share > right.share }
            // Of two that hold as much, the asker's own goes.
            let (isOwn, isOther) = (
                latestFirst[left.order].holder == asker?.holder, latestFirst[right.order].holder == asker?.holder
            )
            return isOwn != isOther ? isOwn : left.order < right.order
        }
        return weighed.map { ($0.share, latestFirst[$0.order]) }
    }
}
