/// A generation of an application's keys. The first is upstream's, byte for byte; a later one has keys that nobody can compute
/// from those of another.
package struct KeyEpoch: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let number: UInt64

    package init(_ number: UInt64) { self.number = number }

    /// Number 0: compatible with upstream.
    package static let first = KeyEpoch(0)

    package static func < (left: Self, right: Self) -> Bool { left.number < right.number }

    package var description: String { "\(number)" }
}

/// What a key of a KMS is for, as it enters the derivation: frozen, like all contexts.
package enum KMSKeyPurpose: String, Sendable, CaseIterable {
    /// The key of an application's CA.
    case appCA = "app-ca"
    /// What an instance's disk is encrypted with.
    case appDisk = "app-disk"
    /// What an application's environment is encrypted to.
    case appEnvironment = "app-environment"
    /// An application's root key.
    case appRoot = "app-root"
    /// What signs how far an audit log has come.
    case auditLog = "audit-log"
}
