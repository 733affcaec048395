package import DstackCrypto
package import DstackEncoding

/// An application's environment as it travels to the application: ephemeral X25519 key (32) ‖ nonce (12) ‖ AES-256-GCM
/// ciphertext ‖ tag (16). The key is the shared secret itself, with no derivation in between and nothing authenticated
/// beside the text: the form is upstream's.
///
/// Whoever knows an application's public key can make one. So it is confidential, and says nothing of who made it:
/// applications that want to know look for a launch token inside.
package enum EncryptedEnvironment {
    /// The longest that is opened: the most that variables may have, each byte written as an escape of six.
    package static let maximumByteCount = 8 << 20

    /// Encrypts a text to an application.
    ///
    /// - Parameters:
    ///   - text: of the form that ``EnvironmentVariables`` reads.
    ///   - recipient: the application's key, which its KMS signs.
    ///   - ephemeral: used for this text only.
    ///   - nonce: random if it is not given.
    /// - Throws: ``KeysError/Code/invalidKey`` for a point of small order, to which everyone has the secret.
    package static func seal(
        _ text: RawSpan, to recipient: X25519.PublicKey, ephemeral: borrowing X25519.PrivateKey,
        nonce: FixedBytes<12>? = nil
    ) throws(KeysError) -> [UInt8] {
        do {
            let shared = try ephemeral.sharedSecret(with: recipient)
            let sealed = try AES256GCM.seal(text, key: shared, nonce: nonce)
            return ephemeral.publicKey.bytes.bytes + sealed.combined
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }

    /// The same with a new ephemeral key.
    package static func seal(_ text: RawSpan, to recipient: X25519.PublicKey) throws(KeysError) -> [UInt8] {
        try seal(text, to: recipient, ephemeral: X25519.PrivateKey())
    }

    /// Decrypts it.
    ///
    /// - Parameter key: the application's, from its KMS.
    /// - Throws: ``KeysError/Code/invalidEnvironment`` for what is too short or too long, ``KeysError/Code/notAuthentic`` for
    ///   what is for another key, was changed, or has an ephemeral point of small order.
    package static func open(
        _ sealed: [UInt8], with key: borrowing X25519.PrivateKey
    ) throws(KeysError) -> SecretBytes {
        // Key, nonce and tag.
        guard (60...maximumByteCount).contains(sealed.count), let point = FixedBytes<32>(sealed.prefix(32)) else {
            throw KeysError(
                .invalidEnvironment, subject: "encrypted environment",
                reason: "\(sealed.count) bytes, 60 to \(maximumByteCount) are read")
        }
        do {
            let shared = try key.sharedSecret(with: X25519.PublicKey(point))
            return try AES256GCM.open(SealedText(combined: sealed.dropFirst(32)), key: shared)
        } catch {
            throw KeysError(
                .notAuthentic, subject: "encrypted environment",
                reason: "it cannot be opened with the application's key")
        }
    }
}
