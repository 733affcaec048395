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
