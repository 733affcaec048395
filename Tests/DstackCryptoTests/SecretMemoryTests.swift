import COpenSSL
import DstackCrypto
import DstackEncoding
import Glibc
import Testing

/// Blocks of memory are used again and again, so what one secret leaves behind another would find.
@Suite("Memory of secrets", .serialized)
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
            // The heap stays mapped, and nothing else that is so near.
            guard let address, distance < 16_384, CRYPTO_secure_allocated(address) == 1 else { continue }
            remains = [UInt8](UnsafeRawBufferPointer(start: address, count: 2_000))
        }
        #expect(remains == [UInt8](repeating: 0, count: 2_000))
        #expect(neighbour.copiedToUnprotectedMemory() == [UInt8](repeating: 1, count: 2_000))
    }

    /// Of the mapping that an address lies in (proc(5), smaps): whether it is locked, and left out of core dumps.
    private func protection(of secret: borrowing SecretBytes) throws -> (isLocked: Bool, isDumped: Bool) {
        let address = secret.withUnsafeBytes { UInt($0.baseAddress.map { Int(bitPattern: $0) } ?? 0) }
        guard let file = fopen("/proc/self/smaps", "r") else { throw MapError.unreadable }
        defer { fclose(file) }
        var isInside = false
        var line = [CChar](repeating: 0, count: 4_096)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let bounds = text.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
            if bounds.count == 2, text.contains("-") { isInside = bounds[0] <= address && address < bounds[1] }
            if isInside, text.hasPrefix("VmFlags:") {
                let flags = text.split { $0 == " " || $0 == "\n" }
                return (flags.contains("lo"), !flags.contains("dd"))
            }
        }
        throw MapError.unreadable
    }

    private enum MapError: Error { case unreadable }

    /// Whether the system lets this process lock what the tests need.
    private static var mayLock: Bool {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0 && limit.rlim_cur >= 8 << 20
    }

    @Test(
        "secrets of all sizes are locked in memory and in no core dump, small ones in OpenSSL's heap",
        .enabled(if: mayLock, "this process may lock less than 8 MiB (RLIMIT_MEMLOCK)"))
    func locked() throws {
        for size in Self.sizes {
            let secret = SecretBytes(copying: [UInt8](repeating: 1, count: size))
            let protection = try protection(of: secret)
            #expect(protection.isLocked && !protection.isDumped, "\(size) bytes")
            let isInHeap = secret.withUnsafeBytes { CRYPTO_secure_allocated($0.baseAddress) == 1 }
            #expect(isInHeap == (size <= 2_048))
        }
    }

    @Test("a full heap leaves OpenSSL half of it, and secrets pages of their own")
    func full() throws {
        final class Holder {
            let secret = SecretBytes(copying: [UInt8](repeating: 7, count: 2_048))
        }
        // More than all of it.
        let holders = (0..<2_200).map { _ in Holder() }
        #expect(CRYPTO_secure_used() <= 2 << 20)
        let areInHeap = holders.map { $0.secret.withUnsafeBytes { CRYPTO_secure_allocated($0.baseAddress) == 1 } }
        #expect(areInHeap.contains(false))
        let areIntact = holders.allSatisfy { $0.secret.withUnsafeBytes { $0.allSatisfy { $0 == 7 } } }
        #expect(areIntact)
        // What OpenSSL takes from it for itself.
        for _ in 0..<10 {
            let key = P256.PrivateKey()
            _ = try key.signature(for: [1])
        }
        let late = SecretBytes(copying: [1, 2, 3])
        #expect(late.copiedToUnprotectedMemory() == [1, 2, 3])
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
