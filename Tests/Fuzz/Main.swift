import DstackCommandLine
import DstackSystem
import FuzzSupport
import Glibc

/// `dstack-fuzz`: mutates genuine evidence and looks whether the verifier falls for it.
@main
enum Main {
    static let seed = Option("seed", .integer("N", in: 0...Int.max), default: 1, shown: "1", "which cases to make")
    static let count = Option(
        "count", .integer("N", in: 1...1_000_000_000), default: 100_000, shown: "100000",
        "how many quotes and collaterals; a tenth of it on top for each other format")
    static let first = Option(
        "first", .integer("N", in: 0...Int.max), default: 0, shown: "0", "number of the first case")
    static let kind = Option("kind", ArgumentType<FuzzKind>.choice.named("KIND"), "only cases of this kind")
    static let threads = Option(
        "threads", .integer("N", in: 1...256), default: processors, shown: "one a processor",
        "how many cases to run at once")
    static let limit = Option("limit", .duration, default: .seconds(30), shown: "30s", "for one case")
    static let vectors = Option(
        "vectors", .directory, environment: "DSTACK_VECTORS", "real evidence; ../shared/vectors if it is there")

    private static let processors = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))

    static let root = Command(
        "dstack-fuzz", "mutates genuine evidence and looks whether the verifier falls for it",
        examples: [
            "dstack-fuzz --seed 1 --count 100000", "dstack-fuzz --kind documents --first 4711 --count 1",
        ],
        notes: [
            "Kinds: " + FuzzKind.allCases.map(\.rawValue).joined(separator: ", ")
        ],
        arguments: [threads, limit], shared: [seed, count, first, kind, vectors],
        statuses: [.done: "nothing found", .no: "something was accepted that should not be, or a crash or a hang"],
        subcommands: [EmitCommand.command]
    ) { arguments, console in
        try await Campaign(arguments, console).run()
    }

    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        await Shell(root, build: .current).main()
    }

    /// The corpus that the options ask for.
    static func corpus(_ arguments: Arguments) throws -> Corpus {
        let directory = arguments[vectors] ?? "../shared/vectors"
        do {
            return try Corpus(vectors: directory)
        } catch {
            throw CommandFailure(.worldFailed, error.description)
        }
    }
}
