package import DstackEncoding

/// One value that a relying party may expect: its names, how it is read and written, and what of the evidence it is compared
/// with.
///
/// ``all`` is the one list of them. Policy files, requests of the verifier service, options of programs, checks and answers are
/// made from it, so that nothing can be stated in any of these places without being compared.
///
/// A class, because every verification goes through the list: a value of closures would be copied each time.
package final class Expectation: Sendable {
    /// The member of a policy file, and of a request, such as `expected_mr_td`.
    let memberName: StaticString
    /// The value's own name, as reports list what was compared: `mr_td`.
    let name: String
    /// The option of the commands that give a verdict, without dashes; nil where only a policy file states it.
    package let option: String?
    /// How many bytes it has; nil for a number.
    package let byteCount: Int?
    /// The check that compares it.
    let check: CheckID

    private let readMember: @Sendable (JSONNode, inout ExpectedValues) throws(DecodingFailure) -> Void
    private let assign: @Sendable ([UInt8], inout ExpectedValues) -> Void
    private let copy: @Sendable (ExpectedValues, inout ExpectedValues) -> Void
    private let textOf: @Sendable (ExpectedValues) -> String?
    private let hasLost: @Sendable (ExpectedValues) -> Bool
    private let hasValue: @Sendable (ExpectedValues) -> Bool
    private let compareWith: @Sendable (ExpectedValues, Facts) -> Comparison?

    /// What evidence has that expected values are compared with.
    package struct Facts {
        let body: QuoteBody
        /// What was replayed and verified to belong to the quote; nil if nothing was.
        let evidence: EvidenceFacts?

        package init(_ body: QuoteBody, _ evidence: EvidenceFacts?) {
            self.body = body
            self.evidence = evidence
        }
    }

    /// An expected value beside what evidence has.
    package struct Comparison {
        package let isMet: Bool
        /// What is wrong, where it is not met.
        let reason: String
        let found: Fact
        let expected: Fact
    }

    // MARK: Stating it

    /// Its member's name as text.
    package var member: String { "\(memberName)" }

    /// Reads its member of an object, if it is there.
    fileprivate func read(_ root: JSONNode, into values: inout ExpectedValues) throws(DecodingFailure) {
        if let node = try root.restriction(memberName) { try readMember(node, &values) }
    }

    /// Expects bytes. Those of a wrong count are a restriction whose value is lost, which rejects everything.
    package func set(_ bytes: [UInt8], in values: inout ExpectedValues) { assign(bytes, &values) }

    /// Expects what other values expect.
    package func take(from other: ExpectedValues, into values: inout ExpectedValues) { copy(other, &values) }

    /// The value as text, hexadecimal or a number; nil if it is not set, or lost.
    package func text(in values: ExpectedValues) -> String? { textOf(values) }

    /// Whether nil was assigned to it (``Restriction``).
    func isLost(in values: ExpectedValues) -> Bool { hasLost(values) }

    /// Whether it has a value, which is not lost.
    func isSet(in values: ExpectedValues) -> Bool { hasValue(values) }

    /// Whether it is asked for, be it with a value or with one that is lost.
    package func isStated(in values: ExpectedValues) -> Bool { json(in: values) != nil }

    /// The value as JSON, null for one that is lost; nil if it is not stated.
    package func json(in values: ExpectedValues) -> String? {
        guard let text = text(in: values) else { return isLost(in: values) ? "null" : nil }
        return byteCount == nil ? text : "\"\(text)\""
    }

    // MARK: Comparing it

    /// Compares it with what evidence has; nil if no value is expected.
    package func compare(_ values: ExpectedValues, with facts: Facts) -> Comparison? { compareWith(values, facts) }

    // MARK: Declarations

    /// Where a value stands. Following a key path takes longer than reading what is there, and every verification reads all.
    struct Place<Value: Hashable & Sendable>: Sendable {
        let path: any WritableKeyPath<ExpectedValues, Restriction<Value>> & Sendable
        let read: @Sendable (ExpectedValues) -> Restriction<Value>

        /// - Parameters: the same property twice.
        init(
            _ path: any WritableKeyPath<ExpectedValues, Restriction<Value>> & Sendable,
            _ read: @escaping @Sendable (ExpectedValues) -> Restriction<Value>
        ) {
            self.path = path
            self.read = read
        }
    }

    private init<Value: Hashable & Sendable>(
        _ memberName: StaticString, _ place: Place<Value>, _ check: CheckID, subject: String?, option: String?,
        byteCount: Int?, absence: StaticString,
        read: @escaping @Sendable (JSONNode) throws(DecodingFailure) -> Value,
        fromBytes: @escaping @Sendable ([UInt8]) -> Value?, text: @escaping @Sendable (Value) -> String,
        fact: @escaping @Sendable (Value) -> Fact,
        isMet: @escaping @Sendable (_ found: Value, _ expected: Value) -> Bool,
        flaw: String, found: @escaping @Sendable (Facts) -> Value?
    ) {
        self.memberName = memberName
        let name = String("\(memberName)".drop { $0 != "_" }.dropFirst())
        self.name = name
        let subject = subject ?? name
        self.option = option
        self.byteCount = byteCount
        self.check = check
        let path = place.path
        readMember = { node, values throws(DecodingFailure) in
            values[keyPath: path].wrappedValue = try read(node)
        }
        assign = { bytes, values in values[keyPath: path].wrappedValue = fromBytes(bytes) }
        copy = { other, values in values[keyPath: path] = place.read(other) }
        textOf = { place.read($0).wrappedValue.map(text) }
        hasLost = { place.read($0).projectedValue }
        hasValue = { place.read($0).wrappedValue != nil }
        compareWith = { values, facts in
            guard let expected = place.read(values).wrappedValue else { return nil }
            let found = found(facts)
            return Comparison(
                isMet: found.map { isMet($0, expected) } ?? false, reason: "\(subject) \(flaw)",
                found: .text(found.map(text) ?? "\(absence)"), expected: fact(expected))
        }
    }

    /// Bytes, compared whole.
    static func bytes<let count: Int>(
        _ memberName: StaticString, _ place: Place<FixedBytes<count>>,
        _ check: CheckID = .expectedMeasurements, subject: String? = nil, option: String? = nil,
        absence: StaticString = "not in this kind of quote",
        found: @escaping @Sendable (Facts) -> FixedBytes<count>?
    ) -> Expectation {
        Expectation(
            memberName, place, check, subject: subject, option: option, byteCount: count, absence: absence,
            read: { node throws(DecodingFailure) in try node.fixedHex() }, fromBytes: { FixedBytes<count>($0) },
            text: { $0.hex }, fact: { .hex($0) }, isMet: ==, flaw: "is not the expected one", found: found)
    }

    /// A number of an enclave's report.
    static func number(
        _ memberName: StaticString, _ place: Place<UInt16>,
        isMinimum: Bool = false, found: @escaping @Sendable (EnclaveReport) -> UInt16
    ) -> Expectation {
        Expectation(
            memberName, place, .expectedMeasurements, subject: nil, option: nil, byteCount: nil,
            absence: "not in this kind of quote", read: { node throws(DecodingFailure) in try node.integer() },
            fromBytes: { _ in nil }, text: { "\($0)" },
            fact: { value in isMinimum ? .text("at least \(value)") : .number(Int64(value)) },
            isMet: { isMinimum ? $0 >= $1 : $0 == $1 },
            flaw: isMinimum ? "is below the expected minimum" : "is not the expected one",
            found: { $0.body.enclaveReport.map(found) })
    }

    /// What the event log shows, replayed.
    static func application<let count: Int>(
        _ memberName: StaticString, _ place: Place<FixedBytes<count>>,
        option: String? = nil, found: @escaping @Sendable (EvidenceFacts) -> FixedBytes<count>?
    ) -> Expectation {
        bytes(memberName, place, .expectedApplication, option: option, absence: "none") { $0.evidence.flatMap(found) }
    }
}

extension ExpectedValues {
    /// Reads the members of a policy file or of a request that state expected values.
    package init(membersOf root: JSONNode) throws(DecodingFailure) {
        self.init()
        for expectation in Expectation.all { try expectation.read(root, into: &self) }
    }
}
