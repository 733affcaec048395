import DstackAttestation
import DstackEncoding
import DstackMockTEE

/// Changes to TCB info and QE identity as texts.
enum DocumentMutation {
    /// What a change does to the meaning of a document, for when its signer signs it again.
    enum Effect {
        /// Says the same in another way.
        case none
        /// Breaks a rule that every reader of signed JSON must enforce.
        case breaks
        /// Says something else, or breaks a rule; depends on where.
        case some
    }

    static func apply(to text: inout String, _ random: inout FuzzRandom) -> (what: String, effect: Effect) {
        switch random.below(16) {
        case 0: return (space(&text, &random), .none)
        case 1: return (escape(&text, &random), .some)
        case 2:
            var bytes = Array(text.utf8)
            let what = ByteMutation.apply(to: &bytes, &random)
            // Half of the time into what is no UTF-8, which then is replaced: texts of collateral are always UTF-8.
            text = String(decoding: bytes, as: UTF8.self)
            return (what, .some)
        case 3:
            let tail = random.pick(["{}", "x", ",", "\u{0}", "}", "null", "\u{FEFF}"])
            text += tail
            return ("\(tail.debugDescription) appended", .breaks)
        case 4:
            text = random.pick(["\u{FEFF}", "{}", "["]) + text
            return ("something in front", .breaks)
        default: return changeTree(&text, &random)
        }
    }

    /// White space where JSON allows it.
    static func space(_ text: inout String, _ random: inout FuzzRandom) -> String {
        var bytes = Array(text.utf8)
        let gaps = JSONPlaces.gaps(bytes)
        guard !gaps.isEmpty else { return "nothing" }
        let position = random.pick(gaps)
        bytes.insert(contentsOf: random.pick([[0x20], [0x0A], [0x0D, 0x0A], [0x09], [0x20, 0x20]]), at: position)
        text = String(decoding: bytes, as: UTF8.self)
        return "white space at \(position)"
    }

    /// A character written as \u00xx.
    static func escape(_ text: inout String, _ random: inout FuzzRandom) -> String {
        var bytes = Array(text.utf8)
        let places = JSONPlaces.characters(bytes)
        guard !places.isEmpty else { return "nothing" }
        let position = random.pick(places)
        bytes.replaceSubrange(position...position, with: Array("\\u00\(Hex.encode([bytes[position]]))".utf8))
        text = String(decoding: bytes, as: UTF8.self)
        return "character \(position) escaped"
    }

    private static func changeTree(_ text: inout String, _ random: inout FuzzRandom) -> (String, Effect) {
        guard var tree = MockJSON(parsing: text) else { return ("nothing", .some) }
        defer { text = tree.text }
        switch random.below(10) {
        case 0: return (tree.editSomeObject(&random) { Self.reorder(&$0, $1, &$2) } ?? "nothing", .none)
        case 1: return (tree.editSomeObject(&random) { Self.add(&$0, $1, &$2) } ?? "nothing", .none)
        case 2: return (tree.editSomeObject(&random) { Self.double(&$0, $1, &$2) } ?? "nothing", .breaks)
        case 3: return (tree.editSomeObject(&random) { Self.remove(&$0, $1, &$2) } ?? "nothing", .some)
        case 4: return (tree.editSomeObject(&random) { Self.rename(&$0, $1, &$2) } ?? "nothing", .some)
        default: return (tree.editSomewhere(&random) { Self.changeValue(&$0, $1, &$2) }, .some)
        }
    }

    private typealias Members = [(name: String, value: MockJSON)]

    private static func reorder(_ members: inout Members, _ path: String, _ random: inout FuzzRandom) -> String {
        members = random.shuffled(members)
        return "\(path): members in another order"
    }

    private static func add(_ members: inout Members, _ path: String, _ random: inout FuzzRandom) -> String {
        let value: MockJSON = random.pick([
            .raw("null"), .raw("1e400"), .string("x"), .object([]), .array([.raw("1")]), .raw("-0.5"),
        ])
        members.insert(("unknown\(random.below(100))", value), at: random.below(members.count + 1))
        return "\(path): an unknown member"
    }

    private static func double(_ members: inout Members, _ path: String, _ random: inout FuzzRandom) -> String {
        guard !members.isEmpty else {
            members = [("a", .raw("1")), ("a", .raw("1"))]
            return "\(path): a member twice"
        }
        var copy = random.pick(members)
        if random.chance(1, in: 2) { copy.value = random.pick(members).value }
        members.insert(copy, at: random.below(members.count + 1))
        return "\(path): member \(copy.name) twice"
    }

    private static func remove(_ members: inout Members, _ path: String, _ random: inout FuzzRandom) -> String {
        guard !members.isEmpty else { return "nothing" }
        return "\(path): member \(members.remove(at: random.below(members.count)).name) removed"
    }

