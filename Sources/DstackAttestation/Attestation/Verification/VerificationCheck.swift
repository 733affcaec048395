import DstackEncoding

/// One check of a verification with what was found and what was expected.
public struct VerificationCheck: Sendable {
    /// What became of a check.
    public enum Outcome: Hashable, Sendable {
        /// It holds.
        case passed
        /// It does not hold, which rejects the evidence.
        case failed(FailureCode)
        /// It does not concern this evidence or nothing was asked for; the text says why.
        case notApplicable(String)
        /// An earlier failure left nothing to check.
        case notReached
    }

    /// Which check.
    public let id: CheckID
    /// What became of it.
    public let outcome: Outcome
    /// What is wrong, for a failed check; empty otherwise.
    public let message: String
    let foundFact: Fact
    let expectedFact: Fact

    /// What was found, as text; empty if there is nothing to show.
    public var found: String { foundFact.text }
    /// What was expected, as text; empty if there is nothing to show.
    public var expected: String { expectedFact.text }
}

/// Why a check failed. With the check's name it identifies every reason of a rejection.
public struct FailureCode: RawRepresentable, Hashable, Sendable {
    /// The stable name.
    public let rawValue: String

    /// A code by its stable name.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The bytes do not have the required form.
    public static let malformed = FailureCode(rawValue: "malformed")
    /// A version, type or flag that is not supported, or not allowed here.
    public static let unsupported = FailureCode(rawValue: "unsupported")
    /// Something required is not there.
    public static let missing = FailureCode(rawValue: "missing")
    /// A value is not the expected one.
    public static let mismatch = FailureCode(rawValue: "mismatch")
    /// A signature is not by the key it should be by.
    public static let badSignature = FailureCode(rawValue: "bad_signature")
    /// A certificate does not lead to the trust anchor.
    public static let unknownIssuer = FailureCode(rawValue: "unknown_issuer")
    /// A certificate is used for something that it is not for.
    public static let wrongUsage = FailureCode(rawValue: "wrong_usage")
    /// It is not valid yet.
    public static let notYetValid = FailureCode(rawValue: "not_yet_valid")
    /// It is not valid any more.
    public static let expired = FailureCode(rawValue: "expired")
    /// It is older than what was verified before.
    public static let rolledBack = FailureCode(rawValue: "rolled_back")
    /// It was revoked.
    public static let revoked = FailureCode(rawValue: "revoked")
    /// No level of the TCB document applies.
    public static let noMatchingLevel = FailureCode(rawValue: "no_matching_level")
    /// The policy does not accept it.
    public static let notAcceptable = FailureCode(rawValue: "not_acceptable")
    /// The check was never made although it had to be. Rejects, as anything unchecked does.
    public static let notChecked = FailureCode(rawValue: "not_checked")
}

/// A value of a check, turned into text only when somebody reads it: most reports are never printed.
enum Fact: Sendable {
    case none
    case literal(StaticString)
    /// Computed from what the closure holds.
    case deferred(@Sendable () -> String)
    /// Shown in hexadecimal.
    case bytes([UInt8])
    /// Unix seconds, shown as RFC 3339.
    case time(Int64)
    case number(Int64)
    case status(TCBStatus)

    static func text(_ text: @autoclosure @escaping @Sendable () -> String) -> Fact { .deferred(text) }

    static func hex<let count: Int>(_ value: FixedBytes<count>) -> Fact { .deferred { value.hex } }

    static func list(_ items: @autoclosure @escaping @Sendable () -> [String]) -> Fact {
        .deferred {
            let items = items()
            return items.isEmpty ? "none" : items.joined(separator: ", ")
        }
    }

    var text: String {
        switch self {
        case .none: ""
        case .literal(let text): "\(text)"
        case .deferred(let text): text()
        case .bytes(let bytes): Hex.encode(bytes)
        case .time(let seconds): RFC3339.format(seconds)
        case .number(let number): "\(number)"
        case .status(let status): status.rawValue
        }
    }
}

/// Collects the outcomes of all checks. The verdict is computed from it alone: every check must have passed or must be
/// said not to apply. A check that nobody recorded is not reached, and so rejects.
struct CheckList: Sendable {
    private struct Entry {
        let id: CheckID
        let outcome: VerificationCheck.Outcome
        var message = ""
        var found = Fact.none
        var expected = Fact.none
    }

