package import DstackAttestation
package import DstackCrypto
import DstackEncoding
package import DstackKeys
import DstackRPC

// What a KMS is asked for. Nothing of an answer is used before it was found to fit to what is known of the service.

extension KMSClient {
    /// What the service says of itself.
    ///
    /// - Throws: ``KMSClientError/Code/invalidAnswer`` if it names another root than the one that its certificate is under.
    package func meta() async throws(KMSClientError) -> KMSMeta {
        let answer = try await call(KMSRPC.KMS.getMeta, RPCEmpty())
        let root = try knownRoot(answer.caCertificate)
        let key = try KMSAnswers.k256PublicKey(answer.k256PublicKey)
        try learn(k256PublicKey: key)
        return KMSMeta(
            caCertificate: root.certificate, caPublicKey: root.publicKey, k256PublicKey: key, message: answer)
    }

    /// The CA under which guests introduce themselves.
    package func temporaryAuthority() async throws(KMSClientError) -> KMSTemporaryAuthority {
        let answer = try await call(KMSRPC.KMS.getTempCACert, RPCEmpty())
        let root = try knownRoot(answer.caCertificate)
        return KMSTemporaryAuthority(
            authority: try KMSAnswers.authority(answer), caCertificate: root.certificate, caPublicKey: root.publicKey)
    }

    /// The keys of the application that this side's evidence is of.
    ///
    /// - Parameters:
    ///   - app: the application, which the service takes from the evidence; its signature on the key must be for this one.
    ///   - epoch: of the keys; nil for the application's current one. Only this project's services have any but the first.
    ///   - vmConfiguration: JSON, as the host gave it to the guest.
    /// - Throws: ``KMSClientError/Code/invalidAnswer`` for keys of wrong lengths, another root, or a key that the service's
    ///   root key did not sign for the application.
    package func appKeys(
        of app: AppID, epoch: KeyEpoch? = nil, vmConfiguration: String
    ) async throws(KMSClientError) -> AppKeys {
        let temporary = try await temporaryAuthority()
        let issuer = try await k256PublicKey()
        let answer = try await call(
            KMSRPC.KMS.getAppKey,
            .with {
                $0.apiVersion = 1
                $0.vmConfig = vmConfiguration
                $0.epoch = epoch?.number
            })
        try Self.require(epoch, answer.epoch)
        let root = try knownRoot(answer.caCertificate)
        let key = try KMSAnswers.k256Key(answer.k256Key, "k256_key")
        let statement = KeyStatement.issuedAppKey(appID: app.bytes, key: key.publicKey.compressed)
        let signer = try KMSAnswers.crypto("k256_signature") { () throws(CryptoFailure) in
            try Secp256k1.Signature(answer.k256Signature).signer(of: statement)
        }
        guard signer.compressed == issuer else {
            throw .invalid("k256_signature", "it is not the service's on the key of application \(app)")
        }
        let environmentSecret = try KMSAnswers.bytes(answer.envCryptKey, "env_crypt_key")
        let environmentKey: X25519.PrivateKey
        do {
            environmentKey = try X25519.PrivateKey(environmentSecret)
        } catch {
            throw .invalid("env_crypt_key", error.reason)
        }
        return AppKeys(
            diskKey: try KMSAnswers.bytes(answer.diskCryptKey, "disk_crypt_key"), environmentKey: environmentKey,
            rootKey: AppRootKey(key: key, issuance: answer.k256Signature),
            // Older services know the older name only.
            gatewayAppID: answer.gatewayAppID.isEmpty ? answer.tproxyAppID : answer.gatewayAppID,
            caCertificates: [root.certificate],
            provider: AppKeyProvider(
                kms: url, publicKey: root.publicKey, temporaryAuthority: temporary.takeAuthority()))
    }

