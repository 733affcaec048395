internal import DstackCrypto
package import DstackEncoding

/// An image's `sha256sum.txt`: the text whose SHA-256 is the image's identity (`os_image_hash`).
///
/// It is read as every reader of such evidence reads it, so that all come to the same answer: lines are trimmed, empty
/// ones skipped, the first word is the hash, the second the name, and further words are ignored. Only the entry that is
/// asked for is judged; the other lines may hold anything.
package struct ChecksumFile: Sendable {
    private static let subject = "sha256sum.txt"

    private struct Entry: Sendable {
        let hash: String
        let name: String
    }

    /// The file exactly as it is; its hash is over these bytes.
    package let bytes: [UInt8]
    private let entries: [Entry]

    /// - Throws: if the file is not UTF-8, or if a line has one word only.
    package init(decoding bytes: [UInt8]) throws(DecodingFailure) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw DecodingFailure(.malformed, Self.subject, "is not valid UTF-8")
        }
        var entries: [Entry] = []
        for (index, line) in text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.split { $0.properties.isWhitespace }
            guard let hash = words.first else { continue }
            guard words.count > 1 else {
                throw DecodingFailure(.malformed, Self.subject, "line \(index + 1) is missing filename")
            }
            entries.append(Entry(hash: String(hash), name: String(words[1])))
        }
        self.bytes = bytes
        self.entries = entries
    }

    /// SHA-256 of the file: the image's identity.
    package var imageHash: FixedBytes<32> { SHA256.hash(bytes) }

    /// The hash that the file lists for a name.
    ///
    /// - Throws: if the name is absent or listed twice, or its hash is not 32 bytes of hexadecimal digits.
    package func hash(of name: String) throws(DecodingFailure) -> FixedBytes<32> {
        // Compared as bytes: names that only look alike are other names.
        let found = entries.filter { $0.name.utf8.elementsEqual(name.utf8) }
        guard let entry = found.first else {
            throw DecodingFailure(.malformed, Self.subject, "is missing \(name)")
        }
        guard found.count == 1 else {
            throw DecodingFailure(.malformed, Self.subject, "contains duplicate \(name) entries")
        }
        let hash = try Hex.decode(entry.hash, subject: "\(Self.subject) \(name) hash")
        guard let value = FixedBytes<32>(hash) else {
            throw DecodingFailure(
                .malformed, "\(Self.subject) \(name) hash", "has invalid length \(hash.count), expected 32")
        }
        return value
    }
}
