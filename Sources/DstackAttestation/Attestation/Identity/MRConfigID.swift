internal import DstackCrypto
public import DstackEncoding

/// What a host pinned when it created a trust domain: the register MRCONFIGID, 48 bytes. It cannot change while the
/// domain runs, and the guest refuses to boot with files that do not fit.
public enum MRConfigID: Sendable, Hashable {
    /// Zeros: the host pinned nothing.
    case unset
    /// Version 1: the compose hash.
    case composeHash(ComposeHash)
    /// Version 2: Keccak-256 over compose hash, application and key provider (``keyProviderHash(composeHash:appID:kind:id:)``).
    case keyProvider(FixedBytes<32>)
    /// Version 3: the hash of an ``MRConfigDocument``.
    case document(FixedBytes<32>)

    /// Reads the register.
    ///
    /// - Throws: ``AttestationError/Code/invalidIdentity`` for an unknown version, and where the last 15 bytes are not
    ///   zero.
    public init(_ register: Measurement384) throws(AttestationError) {
        if register.isZero {
            self = .unset
            return
        }
        let bytes = register.bytes
        guard let content = FixedBytes<32>(bytes[1..<33]), bytes[33...].allSatisfy({ $0 == 0 }) else {
            throw AttestationError(
                .invalidIdentity, subject: "mr_config_id", reason: "the last 15 bytes are not zero")
        }
        switch bytes[0] {
        case 1: self = .composeHash(ComposeHash(content))
        case 2: self = .keyProvider(content)
        case 3: self = .document(content)
        default:
            throw AttestationError(
                .invalidIdentity, subject: "mr_config_id",
                reason: "version \(bytes[0]); 1, 2 and 3 are known, and all zeros for none")
        }
    }

    /// The register's value.
    public var register: Measurement384 {
        switch self {
        case .unset: Measurement384()
        case .composeHash(let hash): Self.register(1, hash.bytes)
        case .keyProvider(let hash): Self.register(2, hash)
        case .document(let hash): Self.register(3, hash)
        }
    }

    private static func register(_ version: UInt8, _ content: FixedBytes<32>) -> Measurement384 {
        var register = Measurement384()
        register[0] = version
        for index in 0..<32 { register[index + 1] = content[index] }
        return register
    }

    /// The content of version 2.
    ///
    /// - Parameter id: the provider that is pinned; empty if any of the kind will do.
    public static func keyProviderHash(
        composeHash: ComposeHash, appID: AppID, kind: KeyProviderInfo.Kind, id: [UInt8]
    ) -> FixedBytes<32> {
        Keccak.hash256(composeHash.bytes.bytes + appID.bytes.bytes + [kind.configurationNumber] + id)
    }

    /// Checks that an instance is what its host pinned.
    ///
    /// - Parameters:
    ///   - identity: what the instance recorded.
    ///   - document: the text of the configuration document, for version 3.
    /// - Throws: ``AttestationError/Code/invalidIdentity`` naming what differs. A version 3 register without its document
    ///   is an error, and so is a version 2 register at boot time: it pins the key provider, which is not recorded yet.
    public func check(_ identity: ApplicationIdentity, document: String?) throws(AttestationError) {
        switch self {
        case .unset: return
        case .composeHash(let pinned):
            guard pinned == identity.composeHash else {
                throw Self.mismatch("compose_hash", pinned.description, identity.composeHash.description)
            }
        case .keyProvider(let pinned):
            guard let provider = identity.keyProvider else {
                throw AttestationError(
                    .invalidIdentity, subject: "mr_config_id",
                    reason: "version 2 pins the key provider, but no key provider is recorded")
            }
            // The host may have pinned this very provider or any of its kind.
            let candidates = [provider.id, []].map { id in
                Self.keyProviderHash(
                    composeHash: identity.composeHash, appID: identity.appID, kind: provider.kind, id: id)
            }
            guard candidates.contains(pinned) else {
                throw Self.mismatch(
                    "compose hash, app id and key provider", pinned.description, candidates[0].description)
            }
        case .document(let pinned):
            guard let document else {
                throw AttestationError(
                    .invalidIdentity, subject: "mr_config_id", reason: "version 3 needs the document mr_config")
            }
            let hash = MRConfigDocument.hash(document)
            guard hash == pinned else { throw Self.mismatch("document", pinned.description, hash.description) }
            try MRConfigDocument(parsing: document).check(identity)
        }
    }

    static func mismatch(_ field: String, _ pinned: String, _ found: String) -> AttestationError {
        AttestationError(
            .invalidIdentity, subject: "mr_config_id",
            reason: "invalid mr_config \(field): pinned \(pinned), found \(found)")
    }
}
