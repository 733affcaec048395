import DstackHTTP
import Glibc

/// Cuts a byte stream into HTTP/1.1 requests. Pure: bytes in, events out.
///
/// Strict on purpose. Two programs that read one stream differently are how requests are smuggled past a check, so
/// everything that RFC 9112 leaves to a recipient's leniency (bare line feeds, folded lines, space before a colon,
/// several lengths, a length beside a transfer coding, …) is refused, as sections 2.2, 5 and 6 of it allow.
package struct HTTPRequestParser: ~Copyable {
    package struct Limits: Sendable, Hashable {
        /// Of request line and headers together; of trailers as well.
        package var headerBytes: Int
        package var headerCount: Int
        package var bodyBytes: Int

        package init(headerBytes: Int = 32 << 10, headerCount: Int = 100, bodyBytes: Int = 1 << 20) {
            self.headerBytes = headerBytes
            self.headerCount = headerCount
            self.bodyBytes = bodyBytes
        }
    }

    package enum Event: Sendable {
        /// Nothing can be said before more has come. Bytes that were not consumed must be presented again, with more.
        case needsMore
        case head(HTTPRequestHead)
        /// A part of the body, as positions in the input.
        case body(Range<Int>)
        /// The request is complete; what follows is the next one.
        case end
        /// The stream cannot be trusted any further: answer and close.
        case refused(HTTPRefusal)
    }

    private enum State {
        case head(HeadScan)
        case fixed(remaining: Int)
        case chunked(ChunkedBody)
        case complete
        case failed(HTTPRefusal)
    }

    private let limits: Limits
    private let requiresHost: Bool
    private var state = State.head(HeadScan())
    /// The head before, with its bytes. Most clients send the very same again, and what the same bytes mean is known.
    private var known: (bytes: [UInt8], head: HTTPRequestHead)?
    /// A longer head is not worth its memory on each connection.
    private static let maximumKnownBytes = 1 << 10

    /// - Parameter requiresHost: whether an HTTP/1.1 request without Host is refused, as the RFC has it. On a Unix
    ///   socket, where there is one host only, clients in use leave it out.
    package init(limits: Limits, requiresHost: Bool = true) {
        self.limits = limits
        self.requiresHost = requiresHost
    }

    /// Takes bytes from the front of the input. Call again with the rest until it needs more or refuses.
    package mutating func advance(_ input: Span<UInt8>) -> (consumed: Int, event: Event) {
        switch state {
        case .head(var scan):
            return advanceHead(&scan, input)
        case .fixed(let remaining):
            guard remaining > 0 else { return complete() }
            guard input.count > 0 else { return (0, .needsMore) }
            let count = min(remaining, input.count)
            state = .fixed(remaining: remaining - count)
            return (count, .body(0..<count))
        case .chunked(var body):
            switch body.advance(input, limits) {
            case .needsMore(let consumed):
                state = .chunked(body)
                return (consumed, .needsMore)
            case .data(let range):
                state = .chunked(body)
                return (range.upperBound, .body(range))
            case .end(let consumed):
                state = .head(HeadScan())
                return (consumed, .end)
            case .refused(let refusal):
                return refuse(refusal)
            }
        case .complete:
            return complete()
        case .failed(let refusal):
            return (0, .refused(refusal))
        }
    }

    private mutating func complete() -> (consumed: Int, event: Event) {
        state = .head(HeadScan())
        return (0, .end)
    }

    private mutating func refuse(_ refusal: HTTPRefusal) -> (consumed: Int, event: Event) {
        state = .failed(refusal)
        return (0, .refused(refusal))
    }

    private mutating func advanceHead(
        _ scan: inout HeadScan, _ input: Span<UInt8>
    ) -> (consumed: Int, event: Event) {
        if scan.isFresh, let known, input.begins(with: known.bytes) {
            return begin(known.head, known.bytes.count)
        }
        do throws(HTTPRefusal) {
            guard let found = try scan.findEnd(input, limits.headerBytes) else {
                state = .head(scan)
                return (0, .needsMore)
            }
            let bytes = input.extracting(found.start..<found.end)
            let head = try HTTPRequestHead(parsing: bytes, limits, requiresHost: requiresHost)
            known = bytes.count <= Self.maximumKnownBytes ? (bytes.withUnsafeBufferPointer { Array($0) }, head) : nil
            return begin(head, found.end)
        } catch {
            return refuse(error)
        }
    }

    private mutating func begin(_ head: HTTPRequestHead, _ consumed: Int) -> (consumed: Int, event: Event) {
        switch head.framing {
        case .none: state = .complete
        case .length(let length): state = .fixed(remaining: length)
        case .chunked: state = .chunked(ChunkedBody())
        }
        return (consumed, .head(head))
    }
}

/// The search for the empty line that ends a head; remembers how far it came, so that a head that drips in is not
/// searched again from its start.
struct HeadScan {
    private var position = 0
    private var lineStart = 0
    private var start = 0

    /// Whether nothing was looked at yet.
    var isFresh: Bool { position == 0 }

    /// Where a complete head stands, its last empty line included; nil if it is not complete.
    ///
    /// On the way it refuses every control character but a tab and the CR LF pairs.
    mutating func findEnd(_ input: Span<UInt8>, _ limit: Int) throws(HTTPRefusal) -> (start: Int, end: Int)? {
        while position < input.count {
            guard position - start < limit else {
                throw lineStart == start
                    ? HTTPRefusal(414, "the request line is over \(limit) bytes")
                    : HTTPRefusal(431, "the header is over \(limit) bytes")
            }
            let byte = input[position]
            let followsReturn = position > lineStart && input[position - 1] == 0x0D
            if byte == 0x0A {
                guard followsReturn else { throw HTTPRefusal(400, "a line ends without a carriage return") }
                position += 1
                if lineStart == position - 2 {
                    if lineStart > start { return (start, position) }
                    // One empty line before a request is what some old clients send after a body.
                    guard start == 0 else { throw HTTPRefusal(400, "empty lines before the request") }
                    start = position
                }
                lineStart = position
            } else {
                guard !followsReturn else { throw HTTPRefusal(400, "a carriage return stands alone") }
                guard byte >= 0x20 ? byte != 0x7F : byte == 0x09 || byte == 0x0D else {
                    throw HTTPRefusal(400, "a control character in the header")
                }
                position += 1
            }
        }
        return nil
    }
}

extension Span<UInt8> {
    fileprivate func begins(with known: [UInt8]) -> Bool {
        guard count >= known.count else { return false }
        return withUnsafeBufferPointer { bytes in
            known.withUnsafeBufferPointer { known in
                guard let left = bytes.baseAddress, let right = known.baseAddress else { return known.isEmpty }
                return memcmp(left, right, known.count) == 0
            }
        }
    }
}
