import DstackCrypto
import DstackEncoding
import Testing

@Suite("Secret memory and randomness")
struct SecretBytesTests {
    @Test("a secret holds what it was given", arguments: [0, 1, 32, 4095, 4096, 4097, 100_000])
    func contents(count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ 5) }
        let copied = SecretBytes(copying: bytes)
        #expect(copied.count == count)
        #expect(copied.copiedToUnprotectedMemory() == bytes)
        var source = bytes
        let absorbed = SecretBytes(absorbing: &source)
        #expect(source.isEmpty)
        let isEqual = absorbed.isEqual(to: copied)
        #expect(isEqual)
        let copy = copied.duplicate()
        let isCopyEqual = copy.isEqual(to: copied)
        #expect(isCopyEqual)
    }

    @Test("absorbing wipes the array that was the only owner of its bytes")
    func absorbing() {
        var source = [UInt8](repeating: 0xA5, count: 64)
        source.withUnsafeMutableBytes { buffer in #expect(buffer[0] == 0xA5) }
        let kept = source  // a second owner keeps the bytes: nothing can be done about copies
        let secret = SecretBytes(absorbing: &source)
        #expect(kept == [UInt8](repeating: 0xA5, count: 64))
        #expect(secret.copiedToUnprotectedMemory() == kept)
    }

    @Test("equality looks at every byte and at the length")
    func equality() {
        let secret = SecretBytes(copying: [UInt8](0..<64))
        for index in 0..<64 {
            var changed = [UInt8](0..<64)
            changed[index] ^= 0x80
            let isEqual = secret.isEqual(to: changed.span.bytes)
            #expect(!isEqual)
        }
        let isPrefixEqual = secret.isEqual(to: [UInt8](0..<63).span.bytes)
        #expect(!isPrefixEqual)
        #expect(constantTimeEqual([], []))
        #expect(constantTimeEqual([1, 2], [1, 2]))
        #expect(!constantTimeEqual([1, 2], [1, 3]))
        #expect(!constantTimeEqual([1, 2], [1, 2, 3]))
    }

    @Test("a part is a secret of its own, and never reaches outside")
    func parts() {
        let secret = secret("01020304")
        #expect(secret.part(1..<3)?.hexForTest() == "0203")
        #expect(secret.part(4..<4)?.hexForTest() == "")
        let isOutside = secret.part(2..<5) == nil
        #expect(isOutside)
    }

    @Test("what comes in pieces of any size is put together in order, once", arguments: [1, 3, 64, 5_000, 20_000])
    func pieces(size: Int) {
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ 5) }
        var pieces = SecretPieces()
        for start in stride(from: 0, to: bytes.count, by: size) {
            pieces.append(Array(bytes[start..<min(start + size, bytes.count)]).span.bytes)
            pieces.append(RawSpan())
        }
        #expect(pieces.count == bytes.count)
        let whole = pieces.take()
        #expect(whole?.copiedToUnprotectedMemory() == bytes)
        let isGone = pieces.take() == nil
        #expect(isGone && pieces.isEmpty)
    }

    @Test("an error while filling is passed on")
    func fillingFails() {
        struct Stop: Error, Equatable {}
        #expect(throws: Stop()) {
            _ = try SecretBytes(count: 8) { (buffer: UnsafeMutableRawBufferPointer) throws(Stop) in
                buffer[0] = 1
                throw Stop()
            }
        }
    }

    @Test("random bytes differ, predictable ones repeat")
    func randomness() {
        let a = SystemRandom().bytes(32)
        let b = SystemRandom().bytes(32)
        #expect(a.count == 32)
        #expect(a != b)
        #expect(SystemRandom().bytes(0).isEmpty)
        #expect(SecretBytes(random: 16).hexForTest() != SecretBytes(random: 16).hexForTest())
        let first = PredictableBytesForTests("label")
        let second = PredictableBytesForTests("label")
        #expect(first.bytes(70) == second.bytes(70))
        #expect(first.bytes(70) == second.bytes(70))
        #expect(PredictableBytesForTests("other").bytes(32) != PredictableBytesForTests("label").bytes(32))
        let fixed: FixedBytes<12> = PredictableBytesForTests("label").fixed()
        #expect(fixed.bytes == PredictableBytesForTests("label").bytes(12))
    }

    @Test("many secrets can live at once, from many threads")
    func many() async {
        let total = await withTaskGroup(of: Int.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    var sum = 0
                    for index in 0..<500 {
                        let value = UInt8(truncatingIfNeeded: worker &* 31 &+ index)
                        let secret = SecretBytes(copying: [UInt8](repeating: value, count: 48))
                        if secret.copiedToUnprotectedMemory().allSatisfy({ $0 == value }) { sum += 1 }
                    }
                    return sum
                }
            }
            return await group.reduce(0, +)
        }
        #expect(total == 4000)
    }
}
