public import DstackAttestation
package import DstackCrypto
import DstackEncoding

/// The root secrets of a key management service, from which the keys of all applications follow.
///
/// Two services with the same secrets give the same keys, for ever: nothing here is random, and nothing is stored per
/// application.
public struct KMSRootKeys: ~Copyable, Sendable {
    /// The key of the root CA; parent of the keys that belong to CAs, disks and environments.
    package let caKey: P256.PrivateKey
    /// Parent of the applications' root keys, on which it also signs.
    package let key: Secp256k1.PrivateKey
    private let caParent: KeyParent
    private let parent: KeyParent
    /// The same two for later epochs.
    private let caParentV2: KeyParent
    private let parentV2: KeyParent

    /// - Parameters:
    ///   - caKey: the root CA's key.
    ///   - key: the root secp256k1 key.
    package init(caKey: consuming P256.PrivateKey, key: consuming Secp256k1.PrivateKey) {
        caParent = KeyParent(caKey.scalar.bytes)
        parent = KeyParent(key.scalar.bytes)
        caParentV2 = KeyParent(caKey.scalar.bytes, family: .kmsV2)
        parentV2 = KeyParent(key.scalar.bytes, family: .kmsV2)
        self.caKey = caKey
        self.key = key
    }

    /// New keys from the given source.
    package init(random source: some RandomBytes) {
        self.init(caKey: P256.PrivateKey(random: source), key: Secp256k1.PrivateKey(random: source))
    }

    /// New keys, for a service that is set up.
    public init() { self.init(random: SystemRandom()) }

