// The names of an object's members: that no two are the same, and what escapes mean.

extension JSONParser {
    /// Up to so many names are compared each with each, which is less work than looking them up.
    private static let fewNames = 24

    /// Names are compared as the strings that they mean, so that `"a"` and `"\u0061"` count as the same.
    ///
    /// Many names, or names with escapes, are looked up by a hash whose key is drawn anew for each process: nobody can
    /// prepare names that collide, and the work is linear in their bytes.
    mutating func refuseDuplicates(_ object: Int, _ count: Int) throws(DecodingFailure) {
        guard count > 1 else { return }
        var anyEscaped = false
        var child = object + 1
        for _ in 0..<count {
            anyEscaped = anyEscaped || nodes[child].isEscaped
            child = Int(nodes[child + 1].next)
        }
        if count <= Self.fewNames, !anyEscaped { return try compareFew(object, count) }
        scratch.prepare(for: count)
        child = object + 1
        for _ in 0..<count {
            guard scratch.insert(child, of: nodes, in: text) else { throw duplicate(child) }
            child = Int(nodes[child + 1].next)
        }
    }

    private func compareFew(_ object: Int, _ count: Int) throws(DecodingFailure) {
        let first = object + 1
        var later = first
        for position in 0..<count {
            var earlier = first
            for _ in 0..<position {
                if haveEqualBytes(earlier, later) { throw duplicate(later) }
                earlier = Int(nodes[earlier + 1].next)
            }
            later = Int(nodes[later + 1].next)
        }
    }

    private func duplicate(_ name: Int) -> DecodingFailure {
        DecodingFailure(.malformed, subject, at: Int(nodes[name].start), "a duplicate member name")
    }

    private func haveEqualBytes(_ left: Int, _ right: Int) -> Bool {
        let length = nodes[left].end - nodes[left].start
        guard length == nodes[right].end - nodes[right].start else { return false }
        return text.hasEqualBytes(Int(nodes[left].start), Int(nodes[right].start), count: Int(length))
    }

    /// Resolves the escapes of a string's content that has been parsed.
    static func unescape(_ content: ArraySlice<UInt8>) -> String {
        var output: [UInt8] = []
        output.reserveCapacity(content.count)
        content.span.appendUnescaped(to: &output)
        return String(decoding: output, as: UTF8.self)
    }
}

/// The names of one object, to be found by what they mean: an open table of places in the text.
///
/// It takes at most 12 bytes for each name, and two names at a time without their escapes.
struct NameTable {
    private var slots: [UInt32] = []
    private var mask = 0
    private var left: [UInt8] = []
    private var right: [UInt8] = []

    private static let free = UInt32.max

    /// Empties it, and makes room.
    mutating func prepare(for count: Int) {
        // Two thirds full at most.
        var size = 16
        while size < count + count / 2 { size *= 2 }
        mask = size - 1
        if slots.count < size {
            // Not both at once.
            slots = []
            slots = [UInt32](repeating: Self.free, count: size)
        } else {
            for index in 0..<size { slots[index] = Self.free }
        }
    }

    /// Adds the name at a node.
    ///
    /// - Returns: false if there is one that means the same.
    mutating func insert(_ name: Int, of nodes: [JSONDocument.Node], in text: Span<UInt8>) -> Bool {
        let node = nodes[name]
        let content = text.extracting(Int(node.start) + 1..<Int(node.end) - 1)
        var hasher = Hasher()
        if node.isEscaped {
            left.removeAll(keepingCapacity: true)
            content.appendUnescaped(to: &left)
            left.withUnsafeBytes { hasher.combine(bytes: $0) }
        } else {
            content.withUnsafeBytes { hasher.combine(bytes: $0) }
        }
        var slot = hasher.finalize() & mask
        while slots[slot] != Self.free {
            let other = nodes[Int(slots[slot])]
            let otherContent = text.extracting(Int(other.start) + 1..<Int(other.end) - 1)
            if node.isEscaped || other.isEscaped {
                if !node.isEscaped {
                    left.removeAll(keepingCapacity: true)
                    content.appendAll(to: &left)
                }
                right.removeAll(keepingCapacity: true)
                if other.isEscaped {
                    otherContent.appendUnescaped(to: &right)
                } else {
                    otherContent.appendAll(to: &right)
                }
                if left == right { return false }
            } else if content.count == otherContent.count,
                text.hasEqualBytes(Int(node.start), Int(other.start), count: content.count + 1)
            {
                return false
            }
            slot = (slot + 1) & mask
        }
        slots[slot] = UInt32(truncatingIfNeeded: name)
        return true
    }
}

extension Span<UInt8> {
    /// Whether the bytes at two places are the same.
    func hasEqualBytes(_ left: Int, _ right: Int, count: Int) -> Bool {
        let (left, right) = (extracting(left..<left + count), extracting(right..<right + count))
        let (leftBytes, rightBytes) = (left.bytes, right.bytes)
        var offset = 0
        while offset &+ 8 <= count {
            guard
                leftBytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
                    == rightBytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
            else { return false }
            offset &+= 8
        }
        while offset < count {
            guard left[unchecked: offset] == right[unchecked: offset] else { return false }
            offset &+= 1
        }
        return true
    }

    fileprivate func appendAll(to output: inout [UInt8]) {
        withUnsafeBufferPointer { output.append(contentsOf: $0) }
    }

    /// Appends what a string's content means that has been parsed; it is never longer than the content.
    func appendUnescaped(to output: inout [UInt8]) {
        var position = 0
        func unit() -> UInt32 {
            var value: UInt32 = 0
            for offset in 2..<6 { value = value << 4 | UInt32(Hex.value(of: self[position + offset]) ?? 0) }
            return value
        }
        while position < count {
            guard self[position] == UInt8(ascii: "\\") else {
                output.append(self[position])
                position += 1
                continue
            }
            switch self[position + 1] {
            case UInt8(ascii: "b"): output.append(0x08)
            case UInt8(ascii: "f"): output.append(0x0C)
            case UInt8(ascii: "n"): output.append(0x0A)
            case UInt8(ascii: "r"): output.append(0x0D)
            case UInt8(ascii: "t"): output.append(0x09)
            case UInt8(ascii: "u"):
                var scalar = unit()
                position += 4
                if (0xD800..<0xDC00).contains(scalar) {
                    position += 2
                    scalar = 0x10000 + ((scalar - 0xD800) << 10) + (unit() - 0xDC00)
                    position += 4
                }
                output.append(
                    contentsOf: UTF8.encode(Unicode.Scalar(scalar) ?? "\u{FFFD}") ?? UTF8.encodedReplacementCharacter)
            case let other: output.append(other)
            }
            position += 2
        }
    }
}