    /// The root secrets, for another service of the same root, encrypted to this side's key (``RootKeyHandover``) by every
    /// service that knows how.
    ///
    /// - Parameters:
    ///   - vmConfiguration: JSON, of the VM that this side runs in.
    ///   - mustBeSealed: whether they are refused where they came readable. False is for upstream's services alone: with any other
    ///     one, it shows that somebody has left this side's key out of the request.
    /// - Throws: ``KMSClientError/Code/invalidAnswer`` for anything but one set of keys, and for keys other than those by which
    ///   the service is known.
    package func rootKeys(
        vmConfiguration: String, mustBeSealed: Bool
    ) async throws(KMSClientError) -> KMSTransferredKeys {
        let temporary = try await temporaryAuthority()
        let issuer = try await k256PublicKey()
        let answer = try await rootKeyAnswer(vmConfiguration, mustBeSealed: mustBeSealed)
        guard answer.keys.count == 1 else {
            throw .invalid("keys", "Invalid keys: \(answer.keys.count) sets of root keys where there is one")
        }
        let roots = KMSRootKeys(
            caKey: try KMSAnswers.p256Key(answer.keys[0].caKey, "ca_key"),
            key: try KMSAnswers.k256Key(answer.keys[0].k256Key, "k256_key"))
        let temporaryKey = try KMSAnswers.p256Key(answer.temporaryCAKey, "temp_ca_key")
        guard roots.caPublicKey == temporary.caPublicKey else {
            throw .invalid("ca_key", "it is not the key of the root certificate")
        }
        guard roots.publicKey == issuer else {
            throw .invalid("k256_key", "it is not the key that the service names as its own")
        }
        guard temporaryKey.publicKey.spki == temporary.authority.publicKey else {
            throw .invalid("temp_ca_key", "it is not the key of the temporary CA")
        }
        return KMSTransferredKeys(roots: roots, temporaryCAKey: temporaryKey)
    }

    private func rootKeyAnswer(
        _ vmConfiguration: String, mustBeSealed: Bool
    ) async throws(KMSClientError) -> KMSRPC.KmsKeyResponse {
        let receiver = RootKeyReceiver()
        let key = receiver.publicKey
        let answer = try await call(KMSRPC.KMS.getKMSKey) { (identity) throws(KMSClientError) in
            var request = KMSRPC.GetKmsKeyRequest()
            request.vmConfig = vmConfiguration
            guard let identity, let server = judge.server else {
                // Keys that would be refused need not travel.
                guard !mustBeSealed else {
                    throw KMSClientError(.noEvidence, "receiver_key", "there is no attested key here to sign it by")
                }
                return request
            }
            request.receiverKey = key.bytes.bytes
            request.receiverSignature = try KMSAnswers.crypto("receiver_signature") { () throws(CryptoFailure) in
                try identity.signature(for: RootKeyHandover.signedText(receiver: key, server: server.publicKey))
            }
            return request
        }
        return try receiver.open(answer, mustBeSealed: mustBeSealed)
    }

    /// A certificate for the key of a request.
    ///
    /// - Parameter epoch: of the application's CA; nil for its current one.
    /// - Returns: leaf, the application's CA, root; DER.
    /// - Throws: ``KMSClientError/Code/invalidAnswer`` for a chain that does not lead from the key to the service's root.
    package func signCertificate(
        _ request: SignedSigningRequest, epoch: KeyEpoch? = nil, vmConfiguration: String
    ) async throws(KMSClientError) -> [[UInt8]] {
        let answer = try await call(
            KMSRPC.KMS.signCert,
            .with {
                $0.apiVersion = request.request.version.rawValue
                $0.csr = request.request.bytes
                $0.signature = request.signature
                $0.vmConfig = vmConfiguration
                $0.epoch = epoch?.number
            })
        guard (2...8).contains(answer.certificateChain.count), let last = answer.certificateChain.last else {
            throw .invalid("certificate_chain", "\(answer.certificateChain.count) certificates")
        }
        let root = try knownRoot(last)
        var chain: [[UInt8]] = []
        do throws(KeysError) {
            for pem in answer.certificateChain {
                chain += try CertificatePEM.decode(Array(pem.utf8), subject: "certificate_chain")
            }
            let certificates = try chain.map { (der) throws(KeysError) in
                try KMSAnswers.parsed(der, "certificate_chain")
            }
            guard certificates[0].subjectPublicKeyInfo.elementsEqual(request.request.publicKey) else {
                throw KeysError(
                    .notAuthentic, subject: "certificate_chain",
                    reason: "it is for another key than the one that it was asked for")
            }
            for (lower, upper) in zip(certificates, certificates.dropFirst()) {
                guard upper.basicConstraints?.isCA == true, lower.issuer == upper.subject,
                    KMSCertificate.isSigned(lower, by: Array(upper.subjectPublicKeyInfo))
                else {
                    throw KeysError(
                        .notAuthentic, subject: "certificate_chain", reason: "a certificate is not issued by the next")
                }
            }
        } catch {
            throw KMSClientError(error, "the certificate")
        }
        guard chain.last == root.certificate else { throw .invalid("certificate_chain", "it does not end at the root") }
        return chain
    }

