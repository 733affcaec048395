internal import CCryptoPP
import DstackEncoding

/// Anonymous sealed boxes as libsodium's `crypto_box_seal` makes them: ephemeral X25519 public key (32) ‖ tag (16) ‖
/// text, encrypted with XSalsa20-Poly1305 under the shared secret. Anyone can make one; only the recipient can open it.
package enum SealedBox {
    /// Bytes that a box is longer than its text.
    package static let overhead = 48

    /// Seals a text for the owner of a public key.
    ///
    /// - Throws: ``CryptoFailure`` if the recipient's point has a small order.
    package static func seal(
        _ text: RawSpan, to recipient: X25519.PublicKey
    ) throws(CryptoFailure) -> [UInt8] {
        try seal(text, to: recipient, ephemeral: X25519.PrivateKey())
    }

    /// Seals a text for the owner of a public key.
    package static func seal(_ text: [UInt8], to recipient: X25519.PublicKey) throws(CryptoFailure) -> [UInt8] {
        try seal(text.span.bytes, to: recipient)
    }

    /// The same with a given ephemeral key, which must be used for one text only.
    package static func seal(
        _ text: RawSpan, to recipient: X25519.PublicKey, ephemeral: borrowing X25519.PrivateKey
    ) throws(CryptoFailure) -> [UInt8] {
        let key = try boxKey(ephemeral.sharedSecret(with: recipient))
        let nonce = try nonce(ephemeral.publicKey, recipient)
        var sealed = [UInt8](repeating: 0, count: text.byteCount)
        var status: CInt = -1
        let tag = FixedBytes<16> { tag in
            status = key.withUnsafeBytes { key in
                text.withUnsafeBytes { text in
                    dstack_secretbox_seal(
                        key.baseAddress?.assumingMemoryBound(to: UInt8.self), nonce,
                        text.baseAddress?.assumingMemoryBound(to: UInt8.self), text.count, tag, &sealed)
                }
            }
        }
        guard status == 0 else { throw libraryFailure }
        return ephemeral.publicKey.bytes.bytes + tag.bytes + sealed
    }

    /// Opens a box.
    ///
    /// - Throws: ``CryptoFailure`` with code `notAuthentic`, and no detail, unless the box was sealed for this key.
    package static func open(
        _ box: [UInt8], with recipient: borrowing X25519.PrivateKey
    ) throws(CryptoFailure) -> SecretBytes {
        guard box.count >= overhead, let point = FixedBytes<32>(box.prefix(32)) else {
            throw CryptoFailure(.malformed, "sealed box", "\(box.count) bytes; an empty text has \(overhead)")
        }
        let ephemeral = X25519.PublicKey(point)
        let key = try boxKey(recipient.sharedSecret(with: ephemeral))
        let nonce = try nonce(ephemeral, recipient.publicKey)
        let tag = [UInt8](box[32..<overhead])
        let sealed = [UInt8](box[overhead...])
        return try SecretBytes(count: sealed.count) { (text: UnsafeMutableRawBufferPointer) throws(CryptoFailure) in
            let status = key.withUnsafeBytes { key in
                dstack_secretbox_open(
                    key.baseAddress?.assumingMemoryBound(to: UInt8.self), nonce, sealed, sealed.count, tag,
                    text.baseAddress?.assumingMemoryBound(to: UInt8.self))
            }
            switch status {
            case 1: break
            case 0: throw CryptoFailure(.notAuthentic, "sealed box", "it cannot be opened with this key")
            default: throw libraryFailure
            }
        }
    }

    private static func boxKey(_ shared: consuming SecretBytes) throws(CryptoFailure) -> SecretBytes {
        try SecretBytes(count: 32) { (key: UnsafeMutableRawBufferPointer) throws(CryptoFailure) in
            let status = shared.withUnsafeBytes { shared in
                dstack_box_key(
                    shared.baseAddress?.assumingMemoryBound(to: UInt8.self),
                    key.baseAddress?.assumingMemoryBound(to: UInt8.self))
            }
            guard status == 0 else { throw libraryFailure }
        }
    }

    /// BLAKE2b with 24 bytes of both public keys. It repeats only when the ephemeral key does.
    private static func nonce(
        _ ephemeral: X25519.PublicKey, _ recipient: X25519.PublicKey
    ) throws(CryptoFailure) -> [UInt8] {
        let input = ephemeral.bytes.bytes + recipient.bytes.bytes
        var nonce = [UInt8](repeating: 0, count: 24)
        guard dstack_blake2b(input, input.count, &nonce, nonce.count) == 0 else { throw libraryFailure }
        return nonce
    }

    private static var libraryFailure: CryptoFailure {
        CryptoFailure(.library, "sealed box", "Crypto++ failed (out of memory or misconfigured)")
    }
}
