import DstackCommandLine

/// `dstack-verifier`: decides offline whether evidence is genuine and what it proves.
@main
enum Main {
    static let root = Command(
        "dstack-verifier", "decides whether evidence of a TEE is genuine and what it proves",
        examples: [
            "dstack-verifier verify --quote q.bin --collateral c.json",
            "dstack-verifier verify --quote q.bin --collateral c.json --event-log log.json --app-compose app-compose.json",
        ] + UpstreamCommands.examples,
        notes: [
            "Exit status: 0 accepted, 1 rejected, 2 wrong arguments or a file that cannot be opened, 3 the world failed."
        ],
        arguments: UpstreamCommands.arguments, rules: UpstreamCommands.rules,
        subcommands: [
            VerifyCommand.command, FetchCommand.command, InspectCommands.parse, InspectCommands.replay,
            InspectCommands.composeHash, ServeCommand.command,
        ], run: UpstreamCommands.run)

    static func main() async {
        await Shell(root, build: .current, answeringFailures: VerifyCommand.answerFailure).main()
    }
}
