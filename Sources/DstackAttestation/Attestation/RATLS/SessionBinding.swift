import DstackCrypto
import DstackEncoding

/// What ties evidence to one TLS connection: report data over the connection's own secret, the verifier's nonce and the
/// server's key.
///
/// ```swift
/// let binding = try SessionBinding(exporter: exporter, nonce: nonce, publicKey: subjectPublicKeyInfo)
/// let attestation = try await attester.attestation(reportData: binding.reportData)
/// ```
///
/// Evidence over a certificate key alone can be relayed: whoever gets the key, or gets the attested code to quote a key of
/// his own choice, presents the evidence in connections that end elsewhere (CVE-2026-33697). The exporter value is known
/// only to the two ends of one handshake, so that evidence over it says where *this* connection ends.
///
/// That holds only as long as nobody can have such report data signed for a connection that the attested code does not
/// end: see ``reservedPrefix``.
public struct SessionBinding: Hashable, Sendable {
    /// What the report data begins with: 16 bytes of ASCII.
    public static let tag = "dstack-session/1"

    /// What report data must not begin with where its content is an application's choice: ``tag`` without its version, so
    /// that an agent of today signs nothing that a later version would take for its own.
    ///
    /// A guest agent signs such report data only in the method that builds it from exporter, nonce and key.
    public static let reservedPrefix: [UInt8] = Array("dstack-session/".utf8)

    /// The label of the TLS exporter (RFC 9266 section 4.2), used with an empty context.
    public static let exporterLabel = "EXPORTER-Channel-Binding"

    /// The longest SubjectPublicKeyInfo that is hashed; that of an RSA key of 16384 bits has about 2100 bytes.
    public static let maximumKeyByteCount = 4096

    /// 32 bytes of the TLS 1.3 exporter of the connection, under ``exporterLabel``.
    public let exporter: FixedBytes<32>
    /// 32 random bytes that the verifier chose for this connection: they make the evidence fresh.
    public let nonce: FixedBytes<32>
    /// The key in the certificate that the server presented in this connection: SubjectPublicKeyInfo, DER.
    public let publicKey: [UInt8]

    /// A binding from its parts as they come over a wire.
    ///
    /// - Throws: ``AttestationError/Code/invalidReportData`` for an exporter or a nonce that is not 32 bytes long, and for
    ///   a key that is not one SubjectPublicKeyInfo in DER of at most ``maximumKeyByteCount`` bytes.
    public init(exporter: [UInt8], nonce: [UInt8], publicKey: [UInt8]) throws(AttestationError) {
        try self.init(
            exporter: Self.thirtyTwo(exporter, "exporter"), nonce: Self.thirtyTwo(nonce, "nonce"),
            publicKey: publicKey)
    }

    /// A binding from its parts.
    ///
    /// - Throws: ``AttestationError/Code/invalidReportData`` for a key that is not one SubjectPublicKeyInfo in DER of at
    ///   most ``maximumKeyByteCount`` bytes.
    public init(
        exporter: FixedBytes<32>, nonce: FixedBytes<32>, publicKey: [UInt8]
    ) throws(AttestationError) {
        guard publicKey.count <= Self.maximumKeyByteCount else {
            throw AttestationError(
                .invalidReportData, subject: "public_key",
                reason: "\(publicKey.count) bytes, at most \(Self.maximumKeyByteCount) are taken")
        }
        try AttestationError.decoding(.invalidReportData) { () throws(DecodingFailure) in
            try Self.checkForm(publicKey)
        }
        self.exporter = exporter
        self.nonce = nonce
        self.publicKey = publicKey
    }

    /// The tag, then SHA-384 over the three parts, each preceded by its length in four bytes, big-endian.
    public var reportData: ReportData {
        var content = ByteWriter(capacity: 76 + publicKey.count)
        for part in [exporter.bytes, nonce.bytes, publicKey] {
            content.bigEndian(UInt32(truncatingIfNeeded: part.count))
            content.append(part)
        }
        var report = ByteWriter(capacity: 64)
        report.append(Self.tag.utf8)
        report.fixed(SHA384.hash(content.bytes))
        // 16 and 48 bytes.
        return ReportData(FixedBytes<64>(report.bytes) ?? FixedBytes<64>())
    }

    private static func thirtyTwo(_ bytes: [UInt8], _ name: String) throws(AttestationError) -> FixedBytes<32> {
        guard let fixed = FixedBytes<32>(bytes) else {
            throw AttestationError(
                .invalidReportData, subject: name, reason: "\(bytes.count) bytes, it must have exactly 32")
        }
        return fixed
    }

    /// SEQUENCE of an AlgorithmIdentifier and a BIT STRING (RFC 5280 section 4.1), whichever the algorithm.
    private static func checkForm(_ key: [UInt8]) throws(DecodingFailure) {
        var reader = DERReader(key.span.bytes)
        var fields = try reader.constructed(.sequence, "public_key")
        try reader.expectEnd(of: "public_key")
        _ = try fields.constructed(.sequence, "algorithm of public_key")
        _ = try fields.content(.bitString, "public_key")
        try fields.expectEnd(of: "public_key")
    }
}

extension ReportData {
    /// Whether this begins like the report data of a ``SessionBinding``, of whichever version. What an application chose
    /// must not; a guest agent refuses to sign it.
    public var isReservedForSessions: Bool { bytes.bytes.starts(with: SessionBinding.reservedPrefix) }
}
