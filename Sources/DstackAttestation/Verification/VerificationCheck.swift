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
    case text(String)
    /// Shown in hexadecimal.
    case bytes([UInt8])
    /// Unix seconds, shown as RFC 3339.
    case time(Int64)
    case number(Int64)
    case status(TCBStatus)
    case list([String])

    static func hex<let count: Int>(_ value: FixedBytes<count>) -> Fact { .bytes(value.bytes) }

    var text: String {
        switch self {
        case .none: ""
        case .literal(let text): "\(text)"
        case .text(let text): text
        case .bytes(let bytes): Hex.encode(bytes)
        case .time(let seconds): RFC3339.format(seconds)
        case .number(let number): "\(number)"
        case .status(let status): status.rawValue
        case .list(let items): items.isEmpty ? "none" : items.joined(separator: ", ")
        }
    }
}

/// Collects the outcomes of all checks. The verdict is computed from it alone: every check must have passed or must be
/// said not to apply. A check that nobody recorded is not reached, and so rejects.
struct CheckList: Sendable {
    private struct Entry {
        var outcome: VerificationCheck.Outcome = .notReached
        var message = ""
        var found = Fact.none
        var expected = Fact.none
    }

    private var entries = [Entry](repeating: Entry(), count: CheckID.allCases.count)

    private subscript(_ id: CheckID) -> Entry {
        get { entries[Int(id.rawValue)] }
        set {
            // A failure stands, whatever is recorded later.
            if case .failed = entries[Int(id.rawValue)].outcome { return }
            entries[Int(id.rawValue)] = newValue
        }
    }

    mutating func pass(_ id: CheckID, found: Fact = .none, expected: Fact = .none) {
        self[id] = Entry(outcome: .passed, found: found, expected: expected)
    }

    mutating func fail(
        _ id: CheckID, _ code: FailureCode, _ message: String, found: Fact = .none, expected: Fact = .none
    ) {
        self[id] = Entry(outcome: .failed(code), message: message, found: found, expected: expected)
    }

    mutating func fail(_ id: CheckID, _ issue: CheckIssue) {
        fail(id, issue.code, issue.message, found: issue.found, expected: issue.expected)
    }

    mutating func skip(_ id: CheckID, _ reason: String) {
        self[id] = Entry(outcome: .notApplicable(reason))
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
        for id in CheckID.allCases {
            if case .notReached = other[id].outcome { continue }
            self[id] = other[id]
        }
    }

    func hasPassed(_ id: CheckID) -> Bool { self[id].outcome == .passed }

    var checks: [VerificationCheck] {
        CheckID.allCases.map { id in
            let entry = self[id]
            return VerificationCheck(
                id: id, outcome: entry.outcome, message: entry.message, foundFact: entry.found,
                expectedFact: entry.expected)
        }
    }

    /// Whether no check before the policy's failed or was left out.
    var isAuthentic: Bool {
        CheckID.allCases.prefix { $0 != .policyTCBStatus }.allSatisfy { id in
            switch self[id].outcome {
            case .passed, .notApplicable: true
            case .failed, .notReached: false
            }
        }
    }
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
