import DstackCommandLine
import DstackCrypto
import DstackDevelopment
import DstackEncoding
import DstackGuest
import DstackShells
import DstackSimulation
import DstackSystem

/// `--background`.
enum Background {
    /// Starts this program once more, without terminal and parent, and returns when it answers.
    ///
    /// - Parameter path: the simulation's directory.
    static func start(in path: String, _ arguments: Arguments, _ console: Console) async throws -> ExitStatus {
        let compose = SimulatorProgram.appCompose
        guard !arguments[SimulatorProgram.watchdog] else {
            throw CommandFailure(.wrongRequest, "--watchdog is for a service manager, and --background for people")
        }
        guard ![arguments[compose], arguments[SimulatorProgram.config]].contains(StandardInput.name) else {
            throw CommandFailure(
                .wrongRequest, "--background: the agent that lives on has no standard input", hint: "name a file")
        }
        // Of the agent that lives on only the log would say it.
        _ = try GuestSettings.load(arguments.path(SimulatorProgram.config), isSimulation: true) { problem in
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
        if let file = arguments[SimulatorProgram.appCompose] {
            choices.append(.init("--app-compose", file, arguments: ["--app-compose", file], isGiven: false))
        }
        if let file = arguments.path(SimulatorProgram.config) {
            let content = try arguments.read(SimulatorProgram.config, limit: 1 << 20) ?? []
            choices.append(
                .init("--config", SHA256.hash(content).hex, shown: file, arguments: ["--config", file]))
        }
        let port = arguments[SimulatorProgram.externalPort]
        if port != 0 {
            choices.append(.init("--external-port", "\(port)", arguments: ["--external-port", "\(port)"]))
        }
        return choices
    }
}
