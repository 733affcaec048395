package import DstackAttestation
package import DstackCommandLine
import DstackEncoding
import DstackSystem

/// Options that say what evidence must show, the same wherever a command gives a verdict. They hold on top of any policy, a
/// preset or a file, and go on holding when another one is chosen.
package enum ExpectationOptions {
    package static let composeHash = Option(
        "compose-hash", .hex("HEX", bytes: 32), "the compose hash that is expected, where you have no copy of the file")
    package static let appID = Option("app-id", .hex("HEX", bytes: 20), "the application id that is expected")
    package static let osImageHash = Option(
        "os-image-hash", .hex("HEX", bytes: 32), "the OS image that is expected; its measurements must be in the quote")
    /// Not for services, whose report data follows from key and connection.
    package static let reportData = Option(
        "report-data", .hex("HEX", bytes: 1...64),
        "the report data that is expected, such as your challenge; fewer than 64 bytes are filled up with zeros")

    /// What commands about services have, too.
    package static let ofApplication: [any ArgumentDeclaration] = [composeHash, appID, osImageHash]

    /// Adds what is expected to a policy.
    ///
    /// - Throws: a wrong request where a policy file expects another value: neither may overrule the other.
    package static func add(to policy: inout VerificationPolicy, _ arguments: Arguments) throws(CommandFailure) {
        try expect(arguments[composeHash], \.composeHash, composeHash, &policy, arguments)
        try expect(arguments[appID], \.appID, appID, &policy, arguments)
        try expect(arguments[osImageHash], \.osImageHash, osImageHash, &policy, arguments)
    }

    /// The same with report data.
    package static func addAll(to policy: inout VerificationPolicy, _ arguments: Arguments) throws(CommandFailure) {
        try add(to: &policy, arguments)
        let data = try arguments[reportData].map { bytes throws(CommandFailure) in
            try CommandFailure.wrongRequest { () throws(AttestationError) in try ReportData(padding: bytes).bytes.bytes
            }
        }
        try expect(data, \.reportData, reportData, &policy, arguments)
    }

    private static func expect<let count: Int>(
        _ bytes: [UInt8]?, _ path: WritableKeyPath<ExpectedValues, FixedBytes<count>?>, _ option: Option<[UInt8]?>,
        _ policy: inout VerificationPolicy, _ arguments: Arguments
    ) throws(CommandFailure) {
        guard let bytes else { return }
        // Bytes of a wrong count would make it nil, which rejects everything.
        let value = FixedBytes<count>(bytes)
        if let other = policy.expected[keyPath: path], other != value {
            throw contradiction(
                "\(option.specification.label): \(JudgementOptions.policyFile(arguments) ?? "the policy")", other.hex)
        }
        policy.expected[keyPath: path] = value
    }

    static func contradiction(_ subject: String, _ other: String) -> CommandFailure {
        CommandFailure(
            .wrongRequest, "\(subject) expects another value, \(other)", hint: "correct one of them, or leave it out")
    }
}
