/// SplitMix64: the same sequence on every machine.
struct MeasurementRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// One to three changes: a bit flipped, a byte set, removed or inserted, the end cut off.
    mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var mutated = bytes
        for _ in 0...Int.random(in: 0...2, using: &self) {
            guard !mutated.isEmpty else { break }
            let position = Int.random(in: 0..<mutated.count, using: &self)
            switch Int.random(in: 0..<9, using: &self) {
            case 0...3: mutated[position] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            case 4...5: mutated[position] = UInt8.random(in: 0...255, using: &self)
            case 6: mutated.remove(at: position)
            case 7: mutated.insert(UInt8.random(in: 0...255, using: &self), at: position)
            default: mutated.removeSubrange(position...)
            }
        }
        return mutated
    }
}
