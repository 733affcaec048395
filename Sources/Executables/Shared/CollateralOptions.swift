package import DstackAttestation
package import DstackCommandLine
import DstackSystem

/// Options about where collateral is fetched, the same wherever a command fetches it.
package enum CollateralOptions {
    /// Where to fetch it. `verify URL` of a service calls it `--pccs`, because a URL is what it verifies.
    package static func services(_ name: String) -> Option<[String]> {
        Option(
            repeated: name, .text("URL"), environment: "PCCS_URL",
            "a PCS or PCCS service, tried in the order given; pccs.phala.network, then Intel's, if left out")
    }

    package static let cache = Option("cache", .directory, "a directory to keep collateral in until it expires")
    package static let authorities = Option(
        "ca", .file, "CA certificates of the collateral service, PEM; the system's if left out")
    package static let timeout = Option(
        "timeout", .duration, "how long the collateral services are waited for in all; 60s if left out")
    package static let update = Option(
        "update", .text("standard|early|NUMBER"), default: "standard",
        "which TCB data: standard, early, or of an evaluation data number")

    private static let defaultTimeout = Duration.seconds(60)

    /// How to fetch, as the command line says. Where it takes its time, the console says what is waited for.
    ///
    /// - Throws: a wrong request for a URL or a number that makes no sense, or a file that cannot be read.
    package static func configuration(
        _ arguments: Arguments, _ console: Console, services: Option<[String]>, update: Option<String>? = nil
    ) throws(CommandFailure) -> CollateralService.Configuration {
        var configuration = CollateralService.Configuration()
        configuration.cacheDirectory = arguments[cache]
        configuration.tlsAuthorities = try arguments.read(authorities, limit: 4 << 20)
        let urls = arguments[services]
        if !urls.isEmpty {
            configuration.endpoints = try CommandFailure.wrongRequest { () throws(AttestationError) in
                try CollateralEndpoint.list(urls)
            }
        }
        warn(of: arguments[cache], console)
        let timeout = arguments[timeout] ?? defaultTimeout
        guard timeout >= .seconds(1) else {
            throw CommandFailure(.wrongRequest, "--timeout must be a second at least")
        }
        configuration.retry.totalTimeout = timeout
        // A service that hangs leaves time for the others, and for one more try.
        configuration.retry.requestTimeout = min(
            configuration.retry.requestTimeout, timeout / (configuration.endpoints.count + 1))
        configuration.onDelay = { console.note($0) }
        if let update { configuration.selector = try selector(arguments[update]) }
        // As of a given time what is given counts: what is in the cache or comes from a service binds nothing by what was
        // verified before, and is not remembered.
        if JudgementOptions.isAtGivenTime(arguments) {
            configuration.floors = CollateralFloors(selector: configuration.selector)
        }
        return configuration
    }

    private static func warn(of directory: String?, _ console: Console) {
        guard let directory, let exposure = CollateralDirectory.exposure(of: directory) else { return }
        console.warn("\(cache.specification.label): \(exposure)")
    }

    private static func selector(_ text: String) throws(CommandFailure) -> TCBDataSelector {
        switch text {
        case "standard": return .standard
        case "early": return .early
        default:
            guard let number = UInt32(text) else {
                throw CommandFailure(.wrongRequest, "--update needs standard, early or a number, not `\(text)`")
            }
            return .evaluationDataNumber(number)
        }
    }
}
