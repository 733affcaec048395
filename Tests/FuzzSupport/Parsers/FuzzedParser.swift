/// A parser of untrusted bytes, and inputs that it takes, for coverage-guided fuzzing to start from.
package struct FuzzedParser: Sendable {
    /// As it is chosen by on a command line.
    package let name: String
    /// Genuine inputs: the parser takes each.
    package let seeds: [[UInt8]]
    private let parse: @Sendable ([UInt8]) throws -> Bool

    /// - Parameter parse: throws where the parser refuses, and returns whether what it took is as it should be: for a format
    ///   that is also written, whether what it wrote reads back the same.
    init(_ name: String, _ seeds: [[UInt8]], _ parse: @escaping @Sendable ([UInt8]) throws -> Bool) {
        self.name = name
        self.seeds = seeds
        self.parse = parse
    }

    package enum Outcome: Sendable, Hashable {
        case taken
        case refused
        /// Taken for something that reads differently when written again.
        case inconsistent
    }

    package func run(_ input: [UInt8]) -> Outcome {
        do {
            return try parse(input) ? .taken : .inconsistent
        } catch {
            return .refused
        }
    }

    /// An input with some changes, for runs without coverage.
    package func mutated(_ random: inout FuzzRandom) -> [UInt8] {
        var bytes = random.pick(seeds)
        for _ in 0..<random.number(in: 1...4) { _ = ByteMutation.apply(to: &bytes, &random, donors: seeds) }
        return bytes
    }
}
