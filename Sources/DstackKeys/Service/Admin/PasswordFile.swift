import CCrypt
import DstackCrypto
import DstackSystem

/// Names and bcrypt hashes as `htpasswd -B` writes them.
///
/// Other hashes are refused: those that htpasswd makes without `-B` are guessed in no time by whoever reads the file.
package struct PasswordFile: Sendable {
    /// By the bytes of the name: texts that only look alike are different users.
    private let hashes: [[UInt8]: BCryptHash]
    /// Of the highest cost: what a name takes that is not in the file, so that time does not tell which ones are.
    private let costliest: BCryptHash

    private static let limit = 1 << 20

    /// - Throws: ``KMSServiceError`` `invalidConfiguration` for a file that cannot be read, has no entry, or another line than
    ///   entries, comments and empty ones.
    package init(reading path: String) throws(KMSServiceError) {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try File.readRegular(path, limit: Self.limit, followsLinks: true) } catch {
            throw KMSServiceError(.invalidConfiguration, "core.admin.htpasswd_file", "\(error)")
        }
        try self.init(parsing: bytes, name: path)
    }

    /// - Parameter name: what the file is called.
    package init(parsing bytes: [UInt8], name: String) throws(KMSServiceError) {
        var hashes: [[UInt8]: BCryptHash] = [:]
        var costliest: BCryptHash?
        for (index, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            func wrong(_ reason: String, hint: String = "") -> KMSServiceError {
                KMSServiceError(.invalidConfiguration, "\(name):\(index + 1)", reason, hint: hint)
            }
            var line = line
            if line.last == 0x0D { line.removeLast() }
            if line.isEmpty || line.first == UInt8(ascii: "#") { continue }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else {
                throw wrong("expected a name, `:` and a hash")
            }
            guard let hash = BCryptHash(line[(colon + 1)...]) else {
                throw wrong(
                    "expected a bcrypt hash ($2a$, $2b$ or $2y$, of a cost from 4 to \(BCryptHash.maximumCost))",
                    hint: "make one with htpasswd -B")
            }
            guard hashes.updateValue(hash, forKey: Array(line[..<colon])) == nil else {
                throw wrong("has a name that stands before", hint: "keep one of its entries")
            }
            if hash.cost > costliest?.cost ?? 0 { costliest = hash }
        }
        guard let costliest else {
            throw KMSServiceError(
                .invalidConfiguration, name, "has no entry", hint: "make one with htpasswd -B, or leave the file out")
        }
        self.hashes = hashes
        self.costliest = costliest
    }

    package var count: Int { hashes.count }

    /// Whether this is the password of a user. Computes for as long as the cost says, and for a name that is not in the file,
    /// too.
    func has(_ user: [UInt8], _ password: SharedSecret) -> Bool {
        guard let hash = hashes[user] else {
            _ = costliest.matches(password)
            return false
        }
        return hash.matches(password)
    }
}

/// A bcrypt hash with the cost and the salt that it was made with.
struct BCryptHash: Sendable {
    /// Beyond that a single password takes seconds, and nothing can stop a computation that has begun.
    static let maximumCost = 15

    /// 60 characters.
    private let text: [UInt8]
    let cost: Int

    /// Nil for what is no hash of a known kind. `$2x$`, which marks those of an implementation with a mistake, is none.
    init?(_ text: some Collection<UInt8>) {
        let text = Array(text)
        guard text.count == DSTACK_BCRYPT_SIZE - 1, text.starts(with: "$2".utf8), "aby".utf8.contains(text[2]),
            text[3] == UInt8(ascii: "$"), text[6] == UInt8(ascii: "$"),
            let tens = Self.digit(text[4]), let ones = Self.digit(text[5]),
            4...Self.maximumCost ~= 10 * tens + ones, text[7...].allSatisfy(Self.isBase64)
        else { return nil }
        cost = 10 * tens + ones
        self.text = text
    }

    private static func digit(_ byte: UInt8) -> Int? { 48...57 ~= byte ? Int(byte - 48) : nil }

    /// bcrypt's own alphabet: `.`, `/`, digits and letters.
    private static func isBase64(_ byte: UInt8) -> Bool {
        switch byte {
        case 46...57, 65...90, 97...122: true
        default: false
        }
    }

    func matches(_ password: SharedSecret) -> Bool {
        var made = [CChar](repeating: 0, count: Int(DSTACK_BCRYPT_SIZE))
        let setting = text.map(CChar.init(bitPattern:)) + [0]
        let isMade = password.withUnsafeBytes { dstack_bcrypt($0.baseAddress, $0.count, setting, &made) }
        // Cost and salt are those that it was made with; of the salt's last character some writers set bits that nobody reads.
        return isMade && constantTimeEqual(made[29..<60].map(UInt8.init(bitPattern:)), Array(text[29...]))
    }
}

/// Has the calling thread leave the processors to all others that want them.
func standBack() { dstack_crypt_stand_back() }
