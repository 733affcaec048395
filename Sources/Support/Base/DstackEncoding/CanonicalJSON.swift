/// JSON written anew in a form of its own, so that equal values give equal bytes.
package enum CanonicalJSON {
    /// In which of two ways members are ordered and numbers out of range treated.
    package enum Form: Sendable {
        /// RFC 8785 (JCS): members sorted by the UTF-16 units of their names; numbers must be finite.
        case rfc8785
        /// What ECMAScript's `JSON.stringify` makes of an object whose members were sorted before: names that are array
        /// indices come first, by value, then the others by their UTF-16 units; infinite numbers become null.
        case ecmaScript
    }

    /// Writes a value without white space.
    ///
    /// - Parameter leavingOut: names of members of the outermost object that are left out.
    /// - Throws: ``DecodingFailure`` for a number that a binary64 cannot hold, in ``Form/rfc8785``.
    package static func encode(
        _ node: JSONNode, as form: Form = .rfc8785, leavingOut: Set<String> = []
    ) throws(DecodingFailure) -> [UInt8] {
        var writer = ByteWriter(capacity: node.range.count)
        try append(node, form, leavingOut, to: &writer)
        return writer.bytes
    }

    private static func append(
        _ node: JSONNode, _ form: Form, _ leavingOut: Set<String>, to writer: inout ByteWriter
    ) throws(DecodingFailure) {
        // The recursion ends: documents have a bounded depth.
        switch node.kind {
        case .null: writer.append("null".utf8)
        case .boolTrue: writer.append("true".utf8)
        case .boolFalse: writer.append("false".utf8)
        case .string: writer.jsonString(try node.string())
        case .number:
            let number = Double(String(decoding: node.rawBytes, as: UTF8.self)) ?? .infinity
            if let text = ECMAScriptNumber.text(number) {
                writer.append(text.utf8)
            } else if form == .ecmaScript {
                writer.append("null".utf8)
            } else {
                throw node.failure("a number that a 64-bit floating-point number can hold expected")
            }
        case .array:
            writer.u8(UInt8(ascii: "["))
            for (index, element) in node.elements.enumerated() {
                if index > 0 { writer.u8(UInt8(ascii: ",")) }
                try append(element, form, [], to: &writer)
            }
            writer.u8(UInt8(ascii: "]"))
        case .object:
            writer.u8(UInt8(ascii: "{"))
            let members = node.members.filter { !leavingOut.contains($0.name) }
                .map { (key: MemberKey($0.name, form), name: $0.name, value: $0.value) }
                .sorted { $0.key < $1.key }
            for (index, member) in members.enumerated() {
                if index > 0 { writer.u8(UInt8(ascii: ",")) }
                writer.jsonString(member.name)
                writer.u8(UInt8(ascii: ":"))
                try append(member.value, form, [], to: &writer)
            }
            writer.u8(UInt8(ascii: "}"))
        }
    }

    /// Where a member stands among its siblings.
    private struct MemberKey: Comparable {
        /// Set for names that are array indices (ECMA-262 6.1.7): the shortest decimal form of 0 to 2³² - 2.
        let arrayIndex: UInt32?
        let units: [UInt16]

        init(_ name: String, _ form: Form) {
            units = Array(name.utf16)
            if form == .ecmaScript, let index = UInt32(name), index < .max, String(index) == name {
                arrayIndex = index
            } else {
                arrayIndex = nil
            }
        }

        static func < (left: Self, right: Self) -> Bool {
            switch (left.arrayIndex, right.arrayIndex) {
            case (let left?, let right?): left < right
            case (_?, nil): true
            case (nil, _?): false
            case (nil, nil): left.units.lexicographicallyPrecedes(right.units)
            }
        }
    }
}

/// Numbers as ECMAScript writes them (ECMA-262 Number::toString, radix 10), which RFC 8785 took over.
package enum ECMAScriptNumber {
    /// The shortest digits that read back as the number; nil for infinities and NaN. Negative zero is `0`.
    package static func text(_ number: Double) -> String? {
        guard number.isFinite else { return nil }
        if number == 0 { return "0" }
        // Swift's description has the shortest digits too, and of several such the closest, but another layout.
        var digits: [UInt8] = []
        var exponent = 0
        var pointPosition: Int?
        for (index, part) in number.magnitude.description.utf8.split(separator: UInt8(ascii: "e")).enumerated() {
            if index == 1 {
                exponent = Int(String(decoding: part, as: UTF8.self)) ?? 0
                continue
            }
            for byte in part {
                if byte == UInt8(ascii: ".") { pointPosition = digits.count } else { digits.append(byte) }
            }
        }
        // The value is 0.d₁d₂d₃… times ten to this power.
        var power = (pointPosition ?? digits.count) + exponent
        let leadingZeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(leadingZeros)
        power -= leadingZeros
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        let sign = number < 0 ? "-" : ""
        return sign + layout(String(decoding: digits, as: UTF8.self), count: digits.count, power: power)
    }

    private static func layout(_ digits: String, count: Int, power: Int) -> String {
        func zeros(_ count: Int) -> String { String(repeating: "0", count: count) }
        switch power {
        case _ where power >= count && power <= 21: return digits + zeros(power - count)
        case 1...21: return digits.prefix(power) + "." + digits.dropFirst(power)
        case -5...0: return "0." + zeros(-power) + digits
        default:
            let exponent = power - 1
            let fraction = count == 1 ? "" : "." + digits.dropFirst()
            return "\(digits.prefix(1))\(fraction)e\(exponent < 0 ? "-" : "+")\(abs(exponent))"
        }
    }
}
