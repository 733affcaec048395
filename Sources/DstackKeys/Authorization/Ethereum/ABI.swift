import DstackCrypto
import DstackEncoding

/// Ethereum's contract ABI, as far as the contracts of a key management service need it.
enum ABI {
    static let wordSize = 32

    /// The first four bytes of a function's call.
    static func selector(_ signature: String) -> [UInt8] {
        Array(Keccak.hash256(Array(signature.utf8)).bytes.prefix(4))
    }

    // MARK: Writing

    static func word(_ number: Int) -> [UInt8] {
        let bytes = withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
        return [UInt8](repeating: 0, count: wordSize - bytes.count) + bytes
    }

    /// An address is a number of 20 bytes.
    static func word(_ address: FixedBytes<20>) -> [UInt8] {
        [UInt8](repeating: 0, count: wordSize - 20) + address.bytes
    }

    /// Length, bytes, and zeros up to a whole word.
    static func string(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        let padding = (wordSize - bytes.count % wordSize) % wordSize
        return word(bytes.count) + bytes + [UInt8](repeating: 0, count: padding)
    }

    /// Count, offsets from behind the count, strings.
    static func strings(_ texts: [String]) -> [UInt8] {
        var (offsets, content): ([UInt8], [UInt8]) = ([], [])
        for text in texts {
            offsets += word(texts.count * wordSize + content.count)
            content += string(text)
        }
        return word(texts.count) + offsets + content
    }
}

/// Reads return data, which a stranger may have made: each access is checked, and only one writing of a value is accepted.
struct ABIReader {
    private let bytes: [UInt8]
    private let subject: String
    /// How many words stand at the beginning; what is behind them is pointed to.
    private let headCount: Int

    /// - Throws: ``DecodingFailure`` for bytes that are no whole words, or fewer than the head has.
    init(_ bytes: [UInt8], head headCount: Int, subject: String) throws(DecodingFailure) {
        guard bytes.count.isMultiple(of: ABI.wordSize) else {
            throw DecodingFailure(.malformed, subject, "\(bytes.count) bytes are no whole words")
        }
        guard bytes.count >= headCount * ABI.wordSize else {
            throw DecodingFailure(.truncated, subject, "\(headCount) words expected, found \(bytes.count) bytes")
        }
        self.bytes = bytes
        self.subject = subject
        self.headCount = headCount
    }

    /// The word at a place, which must be there.
    private func word(at offset: Int) throws(DecodingFailure) -> ArraySlice<UInt8> {
        guard offset >= 0, offset <= bytes.count - ABI.wordSize else {
            throw DecodingFailure(.truncated, subject, at: offset, "a word expected, found the end")
        }
        return bytes[offset..<offset + ABI.wordSize]
    }

    /// A number that can be a length or a place here.
    private func number(at offset: Int) throws(DecodingFailure) -> Int {
        let word = try word(at: offset)
        guard word.dropLast(4).allSatisfy({ $0 == 0 }) else {
            throw DecodingFailure(.tooLarge, subject, at: offset, "a number that is beyond the end")
        }
        return word.suffix(4).reduce(0) { $0 << 8 | Int($1) }
    }

    func bool(_ index: Int) throws(DecodingFailure) -> Bool {
        let word = try word(at: index * ABI.wordSize)
        guard word.dropLast().allSatisfy({ $0 == 0 }), let last = word.last, last <= 1 else {
            throw DecodingFailure(.malformed, subject, at: index * ABI.wordSize, "0 or 1 expected")
        }
        return last == 1
    }

    func address(_ index: Int) throws(DecodingFailure) -> FixedBytes<20> {
        let word = try word(at: index * ABI.wordSize)
        guard word.dropLast(20).allSatisfy({ $0 == 0 }), let address = FixedBytes<20>(word.suffix(20)) else {
            throw DecodingFailure(.malformed, subject, at: index * ABI.wordSize, "an address of 20 bytes expected")
        }
        return address
    }

    /// The string that a word of the head points to.
    func string(_ index: Int, atMost limit: Int) throws(DecodingFailure) -> String {
        let place = try number(at: index * ABI.wordSize)
        guard place >= headCount * ABI.wordSize, place.isMultiple(of: ABI.wordSize) else {
            throw DecodingFailure(
                .malformed, subject, at: index * ABI.wordSize, "a place behind the head expected, found \(place)")
        }
        let count = try number(at: place)
        guard count <= limit else {
            throw DecodingFailure(.tooLarge, subject, at: place, "at most \(limit) bytes expected, found \(count)")
        }
        let start = place + ABI.wordSize
        guard count <= bytes.count - start else {
            throw DecodingFailure(.truncated, subject, at: start, "\(count) bytes expected, found the end")
        }
        let end = start + count
        let padding = bytes[end..<min(bytes.count, (end + ABI.wordSize - 1) / ABI.wordSize * ABI.wordSize)]
        guard padding.allSatisfy({ $0 == 0 }) else {
            throw DecodingFailure(.malformed, subject, at: end, "zeros expected behind the text")
        }
        guard let text = String(validating: bytes[start..<end], as: UTF8.self) else {
            throw DecodingFailure(.malformed, subject, at: start, "UTF-8 text expected")
        }
        return text
    }
}
