import DstackSystem
import Glibc

/// What tests of processes need a process of their own for, since it is killed:
///
///     process-probe keep DIRECTORY NAME PROGRAM [ARGUMENT…]   supervises a program until it is killed itself
///     process-probe bind PROGRAM [ARGUMENT…]                  starts a program that ends with this one, and waits
///     process-probe die PROGRAM [ARGUMENT…]                   dies while it records a program that it starts
@main
enum Probe {
    static func main() async throws {
        let words = Array(CommandLine.arguments.dropFirst())
        switch words.first {
        case "keep":
            let directory = words[1]
            let supervisor = try Supervisor(in: directory) { say("\($0)") }
            try await supervisor.start(
                .init(
                    words[2], Launch(words[3], Array(words[4...]), output: .log("\(directory)/\(words[2]).log")),
                    restart: .init(.always, firstPause: .milliseconds(10))))
            try await Task.sleep(for: .seconds(3_600))
        case "bind":
            var launch = launch(words)
            launch.deathSignal = SIGKILL
            say("\(try ChildProcess(launch).processID)")
            try await Task.sleep(for: .seconds(3_600))
        case "die":
            _ = try ChildProcess(launch(words)) { process in
                say("\(process.processID)")
                kill(getpid(), SIGKILL)
                sleep(60)
            }
        default: exit(2)
        }
    }

    private static func launch(_ words: [String]) -> Launch {
        Launch(words[1], Array(words[2...]), output: .descriptors(output: STDERR_FILENO, errors: STDERR_FILENO))
    }

    private static func say(_ line: String) { try? DescriptorSink.standardOutput.write(Array((line + "\n").utf8)) }
}
