/// The header fields of a message in its own bytes: where their names and values stand.
package struct ReceivedFields: Sendable {
    /// Places in ``bytes``.
    package struct Place: Sendable {
        let name: Range<Int>
        let value: Range<Int>

        package init(name: Range<Int>, value: Range<Int>) {
            self.name = name
            self.value = value
        }
    }

    private let bytes: [UInt8]
    let places: [Place]

    /// - Parameters:
    ///   - bytes: the message's head.
    ///   - places: within `bytes`; what stands there was checked.
    package init(_ bytes: [UInt8], _ places: [Place]) {
        self.bytes = bytes
        self.places = places
    }

    var fields: [HTTPHeaders.Field] {
        places.map { HTTPHeaders.Field(name: text($0.name), value: text($0.value)) }
    }

    /// The first value of a name.
    func first(_ name: String) -> String? {
        var name = name
        return name.withUTF8 { wanted in
            bytes.withUnsafeBufferPointer { bytes in
                places.first {
                    HTTPSyntax.equalIgnoringCase(UnsafeBufferPointer(rebasing: bytes[$0.name]), wanted)
                }
            }
        }.map { text($0.value) }
    }

    private func text(_ range: Range<Int>) -> String {
        bytes.withUnsafeBufferPointer { String(decoding: UnsafeBufferPointer(rebasing: $0[range]), as: UTF8.self) }
    }
}
