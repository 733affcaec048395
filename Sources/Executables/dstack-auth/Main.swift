import DstackCommandLine
import DstackSystem

/// `dstack-auth`: decides which machines may boot with keys of a key management service.
@main
enum Main {
    static let root = Command(
        "dstack-auth", "decides which virtual machines may boot with keys of a KMS",
        examples: [
            "dstack-auth policy --config policy.toml",
            "dstack-auth explain --config policy.toml --boot-info boot-info.json",
        ],
        subcommands: [PolicyCommand.command, ExplainCommand.command, SimpleCommand.command, EthereumCommand.command])

    static func main() async {
        await Shell(root, build: .current).main()
    }
}