    /// The key to which environments for an application are encrypted, by the service's word of just now.
    ///
    /// - Parameters:
    ///   - epoch: of the key; nil for the application's current one.
    ///   - acceptsUndated: whether an older service's signature without a time will do, which can be replayed for ever.
    package func environmentKey(
        of app: AppID, epoch: KeyEpoch? = nil, acceptsUndated: Bool = false
    ) async throws(KMSClientError) -> X25519.PublicKey {
        let issuer = try await k256PublicKey()
        let answer = try await call(
            KMSRPC.KMS.getAppEnvEncryptPubKey,
            .with {
                $0.appID = app.bytes.bytes
                $0.epoch = epoch?.number
            })
        try Self.require(epoch, answer.epoch)
        guard let key = FixedBytes<32>(answer.publicKey) else {
            throw .invalid("public_key", "\(answer.publicKey.count) bytes where there are 32")
        }
        let isDated = !answer.signatureV1.isEmpty
        guard isDated || acceptsUndated else {
            throw .invalid("signature_v1", "there is none: the service is too old to say when it signed")
        }
        let now = now
        let signer = try KMSAnswers.crypto("signature_v1") { () throws(CryptoFailure) in
            try SignedEnvironmentKey(
                appID: app.bytes, key: key, timestamp: isDated ? answer.timestamp : nil,
                signature: try Secp256k1.Signature(isDated ? answer.signatureV1 : answer.signature)
            ).signer(now: now)
        }
        guard signer.compressed == issuer else {
            throw .invalid("signature_v1", "it is not the service's on this key of application \(app)")
        }
        return X25519.PublicKey(key)
    }

    /// An older service passes over the epoch that it is asked for, and gives keys of the first.
    private static func require(_ wanted: KeyEpoch?, _ given: UInt64?) throws(KMSClientError) {
        guard let wanted, wanted.number != given ?? KeyEpoch.first.number else { return }
        throw .invalid("epoch", "keys of epoch \(given ?? KeyEpoch.first.number) where \(wanted) was asked for")
    }

    /// A root certificate that the service names: of the root that it is verified by, or, where evidence is what it was
    /// verified by, of the root that signed its certificate. From then on that is the only one.
    private nonisolated func knownRoot(
        _ pem: String
    ) throws(KMSClientError) -> (certificate: [UInt8], publicKey: [UInt8]) {
        let root = try KMSAnswers.root(pem)
        if let known = judge.caPublicKey {
            guard known == root.publicKey else {
                throw .invalid("ca_cert", "it is for another key than the root's by which the service is known")
            }
            return root
        }
        guard let leaf = judge.server?.certificates.first, let parsed = try? Certificate(der: leaf),
            KMSCertificate.isSigned(parsed, by: root.publicKey)
        else { throw .invalid("ca_cert", "its key did not sign the certificate by which the service answers") }
        judge.learn(caPublicKey: root.publicKey)
        return root
    }
}

extension KMSTemporaryAuthority {
    consuming func takeAuthority() -> CertificateAuthority { authority }
}
