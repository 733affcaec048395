import DstackCommandLine
import DstackSystem
import Glibc

/// `dstack-verifier`: decides offline whether evidence is genuine and what it proves.
@main
enum Main {
    static let root = Command(
        "dstack-verifier", "decides whether evidence of a TEE is genuine and what it proves",
        examples: [
            "dstack-verifier verify --quote q.bin --collateral c.json",
            "dstack-verifier verify --quote q.bin --collateral c.json --event-log log.json --app-compose app-compose.json",
        ],
        notes: [
            "Exit status: 0 accepted, 1 rejected, 2 wrong arguments or a file that cannot be opened, 3 the world failed."
        ],
        subcommands: [
            VerifyCommand.command, InspectCommands.parse, InspectCommands.replay, InspectCommands.composeHash,
        ])

    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        let words = Array(CommandLine.arguments.dropFirst())
        let status = await Shell(root, build: .current).run(words)
        // A program that asked for JSON gets an object for every outcome, wrong arguments included.
        if status == .wrongRequest, words.first == "verify", words.contains("--json"), !VerifyCommand.hasAnswered {
            Console.standard().print(
                VerifyCommand.refusal(check: "arguments", code: "wrong_request", "see standard error"))
        }
        exit(status.rawValue)
    }
}
