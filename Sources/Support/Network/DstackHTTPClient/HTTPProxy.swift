import DstackHTTP
import Glibc

/// Which proxy a request goes through, settled when the client is made: libcurl would read the environment again for
/// every request, from another thread.
package struct HTTPProxy: Sendable, Hashable {
    /// Proxy URL for `http` requests.
    package var http: String?
    /// Proxy URL for `https` requests.
    package var https: String?
    /// Hosts reached directly: names (which cover their subdomains), addresses, networks, comma-separated; `*` for all.
    package var exceptions: String?

    package init(http: String? = nil, https: String? = nil, exceptions: String? = nil) {
        self.http = http
        self.https = https
        self.exceptions = exceptions
    }

    /// Always directly.
    package static let none = HTTPProxy()

    /// `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, as curl reads them: lower case first, upper case too
    /// but for `HTTP_PROXY`, which a CGI program's client could set by sending a header named `Proxy`.
    package static func fromEnvironment(_ variable: (String) -> String? = environmentVariable) -> HTTPProxy {
        func first(_ names: String...) -> String? {
            for name in names {
                if let value = variable(name), !value.isEmpty { return value }
            }
            return nil
        }
        let all = first("all_proxy", "ALL_PROXY")
        return HTTPProxy(
            http: first("http_proxy") ?? all,
            https: first("https_proxy", "HTTPS_PROXY") ?? all,
            exceptions: first("no_proxy", "NO_PROXY"))
    }

    package static func environmentVariable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    func url(forScheme scheme: String) -> String? {
        HTTPSyntax.equalIgnoringCase(scheme, "https") ? https : http
    }
}
