import DstackRPC

extension DstackClient {
    /// A quote over up to 64 bytes, filled with zeros on the right.
    ///
    /// - Throws: ``DstackClientError/Code/notAuthentic`` if the quote that came back is for other report data,
    ///   ``DstackClientError/Code/unsupported`` on platforms that have no TDX quotes (use
    ///   ``attest(reportData:)-(ReportData)`` there).
    public func quote(reportData: [UInt8]) async throws(DstackClientError) -> AgentQuote {
        try await quote(reportData: try Self.padded(reportData))
    }

    /// A quote over report data.
    ///
    /// ```swift
    /// let quote = try await client.quote(reportData: ReportData(tag: .appData, content: message))
    /// ```
    public func quote(reportData: ReportData) async throws(DstackClientError) -> AgentQuote {
        let response = try await connection.call(
            AgentRPC.DstackGuest.getQuote, .with { $0.reportData = reportData.bytes.bytes }, size: .evidence)
        return try AgentQuote(response, for: reportData)
    }

    /// Evidence of whatever kind the platform gives, in upstream's envelope, over up to 64 bytes, filled with zeros on the
    /// right.
    public func attest(reportData: [UInt8]) async throws(DstackClientError) -> AgentAttestation {
        try await attest(reportData: try Self.padded(reportData))
    }

    /// Evidence of whatever kind the platform gives, in upstream's envelope.
    ///
    /// - Throws: ``DstackClientError/Code/notAuthentic`` if the evidence that came back is for other report data.
    public func attest(reportData: ReportData) async throws(DstackClientError) -> AgentAttestation {
        let response = try await connection.call(
            AgentRPC.DstackGuest.attest, .with { $0.reportData = reportData.bytes.bytes }, size: .evidence)
        return try AgentAttestation(response.attestation, for: reportData, "Attest")
    }

    /// Measures an event into RTMR3, where every later quote shows it.
    ///
    /// - Parameter name: without a colon, which would make the event pass for another.
    /// - Throws: ``DstackClientError/Code/unsupported`` or ``DstackClientError/Code/refused`` where the agent does not let
    ///   applications measure.
    public func emitEvent(_ name: String, payload: [UInt8]) async throws(DstackClientError) {
        do {
            _ = try RuntimeEvent(emitting: name, payload: payload)
        } catch {
            throw DstackClientError(.invalidRequest, subject: "EmitEvent", reason: error.reason)
        }
        _ = try await connection.call(
            AgentRPC.DstackGuest.emitEvent, .with { ($0.event, $0.payload) = (name, payload) })
    }

    static func padded(_ bytes: [UInt8]) throws(DstackClientError) -> ReportData {
        do {
            return try ReportData(padding: bytes)
        } catch {
            throw DstackClientError(
                .invalidRequest, subject: error.subject, reason: error.reason,
                hint: "hash longer content: ReportData(tag: .appData, content: …)")
        }
    }
}
