import CCurl
import DstackHTTP

/// A checked URL: parsed once, by libcurl's own parser, so that what was checked is what is asked.
final class RequestURL {
    /// A `CURLU`.
    let handle: OpaquePointer
    let scheme: String
    let host: String
    /// As given; nil if it is not given.
    let port: String?
    /// The URL without query and fragment, for messages.
    let display: String

    init(_ text: String) throws(RequestProblem) {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw RequestProblem("the URL has a space, a control character or a character beyond ASCII")
        }
        guard let handle = curl_url() else { throw RequestProblem("libcurl has no memory") }
        var isKept = false
        defer { if !isKept { curl_url_cleanup(handle) } }
        let code = curl_url_set(handle, CURLUPART_URL, text, 0)
        guard code == CURLUE_OK else {
            throw RequestProblem("the URL cannot be read: \(String(cString: curl_url_strerror(code)))")
        }
        guard let scheme = Self.part(CURLUPART_SCHEME, of: handle), scheme == "http" || scheme == "https" else {
            throw RequestProblem("the URL's scheme must be http or https")
        }
        guard Self.part(CURLUPART_USER, of: handle) == nil, Self.part(CURLUPART_PASSWORD, of: handle) == nil else {
            throw RequestProblem("the URL must not hold a user name or password; use a header")
        }
        // libcurl would take "http:///x" for the host x.
        guard let host = Self.part(CURLUPART_HOST, of: handle), !host.isEmpty,
            let start = text.utf8.firstRange(of: "://".utf8)?.upperBound, text.utf8[start] != UInt8(ascii: "/")
        else {
            throw RequestProblem("the URL has no host")
        }
        let port = Self.part(CURLUPART_PORT, of: handle)
        self.handle = handle
        self.scheme = scheme
        self.host = host
        self.port = port
        display = "\(scheme)://\(host)\(port.map { ":\($0)" } ?? "")\(Self.part(CURLUPART_PATH, of: handle) ?? "/")"
        isKept = true
    }

    deinit { curl_url_cleanup(handle) }

    private static func part(_ part: CURLUPart, of handle: OpaquePointer) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard curl_url_get(handle, part, &text, 0) == CURLUE_OK, let text else { return nil }
        defer { curl_free(text) }
        return String(cString: text)
    }
}

/// Why a request is not sent at all.
struct RequestProblem: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}
