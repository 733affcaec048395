/// A connection that may lose its place to a newcomer.
struct EvictionCandidate {
    /// What goes first.
    enum Rank: UInt8, Comparable {
        /// Holds up something half-done: a handshake, a head or a body that comes slower than it must, a response that is not
        /// taken, or a connection that never asked for anything.
        case slow
        /// Has been served, and asks for nothing at the moment.
        case idle
        /// Something half-done that is not late yet, or has just come.
        case young
        /// Is being sent what it asked for, and takes it; for as long as it likes.
        case streaming

        static func < (left: Rank, right: Rank) -> Bool { left.rawValue < right.rawValue }
    }

    let slot: Int
    /// Of the connection that has the slot.
    let number: UInt64
    let holder: HTTPPeer.Identity
    let rank: Rank
    /// For how long it has kept its place to little use, in nanoseconds, 0 or more; among its like the latest goes first.
    let lateness: Int64
    /// When it began with what it is at, on the monotonic clock. Of those that are not late at all the oldest goes first: with
    /// new ones without end, everybody still has as long as all the places last.
    let since: UInt64

    func goesBefore(_ other: EvictionCandidate) -> Bool {
        lateness != other.lateness ? lateness > other.lateness : since < other.since
    }
}

/// Decides whose places newcomers get. Pure.
///
/// First come those of the lowest rank, among them those of the address that holds most such places, and of these the
/// latest. So whoever fills a server takes the places from himself, and yet no address is refused: behind a gateway, his own
/// half-sent requests go before anybody's who waits beside him.
enum PlaceEviction {
    /// Those who go next, in this order: a share of all, so that looking through all connections is not repeated for each
    /// newcomer of a crowd.
    static func victims(of candidates: [EvictionCandidate]) -> [EvictionCandidate] {
        guard let rank = candidates.lazy.map(\.rank).min() else { return [] }
        var latestFirst = candidates.filter { $0.rank == rank }
        latestFirst.sort { $0.goesBefore($1) }
        var left: [HTTPPeer.Identity: Int] = [:]
        for candidate in latestFirst { left[candidate.holder, default: 0] += 1 }
        // Each candidate weighs what its address would still hold after its later ones are gone.
        var weighed: [(weight: Int, order: Int)] = []
        weighed.reserveCapacity(latestFirst.count)
        for (order, candidate) in latestFirst.enumerated() {
            let weight = left[candidate.holder, default: 0]
            left[candidate.holder] = weight - 1
            weighed.append((weight, order))
        }
        weighed.sort { $0.weight != $1.weight ? $0.weight > $1.weight : $0.order < $1.order }
        return weighed.prefix(max(1, latestFirst.count / placesPerVictim)).map { latestFirst[$0.order] }
    }

    private static let placesPerVictim = 64
}

/// Those who go next, for a moment: each newcomer takes the place of one, and nobody loses his before somebody wants it.
struct EvictionQueue {
    /// The next one last.
    private var victims: [EvictionCandidate] = []
    private var reckoned: UInt64 = 0

    /// After this time, others may have become later.
    private static let lifetime: UInt64 = 100_000_000

    /// - Parameters:
    ///   - current: what a candidate is by now; nil for one that is gone, or is being served.
    ///   - all: all candidates there are; asked for only if nobody is left.
    /// - Returns: the slot to be freed; nil if there is none.
    mutating func next(
        _ now: UInt64, current: (EvictionCandidate) -> EvictionCandidate?, all: () -> [EvictionCandidate]
    ) -> Int? {
        if now &- reckoned <= Self.lifetime {
            while let victim = victims.popLast() {
                // One that has come further since is no longer next.
                if let current = current(victim), current.rank <= victim.rank { return victim.slot }
            }
        }
        victims = PlaceEviction.victims(of: all()).reversed()
        reckoned = now
        return victims.popLast()?.slot
    }
}
