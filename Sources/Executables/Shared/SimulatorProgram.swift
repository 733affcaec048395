package import DstackCommandLine
import DstackSystem
import Glibc

/// `dstack-simulator` as other programs run it: they become it. A simulated TEE is linked by that program alone, so that none
/// that has its place in a confidential VM can make evidence up.
package struct SimulatorProgram: Sendable {
    package static let name = "dstack-simulator"

    // MARK: Its options

    package static let directory = Positional(.directory, "everything of the simulation; an empty one is filled")
    package static let config = Option(
        "config", .file, short: "c", "settings, JSON or (by its name) TOML; docs/guest-agent.md lists them")
    package static let appCompose = Option("app-compose", .file, "the application of a new DIRECTORY")
    package static let externalPort = Option(
        "external-port", .integer("PORT", in: 0...65_535), default: 0, shown: "any free one",
        "with DIRECTORY: TCP port of the public pages")
    package static let background = Flag(
        "background", "with DIRECTORY: return when the simulator answers, and leave it running")
    package static let watchdog = Flag(
        "watchdog", short: "w", "tell the service manager that the simulator is alive only while it answers")
    package static let agentSettings = Flag(
        "agent-settings",
        "without DIRECTORY: what no settings say is as in dstack-guest-agent, not in the working directory")

    package static let declarations: [any ArgumentDeclaration] = [
        directory, config, appCompose, externalPort, background, watchdog, agentSettings,
    ]
    package static let notes = [
        "With DIRECTORY, sockets (dstack.sock, tappd.sock, external.sock, guest.sock) and files are in that directory. Point clients "
            + "at it with DSTACK_SIMULATOR_ENDPOINT and TAPPD_SIMULATOR_ENDPOINT. An empty one is filled with a set whose "
            + "parts belong together; files that were recorded are used as they are.",
        "Without DIRECTORY it is upstream's simulator: settings from /etc/dstack/dstack.toml and .json, ./dstack.toml and .json and "
            + "--config, and sockets and recorded files in the working directory where those say nothing else.",
        "With --background nothing is left running unless the simulator answers. One that runs already is left alone, whatever "
            + "options it was started with; an option that says something else is refused. Its output is in DIRECTORY/log, and "
            + "`dstack dev down --dir DIRECTORY` ends it.",
    ]

    // MARK: Running it

    /// Its arguments.
    package let words: [String]

    /// What a command with these options was given.
    package init(_ arguments: Arguments) {
        self.init(
            directory: arguments[Self.directory], config: arguments[Self.config],
            appCompose: arguments[Self.appCompose],
            externalPort: arguments.has(Self.externalPort) ? arguments[Self.externalPort] : nil,
            flags: [Self.background, Self.watchdog, Self.agentSettings, Flag.quiet].filter { arguments[$0] })
    }

    package init(directory: String?, config: String?, appCompose: String?, externalPort: Int?, flags: [Flag]) {
        var words = flags.map(\.specification.label)
        for (option, value) in [(Self.config, config), (Self.appCompose, appCompose)] {
            if let value { words += ["\(option.specification.label)=\(value)"] }
        }
        if let externalPort { words.append("\(Self.externalPort.specification.label)=\(externalPort)") }
        // Its name may begin with a dash.
        if let directory { words += ["--", directory] }
        self.words = words
    }

    /// Becomes the simulator, which has to be in the directory of this program.
    ///
    /// - Parameter note: told which file it is.
    package func run(note: (String) -> Void = { _ in }) throws -> Never {
        let path = try "\(ThisProgram.directory())/\(Self.name)"
        guard access(path, X_OK) == 0 else {
            throw CommandFailure(
                .worldFailed, "there is no \(SafeText.line(path)), the program that simulates a TEE",
                hint: "it is installed and built beside this program: make install, or make build")
        }
        note(path)
        try ThisProgram.become(path, words)
    }
}
