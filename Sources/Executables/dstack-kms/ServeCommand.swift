import DstackAttestation
import DstackCommandLine
import DstackConfiguration
import DstackEncoding
import DstackHTTPServer
import DstackKMS
import DstackKMSService
import DstackService
import DstackStore
import DstackSystem
import Synchronization

/// The service itself: what the program does without a command, as upstream's.
enum ServeCommand {
    private static let config = Option(
        "config", .file, short: "c", "settings, TOML or JSON; docs/kms.md lists them")

    static let arguments: [any ArgumentDeclaration] = [config]

    static let notes = [
        "Before the file of --config, /etc/kms/kms.toml and .json and ./kms.toml and .json are read if they are there; later ones "
            + "win, key by key.",
        "The guest agent is looked for where DSTACK_AGENT_ADDRESS says (a URL, unix:/path or a path), else at "
            + discovery.paths.joined(separator: " and ") + ".",
        "A service without root keys serves a page on which somebody decides how it comes to some. Evidence, keys and who decides "
            + "about boots are described in docs/kms.md.",
    ]

    private static let discovery = AgentDiscovery(
        variable: "DSTACK_AGENT_ADDRESS", paths: ["/var/run/dstack/dstack.sock", "/var/run/dstack.sock"])
    private static let log = Log("kms")

    static let run: Command.Action = { arguments, console in
        let problems = Mutex<[ConfigurationProblem]>([])
        let settings = try KMSSettings.load(arguments.path(config)) { problem in
            problems.withLock { $0.append(problem) }
        }
        for problem in problems.withLock({ $0 }) { log.warn("setting without effect", ["setting": "\(problem)"]) }
        for announcement in settings.announcements {
            log.warn("insecure", ["setting": announcement.setting, "meaning": announcement.text])
        }
        let build = BuildInfo.current
        // What is wrong with an address is said now; a socket that is not there yet may come.
        if Environment.process[discovery.variable] != nil { _ = try discovery.find() }
        let agent = DstackClient(discovery: discovery, timeout: .seconds(30), startupTime: .seconds(10))
        let foundation = try KMSNode.Foundation(
            settings, agent: { try await agent.attest(reportData: $0).attestation },
            version: KMSVersion(build.version, commit: build.commit))
        return try await serve(foundation, console)
    }

    private static func serve(_ foundation: KMSNode.Foundation, _ console: Console) async throws -> ExitStatus {
        let settings = foundation.settings
        let store = try await KMSSetup.openStore(settings)
        let arrival: OnboardingResult?
        do {
            arrival = try await KMSSetup(foundation, store).run { console.note($0) }
        } catch {
            await store.close()
            throw error
        }
        let node = try await KMSNode.open(foundation, store, arrival: arrival)
        do {
            let server = try KMSServer(node)
            try await Service(
                "kms", server, drainingWithin: .seconds(15),
                reload: .nothing("nothing to read again: settings are read when the service starts"),
                upkeep: node.upkeep + [{ await server.keepCertificateFresh() }]
            ).run { bound in
                console.note("listening on " + bound.map(\.description).joined(separator: ", "))
            }
            await node.close(reason: "asked to end")
            return .done
        } catch {
            await node.close(reason: "\(error)")
            throw error
        }
    }
}
