import CCrypt
import DstackEncoding
import DstackHTTPServer
import DstackKMSService
import TestKit
import Testing

/// A bcrypt hash of a low cost.
func bcrypt(_ password: String, cost: String = "04") -> String {
    var hash = [CChar](repeating: 0, count: Int(DSTACK_BCRYPT_SIZE))
    let password = Array(password.utf8)
    let isMade = password.withUnsafeBytes {
        dstack_bcrypt($0.baseAddress, $0.count, "$2b$\(cost)$CCCCCCCCCCCCCCCCCCCCC.", &hash)
    }
    return isMade ? String(decoding: hash.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self) : ""
}

/// A request as it comes in, with header lines of a test's own.
func request(
    _ lines: [String], target: String = "/prpc/ClearImageCache", method: String = "POST",
    from host: String = "127.0.0.1"
) throws -> HTTPServerRequest {
    var parser = HTTPRequestParser(limits: .init())
    let text = (["\(method) \(target) HTTP/1.1", "Host: x", "Content-Length: 0"] + lines).joined(separator: "\r\n")
    guard case (_, .head(let head)) = parser.advance(Array((text + "\r\n\r\n").utf8).span) else {
        throw NoRequest()
    }
    return HTTPServerRequest(
        head: head, body: [], listener: "admin", peer: HTTPPeer(address: .internet(host: host, port: 1)))
}

struct NoRequest: Error {}

extension AdminGate {
    /// Whether whoever sends this is an operator.
    func authorize(_ request: HTTPServerRequest) async -> Bool { await refusal(of: request) == nil }
}

func basic(_ user: [UInt8], _ password: [UInt8]) -> String {
    "Authorization: Basic " + Base64.encode(user + [UInt8(ascii: ":")] + password)
}

func basic(_ user: String, _ password: String) -> String { basic(Array(user.utf8), Array(password.utf8)) }
