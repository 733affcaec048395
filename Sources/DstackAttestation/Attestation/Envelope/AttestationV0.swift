internal import DstackEncoding
internal import DstackMeasurement

// Version 0: SCALE. u8 0 (the version), u8 platform, the platform's evidence, runtime events, 64 bytes of report data,
// config.

extension Attestation {
    init(scale bytes: [UInt8]) throws(DecodingFailure) {
        var reader = ByteReader(bytes.span.bytes)
        let version = try reader.u8("attestation version")
        guard version == 0 else {
            throw DecodingFailure(.unsupported, "attestation version", at: 0, "0 is needed, not \(version)")
        }
        platform = try Platform(scale: &reader)
        var events: [RuntimeEvent] = []
        // An event takes two lengths at least.
        for _ in 0..<(try reader.scaleCount(minimumItemSize: 2, "runtime_events")) {
            events.append(
                RuntimeEvent(
                    name: try reader.scaleString("runtime event name"),
                    payload: try reader.scaleBytes("runtime event payload")))
        }
        runtimeEvents = events
        reportData = ReportData(try reader.fixed("report_data"))
        config = try reader.scaleString("config")
        reportDataPayload = nil
        try reader.expectEnd(of: "attestation")
    }

    func encodedScale() throws(AttestationError) -> [UInt8] {
        guard reportDataPayload == nil else {
            throw AttestationError(
                .notRepresentable, subject: "report_data_payload",
                reason: "version 0 has no place for it; use version 1")
        }
        guard runtimeEvents.allSatisfy({ $0.version == .v1 }) else {
            throw AttestationError(
                .notRepresentable, subject: "runtime_events",
                reason: "version 0 has no place for the version of an event, and one is not 1; use version 1")
        }
        var writer = ByteWriter(capacity: 16_384)
        writer.u8(0)
        try platform.encode(to: &writer)
        writer.scaleCount(runtimeEvents.count)
        for event in runtimeEvents {
            writer.scaleString(event.name)
            writer.scaleBytes(event.payload)
        }
        writer.fixed(reportData.bytes)
        writer.scaleString(config)
        return writer.bytes
    }
}

extension Attestation.Platform {
    fileprivate init(scale reader: inout ByteReader) throws(DecodingFailure) {
        let start = reader.offset
        switch try reader.u8("platform") {
        case 0:
            self = .tdx(try Attestation.TDXEvidence(scale: &reader))
        case 1:
            let evidence = try Attestation.TDXEvidence(scale: &reader)
            self = .gcpTDX(evidence, tpmQuote: try TPMQuote(scale: &reader))
        case 2:
            self = .nitroEnclave(document: try reader.scaleBytes("nsm_quote"))
        case 3:
            let report = try reader.scaleBytes("report")
            var chain: [[UInt8]] = []
            for _ in 0..<(try reader.scaleCount("cert_chain")) { chain.append(try reader.scaleBytes("certificate")) }
            self = .sevSNP(
                Attestation.SEVSNPEvidence(
                    report: report, certificateChain: chain, mrConfig: try reader.scaleString("mr_config")))
        case 4:
            self = .awsNitroTPM(document: try reader.scaleBytes("attestation_doc"))
        case let other:
            throw DecodingFailure(.unsupported, "platform", at: start, "0 to 4 are known, not \(other)")
        }
    }

    fileprivate func encode(to writer: inout ByteWriter) throws(AttestationError) {
        switch self {
        case .tdx(let evidence):
            writer.u8(0)
            try evidence.encode(to: &writer)
        case .gcpTDX(let evidence, let tpmQuote):
            writer.u8(1)
            try evidence.encode(to: &writer)
            tpmQuote.encode(to: &writer)
        case .nitroEnclave(let document):
            writer.u8(2)
            writer.scaleBytes(document)
        case .sevSNP(let evidence):
            writer.u8(3)
            writer.scaleBytes(evidence.report)
            writer.scaleCount(evidence.certificateChain.count)
            for certificate in evidence.certificateChain { writer.scaleBytes(certificate) }
            writer.scaleString(evidence.mrConfig)
        case .awsNitroTPM(let document):
            writer.u8(4)
            writer.scaleBytes(document)
        }
    }
}

extension Attestation.TDXEvidence {
    fileprivate init(scale reader: inout ByteReader) throws(DecodingFailure) {
        quote = try reader.scaleBytes("quote")
        var events: [LoggedEvent] = []
        // An event takes two integers and three lengths at least.
        for _ in 0..<(try reader.scaleCount(minimumItemSize: 11, "event_log")) {
            events.append(try LoggedEvent(scale: &reader))
        }
        eventLog = EventLog(events)
    }

    fileprivate func encode(to writer: inout ByteWriter) throws(AttestationError) {
        writer.scaleBytes(quote)
        writer.scaleCount(eventLog.events.count)
        for event in eventLog.events {
            guard event.version == .v1, event.preimage == nil else {
                throw AttestationError(
                    .notRepresentable, subject: "event_log",
                    reason: "version 0 has no place for an event's version and preimage; use version 1")
            }
            writer.littleEndian(UInt32(event.register.rawValue))
            writer.littleEndian(event.type.rawValue)
            writer.scaleBytes(event.digest?.bytes ?? [])
            writer.scaleString(event.name)
            writer.scaleBytes(event.payload)
        }
    }
}

extension LoggedEvent {
    fileprivate init(scale reader: inout ByteReader) throws(DecodingFailure) {
        let start = reader.offset
        let register = try RTMR(imr: UInt64(try reader.littleEndian(UInt32.self, "imr")), at: start)
        let type = MeasuredEventType(rawValue: try reader.littleEndian(UInt32.self, "event_type"))
        let digestOffset = reader.offset
        let digest = try Self.digest(try reader.scaleBytes("event digest"), at: digestOffset)
        self.init(
            register: register, type: type, digest: digest, name: try reader.scaleString("event name"),
            payload: try reader.scaleBytes("event payload"))
    }
}

extension RTMR {
    /// A register by the number that an event gives it.
    init(imr: UInt64, at offset: Int) throws(DecodingFailure) {
        guard let register = UInt8(exactly: imr).flatMap(RTMR.init) else {
            throw DecodingFailure(.unsupported, "imr", at: offset, "\(imr) found; a trust domain has 0 to 3")
        }
        self = register
    }
}

extension LoggedEvent {
    /// The digest of an event: 48 bytes, or none where it was stripped.
    static func digest(_ bytes: [UInt8], at offset: Int) throws(DecodingFailure) -> Measurement384? {
        if bytes.isEmpty { return nil }
        guard let digest = Measurement384(bytes) else {
            throw DecodingFailure(
                .malformed, "event digest", at: offset, "\(bytes.count) bytes; a digest has 48, or is blank")
        }
        return digest
    }
}
