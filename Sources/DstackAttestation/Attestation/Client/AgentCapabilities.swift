/// What a guest agent can do, as far as versions differ.
public struct AgentCapabilities: OptionSet, Sendable, Hashable {
    /// One bit a capability.
    public let rawValue: UInt32

    /// From bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The methods of ``DstackClient`` itself.
    public static let v0 = AgentCapabilities(rawValue: 1 << 0)
    /// The methods of ``DstackClient/v1``.
    public static let v1 = AgentCapabilities(rawValue: 1 << 1)
    /// Ed25519 keys. Agents before 0.5.7 may ignore the algorithm and give out a key for secp256k1.
    public static let ed25519 = AgentCapabilities(rawValue: 1 << 2)
    /// Validity and identity of the application in TLS certificates. Older agents ignore what they do not know.
    public static let tlsOptions = AgentCapabilities(rawValue: 1 << 3)
}

/// What a guest agent says of its own software.
public struct AgentVersion: Sendable, Hashable, CustomStringConvertible {
    /// For example `0.5.11`.
    public let version: String
    /// The commit it was built from, `git:` and 20 digits, or `unknown`.
    public let revision: String

    /// Version and revision.
    public var description: String { "\(version) (\(revision))" }
}
