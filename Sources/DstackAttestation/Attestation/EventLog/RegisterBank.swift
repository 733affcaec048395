internal import DstackCrypto
internal import DstackEncoding

/// The hash of a measurement register: RTMRs are SHA-384; a TPM has banks of either.
public enum RegisterBank: Sendable, Hashable, CaseIterable {
    /// 32 bytes; GCP's PCR 14.
    case sha256
    /// 48 bytes; RTMRs and NitroTPM's PCR 14.
    case sha384

    /// Size of a register and of a digest.
    public var byteCount: Int {
        switch self {
        case .sha256: 32
        case .sha384: 48
        }
    }

    func hash(_ bytes: [UInt8]) -> [UInt8] {
        switch self {
        case .sha256: SHA256.hash(bytes).bytes
        case .sha384: SHA384.hash(bytes).bytes
        }
    }

    /// The register's value after it was extended: the hash of its old value and the digest.
    public func extend(_ register: [UInt8], with digest: [UInt8]) -> [UInt8] { hash(register + digest) }

    /// The value of a register that started as zeros and was extended with these events, in order; the application's
    /// PCR (14) on platforms that use a TPM.
    public func replay(_ events: some Sequence<RuntimeEvent>) -> [UInt8] {
        var register = [UInt8](repeating: 0, count: byteCount)
        for event in events { register = extend(register, with: event.digest(in: self)) }
        return register
    }
}
