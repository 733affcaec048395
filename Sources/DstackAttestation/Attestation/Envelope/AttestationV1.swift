internal import DstackEncoding

// Version 1: MessagePack, maps with member names. Upstream's serialiser writes plain byte vectors as arrays of integers
// and only digests and payloads as binary data; it needs `kind` before `data`. Both are kept when writing.

extension Attestation {
    init(messagePack bytes: [UInt8]) throws(DecodingFailure) {
        var reader = MessagePackReader(ByteReader(bytes.span.bytes))
        var platform: Platform?
        var stack: Stack?
        try reader.members(["version", "platform", "stack"], "attestation") {
            (reader, index) throws(DecodingFailure) in
            switch index {
            case 0:
                let start = reader.offset
                let version = try reader.unsigned("version")
                guard version == 1 else {
                    throw DecodingFailure(
                        .unsupported, "version", at: start,
                        "unsupported attestation version: expected 1, got \(version)")
                }
            case 1: platform = try Platform(messagePack: &reader)
            default: stack = try Stack(messagePack: &reader)
            }
        }
        try reader.expectEnd(of: "attestation")
        guard let platform, let stack else { throw DecodingFailure(.malformed, "attestation", "a member is missing") }
        self.init(
            platform: platform, runtimeEvents: stack.runtimeEvents, reportData: stack.reportData, config: stack.config,
            reportDataPayload: stack.reportDataPayload)
    }

    func encodedMessagePack() -> [UInt8] {
        var writer = MessagePackWriter(capacity: 20_480)
        writer.map(3)
        writer.string("version")
        writer.unsigned(1)
        writer.string("platform")
        writer.map(2)
        writer.string("kind")
        writer.string(platform.kind)
        writer.string("data")
        platform.encode(to: &writer)
        writer.string("stack")
        writer.map(2)
        writer.string("kind")
        writer.string(reportDataPayload == nil ? Stack.kind : Stack.podKind)
        writer.string("data")
        writer.map(reportDataPayload == nil ? 3 : 4)
        writer.string("report_data")
        writer.integers(reportData.bytes.bytes)
        writer.string("runtime_events")
        writer.array(runtimeEvents.count)
        for event in runtimeEvents { event.encode(to: &writer) }
        writer.string("config")
        writer.string(config)
        if let reportDataPayload {
            writer.string("report_data_payload")
            writer.string(reportDataPayload)
        }
        return writer.bytes
    }
}

/// What dstack adds to the platform's evidence.
private struct Stack {
    static let kind = "dstack"
    static let podKind = "dstack-pod"

    var reportData: ReportData
    var runtimeEvents: [RuntimeEvent] = []
    var config = ""
    var reportDataPayload: String?

    init(messagePack reader: inout MessagePackReader) throws(DecodingFailure) {
        let start = reader.offset
        let kind = try reader.kindOfNext("stack")
        guard kind == Self.kind || kind == Self.podKind else {
            throw DecodingFailure(.unsupported, "stack", at: start, "dstack and dstack-pod are known kinds")
        }
        let isPod = kind == Self.podKind
        var reportData: ReportData?
        var runtimeEvents: [RuntimeEvent] = []
        var config = ""
        var payload: String?
        try reader.dataOfKind("stack") { (reader) throws(DecodingFailure) in
            let names = ["report_data", "runtime_events", "config"] + (isPod ? ["report_data_payload"] : [])
            try reader.members(names, "stack") { (reader, index) throws(DecodingFailure) in
                switch index {
                case 0:
                    let start = reader.offset
                    let bytes = try reader.bytes("report_data")
                    guard let fixed = FixedBytes<64>(bytes) else {
                        throw DecodingFailure(
                            .malformed, "report_data", at: start, "64 bytes are needed, found \(bytes.count)")
                    }
                    reportData = ReportData(fixed)
                case 1:
                    for _ in 0..<(try reader.array("runtime_events")) {
                        runtimeEvents.append(try RuntimeEvent(messagePack: &reader))
                    }
                case 2: config = try reader.string("config")
                default: payload = try reader.string("report_data_payload")
                }
            }
        }
        guard let reportData else { throw DecodingFailure(.malformed, "stack", at: start, "report_data is missing") }
        self.reportData = reportData
        self.runtimeEvents = runtimeEvents
        self.config = config
        self.reportDataPayload = payload
    }
}

