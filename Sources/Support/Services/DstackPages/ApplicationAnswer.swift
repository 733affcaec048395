/// The part that answers the question of whoever comes to an application's page: is this the code that I think it is? What
/// the page claims, a comparison with the reader's own file, and what to type in order not to have to believe the page.
///
///     Page(title: name, name: "dstack guest", assets: ApplicationAnswer.assets) { answer.html }
package struct ApplicationAnswer: Sendable {
    package var name: String
    /// Hexadecimal.
    package var composeHash: String
    /// Hexadecimal.
    package var appID: String
    package var isSimulated: Bool
    /// Beside hash and app ID.
    package var facts: [(name: String, value: HTML)] = []
    /// What is wrong at the moment; it is brought up to date where script runs.
    package var problems = HTML.empty
    package var chain: TrustChain
    package var commands: VerificationCommands
    /// Of the application, where it is known: `https://HOST[:PORT]`.
    package var address: String?
    /// Of the agent's public port, which has evidence too.
    package var agentAddress: String?

    package init(
        name: String, composeHash: String, appID: String, isSimulated: Bool, chain: TrustChain,
        commands: VerificationCommands
    ) {
        self.name = name
        self.composeHash = composeHash
        self.appID = appID
        self.isSimulated = isSimulated
        self.chain = chain
        self.commands = commands
    }

    package static let question = "Is this the code you think it is?"

    /// What a page with this part needs.
    package static var assets: [PageAsset] { [.comparisonScript] }

    /// Where evidence from here leads.
    package static func platformBadge(isSimulated: Bool) -> HTML {
        isSimulated
            ? HTML.badge("simulated", .warning, title: "There is no hardware behind this: it proves nothing.")
            : HTML.badge("Intel TDX", .accent)
    }

    package var html: HTML {
        HTML.element(.section, .class("answer"), .ariaLabel(Self.question)) {
            HTML.element(.div, .class("words")) {
                HTML.element(.h1) { Self.question }
                HTML.element(.p, .class("lead")) {
                    HTML.element(.strong) { name.isEmpty ? "(no name)" : name }
                    " says that it runs the compose file with this hash."
                }
                HTML.element(.div, .class("problems"), .live("problems")) { problems }
                if isSimulated {
                    HTML.notice(.warning) {
                        HTML.element(.p) {
                            HTML.element(.strong) { "Simulated TEE. " }
                            "No hardware stands behind what is said here. For development only."
                        }
                    }
                }
                HTML.keyValues(
                    [
                        ("Compose hash", HTML.hash(composeHash, label: "compose hash")),
                        ("App ID", HTML.hash(appID, label: "app ID")),
                    ] + facts)
                HTML.comparison(with: composeHash)
                HTML.element(.h2) { "Find out, without believing this page" }
                HTML.steps(steps)
            }
            chain.html
        }
    }

    private var steps: [(title: HTML, tone: HTML.Tone, detail: HTML)] {
        [
            (
                .text("Take the compose file that you expect"), .neutral,
                HTML.group {
                    HTML.element(.p) {
                        "From its author, not from here"
                        isSimulated ? "; in simulation, the one that it was started with" : ""
                        ". Its hash must be the one above:"
                    }
                    HTML.command(commands.hash, label: "command that hashes the file")
                }
            ),
            (.text("Let the \(isSimulated ? "simulated TEE" : "hardware") answer"), .neutral, evidence),
        ]
    }

    private var evidence: HTML {
        let root = isSimulated ? "the simulator's" : "Intel's"
        return HTML.group {
            if let address {
                HTML.element(.p) {
                    "A page can say anything. This asks for evidence over the application's own connection and checks it "
                    "from \(root) root key down to your copy of the file:"
                }
                HTML.command(commands.connection(to: address), label: "command that verifies")
            } else if let agentAddress {
                HTML.element(.p) {
                    "A page can say anything. This takes evidence from the machine and checks it from \(root) root key "
                    "down to your copy of the file:"
                }
                HTML.command(commands.evidence(from: agentAddress), label: "command that verifies")
                HTML.element(.p) {
                    "That the application that you talk to runs on this machine, evidence over its own connection says: "
                    "give "
                    HTML.element(.code) { "dstack verify" }
                    " its HTTPS address, which is not known here."
                }
            } else {
                HTML.element(.p) {
                    "A page can say anything. "
                    HTML.element(.code) { "dstack verify" }
                    " asks for evidence over the application's own connection and checks it from \(root) root key down to "
                    "your copy of the file."
                }
            }
        }
    }
}
