import DstackCommandLine
import DstackSystem

/// `dstack-verifier`: decides offline whether evidence is genuine and what it proves.
@main
enum Main {
    static let root = Command(
        "dstack-verifier", "decides whether evidence of a TEE is genuine and what it proves",
        examples: [
            "dstack-verifier verify --quote q.bin --collateral c.json",
            "dstack-verifier verify --quote q.bin --collateral c.json --event-log log.json --app-compose app-compose.json",
        ] + UpstreamCommands.examples,
        arguments: UpstreamCommands.arguments, rules: UpstreamCommands.rules,
        statuses: [.yes: "accepted, or done", .no: "rejected, with the reason"],
        subcommands: [
            VerifyCommand.command, FetchCommand.command, InspectCommands.parse, InspectCommands.replay,
            InspectCommands.composeHash, ReportDataCommand.command, ServeCommand.command,
        ], run: UpstreamCommands.run)

    static func main() async {
        await Shell(root, build: .current).main()
    }
}
