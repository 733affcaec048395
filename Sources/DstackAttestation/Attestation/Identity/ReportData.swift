internal import DstackCrypto
public import DstackEncoding

/// The 64 bytes that the attested code had signed.
///
/// Whoever runs in the trust domain chooses them. They bind a quote to something, a key or a nonce, only where a relying
/// party knows how they came about and recomputes them.
public struct ReportData: Hashable, Sendable, CustomStringConvertible {
    /// As they stand in the quote.
    public let bytes: FixedBytes<64>

    /// The given 64 bytes.
    public init(_ bytes: FixedBytes<64>) { self.bytes = bytes }

    /// Up to 64 bytes, filled with zeros on the right, as guests do with what an application has them quote.
    ///
    /// - Throws: ``AttestationError/Code/invalidReportData`` for more than 64 bytes.
    public init(padding bytes: [UInt8]) throws(AttestationError) {
        guard bytes.count <= 64, let padded = FixedBytes<64>(bytes + [UInt8](repeating: 0, count: 64 - bytes.count))
        else {
            throw AttestationError(
                .invalidReportData, subject: "report_data", reason: "\(bytes.count) bytes, at most 64 fit")
        }
        self.bytes = padded
    }

    /// The hash of a tag, a colon and some content, filled with zeros on the right. The tag keeps report data of
    /// different kinds apart; but an application may have any 64 bytes quoted, so that a tag proves nothing by itself.
    public init(tag: Tag, content: some Collection<UInt8>, hash: HashAlgorithm = .sha512) {
        self.init(hash.digest(Array(tag.text.utf8) + [UInt8(ascii: ":")] + content))
    }

    /// As in `init(tag:content:hash:)`, with the algorithm by the name that requests use.
    ///
    /// - Parameter algorithm: one of ``HashAlgorithm``'s names, empty for SHA-512, or `raw` for content of exactly 64
    ///   bytes that is taken as it is, without tag.
    /// - Throws: ``AttestationError/Code/invalidReportData`` for any other name or, with `raw`, any other length.
    public init(tag: Tag, content: [UInt8], algorithm: String) throws(AttestationError) {
        if algorithm == "raw" {
            guard let bytes = FixedBytes<64>(content) else {
                throw AttestationError(
                    .invalidReportData, subject: "report_data",
                    reason: "invalid content length: \(content.count) bytes, raw report data has 64")
            }
            self.init(bytes)
            return
        }
        guard let hash = algorithm.isEmpty ? .sha512 : HashAlgorithm(rawValue: algorithm) else {
            let known = HashAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")
            throw AttestationError(
                .invalidReportData, subject: "hash_algorithm",
                reason: "invalid hash algorithm; known are \(known) and raw")
        }
        self.init(tag: tag, content: content, hash: hash)
    }

    /// What RA-TLS certificates of a key are bound to: its DER SubjectPublicKeyInfo under the tag `ratls-cert`.
    public init(raTLSKey subjectPublicKeyInfo: [UInt8]) {
        self.init(tag: .raTLSCertificate, content: subjectPublicKeyInfo)
    }

    /// 128 hexadecimal digits.
    public var hex: String { bytes.hex }

    /// The same as ``hex``.
    public var description: String { hex }
}

extension ReportData {
    /// What kind of content was hashed.
    public struct Tag: Hashable, Sendable {
        /// What stands before the colon.
        public let text: String

        /// A tag of the caller's own. Nothing keeps it from being one of those below.
        public init(_ text: String) { self.text = text }

        /// The quote of a KMS over its root keys.
        public static let kmsRootCA = Tag("kms-root-ca")
        /// The quote of an RA-TLS certificate over its public key.
        public static let raTLSCertificate = Tag("ratls-cert")
        /// An application's data; also what binds ``Attestation/reportDataPayload``.
        public static let appData = Tag("app-data")
    }

    /// How tag and content are hashed. `sha3` is FIPS 202, `keccak` the original that Ethereum uses.
    public enum HashAlgorithm: String, CaseIterable, Sendable {
        /// SHA-256: 32 bytes and 32 zeros.
        case sha256
        /// SHA-384: 48 bytes and 16 zeros.
        case sha384
        /// SHA-512, the default.
        case sha512
        /// SHA3-256.
        case sha3_256 = "sha3-256"
        /// SHA3-384.
        case sha3_384 = "sha3-384"
        /// SHA3-512.
        case sha3_512 = "sha3-512"
        /// Keccak-256.
        case keccak256
        /// Keccak-384.
        case keccak384
        /// Keccak-512.
        case keccak512

        /// The digest, left-aligned.
        fileprivate func digest(_ bytes: [UInt8]) -> FixedBytes<64> {
            switch self {
            case .sha256: leftAligned(SHA256.hash(bytes))
            case .sha384: leftAligned(SHA384.hash(bytes))
            case .sha512: leftAligned(SHA512.hash(bytes))
            case .sha3_256: leftAligned(SHA3_256.hash(bytes))
            case .sha3_384: leftAligned(SHA3_384.hash(bytes))
            case .sha3_512: leftAligned(SHA3_512.hash(bytes))
            case .keccak256: leftAligned(Keccak.hash256(bytes))
            case .keccak384: leftAligned(Keccak.hash384(bytes))
            case .keccak512: leftAligned(Keccak.hash512(bytes))
            }
        }
    }
}

/// A digest at the beginning of 64 bytes; the rest is zeros.
private func leftAligned<let count: Int>(_ digest: FixedBytes<count>) -> FixedBytes<64> {
    var padded = FixedBytes<64>()
    for index in 0..<min(count, 64) { padded[index] = digest[index] }
    return padded
}
