package import DstackAttestation
package import DstackCommandLine
import DstackEncoding
import DstackSystem

/// Options that say what evidence must show, the same wherever a command gives a verdict. They hold on top of any policy, a
/// preset or a file, and go on holding when another one is chosen.
package enum ExpectationOptions {
    package static let composeHash = option(
        .composeHash, "the compose hash that is expected, where you have no copy of the file")
    package static let appID = option(.appID, "the application id that is expected")
    package static let osImageHash = option(
        .osImageHash, "the OS image that is expected; its measurements must be in the quote")
    /// Not for services, whose report data follows from key and connection.
    package static let reportData = option(
        .reportData,
        "the report data that is expected, such as your challenge; fewer than 64 bytes are filled up with zeros")

    /// What commands about services have, too.
    package static let ofApplication: [any ArgumentDeclaration] = [composeHash, appID, osImageHash]

    private static func option(_ expectation: Expectation, _ help: String) -> Option<[UInt8]?> {
        let count = expectation.byteCount ?? 0
        let isFilledUp = expectation.member == Expectation.reportData.member
        return Option(
            expectation.option ?? expectation.member,
            isFilledUp ? .hex("HEX", bytes: 1...count) : .hex("HEX", bytes: count), help)
    }

    /// Adds what is expected to a policy.
    ///
    /// - Throws: a wrong request where a policy file expects another value: neither may overrule the other.
    package static func add(to policy: inout VerificationPolicy, _ arguments: Arguments) throws(CommandFailure) {
        try expect(.composeHash, arguments[composeHash], composeHash, &policy, arguments)
        try expect(.appID, arguments[appID], appID, &policy, arguments)
        try expect(.osImageHash, arguments[osImageHash], osImageHash, &policy, arguments)
    }

    /// The same with report data.
    package static func addAll(to policy: inout VerificationPolicy, _ arguments: Arguments) throws(CommandFailure) {
        try add(to: &policy, arguments)
        let data = try arguments[reportData].map { bytes throws(CommandFailure) in
            try CommandFailure.wrongRequest { () throws(AttestationError) in try ReportData(padding: bytes).bytes.bytes
            }
        }
        try expect(.reportData, data, reportData, &policy, arguments)
    }

    private static func expect(
        _ expectation: Expectation, _ bytes: [UInt8]?, _ option: Option<[UInt8]?>,
        _ policy: inout VerificationPolicy, _ arguments: Arguments
    ) throws(CommandFailure) {
        guard let bytes else { return }
        let before = expectation.text(in: policy.expected)
        expectation.set(bytes, in: &policy.expected)
        if let before, before != expectation.text(in: policy.expected) {
            throw contradiction(
                "\(option.specification.label): \(JudgementOptions.policyFile(arguments) ?? "the policy")", before)
        }
    }

    static func contradiction(_ subject: String, _ other: String) -> CommandFailure {
        CommandFailure(
            .wrongRequest, "\(subject) expects another value, \(other)", hint: "correct one of them, or leave it out")
    }
}
