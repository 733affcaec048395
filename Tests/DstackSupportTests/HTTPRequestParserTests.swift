import DstackHTTP
import DstackHTTPServer
import DstackNetwork
import TestKit
import Testing

@Suite("HTTP request parser")
struct HTTPRequestParserTests {
    /// What a stream of bytes was taken for.
    enum Reading: Equatable, CustomStringConvertible {
        case request(String, body: String)
        case refused(Int)

        var description: String {
            switch self {
            case .request(let line, let body): "\(line) [\(body)]"
            case .refused(let status): "refused \(status)"
            }
        }
    }

    /// Feeds a stream in pieces of a size, as a connection does.
    static func read(
        _ text: String, piece: Int = .max, limits: HTTPRequestParser.Limits = .init(), requiresHost: Bool = true
    ) -> [Reading] {
        read(Array(text.utf8), piece: piece, limits: limits, requiresHost: requiresHost)
    }

    static func read(
        _ bytes: [UInt8], piece: Int = .max, limits: HTTPRequestParser.Limits = .init(), requiresHost: Bool = true
    ) -> [Reading] {
        var parser = HTTPRequestParser(limits: limits, requiresHost: requiresHost)
        var readings: [Reading] = []
        var pending: [UInt8] = []
        var line = ""
        var body: [UInt8] = []
        var offset = 0
        while offset < bytes.count {
            let end = min(bytes.count, piece == .max ? bytes.count : offset + piece)
            pending += bytes[offset..<end]
            offset = end
            feeding: while true {
                let (consumed, event) = parser.advance(pending.span)
                switch event {
                case .needsMore:
                    pending.removeFirst(consumed)
                    break feeding
                case .head(let head):
                    line = "\(head.method) \(head.path)"
                    if let query = head.query { line += "?\(query)" }
                case .body(let range): body += pending[range]
                case .end:
                    readings.append(.request(line, body: String(decoding: body, as: UTF8.self)))
                    body = []
                case .refused(let refusal): return readings + [.refused(refusal.status)]
                }
                pending.removeFirst(consumed)
            }
        }
        return readings
    }

    struct Stream: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let text: String
        let expected: [Reading]

