internal import DstackCrypto
public import DstackEncoding

/// Where an application's keys come from, as its `key-provider` event states it.
public struct KeyProviderInfo: Hashable, Sendable {
    /// The kinds of key providers; the raw value is the name in the event.
    public enum Kind: String, Sendable, CaseIterable {
        /// Made up anew at each boot.
        case none
        /// A provider in an SGX enclave of the host. `id` is its measurement.
        case localSGX = "local-sgx"
        /// Sealed by the platform's TPM.
        case tpm
        /// A key management service. `id` is the public key of its root CA (DER SubjectPublicKeyInfo).
        case kms

        /// The name in compose files and in ``MRConfigDocument``.
        public var configurationName: String { self == .localSGX ? "local" : rawValue }

        /// By the name in compose files.
        public init?(configurationName: String) {
            switch configurationName {
            case "local": self = .localSGX
            case "none", "tpm", "kms": self.init(rawValue: configurationName)
            default: return nil
            }
        }

        /// The number in version 2 of ``MRConfigID``.
        var configurationNumber: UInt8 {
            switch self {
            case .none: 0
            case .localSGX: 1
            case .kms: 2
            case .tpm: 3
            }
        }
    }

    /// What kind of provider it is.
    public let kind: Kind
    /// Which one; may be empty.
    public let id: [UInt8]
    /// The event's payload: JSON, byte for byte as it was measured.
    public let payload: [UInt8]

    /// What a guest measures for a provider.
    public init(kind: Kind, id: [UInt8]) {
        self.kind = kind
        self.id = id
        payload = Array("{\"name\":\"\(kind.rawValue)\",\"id\":\"\(Hex.encode(id))\"}".utf8)
    }

    /// Reads an event's payload.
    ///
    /// - Throws: ``AttestationError/Code/invalidIdentity`` for anything but a JSON object with a known `name` and a
    ///   hexadecimal `id`.
    public init(payload: [UInt8]) throws(AttestationError) {
        self = try AttestationError.decoding(.invalidIdentity) { () throws(DecodingFailure) in
            let root = try JSONDocument(parsing: payload, subject: "key-provider", maximumDepth: 8).root
            let name = try root.member("name")
            guard let kind = Kind(rawValue: try name.string()) else {
                throw name.failure("known are none, local-sgx, tpm and kms", .unsupported)
            }
            return KeyProviderInfo(kind: kind, id: try root.member("id").hexBytes(prefix: .none), payload: payload)
        }
    }

    private init(kind: Kind, id: [UInt8], payload: [UInt8]) {
        self.kind = kind
        self.id = id
        self.payload = payload
    }

    /// `mr_key_provider`: SHA-256 of the payload.
    public var measurement: FixedBytes<32> { SHA256.hash(payload) }
}
