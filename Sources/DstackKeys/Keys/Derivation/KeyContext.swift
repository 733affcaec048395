package import DstackAttestation
package import DstackCrypto
import DstackEncoding

/// What a derived key is for: the context that makes it differ from all other keys of the same parent.
///
/// All contexts in use stand here. They are frozen: whoever changes one loses every key that was derived with it. The parts
/// are joined without separators or lengths, so that `["ab", "c"]` and `["a", "bc"]` are the same context; what is new
/// frames its parts instead, as ``framedKey(domain:algorithm:)`` does.
package struct KeyContext: Sendable, Hashable {
    /// The parts in a row.
    package let info: [UInt8]

    /// A context of the given parts.
    package init(_ parts: [[UInt8]]) { info = [UInt8](parts.joined()) }

    private init(_ text: String) { info = [UInt8](text.utf8) }
    private init(_ parts: [UInt8]..., label: String) { info = [UInt8](parts.joined()) + label.utf8 }

    /// No context at all: the key of a certificate, whose parent is random.
    package static let empty = KeyContext([])

    // MARK: From the keys of a KMS

    /// P-256, from the root CA's key: the key of an application's CA.
    package static func appCA(_ app: AppID) -> Self { Self(app.bytes.bytes, label: "app-ca") }

    /// Diffie-Hellman secret, from the root CA's key: what an instance's disk is encrypted with.
    package static func disk(_ app: AppID, _ instance: InstanceID?) -> Self {
        Self(app.bytes.bytes, instance?.bytes.bytes ?? [], label: "app-disk-crypt-key")
    }

    /// Diffie-Hellman secret, from the root CA's key: the X25519 key for an application's environment.
    package static func environment(_ app: AppID) -> Self { Self(app.bytes.bytes, label: "env-encrypt-key") }

    /// secp256k1, from the root secp256k1 key: an application's root key.
    package static func appRoot(_ app: AppID) -> Self { Self(app.bytes.bytes, label: "app-key") }

    /// A key of a later epoch, or of a new kind, from either root key of a KMS (``KeyParent/Family/kmsV2``): with a tag of its
    /// own and a length before every part, so that no two different sets of parts are the same context.
    ///
    /// - Parameters:
    ///   - purpose: what the key is for.
    ///   - algorithm: what kind of key it becomes; keys of two algorithms share no bytes.
    ///   - app: nil for what belongs to no application.
    ///   - path: what tells several keys of one purpose apart; opaque.
    package static func kmsKey(
        purpose: KMSKeyPurpose, algorithm: String, epoch: KeyEpoch, app: AppID?, path: [UInt8] = []
    ) -> Self {
        var epochBytes = ByteWriter(capacity: 8)
        epochBytes.bigEndian(epoch.number)
        var writer = ByteWriter(capacity: 128)
        writer.framed("dstack-kms-key/v2".utf8)
        writer.framed(purpose.rawValue.utf8)
        writer.framed(algorithm.utf8)
        writer.framed(epochBytes.bytes)
        writer.framed(app?.bytes.bytes ?? [])
        writer.framed(path)
        return Self([writer.bytes])
    }

    // MARK: From an application's root key

    /// A key that a container asks for by a path. Neither purpose nor algorithm is part of it, so that keys of different
    /// algorithms share their bytes. Paths are opaque: `a` and `a/` are unrelated.
    package static func path(_ path: String) -> Self { Self(path) }

    /// The key that signs messages for containers.
    package static let messageSigning = Self("vms")

    /// A key of version 1 of the guest's interface: with a tag of its own, the algorithm and a length before every part.
    package static func framedKey(domain: String, algorithm: KeyAlgorithm) -> Self {
        var writer = ByteWriter(capacity: 64)
        writer.framed("dstack-guest-v1-key".utf8)
        writer.framed(algorithm.rawValue.utf8)
        writer.framed(domain.utf8)
        return Self([writer.bytes])
    }

    // MARK: From a seed, where there is no KMS

    /// P-256: the key of the application's CA.
    package static let seededAppCA = Self("app-key")
    /// Diffie-Hellman secret: what the disk is encrypted with.
    package static let seededDisk = Self("app-disk-key")
    /// secp256k1: the application's root key.
    package static let seededAppRoot = Self("app-k256-key")
}
