import CCurl
import DstackHTTP
import DstackNetwork
import DstackSystem
import Glibc

/// Sets options of one easy handle and remembers the first that was refused.
struct TransferOptions {
    private let easy: UnsafeMutableRawPointer
    private(set) var firstFailure: String?

    init(_ easy: UnsafeMutableRawPointer) { self.easy = easy }

    mutating func set(_ option: CURLoption, _ value: Int) { check(dstack_curl_set_long(easy, option, value)) }

    mutating func set(_ option: CURLoption, offset: Int) {
        check(dstack_curl_set_offset(easy, option, curl_off_t(offset)))
    }

    mutating func set(_ option: CURLoption, _ value: String?) { check(dstack_curl_set_string(easy, option, value)) }

    mutating func set(_ option: CURLoption, _ value: UnsafeRawPointer?) {
        check(dstack_curl_set_pointer(easy, option, value))
    }

    mutating func set(_ option: CURLoption, _ value: PinnedBytes) {
        guard let start = value.buffer.baseAddress else { return }
        check(dstack_curl_set_blob(easy, option, start, value.count))
    }

    mutating func check(_ code: CURLcode) {
        if code != CURLE_OK { fail(String(cString: curl_easy_strerror(code))) }
    }

    mutating func fail(_ reason: String) {
        if firstFailure == nil { firstFailure = reason }
    }
}

extension Duration {
    /// For libcurl's options, where 0 would mean "no limit" and the type is a C `long`.
    var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        guard seconds < Int64(Int32.max / 1000) else { return Int(Int32.max) }
        guard seconds >= 0 else { return 1 }
        return max(1, Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
    }
}

extension HTTPMethod {
    /// Whether a request without content says so with `Content-Length: 0` (RFC 9110, section 8.6).
    var expectsBody: Bool { self == .post || self == .put || self == .patch }
}

extension HTTPRequest {
    /// Why this request must not be sent, if so.
    var problem: String? {
        if let problem = headers.problem { return problem }
        for name in ["Content-Length", "Transfer-Encoding"] where headers.contains(name) {
            return "header \(name) follows from the body and must not be given"
        }
        if method == .head, body != nil || secretBody != nil { return "a HEAD request has no body" }
        return nil
    }
}

extension HTTPClientConfiguration {
    /// Why these settings cannot work for a URL, if so.
    func problem(for url: RequestURL) -> String? {
        switch transport {
        case .unix(let path):
            if let problem = SocketAddress.unix(path: path).problem { return problem }
        case .abstractUnix(let name) where UnixAddress(abstractName: name) == nil:
            return "an abstract Unix socket name has 1 to 107 bytes"
        default: break
        }
        guard userAgent.isEmpty || HTTPSyntax.isHeaderValue(userAgent) else {
            return "the user agent is not a header value"
        }
        // libcurl would show the proxy's certificate to the verifier that was written for the server's.
        if trust.verifier != nil, let proxy = proxy.url(forScheme: url.scheme), proxy.hasPrefix("https:") {
            return "a proxy reached by TLS cannot be combined with a certificate verifier"
        }
        return nil
    }
}

extension HTTPClientConfiguration.Transport {
    /// For messages.
    var suffix: String {
        switch self {
        case .network: ""
        case .unix(let path): " at \(path)"
        case .abstractUnix(let name): " at @\(name)"
        case .vsock(let cid, let port): " at vsock:\(cid):\(port)"
        }
    }
}

extension HTTPClientError.Code {
    /// The topic of a libcurl failure that does not depend on circumstances.
    init(_ code: CURLcode) {
        self =
            switch code {
            case CURLE_COULDNT_RESOLVE_HOST: .nameResolution
            case CURLE_COULDNT_RESOLVE_PROXY, CURLE_PROXY: .proxy
            case CURLE_COULDNT_CONNECT: .connection
            case CURLE_OPERATION_TIMEDOUT: .timeout
            case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR: .peerNotTrusted
            case CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_ABORTED_BY_CALLBACK:
                .invalidConfiguration
            case CURLE_SSL_CONNECT_ERROR: .tls
            case CURLE_FILESIZE_EXCEEDED: .tooLarge
            case CURLE_TOO_MANY_REDIRECTS: .redirect
            case CURLE_GOT_NOTHING: .connectionLost
            case CURLE_OUT_OF_MEMORY, CURLE_FAILED_INIT: .system
            // Among them: a partial body, a status line that is none, HTTP/0.9.
            default: .invalidResponse
            }
    }
}
