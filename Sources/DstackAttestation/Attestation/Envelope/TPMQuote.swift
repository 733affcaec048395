/// A TPM's quote, as Google Cloud's trust domains add it to theirs. Carried, not verified.
public struct TPMQuote: Sendable, Hashable {
    /// TPMS_ATTEST structure.
    public var message: [UInt8]
    /// Signature by the attestation key.
    public var signature: [UInt8]
    /// The registers that were quoted.
    public var registers: [Register]
    /// Certificate of the attestation key, DER.
    public var attestationKeyCertificate: [UInt8]
    /// Where the TPM is.
    public var platform: Platform
    /// What its registers were extended with.
    public var eventLog: [Event]

    /// A quote from its parts.
    public init(
        message: [UInt8], signature: [UInt8], registers: [Register], attestationKeyCertificate: [UInt8],
        platform: Platform, eventLog: [Event]
    ) {
        self.message = message
        self.signature = signature
        self.registers = registers
        self.attestationKeyCertificate = attestationKeyCertificate
        self.platform = platform
        self.eventLog = eventLog
    }

    /// The value of one register.
    public struct Register: Sendable, Hashable {
        /// PCR number.
        public var index: UInt32
        /// Name of the bank's hash, e.g. `sha256`.
        public var algorithm: String
        /// Its value.
        public var value: [UInt8]

        /// A register from its parts.
        public init(index: UInt32, algorithm: String, value: [UInt8]) {
            self.index = index
            self.algorithm = algorithm
            self.value = value
        }
    }

    /// One extension of a register.
    public struct Event: Sendable, Hashable {
        /// PCR number.
        public var index: UInt32
        /// What it was extended with, of the SHA-256 bank.
        public var digest: [UInt8]

        /// An event from its parts.
        public init(index: UInt32, digest: [UInt8]) {
            self.index = index
            self.digest = digest
        }
    }

    /// Where a TPM is; the raw value is its name in MessagePack, its place in the list its number in SCALE.
    public enum Platform: String, Sendable, Hashable, CaseIterable {
        /// A dstack host.
        case dstack
        /// Google Cloud.
        case gcp
        /// A Nitro Enclave.
        case nitroEnclave = "nitroenclave"
        /// An EC2 instance.
        case awsEC2 = "aws-ec2"
    }
}
