import DstackCommandLine

/// `dstack`: tools for developers and operators.
@main
enum Main {
    static let root = Command(
        "dstack", "tools for developers and operators of dstack",
        examples: [
            "dstack dev up",
            "dstack simulate ./simulation",
            "dstack verify https://app.example.org --app-compose app-compose.json",
            "dstack mock-tee evidence --app-compose app-compose.json",
        ],
        subcommands: [
            VerifyCommand.command, DevCommand.command, SimulateCommand.command, MockTEECommand.command,
        ])

    static func main() async {
        await Shell(root, build: .current).main()
    }
}
