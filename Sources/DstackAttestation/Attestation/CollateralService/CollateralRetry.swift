import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackSystem

/// How often and how patiently a collateral service is asked.
public struct CollateralRetryPolicy: Hashable, Sendable {
    /// Rounds over all services; 1 asks each once.
    public var maximumRounds = 4
    /// Before the second round; doubles with every round, and is spread at random between half and all of it.
    public var firstDelay = Duration.milliseconds(500)
    /// What doubling stops at, and the longest `Retry-After` that is waited for: a service that asks for more is not
    /// asked again.
    public var maximumDelay = Duration.seconds(20)
    /// For one HTTP exchange.
    public var requestTimeout = Duration.seconds(30)
    /// For everything together.
    public var totalTimeout = Duration.seconds(180)

    /// The defaults.
    public init() {}

    /// How long to wait before a round (the second is 1), by a number of 0 to 1 that is drawn for the occasion.
    func delay(beforeRound round: Int, random: Double) -> Duration {
        let doubled = firstDelay * Double(1 << min(max(round - 1, 0), 20))
        return min(doubled, maximumDelay) * (0.5 + random / 2)
    }
}

/// Why one service did not give what was asked of it.
struct CollateralFailure: Error, Sendable {
    let reason: String
    /// Whether asking again later may help.
    let mayPass: Bool
    /// What the service asked to wait.
    var wait: Duration?
    /// What whoever runs this could do about it; nil where nothing helps but time.
    var remedy: Remedy?

    /// What helps against a failure, the most telling first.
    enum Remedy: Int, Comparable, Sendable {
        /// The service's certificate is from nobody whom this machine trusts.
        case authority
        /// Something answers there that is no collateral service.
        case address
        /// The service does not know the platform.
        case otherService
        /// There is no way to the service.
        case network

        var actions: [DstackAttestation.Remedy.Action] { self == .authority ? [.trustService] : [] }

        static func < (left: Remedy, right: Remedy) -> Bool { left.rawValue < right.rawValue }

        var hint: String {
            switch self {
            case .authority:
                "a cache of your own has a certificate of its own: have its authority trusted, which in the settings of the "
                    + "verifier service is collateral.tls_authorities"
            case .address:
                "is that the address of a collateral service, and does no sign-in page or proxy answer for it?"
            case .otherService: "another service may know the platform: https://pccs.phala.network, or Intel's own"
            case .network: "fetch it where there is a network, then verify with the file"
            }
        }
    }

    /// The service answered, but wrongly; it would do so again.
    static func permanent(_ reason: String, _ remedy: Remedy? = nil) -> CollateralFailure {
        .init(reason: reason, mayPass: false, remedy: remedy)
    }

    static func permanent(_ failure: DecodingFailure) -> CollateralFailure { .permanent(failure.description) }

    init(reason: String, mayPass: Bool, wait: Duration? = nil, remedy: Remedy? = nil) {
        self.reason = reason
        self.mayPass = mayPass
        self.wait = wait
        self.remedy = remedy
    }

    init(_ error: HTTPClientError) {
        reason = error.description
        remedy =
            switch error.code {
            case .peerNotTrusted: .authority
            case .nameResolution, .connection, .proxy: .network
            default: nil
            }
        mayPass =
            switch error.code {
            case .nameResolution, .connection, .connectionLost, .connectionChanged, .proxy, .timeout, .tls,
                .invalidResponse, .system:
                true
            case .invalidRequest, .invalidConfiguration, .peerNotTrusted, .tooLarge, .redirect, .cancelled: false
            }
    }

    /// - Parameter selector: what was asked for.
    init(status response: HTTPResponse, of what: String, selector: TCBDataSelector) {
        mayPass = response.status == 429 || response.status >= 500
        wait = mayPass ? response.retryAfter : nil
        let meaning =
            switch response.status {
            case 300...399: ", a redirect, which is not followed"
            case 401, 403: ", access denied (is a subscription key needed?)"
            case 404: ", not found: the service does not know this platform or this data"
            case 410:
                if case .evaluationDataNumber(let number) = selector {
                    ", gone: evaluation data number \(number) is no longer served"
                } else {
                    ", gone: this is no longer served"
                }
            case 429: ", too many requests"
            // Intel's PCCS: PCCS_STATUS_PLATFORM_UNKNOWN and PCCS_STATUS_CERTS_UNAVAILABLE.
            case 461: ", the service does not know this platform"
            case 462: ", the service has no certificates for this platform"
            default: ""
            }
        remedy =
            switch response.status {
            case 404, 410, 461, 462: .otherService
            case 300...399: .address
            default: HTMLPage.description(of: response.body) == nil ? nil : .address
            }
        reason = "\(what): status \(response.status)\(meaning)\(Self.words(of: response))"
    }

    /// The most characters of a service's own words that are passed on.
    private static let maximumWords = 160

    /// What a service says itself, in quotes: the header that Intel's has for it, or else its body.
    private static func words(of response: HTTPResponse) -> String {
        if let page = HTMLPage.description(of: response.body) { return "; it answers with \(page)" }
        let words = (response.headers["Error-Message"] ?? String(decoding: response.body.prefix(4096), as: UTF8.self))
            .trimmed
        return words.isEmpty ? "" : "; it says \(SafeText.quoted(words, limit: maximumWords))"
    }
}
