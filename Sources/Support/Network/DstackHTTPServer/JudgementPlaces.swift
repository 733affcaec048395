/// How many clients are being judged at once, and for whom.
///
/// A judgement takes a processor for a millisecond, or waits for what has to be fetched. Nobody gets more than half of the
/// places, so that one who opens connections without end keeps nobody else from being judged.
struct JudgementPlaces {
    private var holders: [HTTPPeer.Identity: Int] = [:]
    private(set) var count = 0

    /// Whether there was a place.
    mutating func take(_ holder: HTTPPeer.Identity, of maximum: Int) -> Bool {
        guard count < maximum, holders[holder, default: 0] < max(1, maximum / 2) else { return false }
        holders[holder, default: 0] += 1
        count += 1
        return true
    }

    mutating func leave(_ holder: HTTPPeer.Identity) {
        count -= 1
        holders[holder] = holders[holder].flatMap { $0 > 1 ? $0 - 1 : nil }
    }
}
