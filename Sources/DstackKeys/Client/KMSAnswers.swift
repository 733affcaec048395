import DstackCrypto
package import DstackEncoding
package import DstackKeys
package import DstackRPC

/// What a KMS says of itself.
package struct KMSMeta: Sendable {
    /// The root CA's certificate, DER.
    package let caCertificate: [UInt8]
    /// SubjectPublicKeyInfo of its key, DER.
    package let caPublicKey: [UInt8]
    /// The secp256k1 root key, compressed.
    package let k256PublicKey: FixedBytes<33>
    /// All that was answered.
    package let message: KMSRPC.GetMetaResponse
}

/// The CA under which guests introduce themselves. Its key is given to anyone.
package struct KMSTemporaryAuthority: ~Copyable, Sendable {
    package let authority: CertificateAuthority
    /// The root CA's certificate, DER.
    package let caCertificate: [UInt8]
    package let caPublicKey: [UInt8]
}

/// The root secrets of a KMS, as another one got them.
package struct KMSTransferredKeys: ~Copyable, Sendable {
    package let roots: KMSRootKeys
    package let temporaryCAKey: P256.PrivateKey

    /// Hands the parts over.
    package consuming func take<Result: ~Copyable>(
        _ body: (_ roots: consuming KMSRootKeys, _ temporaryCAKey: consuming P256.PrivateKey) -> Result
    ) -> Result { body(roots, temporaryCAKey) }
}

/// Reads the parts of answers, strictly.
enum KMSAnswers {
    /// A root certificate.
    static func root(_ pem: String) throws(KMSClientError) -> (certificate: [UInt8], publicKey: [UInt8]) {
        do throws(KeysError) {
            let certificates = try CertificatePEM.decode(Array(pem.utf8), subject: "ca_cert")
            guard certificates.count == 1 else {
                throw KeysError(
                    .invalidCertificate, subject: "ca_cert", reason: "\(certificates.count) certificates instead of one"
                )
            }
            let certificate = try parsed(certificates[0], "ca_cert")
            guard certificate.basicConstraints?.isCA == true else {
                throw KeysError(.invalidCertificate, subject: "ca_cert", reason: "it is not a CA's")
            }
            let publicKey = Array(certificate.subjectPublicKeyInfo)
            guard KMSCertificate.isSigned(certificate, by: publicKey) else {
                throw KeysError(.notAuthentic, subject: "ca_cert", reason: "it is not signed by its own key")
            }
            return (certificates[0], publicKey)
        } catch {
            throw KMSClientError(error, "the root certificate")
        }
    }

    /// Runs `body`; what fails in it is wrong with a part of an answer.
    static func crypto<Value: ~Copyable>(
        _ subject: String, _ body: () throws(CryptoFailure) -> Value
    ) throws(KMSClientError) -> Value {
        do {
            return try body()
        } catch {
            throw .invalid(subject, error.reason)
        }
    }

    static func parsed(_ der: [UInt8], _ subject: String) throws(KeysError) -> Certificate {
        do {
            return try Certificate(der: der)
        } catch {
            throw KeysError(.invalidCertificate, subject: subject, reason: "\(error)")
        }
    }

    static func authority(_ answer: KMSRPC.GetTempCaCertResponse) throws(KMSClientError) -> CertificateAuthority {
        let key = try p256Key(answer.temporaryCAKey, "temp_ca_key")
        do throws(KeysError) {
            let chain = try CertificatePEM.decode(Array(answer.temporaryCACertificate.utf8), subject: "temp_ca_cert")
            return try CertificateAuthority(key: key, chain: chain)
        } catch {
            throw KMSClientError(error, "the temporary CA")
        }
    }

    static func p256Key(_ pem: RPCSecretText, _ subject: String) throws(KMSClientError) -> P256.PrivateKey {
        try crypto(subject) { () throws(CryptoFailure) in
            try pem.utf8.withBytes { (text) throws(CryptoFailure) in try P256.PrivateKey(pem: text) }
        }
    }

    static func k256Key(_ secret: RPCSecret, _ subject: String) throws(KMSClientError) -> Secp256k1.PrivateKey {
        let scalar = try bytes(secret, subject)
        do {
            return try Secp256k1.PrivateKey(scalar: scalar)
        } catch {
            throw .invalid(subject, error.reason)
        }
    }

    /// 32 bytes.
    static func bytes(_ secret: RPCSecret, _ subject: String) throws(KMSClientError) -> SecretBytes {
        guard secret.count == 32 else { throw .invalid(subject, "\(secret.count) bytes where there are 32") }
        return secret.duplicate()
    }

    static func k256PublicKey(_ bytes: [UInt8]) throws(KMSClientError) -> FixedBytes<33> {
        guard let key = FixedBytes<33>(bytes), (try? Secp256k1.PublicKey(sec1: bytes)) != nil else {
            throw .invalid("k256_pubkey", "no compressed point of secp256k1, which has 33 bytes")
        }
        return key
    }
}
