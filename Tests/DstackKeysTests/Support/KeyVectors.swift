import DstackCrypto
import DstackEncoding
import DstackKeys
import Foundation
import Testing

/// Vectors of the key hierarchy and of the guest agent, where they are present: the directory named by DSTACK_VECTORS,
/// else `../shared/vectors` beside the package.
enum KeyVectors {
    static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["DSTACK_VECTORS"] { return URL(fileURLWithPath: path) }
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return root.deletingLastPathComponent().appendingPathComponent("shared/vectors")
    }()

    static let arePresent = FileManager.default.fileExists(
        atPath: directory.appendingPathComponent("keys/kdf.json").path)

    static func path(_ path: String) -> String { directory.appendingPathComponent(path).path }

    static func read(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: directory.appendingPathComponent(path)))
    }

    static func load(_ path: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(read(path))) as? [String: Any])
    }
}

extension Trait where Self == ConditionTrait {
    static var needsKeyVectors: Self {
        .enabled(if: KeyVectors.arePresent, "no vectors at \(KeyVectors.directory.path) (set DSTACK_VECTORS)")
    }
}

struct WrongLength: Error {
    let name: String
    let expected: Int
}

extension [String: Any] {
    func text(_ name: String) throws -> String { try #require(self[name] as? String, "\(name)") }
    func optionalText(_ name: String) -> String? { self[name] as? String }
    func bytes(_ name: String) throws -> [UInt8] { hex(try text(name)) }
    func fixed<let count: Int>(_ name: String) throws -> FixedBytes<count> {
        // Not #require, which crashes the compiler (Swift 6.3) with a value generic.
        guard let value = FixedBytes<count>(try bytes(name)) else { throw WrongLength(name: name, expected: count) }
        return value
    }
    func row(_ name: String) throws -> [String: Any] { try #require(self[name] as? [String: Any], "\(name)") }
    func rows(_ name: String) throws -> [[String: Any]] { try #require(self[name] as? [[String: Any]], "\(name)") }
    func texts(_ name: String) throws -> [String] { try #require(self[name] as? [String], "\(name)") }
    func number(_ name: String) throws -> UInt64 { try #require((self[name] as? NSNumber)?.uint64Value, "\(name)") }
    func optionalNumber(_ name: String) -> UInt64? { (self[name] as? NSNumber)?.uint64Value }
    func flag(_ name: String) throws -> Bool { try #require(self[name] as? Bool, "\(name)") }
}

/// Bytes from hexadecimal text.
func hex(_ text: String) -> [UInt8] { (try? Hex.decode(text, subject: "test")) ?? [] }

func secret(_ text: String) -> SecretBytes { SecretBytes(copying: hex(text)) }

// The compiler (Swift 6.3) fails on spans of temporaries beside non-copyable values, so these take arrays.

func keyParent(_ material: [UInt8]) -> KeyParent { KeyParent(material.span.bytes) }

func appRootKey(_ scalar: [UInt8], issuance: [UInt8] = []) throws -> AppRootKey {
    try AppRootKey(copying: scalar.span.bytes, issuance: issuance)
}

func appKeySeed(_ bytes: [UInt8]) throws -> AppKeySeed { try AppKeySeed(copying: bytes.span.bytes) }

func p256Key(_ scalar: String) throws -> P256.PrivateKey { try P256.PrivateKey(scalar: secret(scalar)) }

func secp256k1Key(_ scalar: String) throws -> Secp256k1.PrivateKey { try Secp256k1.PrivateKey(scalar: secret(scalar)) }

extension DerivedKey {
    borrowing func hexForTest() -> String { withUnsafeBytes { Hex.encode(Array($0)) } }
}

extension SecretBytes {
    borrowing func hexForTest() -> String { Hex.encode(copiedToUnprotectedMemory()) }
}

/// A reproducible generator for mutations.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// How many mutations a test makes: the given number, times DSTACK_FUZZ where that is set.
    static func rounds(_ count: Int) -> Range<Int> {
        0..<count * (ProcessInfo.processInfo.environment["DSTACK_FUZZ"].flatMap { Int($0) } ?? 1)
    }

    /// The bytes with one to three changes: flips, insertions, deletions, a cut.
    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...3, using: &self) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &self)
            switch Int.random(in: 0..<8, using: &self) {
            case 0: bytes.insert(UInt8.random(in: 0...255, using: &self), at: place)
            case 1: bytes.remove(at: place)
            case 2: bytes.removeSubrange(place...)
            case 3: bytes[place] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF].randomElement(using: &self) ?? 0
            default: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            }
        }
        return bytes
    }
}
