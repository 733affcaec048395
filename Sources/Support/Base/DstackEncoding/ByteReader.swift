/// The one way untrusted bytes are read: a cursor over a span that cannot leave it.
///
/// Every method names what it reads, so that a failure says what was missing and where. A nested reader keeps the
/// offsets of the outermost input.
///
/// Without `@usableFromInline` on the type, the compiler inlines none of its members into other modules.
@usableFromInline
package struct ByteReader: ~Escapable {
    @usableFromInline
    let span: RawSpan
    @usableFromInline
    var position: Int
    /// Offset of `span` in the outermost input.
    @usableFromInline
    let base: Int

    @inlinable
    @_lifetime(copy span)
    package init(_ span: RawSpan, base: Int = 0) {
        self.span = span
        self.position = 0
        self.base = base
    }

    /// Offset in the outermost input of the next byte.
    @inlinable
    package var offset: Int { base + position }

    @inlinable
    package var remaining: Int { span.byteCount - position }

    @inlinable
    package var isAtEnd: Bool { position == span.byteCount }

    @inline(never)
    @usableFromInline
    func truncated(_ subject: StaticString, _ needed: Int) -> DecodingFailure {
        DecodingFailure(
            .truncated, "\(subject)", at: offset,
            "\(needed) byte\(needed == 1 ? "" : "s") needed, \(remaining) left")
    }

    /// Moves past `count` bytes and returns them as a span of the input.
    @inlinable
    @_lifetime(copy self)
    package mutating func span(_ count: Int, _ subject: StaticString) throws(DecodingFailure) -> RawSpan {
        guard count >= 0, count <= remaining else { throw truncated(subject, count) }
        let result = span.extracting(position..<(position + count))
        position += count
        return result
    }

    /// A reader over the next `count` bytes, which this reader moves past.
    @inlinable
    @_lifetime(copy self)
    package mutating func reader(_ count: Int, _ subject: StaticString) throws(DecodingFailure) -> ByteReader {
        let start = offset
        return ByteReader(try span(count, subject), base: start)
    }

    @inlinable
    package mutating func bytes(_ count: Int, _ subject: StaticString) throws(DecodingFailure) -> [UInt8] {
        [UInt8](copying: try span(count, subject))
    }

    /// All bytes that are left.
    @inlinable
    package mutating func rest() -> [UInt8] {
        let result = [UInt8](copying: span.extracting(position..<span.byteCount))
        position = span.byteCount
        return result
    }

    @inlinable
    package mutating func skip(_ count: Int, _ subject: StaticString) throws(DecodingFailure) {
        guard count >= 0, count <= remaining else { throw truncated(subject, count) }
        position += count
    }

    @inlinable
    package mutating func fixed<let count: Int>(_ subject: StaticString) throws(DecodingFailure) -> FixedBytes<count> {
        guard count <= remaining, let value = FixedBytes<count>(copying: span.extracting(position..<(position + count)))
        else { throw truncated(subject, count) }
        position += count
        return value
    }

    @inlinable
    package mutating func u8(_ subject: StaticString) throws(DecodingFailure) -> UInt8 {
        try integer(subject)
    }

    /// A little-endian integer.
    @inlinable
    package mutating func littleEndian<Value: FixedWidthInteger & BitwiseCopyable>(
        _ subject: StaticString
    ) throws(DecodingFailure) -> Value {
        Value(littleEndian: try integer(subject))
    }

    /// A little-endian integer of a type given at the call.
    @inlinable
    package mutating func littleEndian<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type, _ subject: StaticString
    ) throws(DecodingFailure) -> Value {
        Value(littleEndian: try integer(subject))
    }

    /// A big-endian integer.
    @inlinable
    package mutating func bigEndian<Value: FixedWidthInteger & BitwiseCopyable>(
        _ subject: StaticString
    ) throws(DecodingFailure) -> Value {
        Value(bigEndian: try integer(subject))
    }

    /// A big-endian integer of a type given at the call.
    @inlinable
    package mutating func bigEndian<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type, _ subject: StaticString
    ) throws(DecodingFailure) -> Value {
        Value(bigEndian: try integer(subject))
    }

    @inlinable
    mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(
        _ subject: StaticString
    ) throws(DecodingFailure) -> Value {
        let size = MemoryLayout<Value>.size
        guard size <= remaining else { throw truncated(subject, size) }
        // In bounds by the guard; unaligned loads of integers are defined.
        let value = span.unsafeLoadUnaligned(fromByteOffset: position, as: Value.self)
        position += size
        return value
    }

    /// The next byte, not moved past; nil at the end.
    @inlinable
    package var peek: UInt8? {
        isAtEnd ? nil : span.unsafeLoad(fromByteOffset: position, as: UInt8.self)
    }

    /// - Throws: if any byte is left.
    @inlinable
    package func expectEnd(of subject: StaticString) throws(DecodingFailure) {
        guard isAtEnd else { throw leftOver(subject) }
    }

    @inline(never)
    @usableFromInline
    func leftOver(_ subject: StaticString) -> DecodingFailure {
        DecodingFailure(
            .trailing, "\(subject)", at: offset, "\(remaining) byte\(remaining == 1 ? "" : "s") left over")
    }
}

extension [UInt8] {
    /// A copy of a span's bytes.
    @inlinable
    package init(copying span: RawSpan) {
        self = span.withUnsafeBytes { [UInt8]($0) }
    }
}

extension RawSpan {
    /// Whether both have the same bytes.
    @inlinable
    package func hasSameBytes(as other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        // In bounds by the guard.
        for index in 0..<byteCount
        where unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
            != other.unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
        { return false }
        return true
    }
}
