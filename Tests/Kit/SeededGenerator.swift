import Foundation

/// SplitMix64: the same numbers for the same seed on every machine, so that a failure can be repeated.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// How many rounds a test of mutations makes: the given number, times DSTACK_FUZZ where that is set.
    package static func rounds(_ count: Int) -> Range<Int> {
        0..<count * (ProcessInfo.processInfo.environment["DSTACK_FUZZ"].flatMap { Int($0) } ?? 1)
    }

    /// The bytes with one to four changes: a bit flipped, a byte set, removed or inserted, some repeated, one at the edge of what
    /// lengths and numbers can be, the end cut off.
    package mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var mutated = bytes
        for _ in 0...Int.random(in: 0...3, using: &self) {
            guard !mutated.isEmpty else { break }
            let position = Int.random(in: 0..<mutated.count, using: &self)
            switch Int.random(in: 0..<10, using: &self) {
            case 0...3: mutated[position] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            case 4: mutated[position] = UInt8.random(in: 0...255, using: &self)
            case 5: mutated[position] = [0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF].randomElement(using: &self) ?? 0
            case 6: mutated.remove(at: position)
            case 7: mutated.insert(UInt8.random(in: 0...255, using: &self), at: position)
            case 8:
                let end = min(mutated.count, position + Int.random(in: 1...64, using: &self))
                mutated.insert(contentsOf: mutated[position..<end], at: position)
            default: mutated.removeSubrange(position...)
            }
        }
        return mutated
    }
}
