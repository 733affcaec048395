import DstackEncoding
import DstackRPC

/// A quote with the log that explains it, from a guest agent: for the report data that was asked for, not verified
/// otherwise. Pass ``bytes`` and ``eventLogJSON`` on to whoever is to be convinced, or ``evidence(appCompose:)`` to a
/// ``QuoteVerifier``.
public struct AgentQuote: Sendable {
    /// The quote as it came.
    public let bytes: [UInt8]
    /// The quote, parsed.
    public let quote: Quote
    /// What the quote says of the trust domain.
    public let report: TDReport
    /// The log, parsed.
    public let eventLog: EventLog
    /// The log as it came: a JSON array.
    public let eventLogJSON: String
    /// What the quote is for; compared with what was asked.
    public let reportData: ReportData
    /// The VM's configuration as its host states it: JSON; empty from older agents.
    public let vmConfig: String
    /// The same in upstream's envelope, which some agents send along.
    public let envelope: [UInt8]?

    /// The log's events, in order.
    public var events: [LoggedEvent] { eventLog.events }

    /// The registers to which the log leads, whatever the quote says.
    ///
    /// - Throws: ``AttestationError`` for a log that cannot be replayed.
    public func replayedRTMRs() throws(AttestationError) -> RTMRValues { try eventLog.replay().registers }

    /// The log, replayed and found to lead to all registers of the quote; but to RTMR3 alone where it has of the boot only the
    /// three ACPI events, as upstream's small form does (``ReplayedEventLog/bootCoverage``).
    ///
    /// - Throws: ``AttestationError/Code/registerMismatch`` with the register that differs.
    public func replayedEventLog() throws(AttestationError) -> ReplayedEventLog {
        let replayed = try eventLog.replay()
        let isSmall = replayed.bootCoverage == .acpiEvents
        for comparison in replayed.compare(with: report.rtmrs)
        where !comparison.matches && (comparison.isTold || !isSmall) {
            throw AttestationError(
                .registerMismatch, subject: "\(comparison.register)",
                reason: "\(comparison.eventCount) events lead to \(comparison.replayed), the quote has "
                    + "\(comparison.quoted)")
        }
        return replayed
    }

    /// The quote with all that explains it, for a verifier.
    ///
    /// - Parameter appCompose: the verifier's own copy of the compose file.
    public func evidence(appCompose: [UInt8]? = nil) -> Evidence {
        Evidence(
            quote: bytes, eventLog: Array(eventLogJSON.utf8), configuration: vmConfig, appCompose: appCompose)
    }

    /// Whether the quote is of a simulated TEE (``Quote/isSimulated``).
    public var isSimulated: Bool { quote.isSimulated }

    /// Whether the quote's signatures lead to Intel's root. Where they do not, the TEE is simulated or somebody else's.
    ///
    /// It says where the quote comes from and not that it is good: that needs collateral and a ``QuoteVerifier``.
    public var leadsToIntel: Bool { QuoteVerifier.leadsToIntel(bytes) }

    // MARK: From answers

    init(_ response: AgentRPC.GetQuoteResponse, for reportData: ReportData) throws(DstackClientError) {
        guard !response.quote.isEmpty else {
            throw DstackClientError(
                .unsupported, subject: "GetQuote", reason: "the agent's platform has no TDX quotes",
                hint: "attest(reportData:) gives the evidence that it has")
        }
        guard response.reportData.isEmpty || response.reportData == reportData.bytes.bytes else {
            throw Self.otherReportData("GetQuote", Hex.encode(response.reportData), reportData)
        }
        try self.init(
            "GetQuote", quote: response.quote, eventLog: response.eventLog, reportData: reportData,
            vmConfig: response.vmConfig, envelope: response.attestation.isEmpty ? nil : response.attestation)
    }

    init(
        _ method: String, quote bytes: [UInt8], eventLog json: String, reportData: ReportData, vmConfig: String = "",
        envelope: [UInt8]? = nil
    ) throws(DstackClientError) {
        let (quote, log): (Quote, EventLog)
        do throws(AttestationError) {
            quote = try Quote(parsing: bytes)
            log = try EventLog(json: json)
        } catch {
            throw DstackClientError(method, error)
        }
        guard let report = quote.body.tdReport else {
            throw DstackClientError(
                .invalidResponse, subject: method, reason: "a TDX quote is needed, this is of an SGX enclave")
        }
        // Evidence for anything but what was asked must not reach a caller who will present it as his.
        guard report.reportData == reportData.bytes else {
            throw Self.otherReportData(method, report.reportData.hex, reportData)
        }
        self.bytes = bytes
        self.quote = quote
        self.report = report
        self.eventLog = log
        self.eventLogJSON = json
        self.reportData = reportData
        self.vmConfig = vmConfig
        self.envelope = envelope
    }

    static func otherReportData(
        _ method: String, _ found: String, _ expected: ReportData
    ) -> DstackClientError {
        DstackClientError(
            .notAuthentic, subject: method,
            reason: "the evidence is for report data \(found), asked for was \(expected)",
            hint: "a simulator that does not patch report data does this; never pass such evidence on")
    }
}

/// Evidence in upstream's envelope, from a guest agent: for the report data that was asked for, not verified otherwise.
public struct AgentAttestation: Sendable {
    /// The envelope as it came.
    public let bytes: [UInt8]
    /// The envelope, decoded.
    public let attestation: Attestation

    /// For a ``QuoteVerifier``.
    ///
    /// - Parameter appCompose: the verifier's own copy of the compose file.
    public func evidence(appCompose: [UInt8]? = nil) -> Evidence {
        Evidence(attestation: bytes, appCompose: appCompose)
    }

    /// Whether the quote's signatures lead to Intel's root, as ``AgentQuote/leadsToIntel``; false where there is no quote.
    public var leadsToIntel: Bool { attestation.quote.map { QuoteVerifier.leadsToIntel($0) } ?? false }

    init(_ bytes: [UInt8], for reportData: ReportData, _ method: String) throws(DstackClientError) {
        var reported: [ReportData]
        do throws(AttestationError) {
            attestation = try Attestation(decoding: bytes)
            reported = [attestation.reportData]
            if attestation.quote != nil { reported.append(ReportData(try attestation.parsedQuote().body.reportData)) }
        } catch {
            throw DstackClientError(method, error)
        }
        for other in reported where other != reportData {
            throw AgentQuote.otherReportData(method, other.hex, reportData)
        }
        self.bytes = bytes
    }
}

extension AttestationError.Code {
    /// A log that leads to other registers than the quote's.
    public static let registerMismatch = Self(rawValue: "register_mismatch")
}
