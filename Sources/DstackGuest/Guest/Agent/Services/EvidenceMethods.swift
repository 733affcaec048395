import DstackAttestation
import DstackKeys
import DstackRPC

/// Quotes, attestations and events, as the methods ask for them.
extension GuestAgent {
    /// What a log leaves out beside a quote of real hardware: the data of boot events, which nobody needs to replay it.
    /// Digests stay, because clients replay with them. Simulated logs are short enough to be shown whole.
    private var stripping: EventLog.Stripping? { isSimulated ? nil : EventLog.Stripping() }

    private func stripped(_ log: EventLog) -> EventLog {
        (stripping.map { log.stripped($0) } ?? log).withPreimages()
    }

    private func stripped(_ attestation: Attestation) -> Attestation {
        (stripping.map { attestation.stripped($0) } ?? attestation).withPreimages()
    }

    func quote(_ request: AgentRPC.RawQuoteArgs) async throws -> AgentRPC.GetQuoteResponse {
        quoteResponse(try await attestation(chosen: request.reportData))
    }

    private func quoteResponse(_ attestation: Attestation) -> AgentRPC.GetQuoteResponse {
        let evidence = attestation.tdxEvidence
        return .with {
            $0.quote = evidence?.quote ?? []
            $0.eventLog = evidence.map { stripped($0.eventLog).json } ?? ""
            $0.reportData = attestation.reportData.bytes.bytes
            $0.vmConfig = files.system.vmConfig
            if evidence == nil || isSimulated { $0.attestation = encoded(stripped(attestation)) }
        }
    }

    /// The whole evidence, with the data of boot events: who inspects what firmware and loader measured asks for this.
    func attest(_ reportData: [UInt8]) async throws -> [UInt8] {
        encoded(try await attestation(chosen: reportData).withPreimages())
    }

    /// Evidence that is bound to one TLS connection, which the caller ends.
    func attestSession(_ request: AgentRPC.AttestSessionArgs) async throws -> AgentRPC.AttestResponse {
        let binding: SessionBinding
        do {
            binding = try SessionBinding(
                exporter: request.exporter, nonce: request.nonce, publicKey: request.publicKey)
        } catch {
            throw RPCError("\(error)")
        }
        let attestation = stripped(try await attestation(built: binding.reportData))
        return .with { $0.attestation = encoded(attestation) }
    }

    // MARK: Older forms

    func tdxQuote(_ request: AgentRPC.TdxQuoteArgs) async throws -> AgentRPC.TdxQuoteResponse {
        let isRaw = request.hashAlgorithm == "raw"
        let algorithm = request.hashAlgorithm.isEmpty ? "sha512" : request.hashAlgorithm
        let tag = request.prefix.isEmpty ? ReportData.Tag.appData : ReportData.Tag(request.prefix)
        if isRaw, request.reportData.count != 64 { throw RPCError("invalid content length") }
        guard isRaw || ReportData.HashAlgorithm(rawValue: algorithm) != nil else {
            throw RPCError("invalid hash algorithm")
        }
        let reportData = try ReportData(tag: tag, content: request.reportData, algorithm: algorithm)
        let quote = quoteResponse(try await attestation(chosen: reportData))
        return .with {
            $0.quote = quote.quote
            $0.eventLog = quote.eventLog
            $0.hashAlgorithm = algorithm
            $0.prefix = isRaw ? "" : tag.text
        }
    }

    func rawQuote(_ request: AgentRPC.RawQuoteArgs) async throws -> AgentRPC.TdxQuoteResponse {
        try await tdxQuote(
            .with {
                $0.reportData = request.reportData
                $0.hashAlgorithm = "raw"
            })
    }

    // MARK: Public

    /// What the keys that sign messages are called in evidence about them.
    func appKeyQuote(_ algorithm: KeyAlgorithm) async throws -> AgentRPC.GetQuoteResponse {
        let reportData = try ReportData(padding: files.signer.keyReportData(algorithm))
        return quoteResponse(try await attestation(built: reportData))
    }

    func signingKeyAlgorithm(_ request: AgentRPC.GetAttestationForAppKeyRequest) throws(RPCError) -> KeyAlgorithm {
        guard !request.algorithm.isEmpty, let algorithm = KeyAlgorithm(label: request.algorithm) else {
            throw RPCError("Unsupported algorithm")
        }
        return algorithm
    }

    // MARK: Events

    func emitEvent(_ request: AgentRPC.EmitEventArgs) async throws(RPCError) -> RPCEmpty {
        guard settings.evidence.acceptsEvents ?? isSimulated else {
            throw RPCError(
                "EmitEvent is off: an application's events in RTMR3 cannot be taken back; core.evidence.accept_events "
                    + "turns it on")
        }
        let event = RuntimeEvent(name: request.event, payload: request.payload, version: eventVersion)
        do {
            // Whether the others leave room for it, the attester sees, who knows them all.
            try event.checkMeasurable(after: [])
        } catch {
            throw RPCError("\(error)")
        }
        try await emit(event)
        return RPCEmpty()
    }
}