extension Attestation.Platform {
    fileprivate init(messagePack reader: inout MessagePackReader) throws(DecodingFailure) {
        let start = reader.offset
        let kind = try reader.kindOfNext("platform")
        var first: [UInt8] = []
        var log: [LoggedEvent] = []
        var chain: [[UInt8]] = []
        var mrConfig = ""
        var tpmQuote: TPMQuote?
        let names: [String]
        switch kind {
        case "tdx": names = ["quote", "event_log"]
        case "gcp-tdx": names = ["quote", "event_log", "tpm_quote"]
        case "nitro-enclave": names = ["nsm_quote"]
        case "sev-snp": names = ["report", "cert_chain", "mr_config"]
        case "aws-nitro-tpm": names = ["attestation_doc"]
        default:
            throw DecodingFailure(
                .unsupported, "platform", at: start,
                "known kinds are tdx, gcp-tdx, nitro-enclave, sev-snp and aws-nitro-tpm")
        }
        try reader.dataOfKind("platform") { (reader) throws(DecodingFailure) in
            try reader.members(names, "platform") { (reader, index) throws(DecodingFailure) in
                switch names[index] {
                case "event_log":
                    for _ in 0..<(try reader.array("event_log")) { log.append(try LoggedEvent(messagePack: &reader)) }
                case "tpm_quote": tpmQuote = try TPMQuote(messagePack: &reader)
                case "cert_chain":
                    for _ in 0..<(try reader.array("cert_chain")) { chain.append(try reader.bytes("certificate")) }
                case "mr_config": mrConfig = try reader.string("mr_config")
                // The evidence itself: quote, report or document.
                default: first = try reader.bytes("platform evidence")
                }
            }
        }
        let tdx = Attestation.TDXEvidence(quote: first, eventLog: EventLog(log))
        switch (kind, tpmQuote) {
        case ("tdx", _): self = .tdx(tdx)
        case ("gcp-tdx", let tpmQuote?): self = .gcpTDX(tdx, tpmQuote: tpmQuote)
        case ("nitro-enclave", _): self = .nitroEnclave(document: first)
        case ("sev-snp", _):
            self = .sevSNP(
                Attestation.SEVSNPEvidence(report: first, certificateChain: chain, mrConfig: mrConfig))
        default: self = .awsNitroTPM(document: first)
        }
    }

    fileprivate func encode(to writer: inout MessagePackWriter) {
        switch self {
        case .tdx(let evidence):
            writer.map(2)
            evidence.encode(to: &writer)
        case .gcpTDX(let evidence, let tpmQuote):
            writer.map(3)
            evidence.encode(to: &writer)
            writer.string("tpm_quote")
            tpmQuote.encode(to: &writer)
        case .nitroEnclave(let document):
            writer.map(1)
            writer.string("nsm_quote")
            writer.integers(document)
        case .sevSNP(let evidence):
            writer.map(3)
            writer.string("report")
            writer.integers(evidence.report)
            writer.string("cert_chain")
            writer.array(evidence.certificateChain.count)
            for certificate in evidence.certificateChain { writer.integers(certificate) }
            writer.string("mr_config")
            writer.string(evidence.mrConfig)
        case .awsNitroTPM(let document):
            writer.map(1)
            writer.string("attestation_doc")
            writer.integers(document)
        }
    }
}

extension Attestation.TDXEvidence {
    /// The members of the map that the caller began.
    fileprivate func encode(to writer: inout MessagePackWriter) {
        writer.string("quote")
        writer.integers(quote)
        writer.string("event_log")
        writer.array(eventLog.events.count)
        for event in eventLog.events { event.encode(to: &writer) }
    }
}
