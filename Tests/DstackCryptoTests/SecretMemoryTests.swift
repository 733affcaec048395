import DstackCrypto
import DstackEncoding
import Testing

/// Blocks of memory are used again and again, so what one secret leaves behind another would find.
@Suite("Memory of secrets")
struct SecretMemoryTests {
    /// Around the sizes of blocks, and where secrets begin to get pages of their own.
    private static let sizes = [0, 1, 32, 63, 64, 65, 128, 129, 256, 512, 1024, 1025, 2047, 2048, 2049, 4096, 70_000]

    @Test("a new secret is zero, whatever was in its place before", arguments: sizes)
    func zero(size: Int) {
        for _ in 0..<200 {
            var isZero = true
            _ = SecretBytes(count: size) { (buffer: UnsafeMutableRawBufferPointer) in
                isZero = buffer.allSatisfy { $0 == 0 }
                for index in buffer.indices { buffer[index] = 0xA5 }
            }
            #expect(isZero)
        }
    }

    @Test("a block is wiped when its secret goes, although its neighbours stay")
    func wiped() {
        // A size that no other test has many of: the neighbour keeps the memory mapped, so that it can be looked at.
        let neighbour = SecretBytes(copying: [UInt8](repeating: 1, count: 2_000))
        var remains = [UInt8](repeating: 0xA5, count: 2_000)
        // Another test may have taken the very block meanwhile, but not every time.
        for _ in 0..<20 where remains.contains(where: { $0 != 0 }) {
            var address: UnsafeRawPointer?
            do {
                let secret = SecretBytes(copying: [UInt8](repeating: 0xA5, count: 2_000))
                address = secret.withUnsafeBytes { $0.baseAddress }
            }
            let distance = neighbour.withUnsafeBytes { bytes in
                address.flatMap { address in bytes.baseAddress.map { abs(address - $0) } } ?? .max
            }
            guard let address, distance < 16_384 else { continue }
            remains = [UInt8](UnsafeRawBufferPointer(start: address, count: 2_000))
        }
        #expect(remains == [UInt8](repeating: 0, count: 2_000))
        #expect(neighbour.copiedToUnprotectedMemory() == [UInt8](repeating: 1, count: 2_000))
    }

    @Test("thousands of secrets of all sizes, made and let go in any order, keep apart")
    func churn() {
        final class Holder {
            let secret: SecretBytes
            let mark: UInt8
            init(size: Int, mark: UInt8) {
                secret = SecretBytes(copying: [UInt8](repeating: mark, count: size))
                self.mark = mark
            }
            var isIntact: Bool { secret.withUnsafeBytes { $0.allSatisfy { $0 == mark } } }
        }
        var generator = SystemRandomNumberGenerator()
        var living: [Holder] = []
        var intact = 0
        var released = 0
        for round in 0..<20_000 {
            // Grows to some thousands, so that regions fill up, then shrinks, so that they are given back.
            if round < 12_000 || living.isEmpty {
                living.append(
                    Holder(size: Int.random(in: 0...2_100, using: &generator), mark: UInt8(truncatingIfNeeded: round)))
            }
            if round % 3 == 0 || round >= 12_000, !living.isEmpty {
                let index = Int.random(in: living.indices, using: &generator)
                living.swapAt(index, living.count - 1)
                released += 1
                if living.removeLast().isIntact { intact += 1 }
            }
        }
        #expect(intact == released)
        let areIntact = living.allSatisfy { $0.isIntact }
        #expect(areIntact)
    }
}
