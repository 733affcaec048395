import DstackCommandLine
import DstackSystem
import Testing

@Suite("Help")
struct HelpTests {
    @Test("help of a command")
    func command() async {
        let result = await SampleShell.run("verify --quote q --help")
        #expect(result.status == .done)
        #expect(
            result.output == """
                dstack-verifier verify: decide whether a quote is genuine, and what it proves

                Example
                  dstack-verifier verify --quote q.bin --collateral c.json

                Usage
                  dstack-verifier verify [--config FILE] (--quote FILE | --attestation FILE)
                      --collateral FILE [--event-log FILE] [--app-compose FILE]
                      [--policy authentic|standard|strict|FILE] [--trust-root PEM-OR-DER]
                      [--at UNIX-SECONDS|RFC3339] [--json]

                Options
                  --quote FILE              the quote, binary or hexadecimal
                  --attestation FILE        an envelope, in place of quote and event log
                  --collateral FILE         the collateral as JSON (required)
                  --event-log FILE          the event log as JSON or CCEL
                  --app-compose FILE        the app-compose.json that should be running
                  --policy authentic|standard|strict|FILE
                                            what is accepted: genuine and not revoked, also up
                                            to date, or nothing but that; or a policy file
                                            (default: standard)
                  --trust-root PEM-OR-DER   the root to trust in place of Intel's
                  --at UNIX-SECONDS|RFC3339
                                            judge as of this time, not now (or DSTACK_AT)
                  -j, --json                print one JSON object

                General options
                  --config FILE  the configuration (or DSTACK_VERIFIER_CONFIG)
                  -q, --quiet    say nothing but results, warnings and errors
                  -h, --help     show this help
                  --version      show the version and the commit it was built from

                Nothing is fetched: the collateral decides, together with the pinned root.

                `-` in place of a file stands for standard input, for one of them.

                Exit status
                  0  accepted
                  1  rejected
                  2  the request or the configuration is wrong
                  3  the world failed (network, disk, peer)

                """)
    }

    @Test("help of the program")
    func program() async {
        let result = await SampleShell.run("--help")
        #expect(
            result.output == """
                dstack-verifier: verify attestation quotes offline, or serve verification over
                  HTTP

                Examples
                  dstack-verifier verify --quote q.bin --collateral c.json
                  dstack-verifier --config verifier.toml

                Usage
                  dstack-verifier [--config FILE] [--verify FILE | --verify-cert FILE]
                  dstack-verifier [--config FILE] COMMAND [options]

                Commands
                  verify            decide whether a quote is genuine, and what it proves
                  fetch-collateral  get what is needed to verify quotes offline
                  cache             look after stored collateral
                  help              show help, of the program or of a command
                  version           show the version and the commit it was built from
                  man               print the manual page, to be read with `man -l -`
                  completions       print completions for bash, zsh or fish

                Options
                  --verify FILE       verify the request in a file
                  --verify-cert FILE  verify the certificate in a file

                General options
                  --config FILE  the configuration (or DSTACK_VERIFIER_CONFIG)
                  -q, --quiet    say nothing but results, warnings and errors
                  -h, --help     show this help
                  --version      show the version and the commit it was built from

                `-` in place of a file stands for standard input, for one of them.

                Exit status
                  0  yes, or done
                  1  no, with the reason
                  2  the request or the configuration is wrong
                  3  the world failed (network, disk, peer)

                """)
    }

    @Test(
        "`help` before a command is `--help` after it, at every floor",
        arguments: [
            ("help", "--help"), ("help verify", "verify --help"), ("help cache clear", "cache clear --help"),
            ("cache help clear", "cache clear --help"), ("help --help", "--help"), ("help completions", "--help"),
            ("version --help", "--help"), ("--config x help verify", "verify --help"),
        ])
    func helpCommand(line: String, same: String) async {
        let result = await SampleShell.run(line)
        #expect(result.status == .done)
        #expect(result.errors == "")
        #expect(result.output == (await SampleShell.run(same)).output)
    }

    @Test("every help says the exit statuses once")
    func statuses() async {
        for line in ["", "verify", "fetch-collateral", "cache", "cache clear"] {
            let text = await SampleShell.run(line + " --help").output
            #expect(text.split(separator: "Exit status", omittingEmptySubsequences: false).count == 2, "\(line)")
        }
    }

    @Test("no help is wider than the terminal, but for words that are", arguments: [60, 80, 140])
    func width(_ columns: Int) async {
        let terminal = Terminal(isInteractive: true, width: columns, usesColor: false)
        for line in ["--help", "fetch-collateral --help", "cache --help"] {
            let text = await SampleShell.run(line, terminal: terminal).output
            for line in text.split(separator: "\n") where !line.contains("dstack-verifier") {
                #expect(line.count <= min(columns, 100), "\(line)")
            }
        }
    }
}
