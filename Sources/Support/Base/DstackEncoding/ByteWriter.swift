/// Builds a byte string; the counterpart of ``ByteReader``.
package struct ByteWriter {
    package private(set) var bytes: [UInt8]

    package init(capacity: Int = 0) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package mutating func u8(_ value: UInt8) { bytes.append(value) }

    package mutating func littleEndian(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func bigEndian(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

    // What is written most, without the detour through generic code.
    package mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }
    package mutating func append(_ more: String.UTF8View) { bytes.append(contentsOf: more) }

    /// A string as JSON has it, with its quotes.
    package mutating func jsonString(_ text: String) { JSONWriter.append(text, to: &bytes) }

    package mutating func fixed<let count: Int>(_ value: FixedBytes<count>) {
        value.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }

    /// Lower-case hexadecimal digits.
    package mutating func hex(_ content: [UInt8]) {
        bytes.append(hex: content)
    }

    package mutating func zeros(_ count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: count))
    }
}

extension [UInt8] {
    /// Appends lower-case hexadecimal digits.
    package mutating func append(hex content: [UInt8]) {
        // Not by making room first: an array grows by a factor when it is appended to, but exactly as asked when told to.
        let start = count
        append(contentsOf: repeatElement(0, count: 2 * content.count))
        withUnsafeMutableBytes { bytes in
            content.withUnsafeBytes { Hex.encode($0, into: UnsafeMutableRawBufferPointer(rebasing: bytes[start...])) }
        }
    }
}
