import DstackAttestation
import DstackCommandLine
import DstackHTTPServer
import DstackShells
import DstackSystem

extension VerifierService {
    /// The service that settings describe. Reads the files that they name.
    ///
    /// - Parameter earlier: a service that this one takes the place of. What it has verified stays known.
    /// - Throws: ``CommandFailure``: a wrong request for a root, policy or collateral that cannot be used; the world failed
    ///   where what was verified before cannot be read.
    init(_ configuration: VerifierConfiguration, after earlier: VerifierService? = nil) throws(CommandFailure) {
        let directory = configuration.collateral.cacheDirectory
        let floors =
            earlier.flatMap { $0.floors.directory == directory ? $0.floors : nil }
            ?? CollateralFloors(directory: directory)
        if let problem = floors.problem { throw CommandFailure(.worldFailed, problem) }
        do {
            let root = try configuration.trustRoot.map { try TrustAnchor(certificate: File.read($0, limit: 1 << 20)) }
            self.init(
                collateral: try Self.provider(
                    configuration.collateral, floors, configuration.limits.maximumRequestsInFlight),
                verifier: QuoteVerifier(trustAnchor: root ?? .intel), policy: try Self.policy(configuration.policy),
                floors: floors, clock: { SystemWallClock().unixSeconds })
        } catch {
            let hint = (error as? AttestationError)?.hint ?? ""
            throw CommandFailure(.wrongRequest, "\(error)", hint: hint.isEmpty ? nil : hint)
        }
    }

    private static func policy(_ policy: VerifierConfiguration.Policy) throws -> VerificationPolicy {
        switch policy {
        case .preset(let name): VerificationPolicy.preset(named: name) ?? .standard
        case .file(let path): try VerificationPolicy(parsingJSON: File.read(path, limit: 1 << 20))
        }
    }

    private static func provider(
        _ settings: VerifierConfiguration.Collateral, _ floors: CollateralFloors, _ maximumRequests: Int
    ) throws -> any CollateralProvider {
        if let path = settings.offline { return try OfflineCollateral(path: path) }
        var configuration = CollateralService.Configuration()
        // Services that somebody chose are asked alone: the others would learn which platforms are verified here.
        if let urls = settings.service { configuration.endpoints = try CollateralEndpoint.list(urls) }
        configuration.floors = floors
        // The rest is for requests that need not wait.
        configuration.maximumWaiting = max(1, maximumRequests * 3 / 4)
        configuration.cacheDirectory = settings.cacheDirectory
        configuration.tlsAuthorities = try settings.tlsAuthorities.map { try File.read($0, limit: 4 << 20) }
        return CollateralService(configuration)
    }
}