        init(_ name: String, _ text: String, _ expected: Reading...) {
            testDescription = name
            self.text = text
            self.expected = expected
        }
    }

    static let accepted = [
        Stream("a simple request", "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", .request("GET /a?b=c", body: "")),
        Stream("an old request without Host", "GET / HTTP/1.0\r\n\r\n", .request("GET /", body: "")),
        Stream("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", .request("GET /", body: "")),
        Stream(
            "one empty line before the request", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", .request("GET /", body: "")),
        Stream(
            "a body by length", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
            .request("POST /p", body: "hello")),
        Stream(
            "a body of no bytes", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            .request("POST /p", body: "")),
        Stream(
            "GET with a body", "GET /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
            .request("GET /p", body: "hi")
        ),
        Stream(
            "chunks with extensions and trailers",
            "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d\"\r\nhello\r\n"
                + "1\r\n!\r\n000\r\nX-Sum: 1\r\nY:\r\n\r\n", .request("POST /p", body: "hello!")),
        Stream(
            "a coding in capitals", "POST / HTTP/1.1\r\nHost: x\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n",
            .request("POST /", body: "")),
        Stream(
            "requests in a row",
            "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
                + "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n", .request("GET /1", body: ""), .request("POST /2", body: "x"),
            .request("GET /3", body: "")),
        Stream(
            "an absolute target", "GET http://example.org:80/p?q HTTP/1.1\r\nHost: example.org:80\r\n\r\n",
            .request("GET /p?q", body: "")),
        Stream(
            "an absolute target without path", "GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", .request("GET /", body: "")),
        Stream("OPTIONS of the server", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", .request("OPTIONS *", body: "")),
        Stream("a method nobody knows", "BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", .request("BREW /pot", body: "")),
        Stream(
            "bytes beyond ASCII in a value", "GET / HTTP/1.1\r\nHost: x\r\nX: caf\u{e9}\r\n\r\n",
            .request("GET /", body: "")),
        Stream("a space-only value", "GET / HTTP/1.1\r\nHost: x\r\nX: \t \r\n\r\n", .request("GET /", body: "")),
    ]

    @Test("a proper request is read the same whatever pieces it comes in", arguments: accepted)
    func acceptedStreams(stream: Stream) {
        for piece in [Int.max, 1, 2, 3, 7, 16] {
            #expect(Self.read(stream.text, piece: piece) == stream.expected, "in pieces of \(piece)")
        }
    }

    private static let get = "GET / HTTP/1.1\r\nHost: x\r\n"
    private static let post = "POST / HTTP/1.1\r\nHost: x\r\n"

    static let refused = [
        Stream(
            "both length and coding", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", .refused(400)),
        Stream("coding and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", .refused(400)),
        Stream("two lengths that differ", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", .refused(400)),
        Stream("two lengths that agree", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", .refused(400)),
        Stream("a list of lengths", post + "Content-Length: 5, 5\r\n\r\n", .refused(400)),
        Stream("a length with a sign", post + "Content-Length: +5\r\n\r\n", .refused(400)),
        Stream("a negative length", post + "Content-Length: -1\r\n\r\n", .refused(400)),
        Stream("a length in hexadecimal", post + "Content-Length: 0x5\r\n\r\n", .refused(400)),
        Stream("an empty length", post + "Content-Length:\r\n\r\n", .refused(400)),
        Stream("a length with a space inside", post + "Content-Length: 1 1\r\n\r\n", .refused(400)),
        Stream("a length beyond all integers", post + "Content-Length: 99999999999999999999999\r\n\r\n", .refused(413)),
        Stream("a length over the limit", post + "Content-Length: 1048577\r\n\r\n", .refused(413)),
        Stream("two codings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", .refused(400)),
        Stream("an unknown coding", post + "Transfer-Encoding: gzip\r\n\r\n", .refused(501)),
        Stream("a list of codings", post + "Transfer-Encoding: gzip, chunked\r\n\r\n", .refused(501)),
        Stream("identity", post + "Transfer-Encoding: identity\r\n\r\n", .refused(501)),
        Stream("a quoted coding", post + "Transfer-Encoding: \"chunked\"\r\n\r\n", .refused(501)),
        Stream("a coding with a vertical tab", post + "Transfer-Encoding:\u{b}chunked\r\n\r\n", .refused(400)),
        Stream("a coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .refused(400)),
        Stream("a space before the colon", post + "Content-Length : 5\r\n\r\n", .refused(400)),
        Stream("a tab before the colon", post + "Transfer-Encoding\t: chunked\r\n\r\n", .refused(400)),
        Stream("a folded line", get + "X: a\r\n b\r\n\r\n", .refused(400)),
        Stream("a folded line with a tab", get + "X: a\r\n\tb\r\n\r\n", .refused(400)),
        Stream("a line that begins with a space", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", .refused(400)),
        Stream("bare line feeds", "GET / HTTP/1.1\nHost: x\n\n", .refused(400)),
        Stream("one bare line feed", "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", .refused(400)),
        Stream("a bare line feed at the end", get + "\n", .refused(400)),
        Stream("a lone carriage return", get + "X: a\rb\r\n\r\n", .refused(400)),
        Stream("two carriage returns", get + "X: a\r\r\n\r\n", .refused(400)),
        Stream("a zero in a value", get + "X: a\0b\r\n\r\n", .refused(400)),
        Stream("a zero in a name", get + "X\0: a\r\n\r\n", .refused(400)),
        Stream("an escape character", get + "X: \u{1b}[31m\r\n\r\n", .refused(400)),
        Stream("no colon", get + "what\r\n\r\n", .refused(400)),
        Stream("no name", get + ": x\r\n\r\n", .refused(400)),
        Stream("a name with a bracket", get + "X(y): x\r\n\r\n", .refused(400)),
        Stream("a name beyond ASCII", get + "X\u{e9}: x\r\n\r\n", .refused(400)),
        Stream("no Host", "GET / HTTP/1.1\r\n\r\n", .refused(400)),
        Stream("two Hosts", get + "Host: y\r\n\r\n", .refused(400)),
        Stream("two equal Hosts", get + "Host: x\r\n\r\n", .refused(400)),
        Stream("a Host with a path", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", .refused(400)),
        Stream("a Host with a user", "GET / HTTP/1.1\r\nHost: u@x\r\n\r\n", .refused(400)),
        Stream("a Host that contradicts the target", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", .refused(400)),
        Stream("a user in the target", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", .refused(400)),
        Stream("another scheme in the target", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", .refused(400)),
        Stream("a target that is no path", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", .refused(400)),
        Stream("a star for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", .refused(400)),
        Stream("a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", .refused(400)),
        Stream("a target beyond ASCII", "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", .refused(400)),
        Stream("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .refused(400)),
        Stream("a space at the end of the line", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", .refused(400)),
        Stream("a tab between", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", .refused(400)),
        Stream("HTTP/0.9", "GET /\r\n\r\n", .refused(400)),
        Stream("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .refused(505)),
        Stream("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", .refused(505)),
        Stream("a version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", .refused(400)),
        Stream("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", .refused(501)),
        Stream("a method in brackets", "(GET) / HTTP/1.1\r\nHost: a\r\n\r\n", .refused(400)),
        Stream(
            "a method without end", String(repeating: "G", count: 33) + " / HTTP/1.1\r\nHost: a\r\n\r\n", .refused(400)),
        Stream("a TLS hello", "\u{16}\u{3}\u{1}", .refused(400)),
        Stream("empty lines without end", "\r\n\r\n", .refused(400)),
        Stream("an expectation of the client's own", get + "Expect: magic\r\n\r\n", .refused(417)),
        Stream("a request line without end", "GET /" + String(repeating: "a", count: 40_000), .refused(414)),
        Stream("a header without end", get + "X: " + String(repeating: "a", count: 40_000), .refused(431)),
        Stream("too many headers", get + String(repeating: "X: y\r\n", count: 100) + "\r\n", .refused(431)),
    ]

    @Test("what two readers could read differently is refused by all its pieces", arguments: refused)
    func refusedStreams(stream: Stream) {
        for piece in [Int.max, 1, 3, 1000] {
            #expect(Self.read(stream.text, piece: piece) == stream.expected, "in pieces of \(piece)")
        }
    }

    static let chunked = post + "Transfer-Encoding: chunked\r\n\r\n"

    static let refusedBodies = [
        Stream("a size that is no number", chunked + "z\r\n", .refused(400)),
        Stream("no size", chunked + "\r\n", .refused(400)),
        Stream("a size with a sign", chunked + "+5\r\nhello\r\n", .refused(400)),
        Stream("a size with a prefix", chunked + "0x5\r\nhello\r\n", .refused(400)),
        Stream("a space before the size", chunked + " 5\r\nhello\r\n", .refused(400)),
        Stream("a space after the size", chunked + "5 \r\nhello\r\n", .refused(400)),
        Stream("a size that overflows", chunked + "ffffffffffffffff5\r\nhello\r\n", .refused(400)),
        Stream("a size with many zeros", chunked + "000000005\r\nhello\r\n", .refused(400)),
        Stream("a size over the limit", chunked + "100001\r\n", .refused(413)),
        Stream("sizes over the limit together", chunked + "2\r\nab\r\nfffff\r\n", .refused(413)),
        Stream("a bare line feed after the size", chunked + "5\nhello\r\n", .refused(400)),
        Stream("a bare carriage return after the size", chunked + "5\rhello\r\n", .refused(400)),
        Stream("a bare line feed in an extension", chunked + "5;a\nhello\r\n", .refused(400)),
        Stream("a bare line feed after the data", chunked + "5\r\nhello\n", .refused(400)),
        Stream("more data than the size", chunked + "5\r\nhello!\r\n", .refused(400)),
        Stream("a zero in an extension", chunked + "5;\0\r\nhello\r\n", .refused(400)),
        Stream("an extension without end", chunked + "5;" + String(repeating: "a", count: 5000), .refused(400)),
        Stream("a trailer without colon", chunked + "0\r\nwhat\r\n\r\n", .refused(400)),
        Stream("a folded trailer", chunked + "0\r\nX: a\r\n b\r\n\r\n", .refused(400)),
        Stream("a trailer without end", chunked + "0\r\nX: " + String(repeating: "a", count: 40_000), .refused(431)),
        Stream("a bare line feed after a trailer", chunked + "0\r\nX: a\n\r\n", .refused(400)),
        Stream("a bare line feed at the very end", chunked + "0\r\n\n", .refused(400)),
    ]

    @Test("a chunked body is refused at the first byte that is not as it should be", arguments: refusedBodies)
    func refusedChunks(stream: Stream) {
        for piece in [Int.max, 1, 3] {
            #expect(Self.read(stream.text, piece: piece) == stream.expected, "in pieces of \(piece)")
        }
    }

    @Test("limits hold exactly")
    func limits() {
        let limits = HTTPRequestParser.Limits(headerBytes: 64, headerCount: 2, bodyBytes: 4)
        let padding = String(repeating: "a", count: 64 - (Self.get + "X: \r\n\r\n").utf8.count)
        #expect(Self.read(Self.get + "X: \(padding)\r\n\r\n", limits: limits) == [.request("GET /", body: "")])
        #expect(Self.read(Self.get + "X: \(padding)a\r\n\r\n", limits: limits) == [.refused(431)])
        #expect(
            Self.read(Self.post + "Content-Length: 4\r\n\r\nabcd", limits: limits) == [.request("POST /", body: "abcd")]
        )
        #expect(Self.read(Self.post + "Content-Length: 5\r\n\r\nabcde", limits: limits) == [.refused(413)])
    }

    @Test("a client of a Unix socket may leave out Host, but not give two")
    func hostOptional() {
        #expect(Self.read("GET / HTTP/1.1\r\n\r\n", requiresHost: false) == [.request("GET /", body: "")])
        #expect(Self.read("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", requiresHost: false) == [.refused(400)])
    }

    @Test("a head that comes again is read the same, and one that differs is read for itself", arguments: [1, 7, .max])
    func repeated(piece: Int) {
        let known = Self.post + "Content-Length: 2\r\n\r\nab"
        let longer = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        let stream = known + known + Self.get + "\r\n" + known + longer + known + Self.get + "\r\n"
        let post = Reading.request("POST /", body: "ab")
        let get = Reading.request("GET /", body: "")
        #expect(
            Self.read(stream, piece: piece) == [
                post, post, get, post, .request("POST /", body: "abc"), post, get,
            ])
        // What broke a rule once breaks it again, and a known head does not vouch for what comes after it.
        #expect(Self.read(known + known + "\n", piece: piece) == [post, post, .refused(400)])
    }

    @Test("mutations of proper requests never trap, and are read the same in any pieces")
    func mutations() {
        var random = SeededGenerator(seed: 0x6874_7470)
        for round in 0..<4000 {
            let stream = Self.accepted[round % Self.accepted.count]
            var bytes = Array(stream.text.utf8)
            for _ in 0...(random.next() % 3) {
                let index = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 4 {
                case 0: bytes[index] ^= 1 << UInt8(random.next() % 8)
                case 1: bytes.remove(at: index)
                case 2: bytes.insert([0x0D, 0x0A, 0x20, 0x3A, 0x00, 0xFF][Int(random.next() % 6)], at: index)
                default: bytes.swapAt(index, Int(random.next() % UInt64(bytes.count)))
                }
                if bytes.isEmpty { bytes = [0x47] }
            }
            let whole = Self.read(bytes)
            #expect(Self.read(bytes, piece: 1) == whole, "seeded round \(round)")
            #expect(Self.read(bytes, piece: 5) == whole, "seeded round \(round)")
            // What was read before, the unchanged request with its known head, changes nothing.
            let before = Array(stream.text.utf8)
            #expect(Self.read(before + bytes) == stream.expected + whole, "seeded round \(round)")
        }
    }
}
