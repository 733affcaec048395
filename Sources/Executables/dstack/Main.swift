import DstackCommandLine

/// `dstack`: tools for developers and operators.
@main
enum Main {
    static let root = Command(
        "dstack", "tools for developers and operators of dstack",
        examples: ["dstack mock-tee evidence --app-compose app-compose.json"],
        subcommands: [MockTEECommand.command])

    static func main() async {
        await Shell(root, build: .current).main()
    }
}
