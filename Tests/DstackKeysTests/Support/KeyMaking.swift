import DstackCrypto
import DstackEncoding
import DstackKeys
import Foundation
import TestKit
import Testing

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
