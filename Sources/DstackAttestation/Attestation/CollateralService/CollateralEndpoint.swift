import DstackEncoding
import DstackHTTP

/// A service that hands out collateral: Intel's own (PCS, version 4 of its interface) or a cache in front of it (PCCS).
public struct CollateralEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// Scheme, host and whatever stands before `/sgx/certification/v4`, without slash at the end.
    public let baseURL: String
    /// Sent to this service when it is asked for a PCK certificate (`Ocp-Apim-Subscription-Key`), which Intel's wants.
    public var subscriptionKey: String?

    /// Intel's service.
    public static let intel = CollateralEndpoint(known: "https://api.trustedservices.intel.com")
    /// A public cache; what dstack uses where nothing else is configured.
    public static let phala = CollateralEndpoint(known: "https://pccs.phala.network")

    /// A service by its address, as configurations write it: with or without a slash or the interface's own path
    /// (`/sgx/certification/v4`, `/tdx/certification/v4`) at the end. The path of version 3, which older configurations of
    /// other tools name, stands for the same service; version 4 is what is asked for.
    ///
    /// - Throws: ``AttestationError`` with code `collateral_unavailable` unless it is an `http` or `https` URL without
    ///   query.
    public init(_ url: String, subscriptionKey: String? = nil) throws(AttestationError) {
        var base = Self.withoutSlash(url[...])
        for path in ["sgx", "tdx"].flatMap({ tee in ["/v4", "/v3", ""].map { "/\(tee)/certification\($0)" } })
        where base.hasSuffix(path) {
            base = Self.withoutSlash(base.dropLast(path.count))
            break
        }
        let scheme = base.prefix { $0 != ":" }.lowercased()
        let rest = base.dropFirst(scheme.count)
        guard scheme == "https" || scheme == "http", rest.hasPrefix("://"), rest.count > 3,
            base.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), !base.contains(where: { "?#@".contains($0) })
        else {
            throw AttestationError(
                .collateralUnavailable, subject: "collateral service",
                reason: "its address must be an http or https URL without user, query and fragment",
                hint: "for example https://pccs.phala.network")
        }
        if let subscriptionKey, !HTTPSyntax.isHeaderValue(subscriptionKey) {
            throw AttestationError(
                .collateralUnavailable, subject: "collateral service", reason: "its subscription key is malformed")
        }
        // Scheme names have no case; comparing is easier if they have one.
        baseURL = scheme + rest
        self.subscriptionKey = subscriptionKey
    }

    private init(known url: String) { baseURL = url }

    /// Services from a setting that may name several, such as `PCCS_URL`: addresses with commas or white space between them,
    /// in the order in which they are asked.
    ///
    /// - Throws: as ``init(_:subscriptionKey:)``, and where there is none.
    public static func list(_ settings: String...) throws(AttestationError) -> [CollateralEndpoint] {
        try list(settings)
    }

    /// The same for several such settings.
    public static func list(_ settings: [String]) throws(AttestationError) -> [CollateralEndpoint] {
        var endpoints: [CollateralEndpoint] = []
        for text in settings.flatMap({ $0.split { $0 == "," || $0.isWhitespace } }) {
            let endpoint = try CollateralEndpoint(String(text))
            if !endpoints.contains(endpoint) { endpoints.append(endpoint) }
        }
        guard endpoints.isEmpty else { return endpoints }
        throw AttestationError(
            .collateralUnavailable, subject: "collateral service", reason: "no address is given",
            hint: "for example https://pccs.phala.network")
    }

    private static func withoutSlash(_ text: Substring) -> Substring {
        var text = text
        while text.hasSuffix("/") { text = text.dropLast() }
        return text
    }

    /// Whether this is Intel's service, which leaves the root's revocation list to its distribution point.
    var isIntel: Bool {
        let host = baseURL.dropFirst(baseURL.hasPrefix("https") ? 8 : 7).prefix { $0 != "/" && $0 != ":" }
        return HTTPSyntax.equalIgnoringCase(String(host), "api.trustedservices.intel.com")
    }

    /// ``baseURL``; never the key.
    public var description: String { baseURL }
}

/// Which generation of Intel's TCB data to ask for.
///
/// After a TCB recovery Intel serves the new data as "early" at once and as "standard" after a year's grace.
public enum TCBDataSelector: Hashable, Sendable, CustomStringConvertible {
    /// `update=standard`.
    case standard
    /// `update=early`.
    case early
    /// `tcbEvaluationDataNumber=n`.
    case evaluationDataNumber(UInt32)

    /// The query that selects it.
    var query: String {
        switch self {
        case .standard: "update=standard"
        case .early: "update=early"
        case .evaluationDataNumber(let number): "tcbEvaluationDataNumber=\(number)"
        }
    }

    /// `standard`, `early` or the number.
    public var description: String {
        switch self {
        case .standard: "standard"
        case .early: "early"
        case .evaluationDataNumber(let number): "\(number)"
        }
    }
}
