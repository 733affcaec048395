/// A tag of DER (X.690 section 8.1.2), its class, form and number in the first octet. Multi-byte tags are not used by
/// any format here and are refused.
package struct DERTag: Hashable, Sendable, CustomStringConvertible {
    package let octet: UInt8

    @inlinable
    package init(octet: UInt8) { self.octet = octet }

    package static let boolean = DERTag(octet: 0x01)
    package static let integer = DERTag(octet: 0x02)
    package static let bitString = DERTag(octet: 0x03)
    package static let octetString = DERTag(octet: 0x04)
    package static let null = DERTag(octet: 0x05)
    package static let objectIdentifier = DERTag(octet: 0x06)
    package static let enumerated = DERTag(octet: 0x0A)
    package static let utf8String = DERTag(octet: 0x0C)
    package static let printableString = DERTag(octet: 0x13)
    package static let ia5String = DERTag(octet: 0x16)
    package static let utcTime = DERTag(octet: 0x17)
    package static let generalizedTime = DERTag(octet: 0x18)
    package static let sequence = DERTag(octet: 0x30)
    package static let set = DERTag(octet: 0x31)

    /// `[number] EXPLICIT`, or implicit over a constructed type.
    package static func constructedContext(_ number: UInt8) -> DERTag { DERTag(octet: 0xA0 | number) }
    /// `[number] IMPLICIT` over a primitive type.
    package static func context(_ number: UInt8) -> DERTag { DERTag(octet: 0x80 | number) }

    package var description: String { "tag 0x" + Hex.encode([octet]) }
}

