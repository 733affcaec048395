internal import DstackEncoding

/// What a dstack guest hands out to prove what it runs: the platform's evidence, the runtime events, the report data and
/// the configuration that its host gave it. Upstream calls it a versioned attestation.
///
/// Nothing in it is believed for being there. The quote is verified, the runtime events replay to a register of the
/// quote, and everything else follows from these or is checked against them (``consistency(with:at:)``).
///
/// ```swift
/// let attestation = try Attestation(decoding: bytes)
/// let quote = try attestation.parsedQuote()
/// ```
public struct Attestation: Sendable, Hashable {
    /// What the platform vouches for.
    public var platform: Platform
    /// What the running system measured, in order; in RTMR3 where there is one.
    public var runtimeEvents: [RuntimeEvent]
    /// The report data that the quote is meant to have.
    public var reportData: ReportData
    /// `vm_config` JSON, or a whole system configuration that holds one; ``configuration()`` tells them apart. From the
    /// host, signed by nobody.
    public var config: String
    /// For pods: a text that ``reportData`` is the tagged hash of.
    public var reportDataPayload: String?

    /// An attestation from its parts.
    public init(
        platform: Platform, runtimeEvents: [RuntimeEvent], reportData: ReportData, config: String,
        reportDataPayload: String? = nil
    ) {
        self.platform = platform
        self.runtimeEvents = runtimeEvents
        self.reportData = reportData
        self.config = config
        self.reportDataPayload = reportDataPayload
    }

    /// A TDX attestation from a quote and its event log, as older interfaces and certificates carry them: the report data
    /// is the quote's, the runtime events are the log's.
    ///
    /// - Throws: ``AttestationError`` if the quote cannot be parsed or is of an SGX enclave.
    public init(quote: [UInt8], eventLog: EventLog, config: String = "") throws(AttestationError) {
        let body = try Quote(parsing: quote).body
        guard body.tdReport != nil else {
            throw AttestationError(
                .invalidQuote, subject: "quote", reason: "a TDX quote is needed, this is of an SGX enclave")
        }
        self.init(
            platform: .tdx(TDXEvidence(quote: quote, eventLog: eventLog)),
            runtimeEvents: eventLog.events.compactMap(\.runtimeEvent), reportData: ReportData(body.reportData),
            config: config)
    }

    /// A quote of a trust domain and the log that explains its registers.
    public struct TDXEvidence: Sendable, Hashable {
        /// DCAP quote.
        public var quote: [UInt8]
        /// What was measured; boot events may be stripped or left out.
        public var eventLog: EventLog

        /// Evidence from its parts.
        public init(quote: [UInt8], eventLog: EventLog) {
            self.quote = quote
            self.eventLog = eventLog
        }
    }

    /// A report of an AMD SEV-SNP guest.
    public struct SEVSNPEvidence: Sendable, Hashable {
        /// Attestation report.
        public var report: [UInt8]
        /// Certificates for the report's key.
        public var certificateChain: [[UInt8]]
        /// The document whose hash is HOST_DATA.
        public var mrConfig: String

        /// Evidence from its parts.
        public init(report: [UInt8], certificateChain: [[UInt8]], mrConfig: String) {
            self.report = report
            self.certificateChain = certificateChain
            self.mrConfig = mrConfig
        }
    }

    /// The platform's evidence. Every kind is decoded and encoded; this library verifies ``tdx(_:)`` only.
    public enum Platform: Sendable, Hashable {
        /// An Intel TDX trust domain.
        case tdx(TDXEvidence)
        /// A trust domain on Google Cloud, with a virtual TPM.
        case gcpTDX(TDXEvidence, tpmQuote: TPMQuote)
        /// An AWS Nitro Enclave's attestation document (COSE).
        case nitroEnclave(document: [UInt8])
        /// An AMD SEV-SNP guest.
        case sevSNP(SEVSNPEvidence)
        /// An AWS EC2 instance with NitroTPM; its attestation document (COSE).
        case awsNitroTPM(document: [UInt8])

        /// The platform's name in version 1 of the wire form.
        public var kind: String {
            switch self {
            case .tdx: "tdx"
            case .gcpTDX: "gcp-tdx"
            case .nitroEnclave: "nitro-enclave"
            case .sevSNP: "sev-snp"
            case .awsNitroTPM: "aws-nitro-tpm"
            }
        }

        /// The platform's name in reports and boot information (`tee_variant`).
        public var variant: String {
            switch self {
            case .tdx: "dstack-tdx"
            case .gcpTDX: "dstack-gcp-tdx"
            case .nitroEnclave: "dstack-nitro-enclave"
            case .sevSNP: "dstack-amd-sev-snp"
            case .awsNitroTPM: "dstack-aws-nitro-tpm"
            }
        }
    }

