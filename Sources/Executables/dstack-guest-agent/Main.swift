import DstackAttestation
import DstackCommandLine
import DstackConfiguration
import DstackGuest
import DstackShells
import DstackSystem
import Glibc
import Synchronization

/// `dstack-guest-agent`: gives the containers of a confidential VM their keys, certificates and evidence.
///
/// It makes no evidence up: where a simulated TEE is asked for, it becomes `dstack-simulator`.
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
            "dstack-guest-agent --watchdog --config /dstack/agent.json",
            "dstack-guest-agent --simulate ./simulation",
            "dstack-guest-agent --simulate ./simulation --background",
        ],
        notes: [
            "Without --config, /etc/dstack/dstack.toml and .json and ./dstack.toml and .json are read if they are there.",
            "There is no simulated TEE in this program. With --simulate, or where the settings have core.simulator, it becomes "
                + "dstack-simulator, which must be in the same directory; `dstack help simulate` says more of it.",
        ],
        arguments: [config, simulate, compose, port, background, watchdog]
    ) { arguments, console in
        do {
            return try await serve(arguments, console)
        } catch let error as GuestError {
            guard !arguments.has(config) else { throw error }
            // Nothing was said, and this is no virtual machine: somebody wants to see what it does.
            throw CommandFailure(
                error.exitStatus, "\(error.subject): \(error.reason)",
                hint: "without a TEE, run `dstack-guest-agent --simulate ./simulation`; in one, name its settings with "
                    + "--config")
        }
    }

    static func main() async { await Shell(root, build: .current).main() }

    private static let log = Log("guest")

    private static func serve(_ arguments: Arguments, _ console: Console) async throws -> ExitStatus {
        if arguments.has(simulate) {
            try simulator(arguments, flags: [background].filter { arguments[$0] }).run { note($0, console) }
        }
        let others: [any ArgumentDeclaration] = [compose, port, background]
        if let name = others.map(\.specification.name).first(where: arguments.has) {
            throw CommandFailure(
                .wrongRequest, "--\(name): only a simulation has it",
                hint: name == background.specification.name
                    ? "name a directory with --simulate; in a virtual machine the service manager starts the agent"
                    : "add --simulate DIR, or say it in the file of --config")
        }
        let problems = Mutex<[ConfigurationProblem]>([])
        let settings = try GuestSettings.load(arguments.path(config)) { problem in
            problems.withLock { $0.append(problem) }
        }
        if settings.simulator != nil {
            // Read once more, and warned of, by the simulator, which pipes give nothing then.
            guard arguments[config] != StandardInput.name || isSeekable(STDIN_FILENO) else {
                throw CommandFailure(
                    .wrongRequest, "--config: settings with core.simulator cannot come through a pipe",
                    hint: "name a file")
            }
            try simulator(arguments, flags: [SimulatorProgram.agentSettings]).run { note($0, console) }
        }
        for problem in problems.withLock({ $0 }) { log.warn("setting without effect", ["setting": "\(problem)"]) }
        let build = BuildInfo.current
        let paths = try TDXPlatformPaths(environment: Environment.process.variables)
        let service = try GuestService.ofMachine(
            settings, version: GuestVersion(version: build.version, commit: build.commit), paths: paths)
        if let notice = service.notice { console.warn(notice) }
        try await service.run(watchdog: arguments[watchdog]) { bound in
            for line in service.announcements(bound) { console.note(line) }
        }
        return .done
    }

    /// The simulator with the same arguments.
    ///
    /// - Parameter flags: those that it may be given beside the ones of every run.
    private static func simulator(_ arguments: Arguments, flags: [Flag]) -> SimulatorProgram {
        SimulatorProgram(
            directory: arguments[simulate], config: arguments[config], appCompose: arguments[compose],
            externalPort: arguments.has(port) ? arguments[port] : nil,
            flags: flags + [watchdog, Flag.quiet].filter { arguments[$0] })
    }

    private static func note(_ path: String, _ console: Console) {
        console.note("running \(SafeText.line(path)): this program has no simulated TEE")
    }

    private static func isSeekable(_ descriptor: Int32) -> Bool { lseek(descriptor, 0, SEEK_CUR) >= 0 }
}
