import DstackAttestation
import DstackCommandLine
import DstackGuest
import DstackShells
import DstackSimulation
import DstackSystem

/// `dstack-simulator`: the guest agent without a TEE, for development.
@main
enum Main {
    static let root = Command(
        SimulatorProgram.name, "the guest agent without a TEE, for development",
        examples: [
            "dstack-simulator ./simulation", "dstack-simulator ./simulation --background",
            "dstack-simulator -c dstack.toml",
        ],
        notes: SimulatorProgram.notes, arguments: SimulatorProgram.declarations
    ) { arguments, console in
        do {
            try check(arguments)
            if let directory = arguments[SimulatorProgram.directory], arguments[SimulatorProgram.background] {
                return try await Background.start(in: directory, arguments, console)
            }
            return try await serve(arguments, console)
        } catch let error as GuestError {
            let compose = SimulatorProgram.appCompose
            if arguments.has(compose), error.subject.hasPrefix(SimulationDirectory.appComposeName) {
                // What only a guest demands of it.
                let about = AttestationError(
                    .invalidCompose, subject: error.subject, reason: error.reason, hint: error.hint)
                throw CommandFailure(about, about: compose, named: arguments.fileName(compose), for: arguments)
            }
            // Nothing was said, and upstream's files are not here: somebody wants to see what it does.
            let isAlone = !arguments.has(SimulatorProgram.directory) && !arguments.has(SimulatorProgram.config)
            throw CommandFailure(
                error.exitStatus, "\(error.subject): \(error.reason)",
                hint: isAlone
                    ? "for a simulation that brings its own files, name a directory: dstack-simulator ./simulation"
                    : error.hint.isEmpty ? nil : error.hint)
        }
    }

    static func main() async { await Shell(root, build: .current).main() }

    private static let log = Log("guest")

    /// What belongs to a simulation in a directory alone, and what to none.
    private static func check(_ arguments: Arguments) throws(CommandFailure) {
        let hasDirectory = arguments.has(SimulatorProgram.directory)
        let needing = [
            SimulatorProgram.appCompose.specification.name, SimulatorProgram.externalPort.specification.name,
            SimulatorProgram.background.specification.name,
        ]
        if !hasDirectory, let name = needing.first(where: arguments.has) {
            throw CommandFailure(
                .wrongRequest, "--\(name): only a simulation in a directory has it", hint: "name the directory")
        }
        if hasDirectory, arguments[SimulatorProgram.agentSettings] {
            throw CommandFailure(.wrongRequest, "--agent-settings: a directory has its own settings")
        }
    }

    private static func serve(_ arguments: Arguments, _ console: Console) async throws -> ExitStatus {
        let directory = arguments[SimulatorProgram.directory]
        let settings = try GuestSettings.load(
            arguments.path(SimulatorProgram.config),
            over: directory != nil || arguments[SimulatorProgram.agentSettings] ? .init() : .inWorkingDirectory,
            isSimulation: directory != nil
        ) { log.warn("setting without effect", ["setting": "\($0)"]) }
        let build = BuildInfo.current
        let version = GuestVersion(version: build.version, commit: build.commit)
        let service: GuestService
        if let directory {
            service = try await .simulated(
                in: directory, settings,
                appCompose: try arguments.composeFile(SimulatorProgram.appCompose, isToRun: true),
                externalPort: UInt16(clamping: arguments[SimulatorProgram.externalPort]), version: version)
            console.note(
                "simulated: no TEE here; evidence from this agent proves nothing, and its keys are in \(directory)")
        } else {
            service = try .recorded(settings, version: version)
            console.note("simulated: no TEE here; evidence from this agent proves nothing")
        }
        if let notice = service.notice { console.warn(notice) }
        try await service.run(watchdog: arguments[SimulatorProgram.watchdog]) { bound in
            for line in service.announcements(bound) { console.note(line) }
        }
        return .done
    }
}
