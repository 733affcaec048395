/// A tag of DER (X.690 section 8.1.2), its class, form and number in the first octet. Multi-byte tags are not used by
/// any format here and are refused.
@usableFromInline
package struct DERTag: Hashable, Sendable, CustomStringConvertible {
    @usableFromInline package let octet: UInt8

    @inlinable
    package init(octet: UInt8) { self.octet = octet }

    @inlinable
    package static func == (left: DERTag, right: DERTag) -> Bool { left.octet == right.octet }

    @inlinable package static var boolean: DERTag { DERTag(octet: 0x01) }
    @inlinable package static var integer: DERTag { DERTag(octet: 0x02) }
    @inlinable package static var bitString: DERTag { DERTag(octet: 0x03) }
    @inlinable package static var octetString: DERTag { DERTag(octet: 0x04) }
    @inlinable package static var null: DERTag { DERTag(octet: 0x05) }
    @inlinable package static var objectIdentifier: DERTag { DERTag(octet: 0x06) }
    @inlinable package static var enumerated: DERTag { DERTag(octet: 0x0A) }
    @inlinable package static var utf8String: DERTag { DERTag(octet: 0x0C) }
    @inlinable package static var printableString: DERTag { DERTag(octet: 0x13) }
    @inlinable package static var ia5String: DERTag { DERTag(octet: 0x16) }
    @inlinable package static var utcTime: DERTag { DERTag(octet: 0x17) }
    @inlinable package static var generalizedTime: DERTag { DERTag(octet: 0x18) }
    @inlinable package static var sequence: DERTag { DERTag(octet: 0x30) }
    @inlinable package static var set: DERTag { DERTag(octet: 0x31) }

    /// `[number] EXPLICIT`, or implicit over a constructed type.
    @inlinable
    package static func constructedContext(_ number: UInt8) -> DERTag { DERTag(octet: 0xA0 | number) }
    /// `[number] IMPLICIT` over a primitive type.
    @inlinable
    package static func context(_ number: UInt8) -> DERTag { DERTag(octet: 0x80 | number) }

    @usableFromInline
    package var description: String { "tag 0x" + Hex.encode([octet]) }
}

