import Glibc

/// Who has a connection's place, as far as that can be told: everybody behind one is given up together.
struct PlaceHolder: Hashable {
    /// 4, 6, or a number of its own for what is no internet address.
    private let family: UInt8
    private let value: UInt64

    private init(_ family: UInt8, _ value: UInt64) {
        self.family = family
        self.value = value
    }

    init(_ address: HTTPPeer.Address) {
        switch address {
        case .internet(let host, _): self = Self.internet(host)
        // One process, as containers commonly have one user.
        case .unix(let processID, _, _): self.init(1, UInt64(UInt32(bitPattern: processID)))
        case .vsock(let cid, _): self.init(2, UInt64(cid))
        case .unknown: self.init(0, 0)
        }
    }

    /// An IPv4 address, also where it comes in the form of IPv6; of an IPv6 address the first 64 bits, since whoever has one
    /// has all addresses that share them (RFC 6177).
    private static func internet(_ host: String) -> PlaceHolder {
        var four = in_addr()
        if inet_pton(AF_INET, host, &four) == 1 { return PlaceHolder(4, UInt64(four.s_addr)) }
        var six = in6_addr()
        guard inet_pton(AF_INET6, host, &six) == 1 else { return PlaceHolder(0, 0) }
        return withUnsafeBytes(of: &six) { bytes in
            let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
            return isMapped
                ? PlaceHolder(4, UInt64(bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
                : PlaceHolder(6, bytes.loadUnaligned(as: UInt64.self))
        }
    }
}

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
    let holder: PlaceHolder
    let rank: Rank
    /// How late, in nanoseconds; among its like the latest goes first.
    let lateness: Int64
}

/// Decides whose places a newcomer gets. Pure.
///
/// First come those of the lowest rank, among them those of the address that holds most such places, and of these the
/// latest. So whoever fills a server takes the places from himself, and yet no address is refused: behind a gateway, his own
/// half-sent requests go before anybody's who waits beside him.
enum PlaceEviction {
    /// The slots to be freed: one, or a few at once where one address holds very many, so that looking through all
    /// connections is not repeated for each newcomer of a crowd.
    static func victims(of candidates: [EvictionCandidate]) -> [Int] {
        guard let rank = candidates.map(\.rank).min() else { return [] }
        let latestFirst = candidates.filter { $0.rank == rank }.sorted { $0.lateness > $1.lateness }
        var left: [PlaceHolder: Int] = [:]
        for candidate in latestFirst { left[candidate.holder, default: 0] += 1 }
        let most = left.values.max() ?? 1
        let count = max(1, most / placesPerVictim)
        // Each candidate weighs what its address would still hold after its later ones are gone.
        var weighed: [(slot: Int, weight: Int, order: Int)] = []
        for (order, candidate) in latestFirst.enumerated() {
            let weight = left[candidate.holder, default: 0]
            left[candidate.holder] = weight - 1
            if weight > most - count { weighed.append((candidate.slot, weight, order)) }
        }
        weighed.sort { $0.weight != $1.weight ? $0.weight > $1.weight : $0.order < $1.order }
        return weighed.prefix(count).map(\.slot)
    }

    private static let placesPerVictim = 64
}
