import DstackCrypto
import DstackEncoding

/// A list of byte strings as files have them, compared as texts: in lower case, with `0x` added where it is missing. Nothing
/// is padded, so that an entry of another length than what it is compared with matches nothing.
struct AllowedHex: Sendable, Equatable {
    private var texts: Set<String> = []
    /// Places of entries that can match nothing.
    private(set) var useless: [Int] = []

    static func normalized(_ text: String) -> String {
        let text = text.lowercased()
        return text.hasPrefix("0x") ? text : "0x" + text
    }

    /// - Parameter areDevices: whether an entry of 64 bytes, an SNP chip's identifier as it is, stands for its hash, and what
    ///   all Nitro enclaves have in common for none.
    init(_ entries: [String] = [], bytes count: Int, areDevices: Bool = false) {
        for (place, entry) in entries.enumerated() {
            var text = Self.normalized(entry)
            let bytes = try? Hex.decode(text, prefix: .optional, subject: "entry")
            if let bytes, bytes.count == 64, areDevices {
                text = "0x" + SHA256.hash(bytes).hex
            } else if bytes?.count != count {
                useless.append(place)
            }
            if areDevices, text == "0x" + DeviceIdentifier.ofAllEnclaves.hex {
                useless.append(place)
                // Still an entry, so that the list is not empty.
                text = ""
            }
            texts.insert(text)
        }
    }

    var isEmpty: Bool { texts.isEmpty }

    func contains<let count: Int>(_ value: FixedBytes<count>) -> Bool { texts.contains("0x" + value.hex) }
}
