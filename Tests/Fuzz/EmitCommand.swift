import DstackCommandLine
import DstackSystem
import FuzzSupport

/// `emit`: cases with this library's verdicts, for a program that asks another verifier about the very same bytes.
enum EmitCommand {
    static let command = Command(
        "emit", "prints cases of quotes and collateral with their verdicts, one JSON object a line",
        examples: ["dstack-fuzz emit --seed 1 --count 1000"],
        notes: [
            "Members: kind, number, seed, name, changes, now, root, quote, collateral (the last three in base64), and "
                + "ours: the verdict under the policy authentic, or the reason why there was none."
        ]
    ) { arguments, console in
        let corpus = try Main.corpus(arguments)
        let first = arguments[Main.first]
        do {
            let run = try FuzzRun(corpus, seed: UInt64(arguments[Main.seed]))
            for number in first..<first + arguments[Main.count] {
                guard let line = try run.comparisonLine(number, kind: arguments[Main.kind]) else { continue }
                console.write(line)
                if console.outputFailure != nil { break }
            }
        } catch let failure as FuzzFailure {
            throw CommandFailure(.worldFailed, failure.description)
        }
        return .done
    }
}
