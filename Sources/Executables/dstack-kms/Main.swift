import DstackCommandLine
import DstackSystem

/// `dstack-kms`: gives keys to attested code alone.
@main
enum Main {
    static let root = Command(
        "dstack-kms", "gives keys to virtual machines whose evidence shows that they may have them", examples: [],
        subcommands: [])

    static func main() async {
        await Shell(root, build: .current).main()
    }
}
