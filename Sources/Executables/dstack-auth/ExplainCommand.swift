import DstackAuthorization
import DstackCommandLine
import DstackEncoding
import DstackSystem

/// `explain`: what a policy says about one machine, and why.
enum ExplainCommand {
    private static let config = Option(required: "config", .file, short: "c", "the policy, TOML")
    private static let bootInfo = Option(
        required: "boot-info", .file, "what is known of the machine, JSON, as the KMS sends it")
    private static let kms = Flag("kms", "judge it as a KMS, not as an app")

    static let command = Command(
        "explain", "says whether a machine may boot, and why, rule by rule",
        examples: [
            "dstack-auth explain --config policy.toml --boot-info boot-info.json",
            "dstack-auth explain --config policy.toml --boot-info - --kms --json < boot-info.json",
        ],
        arguments: [config, bootInfo, kms, Flag.json],
        statuses: [.yes: "it may boot", .no: "it may not, with the reason"]
    ) { arguments, console in
        let policy = try BootPolicy(
            parsing: arguments.read(config, limit: 4 << 20), source: arguments.fileName(config))
        let text = try arguments.read(bootInfo, limit: 4 << 20)
        let info: BootInfo
        do throws(DecodingFailure) { info = try BootInfo(parsingJSON: text) } catch {
            throw CommandFailure(
                .wrongRequest, "--boot-info: \(arguments.fileName(bootInfo)): \(error)",
                hint: "give the JSON object that a KMS sends to /bootAuth/app")
        }
        let explanation = policy.explanation(for: info, as: arguments[kms] ? .kms : .app)
        if arguments[Flag.json] { console.print(json(explanation)) } else { show(explanation, console) }
        return explanation.decision.isAllowed ? .yes : .no
    }

    // MARK: For people

    private static func show(_ explanation: BootExplanation, _ console: Console) {
        let style = console.style
        if let rule = explanation.allowing {
            console.print("\(style.green("ALLOWED")) as \(explanation.subject.rawValue) by rule \(quoted(rule.name))")
        } else {
            console.print("\(style.red("DENIED")) as \(explanation.subject.rawValue)")
            console.print("  because \(SafeText.line(explanation.decision.reason))")
        }
        for rule in explanation.rules {
            guard rule.isApplicable else {
                console.print("rule \(quoted(rule.name)): is for \(rule.subject.rawValue) alone")
                continue
            }
            console.print("rule \(quoted(rule.name)): \(rule.isFulfilled ? "fulfilled" : "not fulfilled")")
            for condition in rule.conditions { console.print("  " + line(condition, style)) }
        }
    }

    private static func quoted(_ name: String) -> String { SafeText.quoted(name, limit: 100) }

    private static func line(_ condition: BootExplanation.Condition, _ style: TextStyle) -> String {
        let name = condition.fact.rawValue.padded(to: 14)
        let found = condition.found.isEmpty ? "none" : condition.found.joined(separator: ", ")
        if condition.isAnyAccepted { return "\(style.green("yes")) \(name) \(SafeText.line(found)) (any)" }
        if condition.holds { return "\(style.green("yes")) \(name) \(SafeText.line(found))" }
        let expected = condition.expected.isEmpty ? "none" : condition.expected.joined(separator: ", ")
        return "\(style.red("no ")) \(name) \(SafeText.line(found)); accepted: \(SafeText.line(expected))"
    }

    // MARK: For programs

    private static func json(_ explanation: BootExplanation) -> String {
        let decision = explanation.decision
        var writer = JSONWriter()
        writer.object { object in
            object.member("allowed", decision.isAllowed)
            object.member("for", explanation.subject.rawValue)
            object.member("reason", decision.reason)
            object.member("gateway_app_id", decision.gatewayAppID)
            object.member("allowed_by", explanation.allowing?.name)
            object.array("rules") { rules in
                for rule in explanation.rules {
                    rules.object { object in
                        object.member("name", rule.name)
                        object.member("for", rule.subject.rawValue)
                        object.member("applies", rule.isApplicable)
                        object.member("fulfilled", rule.isFulfilled)
                        object.array("conditions") { conditions in
                            for condition in rule.conditions { conditions.object { write(condition, &$0) } }
                        }
                    }
                }
            }
        }
        return writer.text
    }

    private static func write(_ condition: BootExplanation.Condition, _ object: inout JSONWriter.Object) {
        object.member("fact", condition.fact.rawValue)
        object.member("holds", condition.holds)
        object.member("found", condition.found)
        object.member("accepted", condition.expected)
        object.member("any_accepted", condition.isAnyAccepted)
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
