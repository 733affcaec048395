internal import DstackEncoding

/// The names of a request's members, and what else they are written like.
///
/// Members that are not known are ignored, because clients send what a guest's quote API gave them as it is. But one that is
/// meant for a member that is known, and is spelt otherwise, is refused with the right spelling: ignored, it would leave a
/// comparison out, or evidence that was given, and whoever sent it would believe that it had counted.
enum RequestMembers {
    /// What every request may have, in the order of the documentation.
    static let names = [
        "quote", "event_log", "vm_config", "attestation", "debug", "report_data", "app_compose", "policy", "report",
    ]

    /// What the evidence must say.
    static let expected = VerificationPolicy.members.filter(isExpectedValue)

    /// What a policy file may have and a request may not.
    private static let policyOnly = VerificationPolicy.members.filter { $0 != "name" && !isExpectedValue($0) }

    static func isExpectedValue(_ name: String) -> Bool { name.hasPrefix("expected_") || name == "min_isv_svn" }

    /// Other words for the same.
    private static let synonyms = [
        "preset": "policy", "policyname": "policy", "composefile": "app_compose", "appcomposefile": "app_compose",
        "vmconfiguration": "vm_config", "eventlogs": "event_log",
    ]

    /// By a name in small letters and without separators: the member that it means.
    private static let meanings: [String: String] = {
        var meanings = synonyms
        // `compose_hash` beside a quote can only be what it is to be compared with.
        for name in expected where name.hasPrefix("expected_") { meanings[plain(String(name.dropFirst(9)))] = name }
        for name in expected + policyOnly + names { meanings[plain(name)] = name }
        return meanings
    }()

    private static func plain(_ name: String) -> String {
        String(name.lowercased().filter { $0 != "_" && $0 != "-" && $0 != " " })
    }

    /// Why a member must not be ignored; nil for one that is read, and for one that means nothing here.
    static func problem(with name: String, _ value: JSONNode) -> DecodingFailure? {
        let isRead = (names + expected).contains { $0.utf8.elementsEqual(name.utf8) }
        if isRead { return nil }
        let plain = plain(name)
        if let meant = meanings[plain] {
            if policyOnly.contains(meant) { return policyOnlyFailure(value) }
            return value.failure("not a member of a request; is \(meant) meant?", .unsupported)
        }
        // None of the members of a quote API's answer begins so.
        let restricting = ["expect", "min", "max", "allow", "accept", "reject", "require"]
        return restricting.contains { plain.hasPrefix($0) } ? policyOnlyFailure(value) : nil
    }

    private static func policyOnlyFailure(_ value: JSONNode) -> DecodingFailure {
        value.failure(
            "a request states expected_… values, min_isv_svn and the policy's name; other restrictions belong into the "
                + "verifier's policy file", .unsupported)
    }
}
