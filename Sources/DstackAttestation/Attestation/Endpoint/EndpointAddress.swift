import DstackHTTP

/// Where a service is to be found that should prove what it runs: an `https` URL.
public struct EndpointAddress: Hashable, Sendable, CustomStringConvertible {
    /// The URL as it was given.
    public let url: String
    /// Name or address, IPv6 in brackets.
    public let host: String
    /// The port, 443 where the URL names none.
    public let port: UInt16

    /// An address from a URL.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_endpoint` for anything but an `https` URL with a host and without
    ///   user name. Plain `http` is refused because without TLS there is no key that evidence could speak of.
    public init(_ url: String) throws(AttestationError) {
        func invalid(_ reason: String, hint: String = "") -> AttestationError {
            AttestationError(.invalidEndpoint, subject: "URL", reason: reason, hint: hint)
        }
        let example = "for example https://app.example.org"
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw invalid("it has a space, a control character or a character beyond ASCII", hint: example)
        }
        guard let separator = url.utf8.firstRange(of: "://".utf8) else {
            throw invalid("it has no scheme", hint: url.isEmpty ? example : "https://\(url) perhaps")
        }
        let scheme = String(url[..<separator.lowerBound])
        guard HTTPSyntax.equalIgnoringCase(scheme, "https") else {
            throw HTTPSyntax.equalIgnoringCase(scheme, "http")
                ? invalid(
                    "plain HTTP proves nothing: evidence speaks of a TLS key", hint: "use the service's https URL")
                : invalid("its scheme is \(scheme), and only https can be verified", hint: example)
        }
        let authority = url[separator.upperBound...].prefix { !"/?#\\".contains($0) }
        guard !authority.contains("@") else { throw invalid("it must not have a user name", hint: example) }
        let name: Substring
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw invalid("an IPv6 address needs its closing ]") }
            name = authority[...end]
        } else {
            name = authority.prefix { $0 != ":" }
        }
        guard !name.isEmpty, name != "[]" else { throw invalid("it has no host", hint: example) }
        let rest = authority[name.endIndex...]
        if rest.isEmpty {
            port = 443
        } else {
            // UInt16 also reads "+5", which no URL means.
            guard rest.hasPrefix(":"), !rest.hasPrefix(":+"), let number = UInt16(rest.dropFirst()), number > 0 else {
                throw invalid("its port must be a number from 1 to 65535", hint: example)
            }
            port = number
        }
        self.url = url
        host = String(name)
    }

    /// ``url``.
    public var description: String { url }

    /// `host:port`.
    var authority: String { "\(host):\(port)" }
}

extension AttestationError.Code {
    /// A URL is not one of a service that can be verified.
    public static let invalidEndpoint = Self(rawValue: "invalid_endpoint")
    /// A service could not be reached, or broke off.
    public static let endpointUnavailable = Self(rawValue: "endpoint_unavailable")
}
