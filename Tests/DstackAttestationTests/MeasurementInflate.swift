/// Just enough of zlib (RFC 1950, 1951) to unpack vectors; it trusts them and checks nothing.
struct MeasurementInflate {
    private let input: [UInt8]
    private var bit = 16
    private var output: [UInt8] = []

    static func unpack(_ input: [UInt8]) -> [UInt8] {
        var inflate = MeasurementInflate(input: input)
        while inflate.block() {}
        return inflate.output
    }

    private init(input: [UInt8]) { self.input = input }

    private mutating func bits(_ count: Int) -> Int {
        var value = 0
        for index in 0..<count {
            value |= Int(input[bit >> 3] >> UInt8(bit & 7) & 1) << index
            bit += 1
        }
        return value
    }

    /// A canonical code: how many codes of each length there are, and the symbols in order.
    private struct Code {
        var counts = [Int](repeating: 0, count: 16)
        var symbols: [Int] = []

        init(_ lengths: [Int]) {
            for length in lengths { counts[length] += 1 }
            counts[0] = 0
            for length in 1..<16 { symbols += lengths.indices.filter { lengths[$0] == length } }
        }
    }

    private mutating func symbol(_ code: Code) -> Int {
        var (value, first, index) = (0, 0, 0)
        for length in 1..<16 {
            value |= bits(1)
            if value - first < code.counts[length] { return code.symbols[index + value - first] }
            index += code.counts[length]
            first = (first + code.counts[length]) << 1
            value <<= 1
        }
        return 256
    }

    /// Unpacks one block; false after the last.
    private mutating func block() -> Bool {
        let isLast = bits(1) == 1
        switch bits(2) {
        case 0:
            bit = (bit + 7) & ~7
            let length = bits(16)
            bit += 16
            output += input[bit >> 3..<(bit >> 3) + length]
            bit += length * 8
        case 1:
            let lengths = (0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 }
            content(Code(lengths), Code([Int](repeating: 5, count: 30)))
        default: dynamicBlock()
        }
        return !isLast
    }

    private mutating func dynamicBlock() {
        let literals = bits(5) + 257
        let distances = bits(5) + 1
        let count = bits(4) + 4
        var codeLengths = [Int](repeating: 0, count: 19)
        for position in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].prefix(count) {
            codeLengths[position] = bits(3)
        }
        let code = Code(codeLengths)
        var lengths: [Int] = []
        while lengths.count < literals + distances {
            switch symbol(code) {
            case 16: lengths += [Int](repeating: lengths.last ?? 0, count: bits(2) + 3)
            case 17: lengths += [Int](repeating: 0, count: bits(3) + 3)
            case 18: lengths += [Int](repeating: 0, count: bits(7) + 11)
            case let length: lengths.append(length)
            }
        }
        content(Code(Array(lengths[..<literals])), Code(Array(lengths[literals...])))
    }

    private mutating func content(_ literals: Code, _ distances: Code) {
        let lengthBases = [
            3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
            227,
            258,
        ]
        while true {
            let value = symbol(literals)
            guard value != 256 else { return }
            guard value > 256 else {
                output.append(UInt8(value))
                continue
            }
            let index = value - 257
            let length = lengthBases[index] + bits(index < 8 || index == 28 ? 0 : index / 4 - 1)
            let distanceIndex = symbol(distances)
            let distanceBits = distanceIndex < 4 ? 0 : distanceIndex / 2 - 1
            let base = distanceIndex < 4 ? distanceIndex + 1 : (2 + distanceIndex % 2) << distanceBits + 1
            let distance = base + bits(distanceBits)
            for _ in 0..<length { output.append(output[output.count - distance]) }
        }
    }
}
