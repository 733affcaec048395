/// The source of every choice of one case: SplitMix64, so that a seed and a number give the same case on every machine
/// and in every order of threads.
package struct FuzzRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// A sequence of its own for a seed, a purpose and a number.
    package init(seed: UInt64, purpose: String, number: Int = 0) {
        // FNV-1a over the purpose; then everything is stirred once.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in purpose.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        state = seed
        state = next() ^ hash
        state = next() ^ UInt64(bitPattern: Int64(number))
        _ = next()
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// 0 ..< bound; 0 for a bound below 1. Its own arithmetic rather than the standard library's, which may change.
    package mutating func below(_ bound: Int) -> Int {
        guard bound > 1 else { return 0 }
        return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// A number of a range.
    package mutating func number(in range: ClosedRange<Int>) -> Int {
        range.lowerBound + below(range.upperBound - range.lowerBound + 1)
    }

    /// Whether something that happens `times` of `outOf` times happens now.
    package mutating func chance(_ times: Int, in outOf: Int) -> Bool { below(outOf) < times }

    /// One element. The array must not be empty.
    package mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    package mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: next() >> 32) }

    package mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in byte() } }

    /// The elements in another order.
    package mutating func shuffled<Element>(_ elements: [Element]) -> [Element] {
        var result = elements
        for index in stride(from: result.count - 1, to: 0, by: -1) { result.swapAt(index, below(index + 1)) }
        return result
    }
}
