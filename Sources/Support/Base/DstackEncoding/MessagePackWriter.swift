/// Writes MessagePack, every integer and length in its shortest form.
package struct MessagePackWriter {
    private var writer: ByteWriter

    package init(capacity: Int = 0) {
        writer = ByteWriter(capacity: capacity)
    }

    package var bytes: [UInt8] { writer.bytes }

    package mutating func null() { writer.u8(0xC0) }

    package mutating func bool(_ value: Bool) { writer.u8(value ? 0xC3 : 0xC2) }

    package mutating func unsigned(_ value: UInt64) {
        switch value {
        case ..<0x80: writer.u8(UInt8(value))
        case ..<0x100:
            writer.u8(0xCC)
            writer.u8(UInt8(value))
        case ..<0x1_0000:
            writer.u8(0xCD)
            writer.bigEndian(UInt16(value))
        case ..<0x1_0000_0000:
            writer.u8(0xCE)
            writer.bigEndian(UInt32(value))
        default:
            writer.u8(0xCF)
            writer.bigEndian(value)
        }
    }

    package mutating func string(_ text: String) {
        let utf8 = text.utf8
        if utf8.count < 32 {
            writer.u8(0xA0 | UInt8(utf8.count))
        } else {
            length(utf8.count, eight: 0xD9, sixteen: 0xDA, thirtyTwo: 0xDB)
        }
        writer.append(utf8)
    }

    package mutating func binary(_ bytes: some Collection<UInt8>) {
        length(bytes.count, eight: 0xC4, sixteen: 0xC5, thirtyTwo: 0xC6)
        writer.append(bytes)
    }

    /// Bytes as an array of integers, as a serialiser writes them that knows no byte strings.
    package mutating func integers(_ bytes: some Collection<UInt8>) {
        array(bytes.count)
        for byte in bytes {
            if byte >= 0x80 { writer.u8(0xCC) }
            writer.u8(byte)
        }
    }

    /// The head of an array; `count` values must follow.
    package mutating func array(_ count: Int) {
        if count < 16 {
            writer.u8(0x90 | UInt8(count))
        } else {
            length(count, eight: nil, sixteen: 0xDC, thirtyTwo: 0xDD)
        }
    }

    /// The head of a map; `count` pairs of values must follow.
    package mutating func map(_ count: Int) {
        if count < 16 {
            writer.u8(0x80 | UInt8(count))
        } else {
            length(count, eight: nil, sixteen: 0xDE, thirtyTwo: 0xDF)
        }
    }

    private mutating func length(_ count: Int, eight: UInt8?, sixteen: UInt8, thirtyTwo: UInt8) {
        switch (count, eight) {
        case (..<0x100, let eight?):
            writer.u8(eight)
            writer.u8(UInt8(count))
        case (..<0x1_0000, _):
            writer.u8(sixteen)
            writer.bigEndian(UInt16(count))
        default:
            writer.u8(thirtyTwo)
            writer.bigEndian(UInt32(clamping: count))
        }
    }
}
