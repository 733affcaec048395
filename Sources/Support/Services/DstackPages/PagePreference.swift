import DstackHTTP
package import DstackHTTPServer

/// Who is better served with a page than with what programs read.
package enum PagePreference {
    /// Whether a client names HTML in `Accept`, and names nothing that programs read with more weight (RFC 9110 section
    /// 12.5.1). Browsers do; curl and the SDKs, which take anything, do not.
    package static func prefersPage(accept: String?) -> Bool {
        var page = 0.0
        var other = 0.0
        for item in (accept ?? "").split(separator: ",") {
            let parts = item.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            guard let type = parts.first else { continue }
            let weight = parts.dropFirst().first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
            switch type {
            case "text/html", "application/xhtml+xml": page = max(page, weight)
            case "text/plain", "application/json", "application/protobuf": other = max(other, weight)
            default: break
            }
        }
        return page > 0 && page >= other
    }
}

extension HTTPServerRequest {
    /// Whether a person looks at the answer, in a browser.
    package var prefersPage: Bool { PagePreference.prefersPage(accept: headers["Accept"]) }
}
