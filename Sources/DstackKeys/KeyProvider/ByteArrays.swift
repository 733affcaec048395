import DstackEncoding

/// JSON objects of byte strings, each an array of numbers: `{"quote":[4,0,2]}`.
///
/// Read in one pass, without a node for each number: a text of mebibytes from an untrusted host takes no more memory than it
/// has. Stricter than JSON needs to be: there is nothing in an object but the members that are known, each once.
enum ByteArrays {
    static func write(_ members: [(name: String, bytes: [UInt8])]) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { object in
            for (name, bytes) in members {
                object.array(name) { for byte in bytes { $0.element(byte) } }
            }
        }
        return writer.bytes
    }

    /// - Parameter members: their names, and how many bytes each has.
    /// - Returns: the members in this order, whatever theirs is in the text.
    static func read(
        _ json: [UInt8], _ subject: String, _ members: [(name: String, sizes: ClosedRange<Int>)]
    ) throws(KeyProviderError) -> [[UInt8]] {
        var scanner = Scanner(text: json, subject: subject)
        var found = [[UInt8]?](repeating: nil, count: members.count)
        try scanner.expect("{")
        repeat {
            let name = try scanner.name()
            guard let index = members.firstIndex(where: { $0.name.utf8.elementsEqual(name) }), found[index] == nil
            else {
                throw scanner.failure("a member that is unknown or there already")
            }
            try scanner.expect(":")
            found[index] = try scanner.bytes(atMost: members[index].sizes.upperBound)
        } while scanner.skip(",")
        try scanner.expect("}")
        try scanner.expectEnd()
        var read: [[UInt8]] = []
        for (member, bytes) in zip(members, found) {
            guard let bytes, member.sizes.contains(bytes.count) else {
                throw KeyProviderError(
                    .malformed, "\(member.name) of \(subject)",
                    "\(bytes?.count ?? 0) bytes where \(member.sizes.lowerBound) to \(member.sizes.upperBound) are needed"
                )
            }
            read.append(bytes)
        }
        return read
    }

    private struct Scanner {
        let text: [UInt8]
        let subject: String
        private var position = 0

        init(text: [UInt8], subject: String) {
            self.text = text
            self.subject = subject
        }

        func failure(_ reason: String) -> KeyProviderError {
            KeyProviderError(.malformed, "\(subject) at byte \(position)", reason)
        }

        private mutating func skipSpace() {
            // Space, tab, line feed, carriage return (RFC 8259 section 2).
            while position < text.count {
                switch text[position] {
                case 0x20, 0x09, 0x0A, 0x0D: position += 1
                default: return
                }
            }
        }

        mutating func skip(_ token: Unicode.Scalar) -> Bool {
            skipSpace()
            guard position < text.count, UInt32(text[position]) == token.value else { return false }
            position += 1
            return true
        }

        mutating func expect(_ token: Unicode.Scalar) throws(KeyProviderError) {
            guard skip(token) else { throw failure("\"\(token)\" is needed here") }
        }

        mutating func expectEnd() throws(KeyProviderError) {
            skipSpace()
            guard position == text.count else { throw failure("something after the object") }
        }

        /// A name; none that is known has anything escaped.
        mutating func name() throws(KeyProviderError) -> ArraySlice<UInt8> {
            try expect("\"")
            guard let end = text[position...].firstIndex(of: UInt8(ascii: "\"")) else {
                throw failure("a name without end")
            }
            defer { position = end + 1 }
            return text[position..<end]
        }

        mutating func bytes(atMost limit: Int) throws(KeyProviderError) -> [UInt8] {
            try expect("[")
            var bytes: [UInt8] = []
            guard !skip("]") else { return bytes }
            repeat {
                guard bytes.count < limit else { throw failure("more than \(limit) bytes") }
                bytes.append(try byte())
            } while skip(",")
            try expect("]")
            return bytes
        }

        private mutating func byte() throws(KeyProviderError) -> UInt8 {
            skipSpace()
            let start = position
            var value = 0
            while position < text.count, position - start < 3, (0x30...0x39).contains(text[position]) {
                value = value * 10 + Int(text[position] - 0x30)
                position += 1
            }
            // JSON has no zeros in front.
            guard position > start, value <= 255, position - start == 1 || text[start] != 0x30 else {
                throw failure("a number from 0 to 255 is needed here")
            }
            return UInt8(value)
        }
    }
}
