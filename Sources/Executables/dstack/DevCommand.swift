import DstackAttestation
import DstackCommandLine
import DstackDevelopment
import DstackEncoding
import DstackShells
import DstackSystem
import Glibc

/// `dev`: a whole dstack on a developer's machine, without a TEE.
enum DevCommand {
    static let command = Command(
        "dev", "runs a whole dstack on this machine, with a simulated TEE",
        examples: ["dstack dev up", "dstack dev down"],
        notes: [
            "The TEE is simulated: its root of trust is made in the directory, and nothing about hardware is proven."
        ],
        subcommands: [up, down, status])

    private static let directory = Option(
        "dir", .directory, environment: "DSTACK_DEV_DIR",
        "where keys, logs and records are kept; ~/.local/state/dstack/dev if left out")

    // MARK: up

    private static let appCompose = Option(
        "app-compose", .file,
        "the application's app-compose.json; if left out, that of the directory, at first a small example")
    private static let listen = Option(
        "listen", .listenAddress, default: "127.0.0.1:0",
        "where the application listens; port 0 for any free one")
    private static let foreground = Flag("foreground", "stay until Ctrl-C, and then end everything")

    private static let up = Command(
        "up", "starts the agent and an application with attested HTTPS, and verifies it as a stranger would",
        examples: ["dstack dev up", "dstack dev up --app-compose app-compose.json --foreground"],
        notes: [
            "It returns when the application has proved what it runs, and leaves it running. Started again, it finds and "
                + "verifies what runs, whatever options it was started with; an option that says something else ends it first. "
                + "If anything fails, or at Ctrl-C, nothing is left running."
        ],
        arguments: [directory, appCompose, listen, foreground, Flag.json],
        rules: [.atMostOne(of: foreground, Flag.json)]
    ) { arguments, console in
        let given = try arguments.composeFile(appCompose, isToRun: true)
        let directory = try place(arguments)
        try directory.checkIsOwn()
        let plan = DevelopmentPlan(
            directory, programs: try ThisProgram.directory(),
            listenAddress: arguments.has(listen) ? arguments[listen] : nil)
        let compose = try given ?? lastCompose(plan) ?? Array(DevelopmentPlan.exampleAppCompose.utf8)
        let session = DevSession(
            plan, appCompose: compose, console: console, stopCommand: stopCommand(arguments, directory),
            isJSON: arguments[Flag.json])
        return try await Interruption.watch {
            try await session.up()
            if arguments[Flag.json] { print(DevelopmentSystem(directory).status, of: directory, console) }
            return arguments[foreground] ? try await session.stay() : .done
        }
    }

    /// The application of the last `up` in the directory, whose keys and evidence are there; nil if there was none.
    private static func lastCompose(_ plan: DevelopmentPlan) throws(CommandFailure) -> [UInt8]? {
        guard access(plan.appComposePath, F_OK) == 0 else { return nil }
        do {
            let bytes = try File.readRegular(plan.appComposePath, limit: AppCompose.maximumByteCount)
            _ = try AppCompose(parsing: bytes)
            return bytes
        } catch {
            throw CommandFailure(
                .wrongRequest, "\(plan.appComposePath): \(error)", hint: "name the application with --app-compose")
        }
    }

    // MARK: down

    private static let down = Command(
        "down", "ends everything that `dstack dev up` started", examples: ["dstack dev down"],
        arguments: [directory, Flag.json]
    ) { arguments, console in
        let directory = try place(arguments)
        let ended = try await DevelopmentSystem(directory, note: { console.note($0) }).down()
        if arguments[Flag.json] {
            var writer = JSONWriter()
            writer.object { object in
                object.member("directory", directory.path)
                object.array("ended") { array in
                    for component in ended {
                        array.object { item in
                            item.member("name", component.name)
                            item.member("pid", component.processID)
                        }
                    }
                }
            }
            console.print(writer.text)
            return .done
        }
        for component in ended { console.print("ended \(component.name) (process \(component.processID))") }
        if ended.isEmpty { console.print("nothing runs in \(SafeText.line(directory.path))") }
        return .done
    }

    // MARK: status

    private static let status = Command(
        "status", "shows what runs; exit status 1 if not everything does", examples: ["dstack dev status"],
        arguments: [directory, Flag.json]
    ) { arguments, console in
        let directory = try place(arguments)
        let (running, ended) = DevelopmentSystem(directory).status
        if arguments[Flag.json] {
            print((running, ended), of: directory, console)
        } else {
            for component in running {
                let address = component.address.map { " at \(SafeText.line($0))" } ?? ""
                console.print("\(component.name): running\(address) (process \(component.processID))")
            }
            if let dashboard = running.compactMap(\.pages).first {
                console.print("dashboard: \(SafeText.line(dashboard))")
            }
            for name in ended { console.print("\(SafeText.line(name)): ended") }
            if running.isEmpty, ended.isEmpty { console.print("nothing runs in \(SafeText.line(directory.path))") }
        }
        return !running.isEmpty && ended.isEmpty ? .yes : .no
    }

    // MARK: What they share

    private static func print(
        _ status: (running: [RunningComponent], ended: [String]), of directory: DevelopmentDirectory, _ console: Console
    ) {
        var writer = JSONWriter()
        writer.object { object in
            object.member("directory", directory.path)
            object.member("simulated", true)
            object.array("running") { array in
                for component in status.running {
                    array.object { item in
                        item.member("name", component.name)
                        item.member("pid", component.processID)
                        item.member("address", component.address)
                    }
                }
            }
            object.member("ended", status.ended)
            object.member("dashboard", status.running.compactMap(\.pages).first)
        }
        console.print(writer.text)
    }

    private static func place(_ arguments: Arguments) throws -> DevelopmentDirectory {
        if let path = arguments[directory] { return try DevelopmentDirectory(path) }
        let environment = Environment.process
        if let state = environment["XDG_STATE_HOME"], state.hasPrefix("/") {
            return try DevelopmentDirectory(state + "/dstack/dev")
        }
        guard let home = environment["HOME"], home.hasPrefix("/") else {
            throw CommandFailure(
                .wrongRequest, "there is no HOME to keep the system in", hint: "name a directory with --dir")
        }
        return try DevelopmentDirectory(home + "/.local/state/dstack/dev")
    }

    /// How `down` is called for the same system, as it can be typed anywhere in this shell.
    private static func stopCommand(_ arguments: Arguments, _ directory: DevelopmentDirectory) -> String {
        let isFromOption =
            arguments.has(Self.directory) && Environment.process["DSTACK_DEV_DIR"] != arguments[Self.directory]
        let option = isFromOption ? " --dir " + ShellWord.quoted(directory.path) : ""
        return ShellWord.quoted(ThisProgram.word) + " dev down" + option
    }
}
