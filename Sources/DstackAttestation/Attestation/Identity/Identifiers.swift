internal import DstackCrypto
public import DstackEncoding

/// Identifies an application: 20 bytes that its deployer chose, or the beginning of its first ``ComposeHash``.
public struct AppID: Hashable, Sendable, CustomStringConvertible {
    /// As they are measured.
    public let bytes: FixedBytes<20>

    /// The given bytes.
    public init(_ bytes: FixedBytes<20>) { self.bytes = bytes }

    /// The default id of the application that a compose file describes: the first 20 bytes of its hash.
    public init(defaultFor compose: ComposeHash) {
        var bytes = FixedBytes<20>()
        for index in 0..<20 { bytes[index] = compose.bytes[index] }
        self.bytes = bytes
    }

    /// 40 hexadecimal digits of either case; nil for anything else.
    public init?(hex: String) {
        guard let bytes = FixedBytes<20>(hex: hex) else { return nil }
        self.bytes = bytes
    }

    /// 40 lower-case hexadecimal digits.
    public var description: String { bytes.hex }
}

/// Identifies what an application runs: SHA-256 of its compose file, byte for byte as it was delivered.
public struct ComposeHash: Hashable, Sendable, CustomStringConvertible {
    /// As they are measured.
    public let bytes: FixedBytes<32>

    /// The given bytes.
    public init(_ bytes: FixedBytes<32>) { self.bytes = bytes }

    /// The hash of a file's bytes. Spaces and the order of members count: two files that mean the same have two hashes.
    public init(ofFile bytes: [UInt8]) { self.bytes = SHA256.hash(bytes) }

    /// 64 hexadecimal digits of either case; nil for anything else.
    public init?(hex: String) {
        guard let bytes = FixedBytes<32>(hex: hex) else { return nil }
        self.bytes = bytes
    }

    /// 64 lower-case hexadecimal digits.
    public var description: String { bytes.hex }
}

/// Identifies one of an application's instances: 20 bytes. Applications may have instances without.
public struct InstanceID: Hashable, Sendable, CustomStringConvertible {
    /// As they are measured.
    public let bytes: FixedBytes<20>

    /// The given bytes.
    public init(_ bytes: FixedBytes<20>) { self.bytes = bytes }

    /// The beginning of SHA-256 over seed, application and what binds the instance to its machine (nothing on plain
    /// TDX).
    public init(seed: FixedBytes<20>, appID: AppID, platformBinding: [UInt8] = []) {
        let digest = SHA256.hash(seed.bytes + appID.bytes.bytes + platformBinding)
        var bytes = FixedBytes<20>()
        for index in 0..<20 { bytes[index] = digest[index] }
        self.bytes = bytes
    }

    /// 40 hexadecimal digits of either case; nil for anything else.
    public init?(hex: String) {
        guard let bytes = FixedBytes<20>(hex: hex) else { return nil }
        self.bytes = bytes
    }

    /// 40 lower-case hexadecimal digits.
    public var description: String { bytes.hex }
}

/// Identifies a machine: SHA-256 of what the platform knows it by.
public struct DeviceID: Hashable, Sendable, CustomStringConvertible {
    /// The hash.
    public let bytes: FixedBytes<32>

    /// The given hash.
    public init(_ bytes: FixedBytes<32>) { self.bytes = bytes }

    /// From the platform provisioning id of a *verified* PCK certificate, 16 bytes. Without one the id is that of no
    /// bytes, the same for every machine.
    public init(ppid: [UInt8]) { bytes = SHA256.hash(ppid) }

    /// 64 lower-case hexadecimal digits.
    public var description: String { bytes.hex }
}

/// A secret that admits an instance; compose files hold its hash.
public enum LaunchToken {
    /// SHA-256 of the token behind a prefix of its own, as `launch_token_hash` has it.
    public static func hash(_ token: String) -> FixedBytes<32> {
        SHA256.hash(Array("dstack-launch-token/v1:".utf8) + token.utf8)
    }
}
