import DstackHTTP

extension HTTPRequestHead {
    /// Reads a head whose line ends and control characters were checked by ``HeadScan``.
    init(
        parsing bytes: Span<UInt8>, _ limits: HTTPRequestParser.Limits, requiresHost: Bool
    ) throws(HTTPRefusal) {
        var lines = HeadLines(bytes)
        let request = try RequestLine(lines.next())
        let fields = try HeadFields(&lines, limits)

        let isCurrent = request.version == .http11
        if isCurrent, requiresHost, fields.host == nil { throw HTTPRefusal(400, "the Host header is missing") }
        if let host = fields.host, let authority = request.authority,
            !HTTPSyntax.equalIgnoringCase(host, authority)
        {
            throw HTTPRefusal(400, "the Host header contradicts the request target")
        }
        self.init(
            Parts(
                method: request.method, path: request.path, query: request.query, version: request.version,
                headers: HTTPHeaders(ReceivedFields(bytes.withUnsafeBufferPointer { Array($0) }, fields.places)),
                host: request.authority ?? fields.host, framing: try fields.framing(request.version, limits),
                keepsAlive: isCurrent ? !fields.saysClose : fields.saysKeepAlive && !fields.saysClose,
                expectsContinue: isCurrent && fields.expectsContinue))
    }
}

extension Span<UInt8> {
    func text(_ range: Range<Int>) -> String {
        extracting(range).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }

    func equalsIgnoringCase(_ known: StaticString) -> Bool {
        guard count == known.utf8CodeUnitCount else { return false }
        return known.withUTF8Buffer { known in
            for index in 0..<count where HTTPSyntax.lowercased(self[index]) != HTTPSyntax.lowercased(known[index]) {
                return false
            }
            return true
        }
    }

    func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
        var index = range.lowerBound
        while index < range.upperBound {
            if self[index] == byte { return index }
            index += 1
        }
        return nil
    }
}

/// The lines of a head, without their ends; the last, empty one ends it.
private struct HeadLines: ~Escapable {
    private let bytes: Span<UInt8>
    private var position = 0
    /// Where the line given last begins.
    private(set) var start = 0

    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>) { self.bytes = bytes }

    @_lifetime(copy self)
    mutating func next() -> Span<UInt8> {
        start = position
        let end = bytes.firstIndex(of: 0x0D, in: start..<bytes.count) ?? bytes.count
        position = min(end + 2, bytes.count)
        return bytes.extracting(start..<end)
    }
}

/// `GET /path?query HTTP/1.1`
private struct RequestLine {
    let method: HTTPMethod
    let path: String
    let query: String?
    let authority: String?
    let version: HTTPRequestHead.Version

    init(_ line: Span<UInt8>) throws(HTTPRefusal) {
        guard let first = line.firstIndex(of: 0x20, in: 0..<line.count),
            let second = line.firstIndex(of: 0x20, in: (first + 1)..<line.count),
            line.firstIndex(of: 0x20, in: (second + 1)..<line.count) == nil
        else { throw HTTPRefusal(400, "the request line is not 'method target version'") }
        guard let method = Self.method(line.extracting(0..<first)) else {
            throw HTTPRefusal(400, "the method is not a token of at most 32 characters")
        }
        switch line.text((second + 1)..<line.count) {
        case "HTTP/1.1": version = .http11
        case "HTTP/1.0": version = .http10
        case let text where text.hasPrefix("HTTP/"): throw HTTPRefusal(505, "only HTTP/1.0 and HTTP/1.1 are spoken")
        default: throw HTTPRefusal(400, "the request line does not end with an HTTP version")
        }
        self.method = method
        let target = line.extracting((first + 1)..<second)
        for index in 0..<target.count {
            let byte = target[index]
            // Controls are out already. A fragment is never sent; what is beyond ASCII must be percent-encoded.
            guard byte < 0x7F, byte > 0x20, byte != UInt8(ascii: "#") else {
                throw HTTPRefusal(400, "a character that is not allowed in a request target")
            }
        }
        (path, query, authority) = try Self.split(target, method)
    }

    private static func method(_ bytes: Span<UInt8>) -> HTTPMethod? {
        switch bytes.count {
        case 3 where bytes[0] == 0x47 && bytes[1] == 0x45 && bytes[2] == 0x54: .get
        case 4 where bytes[0] == 0x50 && bytes[1] == 0x4F && bytes[2] == 0x53 && bytes[3] == 0x54: .post
        default: HTTPMethod(rawValue: bytes.text(0..<bytes.count))
        }
    }

    /// Origin form, absolute form and `*`. The authority form is for CONNECT, which is a proxy's.
    private static func split(
        _ target: Span<UInt8>, _ method: HTTPMethod
    ) throws(HTTPRefusal) -> (path: String, query: String?, authority: String?) {
        guard method.rawValue != "CONNECT" else { throw HTTPRefusal(501, "this is not a proxy") }
        guard target.count > 0, target[0] != UInt8(ascii: "/") else {
            return try origin(target, from: 0, authority: nil)
        }
        let text = target.text(0..<target.count)
        if text == "*", method == .options { return ("*", nil, nil) }
        let lowered = text.prefix(8).lowercased()
        let start = lowered.hasPrefix("http://") ? 7 : lowered == "https://" ? 8 : 0
        guard start > 0 else { throw HTTPRefusal(400, "the request target is neither a path nor an http URL") }
        var end = start
        while end < target.count, target[end] != UInt8(ascii: "/"), target[end] != UInt8(ascii: "?") { end += 1 }
        let authority = target.text(start..<end)
        guard !authority.isEmpty, HeadFields.isHost(authority) else {
            throw HTTPRefusal(400, "the host in the request target is malformed")
        }
        return try origin(target, from: end, authority: authority)
    }

