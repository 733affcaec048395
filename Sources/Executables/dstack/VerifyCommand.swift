import DstackAttestation
import DstackCommandLine
import DstackEncoding
import DstackShells
import DstackSystem

/// `verify`: whether the service behind a URL is the application that its operator thinks it is.
enum VerifyCommand {
    private static let url = Positional(required: .text("URL"), "the service, https://HOST[:PORT]")
    private static let appCompose = Option(
        "app-compose", .file, "your own copy of app-compose.json, to compare with the measured one")
    private static let collateral = Option(
        "collateral", .file, "Intel's collateral, JSON; fetched if left out")
    private static let services = CollateralOptions.services("pccs")
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
            url, appCompose, sessionBound, keyBound,
        ] + ExpectationOptions.ofApplication + JudgementOptions.declarations + [
            collateral, services, CollateralOptions.cache, CollateralOptions.authorities, CollateralOptions.timeout,
        ],
        rules: [
            .atMostOne(of: appCompose, ExpectationOptions.composeHash), .atMostOne(of: collateral, services),
            .atMostOne(of: collateral, CollateralOptions.cache),
            .atMostOne(of: collateral, CollateralOptions.authorities),
            .atMostOne(of: collateral, CollateralOptions.timeout), .atMostOne(of: sessionBound, keyBound),
        ],
        statuses: [
            .no: "no or undecided, with the reason", .worldFailed: "the service or the collateral cannot be reached",
        ],
        run: run)

    private static func run(_ arguments: Arguments, _ console: Console) async throws -> ExitStatus {
        let (address, verifier) = try prepare(arguments, console)
        do throws(AttestationError) {
            let report = try await verifier.verify(address, at: JudgementOptions.time(arguments))
            return console.show(report, arguments)
        } catch {
            throw CommandFailure(fetching: error, for: arguments)
        }
    }

    /// Everything that can be wrong with the request, before anything is asked of the world.
    private static func prepare(
        _ arguments: Arguments, _ console: Console
    ) throws(CommandFailure) -> (EndpointAddress, EndpointVerifier) {
        let quoteVerifier = try JudgementOptions.verifier(arguments)
        var policy = try JudgementOptions.policy(arguments)
        try ExpectationOptions.add(to: &policy, arguments)
        let compose = try arguments.composeFile(appCompose, under: policy)
        let given = try arguments.read(collateral, limit: QuoteCollateral.maximumByteCount)
        let configuration = try CollateralOptions.configuration(arguments, console, services: services)
        let provider: any CollateralProvider =
            if let given {
                try CommandFailure.wrongFile(collateral, arguments) { () throws(AttestationError) in
                    try OfflineCollateral([try QuoteCollateral(parsingJSON: given)])
                }
            } else {
                CollateralService(configuration)
            }
        return try CommandFailure.wrongRequest { () throws(AttestationError) in
            let address = try EndpointAddress(arguments[url])
            var verifier = EndpointVerifier(quoteVerifier: quoteVerifier, collateral: provider)
            verifier.appCompose = compose
            if JudgementOptions.isAtGivenTime(arguments) { verifier.floors = nil }
            if arguments[sessionBound] { verifier.binding = .sessionBound }
            if arguments[keyBound] { verifier.binding = .keyBound }
            verifier.policy = policy
            return (address, verifier)
        }
    }
}
