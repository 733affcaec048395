internal import COpenSSL
package import DstackEncoding

/// A cipher that also proves that nobody changed the text: ``AES256GCM`` or ``ChaCha20Poly1305``. Keys have 32 bytes,
/// nonces 12, tags 16. Two texts must never be sealed with the same key and nonce.
package protocol AuthenticatedCipher {
    /// For messages.
    static var name: String { get }
    /// What the C layer calls it.
    static var identifier: Int32 { get }
}

/// AES-256 in Galois/Counter mode (SP 800-38D).
package enum AES256GCM: AuthenticatedCipher {
    package static let name = "AES-256-GCM"
    package static let identifier: Int32 = 1
}

/// ChaCha20 with Poly1305 (RFC 8439).
package enum ChaCha20Poly1305: AuthenticatedCipher {
    package static let name = "ChaCha20-Poly1305"
    package static let identifier: Int32 = 2
}

/// A sealed text with what is needed to open it, apart from the key.
package struct SealedText: Sendable, Equatable {
    package let nonce: FixedBytes<12>
    package let ciphertext: [UInt8]
    package let tag: FixedBytes<16>

    package init(nonce: FixedBytes<12>, ciphertext: [UInt8], tag: FixedBytes<16>) {
        self.nonce = nonce
        self.ciphertext = ciphertext
        self.tag = tag
    }

    /// Reads nonce ‖ ciphertext ‖ tag.
    package init(combined bytes: some Collection<UInt8>) throws(CryptoFailure) {
        guard bytes.count >= 28, let nonce = FixedBytes<12>(bytes.prefix(12)),
            let tag = FixedBytes<16>(bytes.suffix(16))
        else {
            throw CryptoFailure(.malformed, "sealed text", "\(bytes.count) bytes where nonce and tag alone need 28")
        }
        self.init(nonce: nonce, ciphertext: [UInt8](bytes.dropFirst(12).dropLast(16)), tag: tag)
    }

    /// nonce ‖ ciphertext ‖ tag.
    package var combined: [UInt8] { nonce.bytes + ciphertext + tag.bytes }
}

extension AuthenticatedCipher {
    /// Encrypts a text, and protects `authenticated` (which stays readable and is not part of the result) with it.
    ///
    /// - Parameter nonce: never used before with this key; random if it is not given, which is safe for some 2³² texts.
    package static func seal(
        _ text: RawSpan, key: borrowing SecretBytes, nonce: FixedBytes<12>? = nil,
        authenticating authenticated: [UInt8] = []
    ) throws(CryptoFailure) -> SealedText {
        try check(key)
        let nonce = nonce ?? SystemRandom().fixed()
        var ciphertext = [UInt8](repeating: 0, count: text.byteCount)
        var status: CInt = -1
        let tag = FixedBytes<16> { tag in
            status = key.withUnsafeBytes { key in
                nonce.withUnsafeBytes { nonce in
                    text.withUnsafeBytes { text in
                        dstack_aead_seal(
                            identifier, key.baseAddress?.assumingMemoryBound(to: UInt8.self), nonce.baseAddress,
                            authenticated, authenticated.count, text.baseAddress?.assumingMemoryBound(to: UInt8.self),
                            text.count, &ciphertext, tag)
                    }
                }
            }
        }
        guard status == 1 else { throw .library(name) }
        return SealedText(nonce: nonce, ciphertext: ciphertext, tag: tag)
    }

    /// Encrypts a text that is no secret of its own yet, as above.
    package static func seal(
        _ text: [UInt8], key: borrowing SecretBytes, nonce: FixedBytes<12>? = nil,
        authenticating authenticated: [UInt8] = []
    ) throws(CryptoFailure) -> SealedText {
        try seal(text.span.bytes, key: key, nonce: nonce, authenticating: authenticated)
    }

    /// Decrypts a text that was sealed with this key, nonce and associated data.
    ///
    /// - Throws: ``CryptoFailure`` with code `notAuthentic`, and no detail, if anything differs.
    package static func open(
        _ sealed: SealedText, key: borrowing SecretBytes, authenticating authenticated: [UInt8] = []
    ) throws(CryptoFailure) -> SecretBytes {
        try check(key)
        return try SecretBytes(count: sealed.ciphertext.count) {
            (text: UnsafeMutableRawBufferPointer) throws(CryptoFailure) in
            let status = key.withUnsafeBytes { key in
                sealed.nonce.withUnsafeBytes { nonce in
                    sealed.tag.withUnsafeBytes { tag in
                        dstack_aead_open(
                            identifier, key.baseAddress?.assumingMemoryBound(to: UInt8.self), nonce.baseAddress,
                            authenticated, authenticated.count, sealed.ciphertext, sealed.ciphertext.count,
                            tag.baseAddress, text.baseAddress?.assumingMemoryBound(to: UInt8.self))
                    }
                }
            }
            switch status {
            case 1: break
            case 0: throw CryptoFailure(.notAuthentic, name, "the text cannot be opened with this key")
            default: throw .library(name)
            }
        }
    }

    private static func check(_ key: borrowing SecretBytes) throws(CryptoFailure) {
        guard key.count == 32 else {
            throw CryptoFailure(.malformed, name, "a key of \(key.count) bytes where 32 are needed")
        }
    }
}