    private static func origin(
        _ target: Span<UInt8>, from start: Int, authority: String?
    ) throws(HTTPRefusal) -> (path: String, query: String?, authority: String?) {
        let mark = target.firstIndex(of: UInt8(ascii: "?"), in: start..<target.count)
        let path = target.text(start..<(mark ?? target.count))
        guard !path.isEmpty || authority != nil else { throw HTTPRefusal(400, "the request target is empty") }
        return (path.isEmpty ? "/" : path, mark.map { target.text(($0 + 1)..<target.count) }, authority)
    }
}

/// The header fields, with what they say about framing collected on the way.
private struct HeadFields {
    private(set) var places: [ReceivedFields.Place] = []
    private(set) var host: String?
    private(set) var saysClose = false
    private(set) var saysKeepAlive = false
    private(set) var expectsContinue = false
    private var contentLength: String?
    private var transferEncoding: String?

    init(_ lines: inout HeadLines, _ limits: HTTPRequestParser.Limits) throws(HTTPRefusal) {
        places.reserveCapacity(8)
        while true {
            let line = lines.next()
            guard line.count > 0 else { return }
            guard places.count < limits.headerCount else {
                throw HTTPRefusal(431, "more than \(limits.headerCount) headers")
            }
            try take(line, at: lines.start)
        }
    }

    private mutating func take(_ line: Span<UInt8>, at offset: Int) throws(HTTPRefusal) {
        guard line[0] != 0x20, line[0] != 0x09 else { throw HTTPRefusal(400, "a folded header line") }
        var colon = 0
        while colon < line.count, HTTPSyntax.isTokenCharacter(line[colon]) { colon += 1 }
        guard colon > 0, colon < line.count, line[colon] == UInt8(ascii: ":") else {
            throw HTTPRefusal(400, "a header line is not of the form 'name: value'")
        }
        var start = colon + 1
        var end = line.count
        while start < end, line[start] == 0x20 || line[start] == 0x09 { start += 1 }
        while end > start, line[end - 1] == 0x20 || line[end - 1] == 0x09 { end -= 1 }
        places.append(
            ReceivedFields.Place(name: offset..<(offset + colon), value: (offset + start)..<(offset + end)))
        try note(line.extracting(0..<colon), line.extracting(start..<end))
    }

    private mutating func note(_ name: Span<UInt8>, _ value: Span<UInt8>) throws(HTTPRefusal) {
        switch name.count {
        case 4 where name.equalsIgnoringCase("Host"):
            guard host == nil else { throw HTTPRefusal(400, "more than one Host header") }
            let text = value.text(0..<value.count)
            guard Self.isHost(text) else { throw HTTPRefusal(400, "the Host header is malformed") }
            host = text
        case 6 where name.equalsIgnoringCase("Expect"):
            guard value.equalsIgnoringCase("100-continue") else {
                throw HTTPRefusal(417, "an expectation other than 100-continue")
            }
            expectsContinue = true
        case 10 where name.equalsIgnoringCase("Connection"):
            for token in value.text(0..<value.count).split(separator: ",") {
                let token = token.filter { $0 != " " && $0 != "\t" }
                if HTTPSyntax.equalIgnoringCase(token, "close") { saysClose = true }
                if HTTPSyntax.equalIgnoringCase(token, "keep-alive") { saysKeepAlive = true }
            }
        case 14 where name.equalsIgnoringCase("Content-Length"):
            guard contentLength == nil else { throw HTTPRefusal(400, "more than one Content-Length header") }
            contentLength = value.text(0..<value.count)
        case 17 where name.equalsIgnoringCase("Transfer-Encoding"):
            guard transferEncoding == nil else { throw HTTPRefusal(400, "more than one Transfer-Encoding header") }
            transferEncoding = value.text(0..<value.count)
        default: break
        }
    }

    /// The one reading of the body's length, if there is exactly one (RFC 9112, section 6.3).
    func framing(
        _ version: HTTPRequestHead.Version, _ limits: HTTPRequestParser.Limits
    ) throws(HTTPRefusal) -> HTTPRequestHead.Framing {
        if let transferEncoding {
            guard contentLength == nil else {
                throw HTTPRefusal(400, "both Content-Length and Transfer-Encoding")
            }
            guard version == .http11 else { throw HTTPRefusal(400, "Transfer-Encoding in HTTP/1.0") }
            guard HTTPSyntax.equalIgnoringCase(transferEncoding, "chunked") else {
                throw HTTPRefusal(501, "a transfer coding other than chunked")
            }
            return .chunked
        }
        guard let contentLength else { return .none }
        guard !contentLength.isEmpty, contentLength.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
            throw HTTPRefusal(400, "Content-Length is not a number")
        }
        // Eighteen digits fit an Int; a longer number is refused for its size or for its needless zeros.
        guard contentLength.utf8.count <= 18, let length = Int(contentLength), length <= limits.bodyBytes else {
            throw HTTPRefusal(413, "the body is over \(limits.bodyBytes) bytes")
        }
        return .length(length)
    }

    /// Characters of a host with port (RFC 3986, section 3.2.2), without user information.
    static func isHost(_ text: String) -> Bool {
        text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "%"), UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"):
                true
            default: false
            }
        }
    }
}