/// Reads DER (X.690 section 10) and nothing laxer: definite lengths in their shortest form, minimal integers, booleans of
/// 00 or FF. A verifier that also took BER would accept several encodings of one certificate.
///
/// Nesting costs no recursion: a caller descends by asking for a reader over a constructed value.
package struct DERReader: ~Escapable {
    @usableFromInline
    var reader: ByteReader

    @inlinable
    @_lifetime(copy span)
    package init(_ span: RawSpan, base: Int = 0) {
        reader = ByteReader(span, base: base)
    }

    @inlinable
    package var isAtEnd: Bool { reader.isAtEnd }

    /// Offset of the next byte in the outermost input.
    @inlinable
    package var offset: Int { reader.offset }

    /// The tag of the next value, or nil at the end.
    @inlinable
    package var nextTag: DERTag? { reader.peek.map(DERTag.init(octet:)) }

    /// Moves past one value and returns its content.
    @_lifetime(copy self)
    package mutating func content(_ tag: DERTag, _ subject: StaticString) throws(DecodingFailure) -> DERContent {
        let content = try any(subject)
        guard content.tag == tag else {
            throw DecodingFailure(
                .malformed, "\(subject)", at: content.encodingOffset, "\(tag) expected, found \(content.tag)")
        }
        return content
    }

    /// Moves past one value of any tag.
    @_lifetime(copy self)
    package mutating func any(_ subject: StaticString) throws(DecodingFailure) -> DERContent {
        let start = reader.offset
        var whole = reader
        let tag = DERTag(octet: try reader.u8(subject))
        guard tag.octet & 0x1F != 0x1F else {
            throw DecodingFailure(.unsupported, "\(subject)", at: start, "multi-byte tags are not used here")
        }
        let length = try length(subject)
        let contentOffset = reader.offset
        let content = try reader.span(length, subject)
        let encoding = try whole.span(contentOffset - start + length, subject)
        return DERContent(tag, content, encoding: encoding, offset: contentOffset, encodingOffset: start)
    }

    private mutating func length(_ subject: StaticString) throws(DecodingFailure) -> Int {
        let start = reader.offset
        let first = try reader.u8(subject)
        if first < 0x80 { return Int(first) }
        let count = Int(first & 0x7F)
        guard count >= 1, count <= 4 else {
            throw DecodingFailure(
                .malformed, "\(subject)", at: start,
                count == 0 ? "indefinite lengths are not DER" : "a length of \(count) octets is more than any input has"
            )
        }
        var length = 0
        for _ in 0..<count { length = length << 8 | Int(try reader.u8(subject)) }
        let isShortest = length >= 0x80 && length >= 1 << (8 * (count - 1))
        guard isShortest else {
            throw DecodingFailure(.malformed, "\(subject)", at: start, "a length not in its shortest form is not DER")
        }
        return length
    }

    /// Descends into a SEQUENCE (or another constructed value by `tag`).
    @_lifetime(copy self)
    package mutating func constructed(
        _ tag: DERTag = .sequence, _ subject: StaticString
    ) throws(DecodingFailure) -> DERReader {
        try content(tag, subject).reader
    }

    /// Like ``constructed(_:_:)``, but nil if the next value has another tag or there is none.
    @_lifetime(copy self)
    package mutating func optional(_ tag: DERTag, _ subject: StaticString) throws(DecodingFailure) -> DERContent? {
        guard nextTag == tag else { return nil }
        return try content(tag, subject)
    }

    package mutating func objectIdentifier(_ subject: StaticString) throws(DecodingFailure) -> ObjectIdentifier {
        let content = try content(.objectIdentifier, subject)
        return try ObjectIdentifier(content: content.span, subject, at: content.offset)
    }

    /// The content of an INTEGER, two's complement, minimal as DER requires.
    @_lifetime(copy self)
    package mutating func integer(
        _ tag: DERTag = .integer, _ subject: StaticString
    ) throws(DecodingFailure) -> DERContent {
        let content = try content(tag, subject)
        let bytes = content.span
        guard bytes.byteCount > 0 else {
            throw DecodingFailure(.malformed, "\(subject)", at: content.offset, "an INTEGER has at least one octet")
        }
        if bytes.byteCount > 1 {
            let first = bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self)
            let isNegativeNext = bytes.unsafeLoad(fromByteOffset: 1, as: UInt8.self) & 0x80 != 0
            guard !(first == 0x00 && !isNegativeNext), !(first == 0xFF && isNegativeNext) else {
                throw DecodingFailure(
                    .malformed, "\(subject)", at: content.offset,
                    "an INTEGER with superfluous leading octets is not DER")
            }
        }
        return content
    }

    /// A non-negative INTEGER that fits in `Value`.
    package mutating func unsigned<Value: FixedWidthInteger>(
        _ type: Value.Type = Value.self, tag: DERTag = .integer, _ subject: StaticString
    ) throws(DecodingFailure) -> Value {
        let content = try integer(tag, subject)
        var value: Value = 0
        for index in 0..<content.span.byteCount {
            let octet = content.span.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            if index == 0, octet & 0x80 != 0 {
                throw DecodingFailure(.malformed, "\(subject)", at: content.offset, "must not be negative")
            }
            guard value <= Value.max >> 8 || value == 0 else {
                throw DecodingFailure(.tooLarge, "\(subject)", at: content.offset, "must be at most \(Value.max)")
            }
            value = value << 8 | Value(truncatingIfNeeded: octet)
        }
        return value
    }

    package mutating func boolean(_ subject: StaticString) throws(DecodingFailure) -> Bool {
        let content = try content(.boolean, subject)
        guard content.span.byteCount == 1 else {
            throw DecodingFailure(.malformed, "\(subject)", at: content.offset, "a BOOLEAN has one octet")
        }
        switch content.span.unsafeLoad(fromByteOffset: 0, as: UInt8.self) {
        case 0x00: return false
        case 0xFF: return true
        default:
            throw DecodingFailure(.malformed, "\(subject)", at: content.offset, "a BOOLEAN is 00 or FF in DER")
        }
    }

    /// The octets of a BIT STRING whose length is a multiple of eight, as keys and signatures have.
    @_lifetime(copy self)
    package mutating func bitString(_ subject: StaticString) throws(DecodingFailure) -> DERContent {
        let content = try content(.bitString, subject)
        guard content.span.byteCount > 0, content.span.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == 0 else {
            throw DecodingFailure(
                .malformed, "\(subject)", at: content.offset, "a BIT STRING without unused bits expected")
        }
        let octets = content.span.extracting(1..<content.span.byteCount)
        return DERContent(
            .bitString, octets, encoding: content.encoding, offset: content.offset + 1,
            encodingOffset: content.encodingOffset)
    }

    package func expectEnd(of subject: StaticString) throws(DecodingFailure) {
        try reader.expectEnd(of: subject)
    }
}

