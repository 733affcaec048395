import DstackCrypto
import DstackHTTP

/// What has come in of a response so far, counted against its limits.
struct ReceivedMessage {
    private let maximumBodyBytes: Int
    private let maximumHeaderBytes: Int
    private var bytes: [UInt8] = []
    /// The body, where it is secret.
    private var secretBytes = SecretPieces()
    private let isSecret: Bool
    private var headerBytes = 0
    private var expectsStatusLine = true
    /// Whether the last line was the empty one after a head.
    var headHasEnded: Bool { hasBegun && expectsStatusLine }
    private(set) var headers = HTTPHeaders()
    /// Whether anything came at all.
    private(set) var hasBegun = false
    /// Why reception was broken off.
    private(set) var problem: (code: HTTPClientError.Code, reason: String)?
    var wantsCertificates = false
    var certificates: [[UInt8]] = []

    init(maximumBodyBytes: Int, maximumHeaderBytes: Int, isSecret: Bool) {
        self.isSecret = isSecret
        self.maximumBodyBytes = maximumBodyBytes
        self.maximumHeaderBytes = maximumHeaderBytes
    }

    mutating func takeBody() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    mutating func takeSecretBody() -> SharedSecret? { secretBytes.take() }

    mutating func body(_ data: UnsafeRawBufferPointer) -> Bool {
        guard data.count <= maximumBodyBytes - bytes.count - secretBytes.count else {
            problem = (.tooLarge, "the body is over the limit of \(maximumBodyBytes) bytes")
            return false
        }
        if isSecret {
            secretBytes.append(data.bytes)
        } else {
            bytes.append(contentsOf: data)
        }
        return true
    }

    /// Takes one line with its end. Interim responses, redirects and the final response pass through here one after
    /// the other, then trailers, which are dropped.
    mutating func header(_ line: UnsafeRawBufferPointer) -> Bool {
        hasBegun = true
        guard line.count <= maximumHeaderBytes - headerBytes else {
            problem = (.tooLarge, "the header is over the limit of \(maximumHeaderBytes) bytes")
            return false
        }
        headerBytes += line.count
        var line = line[...]
        while let last = line.last, last == 0x0A || last == 0x0D { line = line.dropLast() }
        if line.isEmpty {
            expectsStatusLine = true
        } else if expectsStatusLine {
            // Anything else here is a trailer.
            if line.starts(with: "HTTP/".utf8) {
                expectsStatusLine = false
                headers = HTTPHeaders()
            }
        } else {
            return field(line)
        }
        return true
    }

    private mutating func field(_ line: Slice<UnsafeRawBufferPointer>) -> Bool {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")),
            case let name = line[..<colon], !name.isEmpty, name.allSatisfy(HTTPSyntax.isTokenCharacter),
            case let value = line[(colon + 1)...], value.allSatisfy(HTTPSyntax.isValueCharacter)
        else {
            problem = (.invalidResponse, "a header line is not of the form 'name: value'")
            return false
        }
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        var trimmed = value.drop(while: isSpace)
        while let last = trimmed.last, isSpace(last) { trimmed = trimmed.dropLast() }
        headers.add(String(decoding: name, as: UTF8.self), String(decoding: trimmed, as: UTF8.self))
        return true
    }
}
