internal import DstackCrypto
internal import DstackEncoding

/// A certificate with dstack's extensions: what its holder proves about the key in it, and what its issuer claims.
///
/// ```swift
/// let certificate = try RATLSCertificate(parsing: der)
/// let report = try verifier.verify(certificate, collateral: collateral, at: now)
/// ```
///
/// Parsed is not verified. ``attestation`` is worth what its verification says, *under the condition* that the quote's
/// report data is ``expectedReportData``: that binds it to the key, and the handshake shows that the other side has the
/// key. ``appID``, ``usage`` and ``appInfo`` are words of whoever signed the certificate; they count only after a chain to
/// an issuer that is trusted to say them, and prove nothing about hardware.
public struct RATLSCertificate: Sendable {
    /// What a certificate is for, as its issuer puts it.
    public struct Usage: RawRepresentable, Hashable, Sendable {
        /// The text in the certificate.
        public let rawValue: String

        /// A usage by its text.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The RPC server of a key management service.
        public static let kmsRPC = Usage(rawValue: "kms:rpc")
        /// An authority for the certificates of one application.
        public static let appCA = Usage(rawValue: "app:ca")
        /// A certificate that an application asked for.
        public static let appCustom = Usage(rawValue: "app:custom")
    }

    /// How evidence is put into a certificate.
    public enum EvidenceForm: Sendable, Hashable {
        /// An attestation envelope in one extension.
        case envelope
        /// Quote and event log in an extension each, as older releases write them.
        case quoteAndEventLog
    }

    /// The certificate, DER.
    public let der: [UInt8]
    /// The evidence; nil if the certificate has none, as those that a key management service issued may.
    public let attestation: Attestation?
    /// The form of the evidence; nil if there is none.
    public let evidenceForm: EvidenceForm?
    /// The application, as the issuer says.
    public let appID: AppID?
    /// What the certificate is for, as the issuer says.
    public let usage: Usage?
    /// The application and what it runs, as the issuer says.
    public let appInfo: AppInfo?
    let certificate: Certificate
    /// What ``attestation`` was read from.
    let evidence: Evidence?

    /// The most bytes that are read. Envelopes are up to ten times smaller; TLS peers rarely take more than 100 KB.
    public static let maximumByteCount = 1 << 20

    /// The largest event log after decompression: 16 KiB (upstream's limit, against decompression bombs).
    static let maximumEventLogByteCount = 16 << 10

    /// What precedes a compressed event log.
    static let compressionMark = Array("ELGZv1".utf8)

    /// Reads a certificate, DER or PEM. Of several PEM certificates the first is read: chains begin with the leaf.
    ///
    /// Everything in dstack's extensions is decoded here, so that a certificate with malformed evidence is no certificate
    /// without evidence. Where a certificate has both forms of evidence, the envelope counts.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_certificate` for anything that is not exactly one certificate of
    ///   version 3 in strict DER, for an extension that occurs twice, is marked critical or is not wrapped as it should
    ///   be, and for a quote without event log; with the code of the content for an envelope, a quote, a log or app
    ///   information that cannot be decoded.
    public init(parsing bytes: [UInt8]) throws(AttestationError) {
        let certificate = try AttestationError.decoding(.invalidCertificate) { () throws(DecodingFailure) in
            try Certificate(der: Self.der(bytes))
        }
        // All of them, also those that do not count: none may be malformed.
        let contents = try AttestationError.decoding(.invalidCertificate) { () throws(DecodingFailure) in
            var contents: [RATLSExtension: [UInt8]] = [:]
            for kind in RATLSExtension.allCases { contents[kind] = try kind.content(in: certificate) }
            return contents
        }
        self.certificate = certificate
        der = certificate.der
        if let envelope = contents[.attestation] {
            attestation = try Attestation(decoding: envelope)
            evidence = Evidence(attestation: envelope)
            evidenceForm = .envelope
        } else if let quote = contents[.quote] {
            guard let stored = contents[.eventLog] else {
                throw AttestationError(.invalidCertificate, subject: "certificate", reason: "TDX event log missing")
            }
            let log = try AttestationError.decoding(.invalidEventLog) { () throws(DecodingFailure) in
                try Self.eventLog(stored)
            }
            attestation = try Attestation(quote: quote, eventLog: EventLog(json: log))
            evidence = Evidence(quote: quote, eventLog: log)
            evidenceForm = .quoteAndEventLog
        } else {
            attestation = nil
            evidence = nil
            evidenceForm = nil
        }
        if let bytes = contents[.appID] {
            guard let id = FixedBytes<20>(bytes) else {
                throw AttestationError(
                    .invalidCertificate, subject: "app id of the certificate",
                    reason: "\(bytes.count) bytes, an app id has 20")
            }
            appID = AppID(id)
        } else {
            appID = nil
        }
        if let bytes = contents[.usage] {
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw AttestationError(
                    .invalidCertificate, subject: "usage of the certificate", reason: "not UTF-8")
            }
            usage = Usage(rawValue: text)
        } else {
            usage = nil
        }
        if let bytes = contents[.appInfo] {
            appInfo = try AppInfo(messagePack: bytes)
        } else {
            appInfo = nil
        }
    }

    /// The key that the certificate is for: SubjectPublicKeyInfo, DER.
    public var publicKey: [UInt8] { Array(certificate.subjectPublicKeyInfo) }

    /// What the quote's report data must be for the evidence to be about this certificate's key.
    public var expectedReportData: ReportData { ReportData(raTLSKey: publicKey) }

    /// The subject's common name, or "" if there is none.
    public var commonName: String { certificate.subjectCommonName }

    /// First second of its validity, Unix seconds.
    public var notBefore: Int64 { certificate.notBefore }

    /// Last second of its validity, Unix seconds.
    public var notAfter: Int64 { certificate.notAfter }

    private static func der(_ bytes: [UInt8]) throws(DecodingFailure) -> [UInt8] {
        guard bytes.count <= maximumByteCount else {
            throw DecodingFailure(
                .tooLarge, "certificate", "\(bytes.count) bytes, at most \(maximumByteCount) are read")
        }
        guard bytes.first != DERTag.sequence.octet else { return bytes }
        guard let first = try PEM.decode(bytes, label: "CERTIFICATE").first else {
            throw DecodingFailure(.malformed, "certificate", "neither DER nor PEM with a CERTIFICATE block")
        }
        return first
    }

    private static func eventLog(_ stored: [UInt8]) throws(DecodingFailure) -> [UInt8] {
        guard stored.starts(with: compressionMark) else { return stored }
        return try Gzip.decompress(
            Array(stored.dropFirst(compressionMark.count)), limit: maximumEventLogByteCount, subject: "event log")
    }
}

extension AttestationError.Code {
    /// A certificate is not of the form that it must have, or does not have what is needed of it.
    public static let invalidCertificate = Self(rawValue: "invalid_certificate")
}