    /// Quote and event log, on platforms that have them.
    public var tdxEvidence: TDXEvidence? {
        switch platform {
        case .tdx(let evidence), .gcpTDX(let evidence, _): evidence
        case .nitroEnclave, .sevSNP, .awsNitroTPM: nil
        }
    }

    /// The bytes of the DCAP quote, on platforms that have one.
    public var quote: [UInt8]? { tdxEvidence?.quote }

    /// What was measured, on platforms that have an event log.
    public var eventLog: EventLog? { tdxEvidence?.eventLog }

    /// The DCAP quote, parsed and not verified.
    ///
    /// - Throws: ``AttestationError`` if the platform has none or it cannot be parsed.
    public func parsedQuote() throws(AttestationError) -> Quote {
        guard let quote else {
            throw AttestationError(
                .invalidEnvelope, subject: "platform", reason: "evidence of \(platform.variant) has no DCAP quote")
        }
        return try Quote(parsing: quote)
    }

    /// The same attestation with a smaller event log.
    public func stripped(_ stripping: EventLog.Stripping = .upstream) -> Attestation {
        withEventLog { $0.stripped(stripping) }
    }

    /// The same attestation with an event log that has the hashed bytes of runtime events of version 2
    /// (``EventLog/withPreimages()``).
    public func withPreimages() -> Attestation {
        withEventLog { $0.withPreimages() }
    }

    /// Unchanged on platforms without an event log.
    private func withEventLog(_ change: (EventLog) -> EventLog) -> Attestation {
        var result = self
        switch platform {
        case .tdx(var evidence):
            evidence.eventLog = change(evidence.eventLog)
            result.platform = .tdx(evidence)
        case .gcpTDX(var evidence, let tpmQuote):
            evidence.eventLog = change(evidence.eventLog)
            result.platform = .gcpTDX(evidence, tpmQuote: tpmQuote)
        case .nitroEnclave, .sevSNP, .awsNitroTPM: break
        }
        return result
    }

    // MARK: Wire forms

    /// How an attestation is written down.
    public enum WireForm: Sendable, Hashable, CaseIterable {
        /// SCALE. Has no place for pods and for runtime events of version 2.
        case v0
        /// MessagePack.
        case v1

        /// The form that some bytes claim to have, by the first of them.
        ///
        /// - Throws: ``AttestationError/Code/invalidEnvelope`` for no bytes and for any other first byte.
        public init(detecting bytes: [UInt8]) throws(AttestationError) {
            guard let first = bytes.first else {
                throw AttestationError(.invalidEnvelope, subject: "attestation", reason: "empty attestation bytes")
            }
            switch first {
            case 0x00: self = .v0
            case 0x80...0x8F, 0xDE, 0xDF: self = .v1
            default:
                throw AttestationError(
                    .invalidEnvelope, subject: "attestation",
                    reason: "unknown attestation wire format: SCALE begins with byte 00, MessagePack with a map")
            }
        }
    }

    /// The largest attestation that is decoded: 10 MiB.
    public static let maximumByteCount = 10 << 20

    /// Decodes either form.
    ///
    /// Version 1 is read liberally: members in any order, unknown members ignored, byte strings as binary data or as
    /// arrays of integers. Left-over bytes, members that occur twice, registers above 3 and digests that are not of 48
    /// bytes are refused.
    ///
    /// - Throws: ``AttestationError/Code/invalidEnvelope``, saying what is wrong at which byte.
    public init(decoding bytes: [UInt8]) throws(AttestationError) {
        guard bytes.count <= Self.maximumByteCount else {
            throw AttestationError(
                .invalidEnvelope, subject: "attestation",
                reason: "\(bytes.count) bytes, at most \(Self.maximumByteCount) are read")
        }
        let form = try WireForm(detecting: bytes)
        self = try AttestationError.decoding(.invalidEnvelope) { () throws(DecodingFailure) in
            switch form {
            case .v0: try Attestation(scale: bytes)
            case .v1: try Attestation(messagePack: bytes)
            }
        }
    }

    /// The attestation in one of the wire forms, byte for byte as upstream writes it.
    ///
    /// - Throws: ``AttestationError/Code/notRepresentable`` for version 0 of a pod's attestation or of one with runtime
    ///   events of version 2.
    public func encoded(as form: WireForm) throws(AttestationError) -> [UInt8] {
        switch form {
        case .v0: try encodedScale()
        case .v1: encodedMessagePack()
        }
    }

    /// The attestation in the older form where it fits into it, else in the newer, as upstream's guests choose.
    public var encoded: (form: WireForm, bytes: [UInt8]) {
        if let bytes = try? encodedScale() { (.v0, bytes) } else { (.v1, encodedMessagePack()) }
    }
}
