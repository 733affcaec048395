internal import DstackSystem

/// The names under which restrictions are stated, so that one in another spelling is never taken for a member that means
/// nothing: whoever wrote `minIsvSvn` or `compose_hash` would believe that it had been checked.
package enum RestrictionNames {
    /// What a name seems to ask for.
    package struct Reading: Equatable {
        /// What to do about it, as it follows the name.
        package let advice: String
        /// Whether the name says of itself that something is asked. A bare one (`app_id`) is a claim where evidence says what
        /// it is, and a question where somebody asks.
        let isExplicit: Bool
    }

    /// The most members of an object whose names are looked at, ten times what answers and requests have. Each is compared
    /// with all that ask for something, so that a stranger's hundred thousand would keep a core for seconds.
    package static let maximumMembers = 256
    package static let tooMany = "more than \(maximumMembers) members, of which any could ask for something"

    /// A name without what spellings differ in: case, `_`, `-`, `.` and spaces.
    static func plain(_ name: some StringProtocol) -> String {
        String(decoding: name.utf8.lazy.filter { !"_-. ".utf8.contains($0) }, as: UTF8.self).lowercased()
    }

    /// What a member of a request asks for that is not one of the request's own; nil if it reads like nothing of the kind.
    ///
    /// - Parameter members: what a request may have beside the members of a policy file that it may state.
    package static func reading(_ name: String, inRequestWith members: [String]) -> Reading? {
        let plain = plain(name)
        if let member = members.first(where: { self.plain($0) == plain }) {
            return Reading(advice: "write \(member)", isExplicit: true)
        }
        if let member = policyMembers[plain] { return Reading(advice: advice(member), isExplicit: true) }
        if let member = bareNames[plain] { return Reading(advice: advice(member), isExplicit: false) }
        if let answer = answered.first(where: { plain.hasPrefix(self.plain($0.name)) }) {
            return Reading(
                advice: "nothing can be asked about it; see details.\(answer.member) in the answer", isExplicit: false)
        }
        // A word that asks, or a typing error in a name that does. `expected` alone is like none more than the others.
        let isBeginning = policyMembers.keys.filter { $0.hasPrefix(plain) }.count > 1
        let near =
            isBeginning ? nil : Suggestion.closest(to: plain, among: candidates).flatMap { fullNames[$0] }
        guard near != nil || asks(name) else { return nil }
        return Reading(advice: near.map(advice) ?? stated, isExplicit: true)
    }

    /// The member of a policy file that a name which is none is meant for; nil if it is like none.
    static func policyMember(meantBy name: String) -> String? {
        let plain = plain(name)
        return policyMembers[plain] ?? bareNames[plain].flatMap { VerificationPolicy.members.contains($0) ? $0 : nil }
            ?? Suggestion.closest(to: plain, among: policyMembers.keys.sorted()).flatMap { policyMembers[$0] }
    }

    /// Whether a request may state a member of a policy file.
    package static func isStatedByRequests(_ member: String) -> Bool {
        member.hasPrefix("expected_") && VerificationPolicy.members.contains(member) || member == "min_isv_svn"
    }

    private static let stated =
        "a request states expected_… values, min_isv_svn and the policy's name; other restrictions belong into the "
        + "verifier's policy file"

    private static func advice(_ member: String) -> String {
        isStatedByRequests(member) || !VerificationPolicy.members.contains(member)
            ? "write \(member)" : "\(stated), as \(member)"
    }

    /// Members of a policy file by their plain names. A policy's own name restricts nothing.
    private static let policyMembers = Dictionary(
        uniqueKeysWithValues: VerificationPolicy.members.filter { $0 != "name" }.map { (plain($0), $0) })

    /// The names that typing errors are looked for in: those that nobody has a reason to use for something else.
    private static let fullNames = policyMembers.merging(["policy": "policy", "appcompose": "app_compose"]) { $1 }
    private static let candidates = fullNames.keys.sorted()

    /// What else people call what they ask for.
    private static let bareNames: [String: String] = {
        var names = [
            "preset": "policy", "policyname": "policy", "policypreset": "policy", "verificationpolicy": "policy",
            "compose": "app_compose", "composefile": "app_compose", "appcomposefile": "app_compose",
            "appcomposejson": "app_compose", "appcomposehash": "expected_compose_hash",
            "dockercompose": "app_compose", "dockercomposefile": "app_compose", "rawappcompose": "app_compose",
            "nonce": "expected_report_data", "challenge": "expected_report_data", "userdata": "expected_report_data",
            "reportdatahex": "expected_report_data", "imagehash": "expected_os_image_hash",
            "osimage": "expected_os_image_hash", "isvsvn": "min_isv_svn", "ppid": "accepted_ppids",
            "ppids": "accepted_ppids", "tcbstatus": "allowed_statuses", "tcbstatuses": "allowed_statuses",
            "statuses": "allowed_statuses", "advisoryids": "allowed_advisory_ids",
            "collateralage": "max_collateral_age_secs", "graceperiod": "platform_grace_period_secs",
            "evaldatanumber": "min_tcb_eval_data_number", "tcbevaluationdatanumber": "min_tcb_eval_data_number",
        ]
        for member in VerificationPolicy.members where member.hasPrefix("expected_") {
            names[plain(member.dropFirst("expected_".count))] = member
        }
        // `accepted_sgx_types` as `sgx_types`, `max_collateral_age_secs` as `max_collateral_age`.
        for member in VerificationPolicy.members {
            for verb in ["allowed_", "allow_", "accepted_", "rejected_", "require_", "min_", "max_"]
            where member.hasPrefix(verb) {
                names[plain(member.dropFirst(verb.count))] = names[plain(member.dropFirst(verb.count))] ?? member
            }
        }
        return names
    }()

    /// What only answers have, by how its names begin.
    private static let answered = [("key_provider", "key_provider"), ("device_id", "app_info")].map {
        (name: $0.0, member: $0.1)
    }

    /// Whether a name begins with a word that asks for something.
    private static func asks(_ name: String) -> Bool {
        let words = ["min", "max", "minimum", "maximum", "must", "deny", "forbid"]
        let stems = ["expect", "allow", "accept", "reject", "requir", "disallow"]
        var first = ""
        for character in name.unicodeScalars.drop(while: { "_-. ".unicodeScalars.contains($0) }) {
            let isNext =
                "_-. ".unicodeScalars.contains(character) || "A"..."Z" ~= character && first.last?.isLowercase == true
            if isNext { break }
            first.unicodeScalars.append(character)
        }
        first = first.lowercased()
        return words.contains(first) || stems.contains { first.hasPrefix($0) }
    }
}