/// The content octets of one DER value, and its whole encoding.
package struct DERContent: ~Escapable {
    package let tag: DERTag
    package let span: RawSpan
    /// Tag, length and content.
    package let encoding: RawSpan
    /// Offset of the content in the outermost input.
    package let offset: Int
    /// Offset of the tag in the outermost input.
    package let encodingOffset: Int

    @_lifetime(copy span, copy encoding)
    init(_ tag: DERTag, _ span: RawSpan, encoding: RawSpan, offset: Int, encodingOffset: Int) {
        self.tag = tag
        self.span = span
        self.encoding = encoding
        self.offset = offset
        self.encodingOffset = encodingOffset
    }

    /// A reader over the content.
    package var reader: DERReader {
        @_lifetime(copy self)
        get { DERReader(span, base: offset) }
    }

    package var bytes: [UInt8] { [UInt8](copying: span) }

    /// Where the content stands in the outermost input.
    package var range: Range<Int> { offset..<offset + span.byteCount }

    /// Where tag, length and content stand in the outermost input.
    package var encodingRange: Range<Int> { encodingOffset..<encodingOffset + encoding.byteCount }
}

/// An OBJECT IDENTIFIER by the octets of its content.
package struct ObjectIdentifier: Hashable, Sendable, CustomStringConvertible {
    package let content: [UInt8]

    /// Arcs in order, as in "1.2.840.113741.1.13.1". Programming error if there are fewer than two or the first is over 2.
    package init(_ arcs: UInt64...) {
        precondition(arcs.count >= 2 && arcs[0] <= 2)
        var content: [UInt8] = []
        for arc in [arcs[0] * 40 + arcs[1]] + arcs.dropFirst(2) {
            var groups = [UInt8(arc & 0x7F)]
            var rest = arc >> 7
            while rest > 0 {
                groups.append(UInt8(rest & 0x7F) | 0x80)
                rest >>= 7
            }
            content += groups.reversed()
        }
        self.content = content
    }

    init(content span: RawSpan, _ subject: StaticString, at offset: Int) throws(DecodingFailure) {
        let count = span.byteCount
        // Sub-identifiers must be complete and minimal (X.690 section 8.19.2).
        var isFirstOctet = true
        for index in 0..<count {
            let octet = span.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            if isFirstOctet, octet == 0x80 {
                throw DecodingFailure(.malformed, "\(subject)", at: offset, "an object identifier with a padded arc")
            }
            isFirstOctet = octet & 0x80 == 0
        }
        guard count > 0, isFirstOctet else {
            throw DecodingFailure(.malformed, "\(subject)", at: offset, "an object identifier that is empty or cut off")
        }
        content = [UInt8](copying: span)
    }

    /// Dotted decimal. An arc over 64 bits is shown as `…`.
    package var description: String {
        var arcs: [String] = []
        var value: UInt64 = 0
        var isTooLarge = false
        for octet in content {
            isTooLarge = isTooLarge || value >> 57 != 0
            value = value << 7 | UInt64(octet & 0x7F)
            guard octet & 0x80 == 0 else { continue }
            if isTooLarge {
                arcs.append("…")
            } else if arcs.isEmpty {
                let first = min(value / 40, 2)
                arcs += ["\(first)", "\(value - first * 40)"]
            } else {
                arcs.append("\(value)")
            }
            value = 0
            isTooLarge = false
        }
        return arcs.joined(separator: ".")
    }
}
