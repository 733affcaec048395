import DstackHTTP

/// The chunked transfer coding (RFC 9112, section 7.1): sizes, extensions (ignored), data, trailers (checked, dropped).
struct ChunkedBody {
    enum Progress {
        case needsMore(consumed: Int)
        case data(Range<Int>)
        case end(consumed: Int)
        case refused(HTTPRefusal)
    }

    private enum State {
        case size(value: Int, digits: Int)
        case chunkExtension(size: Int)
        case sizeLineFeed(size: Int)
        case data(remaining: Int)
        case dataReturn
        case dataLineFeed
        case trailerStart
        case trailerName
        case trailerValue
        case trailerLineFeed
        case lastLineFeed
    }

    private var state = State.size(value: 0, digits: 0)
    private var total = 0
    private var extensionBytes = 0
    private var trailerBytes = 0

    /// Extensions have no use here; this many bytes of them in one body are patience enough.
    private static let maximumExtensionBytes = 4096

    mutating func advance(_ input: Span<UInt8>, _ limits: HTTPRequestParser.Limits) -> Progress {
        var position = 0
        while position < input.count {
            if case .data(let remaining) = state {
                let count = min(remaining, input.count - position)
                state = count == remaining ? .dataReturn : .data(remaining: remaining - count)
                return .data(position..<(position + count))
            }
            do throws(HTTPRefusal) {
                let isEnd = try take(input[position], limits)
                position += 1
                if isEnd { return .end(consumed: position) }
            } catch {
                return .refused(error)
            }
        }
        return .needsMore(consumed: position)
    }

    /// Takes one byte that is not data. True for the last one of the body.
    private mutating func take(_ byte: UInt8, _ limits: HTTPRequestParser.Limits) throws(HTTPRefusal) -> Bool {
        switch state {
        case .size(let value, let digits): try takeSize(byte, value, digits, limits)
        case .chunkExtension(let size):
            extensionBytes += 1
            guard extensionBytes <= Self.maximumExtensionBytes else {
                throw HTTPRefusal(400, "chunk extensions over \(Self.maximumExtensionBytes) bytes")
            }
            if byte == 0x0D {
                state = .sizeLineFeed(size: size)
            } else if !HTTPSyntax.isValueCharacter(byte) {
                throw HTTPRefusal(400, "a control character in a chunk extension")
            }
        case .sizeLineFeed(let size):
            try expectLineFeed(byte)
            state = size == 0 ? .trailerStart : .data(remaining: size)
        case .data: break
        case .dataReturn:
            guard byte == 0x0D else { throw HTTPRefusal(400, "a chunk is longer than its size says") }
            state = .dataLineFeed
        case .dataLineFeed:
            try expectLineFeed(byte)
            state = .size(value: 0, digits: 0)
        case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed: try takeTrailer(byte, limits)
        case .lastLineFeed:
            try expectLineFeed(byte)
            return true
        }
        return false
    }

    private func expectLineFeed(_ byte: UInt8) throws(HTTPRefusal) {
        guard byte == 0x0A else { throw HTTPRefusal(400, "a carriage return stands alone in a chunked body") }
    }

    private mutating func takeSize(
        _ byte: UInt8, _ value: Int, _ digits: Int, _ limits: HTTPRequestParser.Limits
    ) throws(HTTPRefusal) {
        if let digit = Self.digit(byte) {
            // Eight digits are 4 GiB, which no limit exceeds; more would be zeros or an overflow elsewhere.
            guard digits < 8 else { throw HTTPRefusal(400, "a chunk size of more than eight digits") }
            state = .size(value: value << 4 | digit, digits: digits + 1)
            return
        }
        guard digits > 0 else { throw HTTPRefusal(400, "a chunk size is not hexadecimal") }
        guard value <= limits.bodyBytes - total else {
            throw HTTPRefusal(413, "the body is over \(limits.bodyBytes) bytes")
        }
        switch byte {
        case 0x0D: state = .sizeLineFeed(size: value)
        case UInt8(ascii: ";"): state = .chunkExtension(size: value)
        default: throw HTTPRefusal(400, "a chunk size is not hexadecimal")
        }
        total += value
    }

    private mutating func takeTrailer(_ byte: UInt8, _ limits: HTTPRequestParser.Limits) throws(HTTPRefusal) {
        trailerBytes += 1
        guard trailerBytes <= limits.headerBytes else {
            throw HTTPRefusal(431, "the trailer is over \(limits.headerBytes) bytes")
        }
        switch state {
        case .trailerStart where byte == 0x0D: state = .lastLineFeed
        case .trailerStart, .trailerName:
            if byte == UInt8(ascii: ":"), case .trailerName = state {
                state = .trailerValue
            } else if HTTPSyntax.isTokenCharacter(byte) {
                state = .trailerName
            } else {
                throw HTTPRefusal(400, "a trailer is not of the form 'name: value'")
            }
        case .trailerValue:
            if byte == 0x0D {
                state = .trailerLineFeed
            } else if !HTTPSyntax.isValueCharacter(byte) {
                throw HTTPRefusal(400, "a control character in a trailer")
            }
        default:
            try expectLineFeed(byte)
            state = .trailerStart
        }
    }

    private static func digit(_ byte: UInt8) -> Int? {
        switch byte {
        case 0x30...0x39: Int(byte) - 0x30
        case 0x41...0x46: Int(byte) - 0x41 + 10
        case 0x61...0x66: Int(byte) - 0x61 + 10
        default: nil
        }
    }
}