    private static func rename(_ members: inout Members, _ path: String, _ random: inout FuzzRandom) -> String {
        guard !members.isEmpty else { return "nothing" }
        let index = random.below(members.count)
        let old = members[index].name
        members[index].name = random.pick([
            old.uppercased(), old.lowercased(), old + " ", "x" + old, old + "\u{0}", random.pick(members).name,
        ])
        return "\(path): member \(old) renamed to \(members[index].name)"
    }

    private static func changeValue(_ value: inout MockJSON, _ path: String, _ random: inout FuzzRandom) -> String {
        switch value {
        case .raw(let text): value = otherNumber(text, &random)
        case .string(let text): value = otherString(text, &random)
        case .array(var elements):
            if elements.isEmpty || random.chance(1, in: 8) {
                value = .raw(random.pick(["null", "{}", "1", "[]"]))
            } else {
                let index = random.below(elements.count)
                switch random.below(5) {
                case 0: elements.remove(at: index)
                case 1: elements.insert(elements[index], at: random.below(elements.count))
                case 2: elements.swapAt(index, random.below(elements.count))
                case 3: elements.removeAll()
                default: elements = random.shuffled(elements)
                }
                value = .array(elements)
            }
            return "\(path): other elements"
        case .object: value = random.pick([.raw("null"), .object([]), .array([value]), .string("")])
        }
        let text = value.text
        return "\(path): \(text.count < 80 ? text : "another value")"
    }

    private static func otherNumber(_ text: String, _ random: inout FuzzRandom) -> MockJSON {
        let number = Int64(text) ?? 0
        return switch random.below(10) {
        case 0: .number(number &+ 1)
        case 1: .number(number &- 1)
        case 2: .number(random.pick([0, 1, 17, 255, 256, 65_535, 65_536]))
        case 3: .raw(text + ".0")
        case 4: .raw(text + "e0")
        case 5: .raw(random.pick(["-0", "0" + text, "+" + text, "-1", "NaN", "0x1", "true", "null", "4294967296"]))
        case 6: .string(text)
        case 7: .raw("99999999999999999999")
        default: .number(random.below(300))
        }
    }

    private static let words = TCBStatus.allCases.map(\.rawValue) + ["uptodate", "", "Unknown", "Revoked "]

    private static func otherString(_ text: String, _ random: inout FuzzRandom) -> MockJSON {
        if TCBStatus(rawValue: text) != nil, random.chance(3, in: 4) { return .string(random.pick(words)) }
        if let date = try? RFC3339.parse(text), random.chance(3, in: 4) {
            return .string(otherDate(text, date, &random))
        }
        switch random.below(8) {
        case 0: return .string(text.lowercased())
        case 1: return .string(text.uppercased())
        case 2: return .string(text + random.pick([" ", "0", "00", "\u{0}", "é"]))
        case 3: return .string(String(text.dropLast()))
        case 4: return .string("")
        case 5: return random.pick([.raw("null"), .raw("1"), .array([.string(text)]), .object([])])
        default:
            guard !text.isEmpty else { return .string("0") }
            var characters = Array(text)
            characters[random.below(characters.count)] = random.pick(Array("0123456789abcdefABCDEFgXZ-:_ "))
            return .string(String(characters))
        }
    }

    /// The date moved, or written in another way that RFC 3339 allows or does not.
    static func otherDate(_ text: String, _ seconds: Int64, _ random: inout FuzzRandom) -> String {
        let day: Int64 = 86_400
        switch random.below(14) {
        case 0: return text.replacing("Z", with: "z")
        case 1: return text.replacing("T", with: random.pick(["t", " ", "", "_"]))
        case 2: return text.replacing("Z", with: random.pick([".0Z", ".999Z", ".Z", ".000000000001Z", ",5Z"]))
        case 3: return text.replacing("Z", with: random.pick(["+00:00", "-00:00", "+0000", "+00", "", "+24:00", "ZZ"]))
        case 4: return RFC3339.format(seconds + 3_600).replacing("Z", with: "+01:00")
        case 5: return RFC3339.format(seconds - 3_600).replacing("Z", with: "-01:00")
        case 6: return random.pick([text + " ", " " + text, "+" + text, text + "Z"])
        case 7:
            return random.pick([
                "1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2016-12-31T23:59:60Z",
                "2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-06-31T00:00:00Z", "2025-06-01T24:00:00Z",
                "10000-01-01T00:00:00Z", "2025-6-1T0:0:0Z", "1970-01-01T00:00:00Z",
            ])
        default:
            return RFC3339.format(
                max(0, seconds + random.pick([1, -1, day, -day, 40 * day, -40 * day, 2 * day, -400 * day])))
        }
    }
}
