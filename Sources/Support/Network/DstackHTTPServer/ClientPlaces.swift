/// How many of something are under way at once, and for whom: nobody gets all of the places, so that one who asks without end
/// keeps nobody else from being served.
struct ClientPlaces {
    private var holders: [HTTPPeer.Identity: Int] = [:]
    private(set) var count = 0

    /// Whether there was a place.
    ///
    /// - Parameters:
    ///   - maximum: for all together.
    ///   - share: for one.
    mutating func take(_ holder: HTTPPeer.Identity, of maximum: Int, share: Int) -> Bool {
        guard count < maximum, holders[holder, default: 0] < max(1, share) else { return false }
        holders[holder, default: 0] += 1
        count += 1
        return true
    }

    mutating func leave(_ holder: HTTPPeer.Identity) {
        count -= 1
        holders[holder] = holders[holder].flatMap { $0 > 1 ? $0 - 1 : nil }
    }
}
