import DstackAttestation
import DstackCommandLine
import DstackConfiguration
import DstackCrypto
import DstackDevelopment
import DstackEncoding
import DstackGuest
import DstackHTTPServer
import DstackShells
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

    private static let background = Flag(
        "background", "with --simulate: return when the agent answers, and leave it running")

    static let root = Command(
        "dstack-guest-agent", "gives the containers of a confidential VM their keys, certificates and evidence",
        examples: [
            "dstack-guest-agent --simulate ./simulation",
            "dstack-guest-agent --simulate ./simulation --background",
            "dstack-guest-agent --watchdog --config /dstack/agent.json",
        ],
        notes: [
            "Without --config, /etc/dstack/dstack.toml and .json and ./dstack.toml and .json are read if they are there.",
            "A simulation's sockets are dstack.sock, tappd.sock, external.sock and guest.sock in its directory. Point "
                + "clients at them with DSTACK_SIMULATOR_ENDPOINT and TAPPD_SIMULATOR_ENDPOINT.",
            "With --background nothing is left running unless the agent answers. One that runs already is left alone, whatever "
                + "options it was started with; an option that says something else is refused. Its output is in "
                + "DIRECTORY/log, and `dstack dev down --dir DIRECTORY` ends it.",
        ],
        arguments: [config, simulate, compose, port, background, watchdog]
    ) { arguments, console in
        do {
            if arguments[background] { return try await leaveRunning(arguments, console) }
            return try await serve(arguments, console)
        } catch let error as GuestError {
            if arguments.has(compose), error.subject.hasPrefix(SimulationDirectory.appComposeName) {
                // What only a guest demands of it.
                let about = AttestationError(
                    .invalidCompose, subject: error.subject, reason: error.reason, hint: error.hint)
                throw CommandFailure(about, about: compose, named: arguments.fileName(compose), for: arguments)
            }
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
                in: directory, settings, appCompose: try arguments.composeFile(compose, isToRun: true),
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
            if let url = service.dashboardURL(bound) { console.note(DevelopmentPlan.dashboardWords + url) }
        }
        return .done
    }

    /// Starts this program once more, without terminal and parent, and returns when it answers.
    private static func leaveRunning(_ arguments: Arguments, _ console: Console) async throws -> ExitStatus {
        guard let path = arguments[simulate] else {
            throw CommandFailure(
                .wrongRequest, "--background is for simulations",
                hint: "name a directory with --simulate; in a virtual "
                    + "machine the service manager starts the agent")
        }
        guard !arguments[watchdog] else {
            throw CommandFailure(.wrongRequest, "--watchdog is for a service manager, and --background for people")
        }
        guard ![arguments[compose], arguments[config]].contains("-") else {
            throw CommandFailure(
                .wrongRequest, "--background: the agent that lives on has no standard input", hint: "name a file")
        }
        // Of the agent that lives on only the log would say it.
        _ = try GuestSettings.load(arguments.path(config), isSimulation: true) { problem in
            console.warn("setting without effect: \(problem)")
        }
        let directory = try DevelopmentDirectory(path)
        // Here, where whoever asks reads it at once, and before anything comes into being for it.
        try SimulationDirectory.check(
            directory.path, appCompose: try arguments.composeFile(compose, isToRun: true))
        let agent = DevelopmentPlan.guestAgent(
            try ThisProgram.path(), choices: try choices(arguments), in: directory.path)
        let (running, isReused) = try await Interruption.watch {
            try await DevelopmentSystem(directory, note: { console.note($0) }).up([agent], others: .left)
        }
        console.note(isReused ? "the agent runs already" : "the agent runs and answers")
        console.note(
            "simulated: no TEE here; evidence from this agent proves nothing, and its keys are in "
                + SafeText.line(directory.path))
        console.note("listening on unix:\(directory.path)/dstack.sock")
        if let pages = running.first?.pages { console.note(DevelopmentPlan.dashboardWords + pages) }
        let program = ShellWord.quoted(ThisProgram.sibling("dstack"))
        console.note("to end it: \(program) dev down --dir \(ShellWord.quoted(directory.path))")
        return .done
    }

    /// What an agent that runs may have been started with. Its application is compared in the directory.
    private static func choices(_ arguments: Arguments) throws -> [Component.Choice] {
        var choices: [Component.Choice] = []
        if let file = arguments[compose] {
            choices.append(.init("--app-compose", file, arguments: ["--app-compose", file], isGiven: false))
        }
        if let file = arguments.path(config) {
            let content = try arguments.read(config, limit: 1 << 20) ?? []
            choices.append(
                .init("--config", SHA256.hash(content).hex, shown: file, arguments: ["--config", file]))
        }
        if arguments[port] != 0 {
            choices.append(
                .init("--external-port", "\(arguments[port])", arguments: ["--external-port", "\(arguments[port])"]))
        }
        return choices
    }

    private static var version: GuestVersion {
        let build = BuildInfo.current
        return GuestVersion(version: build.version, revision: build.commit.map { "git:\($0)" } ?? "unknown")
    }
}
