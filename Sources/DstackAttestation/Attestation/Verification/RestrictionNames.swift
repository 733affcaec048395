internal import DstackSystem

/// The names under which restrictions are stated, so that one in another spelling, or by another word, is never taken for a
/// member that means nothing: whoever wrote `minIsvSvn`, `compose_hash` or `trusted_app_ids` would believe that it had been
/// checked.
///
/// Most names are made from declarations: members of policy files (``VerificationPolicy/members``) with the words around them
/// taken away or put there. What else people write is in ``RestrictionVocabulary``.
package enum RestrictionNames {
    /// What a name seems to ask for.
    struct Reading: Equatable {
        /// What to do about it, as it follows the name.
        let advice: String
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
    static func reading(_ name: String, inRequestWith members: [String]) -> Reading? {
        let plain = plain(name)
        if let member = members.first(where: { self.plain($0) == plain }) {
            return Reading(advice: "write \(member)", isExplicit: true)
        }
        if let (meaning, isExplicit) = known(plain) {
            return Reading(advice: meaning.advice, isExplicit: isExplicit)
        }
        // A typing error in a name that asks, or a word that does.
        if let member = mistyped(plain) {
            return Reading(advice: RestrictionMeaning.member(member).advice, isExplicit: true)
        }
        return asks(name) ? Reading(advice: RestrictionMeaning.unnamed.advice, isExplicit: true) : nil
    }

    /// What to do about a member of a request that is none, as it follows the name. Whatever it is called, its author believes
    /// that it is looked at.
    package static func advice(_ name: String, inRequestWith members: [String]) -> String {
        reading(name, inRequestWith: members)?.advice
            ?? "a request has \(members.joined(separator: ", ")), expected_… values and min_isv_svn; leave out what is none"
    }

    /// The member of a policy file that a name which is none is meant for; nil if it is like none.
    static func policyMember(meantBy name: String) -> String? {
        let plain = plain(name)
        if case .member(let member)? = known(plain)?.meaning, VerificationPolicy.members.contains(member) {
            return member
        }
        return mistyped(plain).flatMap { VerificationPolicy.members.contains($0) ? $0 : nil }
    }

    /// Whether a request may state a member of a policy file.
    package static func isStatedByRequests(_ member: String) -> Bool {
        Expectation.all.contains { $0.member == member }
    }

    // MARK: Whole names

    /// Members of a policy file by their plain names. A policy's own name restricts nothing.
    private static let policyMembers = Dictionary(
        uniqueKeysWithValues: VerificationPolicy.members.filter { $0 != "name" }.map { (plain($0), $0) })

    /// Names without any word that asks, by what they mean: `app_id`, `collateral_age_secs`, and the vocabulary.
    private static let bareNames: [String: RestrictionMeaning] = {
        var names: [String: RestrictionMeaning] = [:]
        for member in VerificationPolicy.members {
            let words = member.split(separator: "_")
            // Of several (`allowed_advisory_ids`, `rejected_advisory_ids`) the vocabulary says which is meant.
            if asks(member) { names[plain(words.dropFirst().joined())] = .member(member) }
        }
        return names.merging(RestrictionVocabulary.bare) { $1 }
    }()

    /// A name that is known as it is.
    private static func whole(_ plain: String) -> (meaning: RestrictionMeaning, isExplicit: Bool)? {
        if let member = policyMembers[plain] { return (.member(member), true) }
        if let meaning = RestrictionVocabulary.asking[plain] { return (meaning, true) }
        return (bareNames[plain] ?? RestrictionVocabulary.answered(plain)).map { ($0, false) }
    }

    /// The same without what stands around it: `want_app_id`, `compose_sha256`, `ppid_whitelist`.
    private static func known(_ plain: String) -> (meaning: RestrictionMeaning, isExplicit: Bool)? {
        if let known = whole(plain) { return known }
        // Names are short; what is longer has many more ways to be taken apart.
        guard plain.utf8.count <= 64 else { return nil }
        if let known = core(of: plain) { return known }
        for verb in RestrictionVocabulary.verbs where plain.hasPrefix(verb) {
            let rest = String(plain.dropFirst(verb.count))
            if let known = whole(rest) ?? core(of: rest) { return (known.meaning, true) }
        }
        return nil
    }

    /// What is left of a name without endings that say how a value is written, or that it is wanted.
    private static func core(of plain: String) -> (meaning: RestrictionMeaning, isExplicit: Bool)? {
        var forms = [(name: plain, asks: false)]
        // Three endings at most, as in `app_ids_hex_list`.
        for _ in 0..<3 {
            forms = forms.flatMap { form in
                RestrictionVocabulary.endings.compactMap { ending in
                    guard form.name.hasSuffix(ending.text), form.name != ending.text else { return nil }
                    let name = String(form.name.dropLast(ending.text.count)) + ending.replacement
                    return (name: name, asks: form.asks || ending.asks)
                }
            }
            for form in forms {
                if let known = whole(form.name) { return (known.meaning, known.isExplicit || form.asks) }
            }
        }
        return nil
    }

    // MARK: Typing errors

    /// The names that typing errors are looked for in: those that nobody has a reason to use for something else.
    private static let fullNames = policyMembers.merging(["policy": "policy", "appcompose": "app_compose"]) { $1 }
    private static let candidates = fullNames.keys.sorted()

    /// What a name is with a typing error; nil if it is like none, or like several. The words that many names have in common
    /// (`expected`) make no two of them alike, so that errors count against what is left.
    private static func mistyped(_ plain: String) -> String? {
        // `expected` alone is like none more than the others.
        guard policyMembers.keys.filter({ $0.hasPrefix(plain) }).count < 2 else { return nil }
        let name = Suggestion.only(near: plain, among: candidates) { candidate in
            let verb = RestrictionVocabulary.verbs.first { candidate.hasPrefix($0) }
            return max(1, (candidate.utf8.count - (verb?.utf8.count ?? 0)) / 3)
        }
        return name.flatMap { fullNames[$0] }
    }

    // MARK: Words

    /// Whether a name begins with a word that asks for something.
    private static func asks(_ name: String) -> Bool {
        var first = ""
        for character in name.unicodeScalars.drop(while: { "_-. ".unicodeScalars.contains($0) }) {
            let isNext =
                "_-. ".unicodeScalars.contains(character) || "A"..."Z" ~= character && first.last?.isLowercase == true
            if isNext { break }
            first.unicodeScalars.append(character)
        }
        first = first.lowercased()
        return RestrictionVocabulary.askingWords.contains(first)
            || RestrictionVocabulary.askingStems.contains { first.hasPrefix($0) }
    }
}

/// What somebody who writes a name wants.
enum RestrictionMeaning: Equatable {
    /// A member of a request or of a policy file.
    case member(String)
    /// What whoever runs the verifier says, in its settings.
    case setting(String)
    /// What only answers have.
    case answered(String)
    /// Something that there are other words about.
    case other(String)
    /// A restriction, and no more is known.
    case unnamed

    /// What to do about it, as it follows the name.
    var advice: String {
        switch self {
        case .member(let member):
            RestrictionNames.isStatedByRequests(member) || !VerificationPolicy.members.contains(member)
                ? "write \(member)" : "\(Self.unnamed.advice), as \(member)"
        case .setting(let setting): "only whoever runs the verifier says it, in its settings (\(setting))"
        case .answered(let member): "nothing can be asked about it; see details.\(member) in the answer"
        case .other(let advice): advice
        case .unnamed:
            "a request states expected_… values, min_isv_svn and the policy's name; other restrictions belong into the "
                + "verifier's policy file"
        }
    }
}
