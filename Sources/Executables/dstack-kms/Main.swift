import DstackCommandLine
import DstackSystem

/// `dstack-kms`: gives keys to attested code alone.
@main
enum Main {
    static let root = Command(
        "dstack-kms", "gives keys to virtual machines whose evidence shows that they may have them",
        examples: [
            "dstack-kms --config /kms/kms.toml",
            "dstack-kms epoch list --admin http://127.0.0.1:8001",
            "dstack-kms audit check audit.jsonl --root root-ca.crt",
        ],
        notes: ServeCommand.notes, arguments: ServeCommand.arguments,
        subcommands: [EpochCommand.command, AuditCommand.command], run: ServeCommand.run)

    static func main() async {
        await Shell(root, build: .current).main()
    }
}
