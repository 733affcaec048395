package import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
package import DstackNetwork
import DstackSystem

/// Where the onboarding listener is, and who may use it.
package struct OnboardingRules: Sendable {
    package var place: ListeningPlace
    /// What whoever decides must know; nil to make one, unless it goes without.
    package var token: SharedSecret?
    /// Whether everybody who reaches the listener decides, where there is no token.
    package var allowsEveryone: Bool

    package init(place: ListeningPlace, token: SharedSecret? = nil, allowsEveryone: Bool = false) {
        self.place = place
        self.token = token
        self.allowsEveryone = allowsEveryone
    }

    /// Whether nobody but programs of this machine reaches it.
    var isLocal: Bool {
        switch place {
        case .tcp(let host, _):
            host == "localhost" || host == "::1" || host.hasPrefix("127.") && InternetAddress(host) != nil
        case .unix: true
        case .vsock, .descriptor: false
        }
    }
}

/// Decides who may bootstrap, onboard and finish.
///
/// Upstream's listener obeys whoever comes first, and that is who holds the keys of all applications. Here he must know a token:
/// from the settings, or made at the start and shown where only operators look. It goes away with the listener, which is needed
/// once. Two kinds of listener do without: one that only this machine reaches, and one whose settings say that everybody is let
/// in; upstream's clients, which have no token, work there.
///
/// Where no token is needed a browser is a way around all that: a page from anywhere can have its reader's browser send requests
/// to this machine. Of a browser's request therefore the origin, if it names one, must be this very listener; it must be for an
/// address and not for a name, since a page at a name of its own can have that lead here (DNS rebinding); and what changes
/// anything must be a POST, which no page makes without an origin. Programs are known by the absence of what every browser adds,
/// which no page can leave out.
struct OnboardingAccess: Sendable {
    /// SHA-256 of the token, so that comparing takes the same time whatever is presented; nil where there is none.
    private let tokenDigest: SharedSecret?

    init(token: SharedSecret?) { tokenDigest = token?.withBytes(Self.digest) }

    var needsToken: Bool { tokenDigest != nil }

    /// Why a request is not let in; nil if it is.
    ///
    /// - Parameter changes: whether it is one that must be let in, rather than one that only looks.
    func refusal(of head: HTTPRequestHead, changes: Bool) -> Refusal? {
        if let origin = head.headers["Origin"], !Self.isOwn(origin, head) {
            return Refusal(403, "another site's page sent this request (\(SafeText.line(origin, limit: 100)))")
        }
        if let site = head.headers["Sec-Fetch-Site"], changes, site != "same-origin" {
            return Refusal(403, "another site's page sent this request")
        }
        guard tokenDigest != nil else { return openRefusal(of: head, changes) }
        guard changes, !presentsToken(head) else { return nil }
        return Refusal(
            401,
            "the onboarding token is missing or wrong: it is in the settings, or in the log of this service's start; "
                + "send it as Authorization: Bearer TOKEN")
    }

    private func openRefusal(of head: HTTPRequestHead, _ changes: Bool) -> Refusal? {
        guard Self.isBrowsers(head) else { return nil }
        guard Self.isAddress(head.host ?? "") else {
            return Refusal(
                403,
                "a browser must use this service's IP address or localhost, where no token is needed: a name may "
                    + "be another site's")
        }
        guard changes else { return nil }
        guard head.method == .post, head.headers.contains("Origin") else {
            return Refusal(403, "a browser must send this as a POST")
        }
        return nil
    }

    struct Refusal: Sendable {
        let status: Int
        let reason: String

        init(_ status: Int, _ reason: String) {
            self.status = status
            self.reason = reason
        }
    }

    // MARK: Tokens

    private func presentsToken(_ head: HTTPRequestHead) -> Bool {
        if let token = Self.only(head.headers.values("X-Admin-Token")), isToken(token) { return true }
        guard let field = Self.only(head.headers.values("Authorization")) else { return false }
        let parts = field.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, HTTPSyntax.equalIgnoringCase(String(parts[0]), "Bearer") else { return false }
        return isToken(String(parts[1].drop { $0 == " " }))
    }

    private func isToken(_ presented: String) -> Bool {
        guard let tokenDigest, !presented.isEmpty else { return false }
        return tokenDigest.isEqual(to: Self.digest(Array(presented.utf8).span.bytes))
    }

    /// A header that occurs twice may be read in two ways.
    private static func only(_ values: [String]) -> String? { values.count == 1 ? values[0] : nil }

    private static func digest(_ bytes: RawSpan) -> SharedSecret {
        var digest = SHA256.hash(bytes).bytes
        return SharedSecret(absorbing: &digest)
    }

    // MARK: Browsers

    /// What browsers add to requests by themselves, of which no page can keep all away: the language is in every request.
    private static func isBrowsers(_ head: HTTPRequestHead) -> Bool {
        ["Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Accept-Language", "Cookie"]
            .contains { head.headers.contains($0) }
    }

    private static func isOwn(_ origin: String, _ head: HTTPRequestHead) -> Bool {
        guard let host = head.host, !host.isEmpty else { return false }
        // Something in front may have ended TLS.
        return HTTPSyntax.equalIgnoringCase(origin, "http://\(host)")
            || HTTPSyntax.equalIgnoringCase(origin, "https://\(host)")
    }

    /// Whether a Host header has an address, which nobody can have lead elsewhere, or the name of every machine itself.
    private static func isAddress(_ host: String) -> Bool {
        var name = host[...]
        if name.hasPrefix("[") {
            guard let end = name.firstIndex(of: "]") else { return false }
            name = name[name.index(after: name.startIndex)..<end]
        } else if let colon = name.lastIndex(of: ":") {
            name = name[..<colon]
        }
        return name.lowercased() == "localhost" || InternetAddress(String(name)) != nil
    }
}