/// Reads DER (X.690 section 10) and nothing laxer: definite lengths in their shortest form, minimal integers, booleans of
/// 00 or FF. A verifier that also took BER would accept several encodings of one certificate.
///
/// Nesting costs no recursion: a caller descends by asking for a reader over a constructed value.
@usableFromInline
package struct DERReader: ~Escapable {
    @usableFromInline
    let span: RawSpan
    @usableFromInline
    var position = 0
    /// Offset of `span` in the outermost input.
    @usableFromInline
    let base: Int

    @inlinable
    @_lifetime(copy span)
    package init(_ span: RawSpan, base: Int = 0) {
        self.span = span
        self.base = base
    }

    @inlinable
    package var isAtEnd: Bool { position == span.byteCount }

    /// Offset of the next byte in the outermost input.
    @inlinable
    package var offset: Int { base + position }

    /// The tag of the next value, or nil at the end.
    @inlinable
    package var nextTag: DERTag? {
        isAtEnd ? nil : DERTag(octet: span.unsafeLoad(fromByteOffset: position, as: UInt8.self))
    }

    /// Moves past one value and returns its content.
    @inlinable
    @_lifetime(copy self)
    package mutating func content(_ tag: DERTag, _ subject: StaticString) throws(DecodingFailure) -> DERContent {
        let content = try any(subject)
        guard content.tag == tag else { throw Self.unexpected(content.tag, tag, subject, content.encodingOffset) }
        return content
    }

    @usableFromInline
    @inline(never)
    static func unexpected(
        _ found: DERTag, _ expected: DERTag, _ subject: StaticString, _ offset: Int
    ) -> DecodingFailure {
        DecodingFailure(.malformed, "\(subject)", at: offset, "\(expected) expected, found \(found)")
    }

    /// Moves past one value of any tag.
    @inlinable
    @_lifetime(copy self)
    package mutating func any(_ subject: StaticString) throws(DecodingFailure) -> DERContent {
        let start = position
        let left = span.byteCount - start
        // Nearly all headers have two octets: a tag and a length under 128. Every load is in bounds by the conditions
        // before it.
        if left >= 2 {
            let tag = span.unsafeLoad(fromUncheckedByteOffset: start, as: UInt8.self)
            let length = Int(span.unsafeLoad(fromUncheckedByteOffset: start + 1, as: UInt8.self))
            if length < 0x80, length <= left - 2, tag & 0x1F != 0x1F {
                position = start + 2 + length
                return DERContent(
                    DERTag(octet: tag), encoding: span.extracting(unchecked: start..<position), headerLength: 2,
                    encodingOffset: base + start)
            }
        }
        return try anyOfAnyForm(subject)
    }

    /// ``any(_:)`` without the shortcut.
    @usableFromInline
    @inline(never)
    @_lifetime(copy self)
    mutating func anyOfAnyForm(_ subject: StaticString) throws(DecodingFailure) -> DERContent {
        let start = position
        var reader = ByteReader(span.extracting(start..<span.byteCount), base: base + start)
        let tag = DERTag(octet: try reader.u8(subject))
        guard tag.octet & 0x1F != 0x1F else {
            throw DecodingFailure(.unsupported, "\(subject)", at: base + start, "multi-byte tags are not used here")
        }
        let length = try Self.length(&reader, subject)
        let headerLength = reader.offset - base - start
        try reader.skip(length, subject)
        position = start + headerLength + length
        return DERContent(
            tag, encoding: span.extracting(start..<position), headerLength: headerLength, encodingOffset: base + start)
    }

    private static func length(
        _ reader: inout ByteReader, _ subject: StaticString
    ) throws(DecodingFailure) -> Int {
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
    @inlinable
    @_lifetime(copy self)
    package mutating func constructed(
        _ tag: DERTag = .sequence, _ subject: StaticString
    ) throws(DecodingFailure) -> DERReader {
        try content(tag, subject).reader
    }

    /// Like ``constructed(_:_:)``, but nil if the next value has another tag or there is none.
    @inlinable
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
    @inlinable
    package mutating func unsigned<Value: FixedWidthInteger>(
        _ type: Value.Type = Value.self, tag: DERTag = .integer, _ subject: StaticString
    ) throws(DecodingFailure) -> Value {
        // No number is wider than 64 bits, so the octets are read once as such.
        let (value, offset) = try unsigned(tag, subject)
        guard let value, let result = Value(exactly: value) else {
            throw DecodingFailure(.tooLarge, "\(subject)", at: offset, "must be at most \(Value.max)")
        }
        return result
    }

    /// A non-negative INTEGER, nil if it has more than 64 bits, and where it stands.
    @usableFromInline
    mutating func unsigned(
        _ tag: DERTag, _ subject: StaticString
    ) throws(DecodingFailure) -> (value: UInt64?, offset: Int) {
        let content = try integer(tag, subject)
        var value: UInt64 = 0
        for index in 0..<content.span.byteCount {
            let octet = content.span.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            if index == 0, octet & 0x80 != 0 {
                throw DecodingFailure(.malformed, "\(subject)", at: content.offset, "must not be negative")
            }
            guard value >> 56 == 0 else { return (nil, content.offset) }
            value = value << 8 | UInt64(octet)
        }
        return (value, content.offset)
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
        return DERContent(
            .bitString, encoding: content.encoding, headerLength: content.headerLength + 1,
            encodingOffset: content.encodingOffset)
    }

    @inlinable
    package func expectEnd(of subject: StaticString) throws(DecodingFailure) {
        guard isAtEnd else { throw leftOver(subject) }
    }

    @usableFromInline
    @inline(never)
    func leftOver(_ subject: StaticString) -> DecodingFailure {
        let count = span.byteCount - position
        return DecodingFailure(
            .trailing, "\(subject)", at: offset, "\(count) byte\(count == 1 ? "" : "s") left over")
    }
}

/// The content octets of one DER value, and its whole encoding.
@usableFromInline
package struct DERContent: ~Escapable {
    @usableFromInline package let tag: DERTag
    /// Tag, length and content.
    @usableFromInline package let encoding: RawSpan
    /// How much of the encoding stands before the content.
    @usableFromInline
    let headerLength: Int
    /// Offset of the tag in the outermost input.
    @usableFromInline package let encodingOffset: Int

    /// - Parameter headerLength: at most the length of `encoding`.
    @inlinable
    @_lifetime(copy encoding)
    init(_ tag: DERTag, encoding: RawSpan, headerLength: Int, encodingOffset: Int) {
        self.tag = tag
        self.encoding = encoding
        self.headerLength = headerLength
        self.encodingOffset = encodingOffset
    }

    /// The content.
    @inlinable
    package var span: RawSpan {
        @_lifetime(copy self)
        get { encoding.extracting(headerLength..<encoding.byteCount) }
    }

    /// Offset of the content in the outermost input.
    @inlinable
    package var offset: Int { encodingOffset + headerLength }

    /// A reader over the content.
    @inlinable
    package var reader: DERReader {
        @_lifetime(copy self)
        get { DERReader(span, base: offset) }
    }

    package var bytes: [UInt8] { [UInt8](copying: span) }

    /// Where the content stands in the outermost input.
    package var range: Range<Int> { offset..<encodingOffset + encoding.byteCount }

    /// Where tag, length and content stand in the outermost input.
    package var encodingRange: Range<Int> { encodingOffset..<encodingOffset + encoding.byteCount }
}

/// An OBJECT IDENTIFIER by the octets of its content.
///
/// Certificates are full of them, so they are kept in line; one of more than 31 octets, twice as long as any in use, is
/// refused.
package struct ObjectIdentifier: Hashable, Sendable, CustomStringConvertible {
    /// The octets, filled up with zeros, and in the last place how many of them there are.
    private let octets: FixedBytes<32>
    private static let longest = 31

    private var count: Int { Int(octets[Self.longest]) }

    package var content: [UInt8] { Array(octets.bytes.prefix(count)) }

    /// - Parameter content: at most 31 octets.
    private init(content: RawSpan) {
        var octets = FixedBytes<32>()
        for index in 0..<content.byteCount {
            octets[index] = content.unsafeLoad(fromByteOffset: index, as: UInt8.self)
        }
        octets[Self.longest] = UInt8(content.byteCount)
        self.octets = octets
    }

    /// Arcs in order, as in "1.2.840.113741.1.13.1". Programming error if there are fewer than two, the first is over 2, or
    /// they take more than 31 octets.
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
        precondition(content.count <= Self.longest)
        self.init(content: content.span.bytes)
    }

    init(content span: RawSpan, _ subject: StaticString, at offset: Int) throws(DecodingFailure) {
        let count = span.byteCount
        guard count <= Self.longest else {
            throw DecodingFailure(
                .tooLarge, "\(subject)", at: offset, "an object identifier of \(count) octets, at most 31 are read")
        }
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
        self.init(content: span)
    }

    /// The last arc, if it is under 128 and all before it are `parent`'s; nil for any other identifier.
    package func lastArc(under parent: ObjectIdentifier) -> UInt8? {
        guard count == parent.count + 1 else { return nil }
        for index in 0..<parent.count where octets[index] != parent.octets[index] { return nil }
        return octets[parent.count]
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