    /// What was recorded, in no particular order; each check at most once.
    private var entries: [Entry] = []
    /// Where each check stands in `entries`, plus one; 0 for one that was not recorded. Room for every ``CheckID``.
    private var positions = FixedBytes<128>()
    /// What to do about failures, where whoever found them knew it.
    private var hints: [CheckID: String] = [:]

    private func outcome(_ id: CheckID) -> VerificationCheck.Outcome {
        let position = Int(positions[Int(id.rawValue)])
        return position == 0 ? .notReached : entries[position - 1].outcome
    }

    private mutating func record(_ entry: Entry) {
        let position = Int(positions[Int(entry.id.rawValue)])
        guard position > 0 else {
            if entries.capacity == 0 { entries.reserveCapacity(24) }
            entries.append(entry)
            positions[Int(entry.id.rawValue)] = UInt8(truncatingIfNeeded: entries.count)
            return
        }
        // A failure stands, whatever is recorded later.
        if case .failed = entries[position - 1].outcome { return }
        entries[position - 1] = entry
    }

    /// Makes room for all checks at once.
    mutating func reserveAll() { entries.reserveCapacity(CheckID.allCases.count) }

    mutating func pass(_ id: CheckID, found: Fact = .none, expected: Fact = .none) {
        record(Entry(id: id, outcome: .passed, found: found, expected: expected))
    }

    mutating func fail(
        _ id: CheckID, _ code: FailureCode, _ message: String, found: Fact = .none, expected: Fact = .none
    ) {
        record(Entry(id: id, outcome: .failed(code), message: message, found: found, expected: expected))
    }

    /// Fails for input that could not be read.
    mutating func fail(_ id: CheckID, _ code: FailureCode, _ error: AttestationError) {
        if !error.hint.isEmpty, hints[id] == nil { hints[id] = error.hint }
        fail(id, code, error.message)
    }

    func hint(for id: CheckID) -> String? { hints[id] }

    /// Says what to do about a failure, unless somebody did before.
    mutating func advise(_ id: CheckID, _ hint: String) { hints[id] = hints[id] ?? hint }

    mutating func fail(_ id: CheckID, _ issue: CheckIssue) {
        fail(id, issue.code, issue.message, found: issue.found, expected: issue.expected)
    }

    mutating func skip(_ id: CheckID, _ reason: String) {
        record(Entry(id: id, outcome: .notApplicable(reason)))
    }

    /// Records a comparison.
    @discardableResult
    mutating func require(
        _ id: CheckID, _ holds: Bool, _ code: FailureCode, _ message: @autoclosure () -> String,
        found: Fact = .none, expected: Fact = .none
    ) -> Bool {
        if holds {
            pass(id, found: found, expected: expected)
        } else {
            fail(id, code, message(), found: found, expected: expected)
        }
        return holds
    }

    /// Takes over what another list has recorded.
    mutating func merge(_ other: CheckList) {
        for entry in other.entries { record(entry) }
        if !other.hints.isEmpty { hints.merge(other.hints) { first, _ in first } }
    }

    func hasPassed(_ id: CheckID) -> Bool {
        if case .passed = outcome(id) { true } else { false }
    }

    /// Whether every check that comes before `end` passed or does not apply; all of them, if there is no end.
    func holds(before end: CheckID? = nil) -> Bool {
        for id in CheckID.allCases {
            if id == end { break }
            switch outcome(id) {
            case .passed, .notApplicable: continue
            case .failed, .notReached: return false
            }
        }
        return true
    }

    var checks: [VerificationCheck] {
        CheckID.allCases.map { id in
            let position = Int(positions[Int(id.rawValue)])
            let entry = position == 0 ? Entry(id: id, outcome: .notReached) : entries[position - 1]
            return VerificationCheck(
                id: id, outcome: entry.outcome, message: entry.message, foundFact: entry.found,
                expectedFact: entry.expected)
        }
    }

    /// Whether no check before the policy's failed or was left out.
    var isAuthentic: Bool { holds(before: .policyTCBStatus) }
}

/// What is wrong with something, before it is known in which check.
struct CheckIssue: Error {
    let code: FailureCode
    let message: String
    var found = Fact.none
    var expected = Fact.none

    init(_ code: FailureCode, _ message: String, found: Fact = .none, expected: Fact = .none) {
        self.code = code
        self.message = message
        self.found = found
        self.expected = expected
    }

    init(_ failure: DecodingFailure) {
        self.init(failure.code == .unsupported ? .unsupported : .malformed, failure.description)
    }
}
