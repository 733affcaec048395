package import DstackEncoding

/// Something that a relying party may ask for: a value that evidence must have, or a limit.
///
/// Unset, nothing is asked. Once it was assigned, it stays asked for: assigning nil does not withdraw it, but leaves a
/// restriction whose value is lost, and such a restriction rejects everything. A value that could not be computed (a
/// hexadecimal text with a typing error, a variable that nobody filled) must not turn into "anything will do".
///
/// ```swift
/// policy.expected.osImageHash = FixedBytes(hex: text)   // rejects everything where the text is no hash
/// policy.expected = ExpectedValues()                    // asks for nothing again
/// ```
@propertyWrapper
public struct Restriction<Value: Hashable & Sendable>: Hashable, Sendable {
    private enum State: Hashable, Sendable {
        case unset
        case set(Value)
        case lost
    }

    private var state = State.unset

    /// Nothing is asked.
    public init() {}

    /// The value that is asked for; nil if nothing was asked, or if the value is lost (``projectedValue``).
    public var wrappedValue: Value? {
        get {
            guard case .set(let value) = state else { return nil }
            return value
        }
        set { state = newValue.map { .set($0) } ?? .lost }
    }

    /// Whether nil was assigned, so that nothing can satisfy it.
    public var projectedValue: Bool { state == .lost }
}

extension JSONNode {
    /// A member that states a restriction, or nil if it is absent.
    ///
    /// - Throws: for null: whoever writes it had something to ask for and lost it, or means a relaxation that there is
    ///   another word for.
    package func restriction(_ name: StaticString) throws(DecodingFailure) -> JSONNode? {
        guard kind == .object else { throw failure("an object expected, found \(kindName)") }
        guard let value = self[name] else { return nil }
        guard !value.isNull else { throw value.lostRestriction }
        return value
    }

    /// For a restriction that is null.
    package var lostRestriction: DecodingFailure {
        failure("null asks for nothing that can be checked; state the value, or leave the member out to not ask")
    }
}
