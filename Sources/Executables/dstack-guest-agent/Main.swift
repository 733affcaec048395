import DstackAttestation
import DstackCommandLine
import DstackConfiguration
import DstackGuest
import DstackHTTPServer
import DstackSystem

/// `dstack-guest-agent`: gives the containers of a confidential VM their keys, certificates and evidence.
@main
enum Main {
    private static let config = Option(
        "config", .file, short: "c", "settings, JSON or (by its name) TOML; docs/guest-agent.md lists them")
    private static let simulate = Option(
        "simulate", .directory, "run without a TEE, from this directory; an empty one is filled")
    private static let compose = Option(
        "app-compose", .file, "with --simulate: the application of a new directory")
    private static let port = Option(
        "external-port", .integer("PORT", in: 0...65_535), default: 0, shown: "any free one",
        "with --simulate: TCP port of the public pages")
    private static let watchdog = Flag(
        "watchdog", short: "w", "tell the service manager that the agent is alive only while it answers")

    static let root = Command(
        "dstack-guest-agent", "gives the containers of a confidential VM their keys, certificates and evidence",
        examples: [
            "dstack-guest-agent --simulate ./simulation",
            "dstack-guest-agent --watchdog --config /dstack/agent.json",
        ],
        notes: [
            "Without --config, /etc/dstack/dstack.toml and .json and ./dstack.toml and .json are read if they are there.",
            "A simulation's sockets are dstack.sock, tappd.sock, external.sock and guest.sock in its directory. Point "
                + "clients at them with DSTACK_SIMULATOR_ENDPOINT and TAPPD_SIMULATOR_ENDPOINT.",
        ],
        arguments: [config, simulate, compose, port, watchdog]
    ) { arguments, console in
        do {
            return try await serve(arguments, console)
        } catch let error as GuestError {
            let isWrong = [.invalidFile, .invalidConfiguration].contains(error.code)
            // Nothing was said, and this is no virtual machine: somebody wants to see what it does.
            let isAlone = !arguments.has(simulate) && !arguments.has(config)
            throw CommandFailure(
                isWrong ? .wrongRequest : .worldFailed, "\(error.subject): \(error.reason)",
                hint: isAlone
                    ? "without a TEE, run `dstack-guest-agent --simulate ./simulation`; in one, name its settings with "
                        + "--config" : error.hint.isEmpty ? nil : error.hint)
        }
    }

    static func main() async { await Shell(root, build: .current).main() }

    private static let log = Log("guest")

    private static func serve(_ arguments: Arguments, _ console: Console) async throws -> ExitStatus {
        let isSimulation = arguments.has(simulate)
        let settings = try GuestSettings.load(arguments.path(config), isSimulation: isSimulation) { problem in
            log.warn("setting without effect", ["setting": "\(problem)"])
        }
        if !isSimulation, arguments.has(compose) || arguments.has(port) {
            let name = arguments.has(compose) ? "app-compose" : "external-port"
            throw CommandFailure(
                .wrongRequest, "--\(name): only a simulation has it",
                hint: "add --simulate DIR, or say it in the file of --config")
        }
        let service: GuestService
        if let directory = arguments[simulate] {
            service = try await .simulated(
                in: directory, settings, appCompose: try arguments.read(compose, limit: AppCompose.maximumByteCount),
                externalPort: UInt16(clamping: arguments[port]), version: version)
            console.note(
                "simulated: no TEE here; evidence from this agent proves nothing, and its keys are in \(directory)")
        } else {
            let paths = try TDXPlatformPaths(environment: Environment.process.variables)
            service = try .configured(settings, version: version, paths: paths)
            if service.agent.isSimulated {
                console.note("simulated: no TEE here; evidence from this agent proves nothing")
            }
        }
        if let notice = service.notice { console.warn(notice) }
        let signals = try Signals.stream(of: .interrupt, .terminate, .hangup)
        try await service.run(until: signals, watchdog: arguments[watchdog]) { bound in
            for listener in bound { console.note("listening on \(listener.description) (\(listener.name))") }
        }
        return .done
    }

    private static var version: GuestVersion {
        let build = BuildInfo.current
        return GuestVersion(version: build.version, revision: build.commit.map { "git:\($0)" } ?? "unknown")
    }
}
