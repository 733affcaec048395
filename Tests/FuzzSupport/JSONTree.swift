import DstackEncoding
import DstackMockTEE

/// A JSON text as a tree that can be changed anywhere, also into something that is no JSON.
extension MockJSON {
    /// Numbers and words stay as they are written.
    init(_ node: JSONNode) {
        switch node.kind {
        case .object: self = .object(node.members.map { ($0.name, MockJSON($0.value)) })
        case .array: self = .array(node.elements.map { MockJSON($0) })
        case .string: self = .string((try? node.string()) ?? "")
        case .number, .boolTrue, .boolFalse, .null: self = .raw(String(decoding: node.rawBytes, as: UTF8.self))
        }
    }

    /// Nil for a text that is no JSON.
    init?(parsing text: String) {
        guard let document = try? JSONDocument(parsing: text, subject: "document") else { return nil }
        self.init(document.root)
    }

    var count: Int {
        switch self {
        case .object(let members): members.count
        case .array(let elements): elements.count
        case .string, .raw: 0
        }
    }

    /// Walks down at random, stopping at each container with a chance of one in four, and changes what is there.
    ///
    /// - Parameter change: gets the value and where it stands.
    mutating func editSomewhere(
        _ random: inout FuzzRandom, path: String = "",
        _ change: (inout MockJSON, _ path: String, inout FuzzRandom) -> String
    ) -> String {
        let isLeaf = count == 0
        if isLeaf || (!path.isEmpty && random.chance(1, in: 4)) { return change(&self, path, &random) }
        let index = random.below(count)
        switch self {
        case .object(var members):
            let inner = path.isEmpty ? members[index].name : path + "." + members[index].name
            let what = members[index].value.editSomewhere(&random, path: inner, change)
            self = .object(members)
            return what
        case .array(var elements):
            let what = elements[index].editSomewhere(&random, path: path + "[\(index)]", change)
            self = .array(elements)
            return what
        case .string, .raw: return change(&self, path, &random)
        }
    }

    /// Some object, from the root down.
    mutating func editSomeObject(
        _ random: inout FuzzRandom, path: String = "",
        _ change: (inout [(name: String, value: MockJSON)], _ path: String, inout FuzzRandom) -> String
    ) -> String? {
        switch self {
        case .object(var members):
            defer { self = .object(members) }
            let inner = members.indices.filter { members[$0].value.count > 0 }
            if !inner.isEmpty, random.chance(1, in: 2) {
                let index = random.pick(inner)
                let name = path.isEmpty ? members[index].name : path + "." + members[index].name
                if let what = members[index].value.editSomeObject(&random, path: name, change) { return what }
            }
            return change(&members, path.isEmpty ? "document" : path, &random)
        case .array(var elements):
            defer { self = .array(elements) }
            let inner = elements.indices.filter { elements[$0].count > 0 }
            guard !inner.isEmpty else { return nil }
            let index = random.pick(inner)
            return elements[index].editSomeObject(&random, path: path + "[\(index)]", change)
        case .string, .raw: return nil
        }
    }
}

/// Places in a JSON text, found by reading its strings.
enum JSONPlaces {
    /// Offsets at which white space may stand: around punctuation, outside of strings.
    static func gaps(_ text: [UInt8]) -> [Int] {
        var places: [Int] = []
        scan(text) { index, isInString in
            guard !isInString else { return }
            switch text[index] {
            case UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: ","),
                UInt8(ascii: ":"):
                places.append(index)
                places.append(index + 1)
            default: break
            }
        }
        return places
    }

    /// Offsets of unescaped ASCII letters and digits inside strings.
    static func characters(_ text: [UInt8]) -> [Int] {
        var places: [Int] = []
        scan(text) { index, isInString in
            if isInString, text[index] != UInt8(ascii: "\""), 0x20...0x7E ~= text[index] { places.append(index) }
        }
        return places
    }

    private static func scan(_ text: [UInt8], _ visit: (_ index: Int, _ isInString: Bool) -> Void) {
        var isInString = false
        var isEscaped = false
        for (index, byte) in text.enumerated() {
            if isEscaped {
                isEscaped = false
                continue
            }
            if isInString, byte == UInt8(ascii: "\\") {
                isEscaped = true
                continue
            }
            if byte == UInt8(ascii: "\"") {
                isInString.toggle()
                continue
            }
            visit(index, isInString)
        }
    }
}
