import DstackCrypto
import DstackKMS
import DstackKMSClient
import DstackKeys
import DstackRPC

// Root keys that only the code can read that the receiver's evidence is about.

extension KMSMethods {
    /// The key that a request wants root keys to be encrypted to; nil for one that wants them readable, as upstream's services do.
    ///
    /// - Parameter certificateKey: SubjectPublicKeyInfo of the key that the caller's evidence is about, DER.
    /// - Throws: ``KMSServiceError/Code/invalidRequest``, or `notAttested` for a key that is not the caller's.
    func receiver(
        of request: KMSRPC.GetKmsKeyRequest, _ certificateKey: [UInt8]
    ) throws(KMSServiceError) -> X25519.PublicKey? {
        let receiver: X25519.PublicKey?
        do throws(CryptoFailure) {
            receiver = try RootKeyHandover.receiver(
                of: request, certificateKey: certificateKey, server: parts.keys.material.rpcKey.publicKey)
        } catch {
            throw KMSServiceError(
                error.code == .notAuthentic ? .notAttested : .invalidRequest, error.subject, error.reason)
        }
        guard receiver != nil || !parts.requiresSealedRootKeys else {
            throw KMSServiceError(
                .invalidRequest, "receiver_key",
                "root keys are only given encrypted to the receiver's key, and none is named",
                hint: "this service is set to core.require_sealed_root_keys")
        }
        return receiver
    }

    func sealed(
        _ answer: KMSRPC.KmsKeyResponse, to receiver: X25519.PublicKey
    ) throws(KMSServiceError) -> KMSRPC.KmsKeyResponse {
        do throws(CryptoFailure) {
            return try RootKeyHandover.sealed(answer, to: receiver)
        } catch {
            throw KMSServiceError(.internalFault, error.subject, error.reason)
        }
    }
}
