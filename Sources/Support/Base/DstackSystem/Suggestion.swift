/// "Did you mean …?" for a word that was not understood.
package enum Suggestion {
    /// The candidate that takes the fewest typing errors to turn into `word`, if it is near enough to be meant.
    ///
    /// A typing error is a letter left out, added or replaced, or two neighbours swapped. Words up to 5 letters may
    /// have one, longer ones about a third of their length. Of several the first wins.
    package static func closest(to word: String, among candidates: some Sequence<String>) -> String? {
        nearest(to: word, among: candidates) { max(1, max(word.utf8.count, $0.utf8.count) / 3) }.first
    }

    /// The same where a wrong guess would be worse than none.
    ///
    /// - Parameter limit: the most errors in a candidate.
    /// - Returns: nil also where several are as near.
    package static func only(
        near word: String, among candidates: some Sequence<String>, within limit: (String) -> Int
    ) -> String? {
        let nearest = nearest(to: word, among: candidates, within: limit)
        return nearest.count == 1 ? nearest[0] : nil
    }

    /// Those that take the fewest errors, in their order.
    private static func nearest(
        to word: String, among candidates: some Sequence<String>, within limit: (String) -> Int
    ) -> [String] {
        let letters = Array(word.lowercased().utf8)
        // The comparison takes quadratic time: a hostile word is not worth it.
        guard !letters.isEmpty, letters.count <= 64 else { return [] }
        var best: (candidates: [String], distance: Int) = ([], .max)
        for candidate in candidates where candidate.utf8.count <= 64 {
            let other = Array(candidate.lowercased().utf8)
            let allowed = limit(candidate)
            // Each letter more is an error.
            guard abs(letters.count - other.count) <= allowed else { continue }
            let distance = distance(letters, other)
            // A distance as long as the shorter word means that nothing in it is alike.
            guard distance <= allowed, distance < min(letters.count, other.count) else { continue }
            if distance < best.distance {
                best = ([candidate], distance)
            } else if distance == best.distance {
                best.candidates.append(candidate)
            }
        }
        return best.candidates
    }

    /// The optimal string alignment distance.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var twoAgo = [Int]()
        var previous = Array(0...right.count)
        for (row, letter) in left.enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                let replaced = previous[column] + (letter == other ? 0 : 1)
                var best = min(replaced, previous[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, letter == right[column - 1], left[row - 1] == other {
                    best = min(best, twoAgo[column - 1] + 1)
                }
                current.append(best)
            }
            twoAgo = previous
            previous = current
        }
        return previous.last ?? left.count
    }
}
