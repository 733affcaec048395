import DstackEncoding

/// A JSON value that keeps the order of its members, allows the same name twice, and can hold text that is no JSON: what
/// a forger of signed documents needs.
package indirect enum MockJSON: Sendable {
    case object([(name: String, value: MockJSON)])
    case array([MockJSON])
    case string(String)
    /// Text as it is: a number, `null`, or anything else.
    case raw(String)

    package static func number(_ value: some BinaryInteger) -> MockJSON { .raw("\(value)") }

    /// Compact text, as Intel serves it.
    package var text: String {
        switch self {
        case .object(let members):
            "{" + members.map { Self.quoted($0.name) + ":" + $0.value.text }.joined(separator: ",") + "}"
        case .array(let elements): "[" + elements.map(\.text).joined(separator: ",") + "]"
        case .string(let text): Self.quoted(text)
        case .raw(let text): text
        }
    }

    private static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        JSONWriter.append(text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The first member with a name; setting nil removes it, setting a value replaces or appends it. `null` where there is
    /// none.
    package subscript(name: String) -> MockJSON {
        get {
            guard case .object(let members) = self else { return .raw("null") }
            return members.first { $0.name == name }?.value ?? .raw("null")
        }
        set {
            guard case .object(var members) = self else { return }
            if let index = members.firstIndex(where: { $0.name == name }) {
                members[index].value = newValue
            } else {
                members.append((name, newValue))
            }
            self = .object(members)
        }
    }

    /// An element of an array; `null` outside of it.
    package subscript(index: Int) -> MockJSON {
        get {
            guard case .array(let elements) = self, elements.indices.contains(index) else { return .raw("null") }
            return elements[index]
        }
        set {
            guard case .array(var elements) = self, elements.indices.contains(index) else { return }
            elements[index] = newValue
            self = .array(elements)
        }
    }

    /// Changes the members as a list: order, repetition, names.
    package mutating func editMembers(_ change: (inout [(name: String, value: MockJSON)]) -> Void) {
        guard case .object(var members) = self else { return }
        change(&members)
        self = .object(members)
    }

    /// Changes the elements as a list.
    package mutating func editElements(_ change: (inout [MockJSON]) -> Void) {
        guard case .array(var elements) = self else { return }
        change(&elements)
        self = .array(elements)
    }

    /// Removes all members with a name.
    package mutating func remove(_ name: String) { editMembers { $0.removeAll { $0.name == name } } }

    /// Adds a member at the end, even if its name is taken.
    package mutating func append(_ name: String, _ value: MockJSON) { editMembers { $0.append((name, value)) } }
}
