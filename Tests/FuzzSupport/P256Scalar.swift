import DstackEncoding

/// A number modulo the order n of P-256. For signatures that must be the same in every run; it takes no care of secrets.
struct P256Scalar: Equatable {
    /// Least significant first, less than n.
    private var limbs: [UInt64]

    private static let order: [UInt64] = [
        0xF3B9_CAC2_FC63_2551, 0xBCE6_FAAD_A717_9E84, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_0000_0000,
    ]
    /// 2²⁵⁶ − n: what a carry out of 256 bits is worth.
    private static let complement: [UInt64] = [
        0x0C46_353D_039C_DAAF, 0x4319_0552_58E8_617B, 0x0000_0000_0000_0000, 0x0000_0000_FFFF_FFFF,
    ]

    init(_ value: UInt64) { limbs = [value, 0, 0, 0] }

    /// The remainder of a big-endian number.
    init(reducing bytes: FixedBytes<32>) {
        var words = [UInt64](repeating: 0, count: 4)
        for index in 0..<32 { words[3 - index / 8] = words[3 - index / 8] << 8 | UInt64(bytes[index]) }
        limbs = Self.reduced(words)
    }

    private init(limbs: [UInt64]) { self.limbs = limbs }

    var isZero: Bool { limbs.allSatisfy { $0 == 0 } }

    var bytes: [UInt8] {
        limbs.reversed().flatMap { limb in (0..<8).map { UInt8(truncatingIfNeeded: limb >> UInt64(56 - 8 * $0)) } }
    }

    /// n as 32 bytes, which no scalar has.
    static let orderBytes = P256Scalar(limbs: order).bytes

    private static func isOrderOrMore(_ words: [UInt64]) -> Bool {
        for index in (0..<4).reversed() where words[index] != order[index] { return words[index] > order[index] }
        return true
    }

    private static func subtract(_ subtrahend: [UInt64], from words: inout [UInt64]) {
        var borrow: UInt64 = 0
        for index in 0..<4 {
            let (first, one) = words[index].subtractingReportingOverflow(subtrahend[index])
            let (second, two) = first.subtractingReportingOverflow(borrow)
            words[index] = second
            borrow = one || two ? 1 : 0
        }
    }

    /// The product of two numbers of 4 words, and a number of 4 words added; always fits 8.
    private static func multiply(_ left: some Collection<UInt64>, _ right: [UInt64], adding start: [UInt64])
        -> [UInt64]
    {
        var result = start + [0, 0, 0, 0]
        for (index, factor) in left.enumerated() where factor != 0 {
            var carry: UInt64 = 0
            for position in 0..<4 {
                let (high, low) = factor.multipliedFullWidth(by: right[position])
                let (first, one) = result[index + position].addingReportingOverflow(low)
                let (second, two) = first.addingReportingOverflow(carry)
                result[index + position] = second
                carry = high &+ (one ? 1 : 0) &+ (two ? 1 : 0)
            }
            var position = index + 4
            while carry != 0, position < 8 {
                let (sum, overflow) = result[position].addingReportingOverflow(carry)
                result[position] = sum
                carry = overflow ? 1 : 0
                position += 1
            }
        }
        return result
    }

    /// The remainder of a number of 4 or 8 words: what is above 256 bits is folded in by its worth, until nothing is.
    private static func reduced(_ words: [UInt64]) -> [UInt64] {
        var words = words
        while words.count > 4 {
            guard words[4...].contains(where: { $0 != 0 }) else {
                words.removeSubrange(4...)
                break
            }
            words = multiply(words[4...], complement, adding: Array(words[..<4]))
        }
        if isOrderOrMore(words) { subtract(order, from: &words) }
        return words
    }

    static func * (left: P256Scalar, right: P256Scalar) -> P256Scalar {
        P256Scalar(limbs: reduced(multiply(left.limbs, right.limbs, adding: [0, 0, 0, 0])))
    }

    static func + (left: P256Scalar, right: P256Scalar) -> P256Scalar {
        P256Scalar(limbs: reduced(multiply(left.limbs, [1, 0, 0, 0], adding: right.limbs)))
    }

    /// n − self, or 0 for 0.
    var negated: P256Scalar {
        guard !isZero else { return self }
        var words = Self.order
        Self.subtract(limbs, from: &words)
        return P256Scalar(limbs: words)
    }

    /// self^(n−2), which is the inverse since n is a prime.
    var inverse: P256Scalar {
        var exponent = Self.order
        exponent[0] -= 2
        var result = P256Scalar(1)
        for bit in (0..<256).reversed() {
            result = result * result
            if exponent[bit / 64] >> UInt64(bit % 64) & 1 == 1 { result = result * self }
        }
        return result
    }
}
