import DstackAttestation
import DstackCommandLine
import DstackSystem

/// `verify`: whether the service behind a URL is the application that its operator thinks it is.
enum VerifyCommand {
    private static let url = Positional(required: .text("URL"), "the service, https://HOST[:PORT]")
    private static let appCompose = Option(
        "app-compose", .file, "your own copy of app-compose.json, to compare with the measured one")
    private static let composeHash = Option(
        "compose-hash", .hex("HEX", bytes: 32), "the compose hash that is expected, where you have no copy of the file")
    private static let appID = Option("app-id", .hex("HEX", bytes: 20), "the application id that is expected")
    private static let osImageHash = Option(
        "os-image-hash", .hex("HEX", bytes: 32), "the OS image that is expected; its measurements must be in the quote")
    private static let trustRoot = Option(
        "trust-root", .file, "another root certificate than Intel's, PEM or DER; for simulated TEEs")
    private static let collateral = Option(
        "collateral", .file, "Intel's collateral, JSON; fetched if left out")
    private static let services = Option(
        repeated: "pccs", .text("URL"), environment: "PCCS_URL",
        "where to fetch collateral, tried in the order given; pccs.phala.network, then Intel's, if left out")
    private static let policy = Option(
        "policy", .choiceOrFile(["authentic", "standard", "strict"]), default: "standard",
        "what to accept: a preset or a policy file")
    private static let at = Option("at", .time, "the time to verify at, Unix seconds or RFC 3339; now if left out")
    private static let sessionBound = Flag(
        "session-bound", "accept only evidence about this very TLS connection")
    private static let keyBound = Flag(
        "key-bound", "ask for no more than evidence about the certificate's key")

    static let command = Command(
        "verify", "decides whether the service behind a URL is the application that you expect",
        examples: [
            "dstack verify https://app.example.org --app-compose app-compose.json",
            "dstack verify https://127.0.0.1:8443 --app-compose app-compose.json --trust-root root.pem "
                + "--collateral collateral.json",
        ],
        notes: [
            "It connects as a stranger would, takes the certificate with its evidence, and verifies everything from the "
                + "hardware's root down to this connection. What the service says of itself counts for nothing: without "
                + "--app-compose, --compose-hash or such values in a policy file there is no yes.",
            "It asks for evidence about the connection first; a service that has none is judged by the evidence about its "
                + "key in the certificate, and the report says so.",
        ],
        arguments: [
            url, appCompose, composeHash, appID, osImageHash, trustRoot, collateral, services, policy, sessionBound,
            keyBound, at,
            Flag.json,
        ],
        rules: [
            .atMostOne(of: appCompose, composeHash), .atMostOne(of: collateral, services),
            .atMostOne(of: sessionBound, keyBound),
        ],
        statuses: [
            .no: "no or undecided, with the reason", .worldFailed: "the service or the collateral cannot be reached",
        ],
        run: run)

    /// The most bytes read of any file.
    private static let limit = 16 << 20

    private static func run(_ arguments: Arguments, _ console: Console) async throws -> ExitStatus {
        let (address, verifier) = try prepare(arguments)
        let report: EndpointReport
        do throws(AttestationError) {
            report = try await verifier.verify(address, at: arguments[at] ?? SystemWallClock().unixSeconds)
        } catch {
            throw failure(error.code == .invalidPolicy ? .wrongRequest : .worldFailed, error)
        }
        if arguments[Flag.json] {
            console.print(String(decoding: report.json(), as: UTF8.self))
        } else {
            console.print(String(report.text(style: EndpointReport.TextStyle(console.outputTerminal)).dropLast()))
        }
        switch report.verdict {
        case .accepted: return .yes
        case .rejected: return .no
        case .undecided:
            console.hint("give your own copy of the compose file: --app-compose FILE")
            return .no
        }
    }

    /// Everything that can be wrong with the request, before anything is asked of the world.
    private static func prepare(_ arguments: Arguments) throws -> (EndpointAddress, EndpointVerifier) {
        let anchor = try arguments.read(trustRoot, limit: limit)
        let compose = try arguments.read(appCompose, limit: limit)
        let given = try arguments.read(collateral, limit: limit)
        let preset = VerificationPolicy.preset(named: arguments[policy])
        let policyFile = preset == nil ? try arguments.read(policy, limit: 1 << 20) : []
        do throws(AttestationError) {
            let address = try EndpointAddress(arguments[url])
            var configuration = CollateralService.Configuration()
            if !arguments[services].isEmpty {
                configuration.endpoints = []
                for url in arguments[services] { configuration.endpoints.append(try CollateralEndpoint(url)) }
            }
            let provider: any CollateralProvider
            if let given {
                provider = try OfflineCollateral([try QuoteCollateral(parsingJSON: given)])
            } else {
                provider = CollateralService(configuration)
            }
            let root: TrustAnchor
            if let anchor { root = try TrustAnchor(certificate: anchor) } else { root = .intel }
            var verifier = EndpointVerifier(quoteVerifier: QuoteVerifier(trustAnchor: root), collateral: provider)
            verifier.appCompose = compose
            if arguments[sessionBound] { verifier.binding = .sessionBound }
            if arguments[keyBound] { verifier.binding = .keyBound }
            if let compose { _ = try AppCompose(parsing: compose) }
            if let preset {
                verifier.policy = preset
            } else {
                verifier.policy = try VerificationPolicy(parsingJSON: policyFile)
            }
            if let hash = arguments[composeHash] { verifier.policy.expected.composeHash = FixedBytes(hash) }
            if let id = arguments[appID] { verifier.policy.expected.appID = FixedBytes(id) }
            if let hash = arguments[osImageHash] { verifier.policy.expected.osImageHash = FixedBytes(hash) }
            return (address, verifier)
        } catch {
            throw failure(.wrongRequest, error)
        }
    }

    private static func failure(_ status: ExitStatus, _ error: AttestationError) -> CommandFailure {
        CommandFailure(status, "\(error.subject): \(error.reason)", hint: error.hint.isEmpty ? nil : error.hint)
    }
}

extension EndpointReport.TextStyle {
    /// Drawn for a person at a terminal, plain lines for a pipe.
    init(_ terminal: Terminal) {
        // Beyond a hundred columns lines are no easier to read.
        self.init(
            isColored: terminal.usesColor, isDrawn: terminal.isInteractive, width: min(terminal.width, 100))
    }
}
