import DstackAttestation
import DstackCommandLine
import DstackHTTPServer
import DstackShells
import DstackSystem
import DstackVerifierService

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
            let root = try configuration.trustRoot.map { path in
                try Self.file("attestation.root_ca.tdx", path) { bytes throws(AttestationError) in
                    try TrustAnchor(certificate: bytes)
                }
            }
            self.init(
                collateral: try Self.provider(
                    configuration.collateral, floors, configuration.limits.maximumRequestsInFlight),
                verifier: QuoteVerifier(trustAnchor: root ?? .intel), policy: try Self.policy(configuration.policy),
                floors: floors, clock: { SystemWallClock().unixSeconds })
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            let hint = (error as? AttestationError)?.hint ?? ""
            throw CommandFailure(.wrongRequest, "\(error)", hint: hint.isEmpty ? nil : hint)
        }
    }

    /// Reads a file that a setting names; an error is about that file.
    private static func file<Value>(
        _ setting: String, _ path: String, _ read: ([UInt8]) throws(AttestationError) -> Value
    ) throws -> Value {
        let bytes = try File.read(path, limit: 1 << 20)
        do throws(AttestationError) { return try read(bytes) } catch {
            throw CommandFailure(
                .wrongRequest, "\(setting): \(error.message(about: path))", hint: error.remedy?.text,
                code: error.code.rawValue)
        }
    }

    private static func policy(_ policy: VerifierConfiguration.Policy) throws -> VerificationPolicy {
        switch policy {
        case .preset(let name): VerificationPolicy.preset(named: name) ?? .standard
        case .file(let path):
            try file("policy.file", path) { bytes throws(AttestationError) in
                try VerificationPolicy(parsingJSON: bytes)
            }
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
