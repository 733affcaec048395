import DstackEncoding
import Foundation
import TestKit

func register(_ text: String) throws -> FixedBytes<48> {
    guard let value = FixedBytes<48>(hex: text) else {
        throw DecodingFailure(.malformed, "test", "96 hexadecimal digits expected")
    }
    return value
}

/// SplitMix64: the same sequence on every machine.
struct EvidenceRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// How many mutations a test makes: the given number, times DSTACK_FUZZ where that is set.
    static func rounds(_ count: Int) -> Range<Int> {
        0..<count * (ProcessInfo.processInfo.environment["DSTACK_FUZZ"].flatMap { Int($0) } ?? 1)
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// One to four changes: a bit flipped, a byte set, removed, inserted or repeated, a length-like byte raised, the end
    /// cut off.
    mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var mutated = bytes
        for _ in 0...Int.random(in: 0...3, using: &self) {
            guard !mutated.isEmpty else { break }
            let position = Int.random(in: 0..<mutated.count, using: &self)
            switch Int.random(in: 0..<10, using: &self) {
            case 0...3: mutated[position] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            case 4: mutated[position] = UInt8.random(in: 0...255, using: &self)
            case 5: mutated[position] = [0x00, 0x7F, 0x80, 0xFF].randomElement(using: &self) ?? 0
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
