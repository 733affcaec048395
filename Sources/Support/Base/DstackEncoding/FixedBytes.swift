/// Exactly `count` bytes, stored in line.
///
/// The building block of the project's fixed-size types (`Measurement384`, `FMSPC`, …). Its text form is lower-case
/// hexadecimal. Comparison is for public values; secrets have types of their own that compare in constant time.
public struct FixedBytes<let count: Int>: Sendable {
    @usableFromInline
    var storage: InlineArray<count, UInt8>

    /// All zeros.
    @inlinable
    @inline(__always)
    public init() {
        storage = InlineArray(repeating: 0)
    }

    /// The given bytes, or nil if there are not exactly `count` of them.
    @inlinable
    public init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == count else { return nil }
        storage = InlineArray(repeating: 0)
        var position = 0
        for byte in bytes {
            storage[position] = byte
            position += 1
        }
    }

    // Where quotes are parsed and hashed in the tens of thousands a second, these members must not go through generic
    // code with the count as a run-time value: hence inlined everywhere.

    /// Copies a span. Nil if it does not have exactly `count` bytes.
    @inlinable
    @inline(__always)
    package init?(copying span: RawSpan) {
        guard span.byteCount == count else { return nil }
        self.init()
        withUnsafeMutableBytes { target in
            span.withUnsafeBytes { UnsafeMutableRawBufferPointer(start: target, count: count).copyMemory(from: $0) }
        }
    }

    /// `count` times the same byte.
    @inlinable
    public init(repeating byte: UInt8) {
        storage = InlineArray(repeating: byte)
    }

    /// The bytes as an array.
    @inlinable
    @inline(__always)
    public var bytes: [UInt8] { withUnsafeBytes { [UInt8]($0) } }

    /// Calls `body` with the bytes in place.
    @inlinable
    @inline(__always)
    package mutating func withUnsafeMutableBytes(_ body: (UnsafeMutablePointer<UInt8>) -> Void) {
        var span = storage.mutableSpan
        span.withUnsafeMutableBufferPointer { buffer in
            if let start = buffer.baseAddress { body(start) }
        }
    }

    /// Calls `body` with the bytes in place.
    @inlinable
    @inline(__always)
    package func withUnsafeBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        storage.span.withUnsafeBufferPointer { body($0) }
    }

    /// The byte at an index, `0 ..< count`.
    @inlinable
    public subscript(index: Int) -> UInt8 {
        get { storage[index] }
        set { storage[index] = newValue }
    }

    /// Whether every byte is zero.
    @inlinable
    @inline(__always)
    public var isZero: Bool {
        var combined: UInt8 = 0
        for index in 0..<count { combined |= storage[index] }
        return combined == 0
    }

    /// Lower-case hexadecimal, two digits a byte.
    public var hex: String { Hex.encode(bytes) }
}

extension FixedBytes: Hashable {
    /// Whether all bytes are equal.
    @inlinable
    @inline(__always)
    public static func == (left: Self, right: Self) -> Bool {
        var difference: UInt8 = 0
        for index in 0..<count { difference |= left.storage[index] ^ right.storage[index] }
        return difference == 0
    }

    /// Feeds all bytes to the hasher.
    @inlinable
    @inline(__always)
    public func hash(into hasher: inout Hasher) {
        withUnsafeBytes { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

extension FixedBytes: CustomStringConvertible {
    /// The same as ``hex``.
    public var description: String { hex }
}

extension FixedBytes {
    /// Reads `2 × count` hexadecimal digits of either case, with or without `0x` before them; nil for anything else.
    public init?(hex text: String) {
        guard let bytes = try? Hex.decode(text, prefix: .optional, subject: "fixed bytes") else { return nil }
        self.init(bytes)
    }
}
