package import DstackCrypto
import DstackEncoding
package import DstackRPC

/// How root keys go to the very code that the receiver's evidence is about, and not just to the end of its connection.
///
/// The receiver makes an X25519 key for one handover and signs it with the key of its TLS certificate, which is the one that its
/// evidence is about. The keys come in a box that only the new key opens. Whoever ends TLS in front of one of the two, or gets
/// hold of a connection's secrets, has a box then, and nobody can put a key of his own in the place of the receiver's. The
/// signature also names the service that is asked, by the key of its certificate: with another one it is worth nothing.
package enum RootKeyHandover {
    /// What the key of the receiver's certificate signs: each part behind its length (32 bits, big-endian).
    ///
    /// So it begins with a zero. Whatever else that key signs does not: TLS 1.3 signs what begins with spaces, TLS 1.2 handshakes
    /// that begin with one, and certificates begin as a sequence of DER does.
    ///
    /// - Parameter server: SubjectPublicKeyInfo of the key of the server's certificate, DER.
    package static func signedText(receiver: X25519.PublicKey, server: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(capacity: 160)
        writer.framed("dstack-kms-receiver/v1".utf8)
        writer.framed(receiver.bytes.bytes)
        writer.framed(server)
        return writer.bytes
    }

    // MARK: The service that has the keys

    /// The key that a request wants root keys to be encrypted to.
    ///
    /// - Parameters:
    ///   - certificateKey: SubjectPublicKeyInfo of the key of the client's certificate on this connection, DER.
    ///   - server: the same of this service's.
    /// - Returns: nil for a request without one, as clients of upstream make it.
    /// - Throws: ``CryptoFailure`` for one half without the other, for a key to which anyone could open boxes, and for a signature
    ///   that is not the client's, or not for this service.
    package static func receiver(
        of request: KMSRPC.GetKmsKeyRequest, certificateKey: [UInt8], server: [UInt8]
    ) throws(CryptoFailure) -> X25519.PublicKey? {
        if request.receiverKey == nil, request.receiverSignature == nil { return nil }
        guard let key = request.receiverKey, let signature = request.receiverSignature else {
            throw CryptoFailure(.malformed, "receiver_key", "it and receiver_signature only come together")
        }
        guard let bytes = FixedBytes<32>(key) else {
            throw CryptoFailure(.malformed, "receiver_key", "\(key.count) bytes where there are 32")
        }
        let receiver = X25519.PublicKey(bytes)
        guard let signature = try? P256.Signature(der: signature),
            let signer = try? P256.PublicKey(spki: certificateKey),
            signer.isValidSignature(signature, for: signedText(receiver: receiver, server: server))
        else {
            throw CryptoFailure(
                .notAuthentic, "receiver_signature",
                "it is not one of the client certificate's key over this key, for this service")
        }
        // With a point of small order the secret is the same for all keys: any one of them tells.
        guard (try? X25519.PrivateKey().sharedSecret(with: receiver)) != nil else {
            throw CryptoFailure(.outOfRange, "receiver_key", "a point of small order: everybody could open the box")
        }
        return receiver
    }

    /// An answer that only the receiver can read.
    package static func sealed(
        _ answer: KMSRPC.KmsKeyResponse, to receiver: X25519.PublicKey
    ) throws(CryptoFailure) -> KMSRPC.KmsKeyResponse {
        guard case .secret(let text) = answer.encoded(as: .protobuf) else {
            throw CryptoFailure(.malformed, "root keys", "there are none to be encrypted")
        }
        var box = KMSRPC.KmsKeyResponse()
        box.sealed = try text.withBytes { (text) throws(CryptoFailure) in try SealedBox.seal(text, to: receiver) }
        return box
    }
}

/// A key of one handover, to which root keys are encrypted.
struct RootKeyReceiver: ~Copyable {
    private let key = X25519.PrivateKey()

    var publicKey: X25519.PublicKey { key.publicKey }

    /// Opens what came.
    ///
    /// - Parameter mustBeSealed: whether keys that came readable are refused.
    /// - Throws: ``KMSClientError/Code/invalidAnswer``.
    borrowing func open(
        _ answer: KMSRPC.KmsKeyResponse, mustBeSealed: Bool
    ) throws(KMSClientError) -> KMSRPC.KmsKeyResponse {
        guard let box = answer.sealed else {
            guard !mustBeSealed else {
                throw .invalid("sealed", "the root keys are not encrypted to the key that was named for them")
            }
            return answer
        }
        guard answer.keys.isEmpty, answer.temporaryCAKey.isDefault else {
            throw .invalid("sealed", "there are readable keys beside the encrypted ones")
        }
        let text = SharedSecret(
            try KMSAnswers.crypto("sealed") { () throws(CryptoFailure) in try SealedBox.open(box, with: key) })
        let inner: KMSRPC.KmsKeyResponse
        do throws(DecodingFailure) {
            inner = try KMSRPC.KmsKeyResponse(decoding: text, as: .protobuf)
        } catch {
            throw .invalid("sealed", "what it holds is no answer: \(error)")
        }
        guard inner.sealed == nil else { throw .invalid("sealed", "it holds another box") }
        return inner
    }
}
