package import DstackEncoding

// Forms that certificates need beside the plain ones of `DER`.
extension DER {
    /// `[number]` around whole elements.
    package static func explicit(_ number: UInt8, _ content: [UInt8]) -> [UInt8] {
        encode(.constructedContext(number), content)
    }

    /// `[number]` in place of a primitive element's own tag.
    package static func implicit(_ number: UInt8, _ content: [UInt8]) -> [UInt8] { encode(.context(number), content) }

    /// BIT STRING.
    package static func bitString(_ bytes: [UInt8], unusedBits: UInt8) -> [UInt8] {
        encode(.bitString, [unusedBits] + bytes)
    }

    /// An element that is only written if the condition holds.
    static func when(_ condition: Bool, _ element: @autoclosure () -> [UInt8]) -> [UInt8] {
        condition ? element() : []
    }
}