    /// Keys in the forms in which services keep them. They live elsewhere; wiping those is the caller's duty.
    ///
    /// - Parameters:
    ///   - caKeyPEM: a text with a `PRIVATE KEY` block.
    ///   - key: 32 bytes.
    /// - Throws: ``KeysError/Code/invalidKey`` for anything else.
    public init(caKeyPEM: RawSpan, key: RawSpan) throws(KeysError) {
        let scalar = SecretBytes(copying: key)
        do {
            self.init(
                caKey: try P256.PrivateKey(pem: caKeyPEM), key: try Secp256k1.PrivateKey(scalar: scalar))
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }

    /// The public half of the secp256k1 key, by which everyone else knows this service.
    public var publicKey: FixedBytes<33> { key.publicKey.compressed }

    /// The root CA's public key: SubjectPublicKeyInfo, DER.
    public var caPublicKey: [UInt8] { caKey.publicKey.spki }

    /// The key of an application's CA.
    package borrowing func appCAKey(
        _ app: AppID, epoch: KeyEpoch = .first
    ) throws(KeysError) -> P256.PrivateKey {
        guard epoch != .first else { return try caParent.p256Key(.appCA(app)) }
        return try caParentV2.p256Key(.kmsKey(purpose: .appCA, algorithm: "p256", epoch: epoch, app: app))
    }

    /// The key by which a service signs how far its audit log has come. Every service with these roots can tell its public
    /// half, and no other key of theirs signs such a thing.
    ///
    /// - Parameter log: tells the logs of several services apart.
    package borrowing func auditKey(log: FixedBytes<16>) throws(KeysError) -> P256.PrivateKey {
        try caParentV2.p256Key(
            .kmsKey(purpose: .auditLog, algorithm: "p256", epoch: .first, app: nil, path: log.bytes))
    }

    /// The root CA, with a certificate that begins now.
    ///
    /// - Parameter now: Unix seconds.
    public borrowing func certificateAuthority(at now: Int64) throws(KeysError) -> CertificateAuthority {
        try certificateAuthority(.upstream, at: now)
    }

    /// The same, its certificate in either form.
    package borrowing func certificateAuthority(
        _ profile: CertificateProfile, at now: Int64
    ) throws(KeysError) -> CertificateAuthority {
        let key: P256.PrivateKey
        do {
            key = try P256.PrivateKey(scalar: caKey.scalar.duplicate())
        } catch {
            throw KeysError(.invalidKey, error)
        }
        return try CertificateAuthority(selfSigned: .kmsRoot(profile, now: now), key: key)
    }

    /// An application's CA. Its certificate is issued again each time; key, names and serial number stay the same.
    ///
    /// - Parameters:
    ///   - app: the application.
    ///   - root: the root CA.
    ///   - now: Unix seconds.
    public borrowing func certificateAuthority(
        for app: AppID, under root: borrowing CertificateAuthority, at now: Int64
    ) throws(KeysError) -> CertificateAuthority {
        try certificateAuthority(for: app, epoch: .first, under: root, at: now)
    }

    /// The same, of an epoch, its certificate in either form.
    package borrowing func certificateAuthority(
        for app: AppID, epoch: KeyEpoch, _ profile: CertificateProfile = .upstream,
        under root: borrowing CertificateAuthority, at now: Int64
    ) throws(KeysError) -> CertificateAuthority {
        try root.authority(.appCA(app, profile, now: now), key: appCAKey(app, epoch: epoch))
    }

    /// What an instance's disk is encrypted with, 32 bytes. Instances without id share it.
    package borrowing func diskKey(
        _ app: AppID, instance: InstanceID?, epoch: KeyEpoch = .first
    ) throws(KeysError) -> SecretBytes {
        guard epoch != .first else { return try caParent.diffieHellmanSecret(.disk(app, instance)) }
        return try caParentV2.bytes(
            .kmsKey(
                purpose: .appDisk, algorithm: "bytes32", epoch: epoch, app: app, path: instance?.bytes.bytes ?? []))
    }

    /// The key to which an application's environment is encrypted.
    package borrowing func environmentKey(
        _ app: AppID, epoch: KeyEpoch = .first
    ) throws(KeysError) -> X25519.PrivateKey {
        let secret = try environmentSecret(app, epoch)
        do {
            return try X25519.PrivateKey(secret)
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }

    private borrowing func environmentSecret(_ app: AppID, _ epoch: KeyEpoch) throws(KeysError) -> SecretBytes {
        guard epoch != .first else { return try caParent.diffieHellmanSecret(.environment(app)) }
        return try caParentV2.bytes(.kmsKey(purpose: .appEnvironment, algorithm: "x25519", epoch: epoch, app: app))
    }

    /// The public half of ``environmentKey(_:)``, signed.
    ///
    /// - Parameter timestamp: now, Unix seconds; nil for the older form, which can be replayed for ever.
    package borrowing func signedEnvironmentKey(
        _ app: AppID, epoch: KeyEpoch = .first, timestamp: UInt64?
    ) throws(KeysError) -> SignedEnvironmentKey {
        let environment = try environmentKey(app, epoch: epoch)
        do {
            return try SignedEnvironmentKey(
                appID: app.bytes, key: environment.publicKey.bytes, timestamp: timestamp, by: key)
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }

    /// An application's root key, with this service's signature on it.
    public borrowing func appRootKey(_ app: AppID) throws(KeysError) -> AppRootKey {
        try appRootKey(app, epoch: .first)
    }

    /// The same, of an epoch.
    package borrowing func appRootKey(_ app: AppID, epoch: KeyEpoch) throws(KeysError) -> AppRootKey {
        let appKey = try rootKey(of: app, epoch)
        do {
            let statement = KeyStatement.issuedAppKey(appID: app.bytes, key: appKey.publicKey.compressed)
            return AppRootKey(key: appKey, issuance: try key.signature(on: statement).bytes.bytes)
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }

    private borrowing func rootKey(of app: AppID, _ epoch: KeyEpoch) throws(KeysError) -> Secp256k1.PrivateKey {
        guard epoch != .first else { return try parent.secp256k1Key(.appRoot(app)) }
        return try parentV2.secp256k1Key(.kmsKey(purpose: .appRoot, algorithm: "secp256k1", epoch: epoch, app: app))
    }

    /// What the evidence of a service that was just set up is about: both public keys.
    public var bootstrapReportData: ReportData {
        Self.bootstrapReportData(caPublicKey: caPublicKey, publicKey: publicKey)
    }

    /// The same for keys that somebody showed.
    ///
    /// - Parameters:
    ///   - caPublicKey: SubjectPublicKeyInfo of the root CA, DER.
    ///   - publicKey: the secp256k1 key.
    public static func bootstrapReportData(caPublicKey: [UInt8], publicKey: FixedBytes<33>) -> ReportData {
        // The misspelling is part of the format.
        let text = "dstack-kms-genereted-keys-v1:\(Hex.encode(caPublicKey));\(publicKey.hex);"
        var padded = FixedBytes<64>()
        for (index, byte) in Keccak.hash256(Array(text.utf8)).bytes.enumerated() { padded[index] = byte }
        return ReportData(padded)
    }
}
