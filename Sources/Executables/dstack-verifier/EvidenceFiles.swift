import DstackAttestation
import DstackCommandLine
import DstackShells
import DstackSystem

/// Evidence in files, as options name them.
enum EvidenceFiles {
    static let quote = Option("quote", .file, "the quote: binary, hexadecimal, base64, or an agent's answer")
    static let attestation = Option(
        "attestation", .file, "an attestation envelope in place of quote and event log")
    static let eventLog = Option(
        "event-log", .file, "the event log: dstack's JSON, a guest's record, binary (CCEL), or an agent's answer")
    static let appCompose = Option(
        "app-compose", .file, "your own copy of app-compose.json, to compare with the measured one")
    static let vmConfig = Option("vm-config", .file, "the VM configuration, JSON, to verify the OS image")

    private static let limit = EvidenceFile.maximumByteCount

    /// Everything that was given.
    static func evidence(
        _ arguments: Arguments, under policy: VerificationPolicy
    ) throws(CommandFailure) -> (Evidence, quote: QuoteReader) {
        let compose = try arguments.composeFile(appCompose, under: policy)
        if let content = try arguments.read(attestation, limit: limit) {
            let file = EvidenceFile(recognising: content)
            var evidence = Evidence(attestationFile: file, appCompose: compose)
            evidence.fileNames = .init(evidence: arguments.source(attestation))
            return (evidence, QuoteReader(file, isEnvelope: true))
        }
        let file = EvidenceFile(recognising: try arguments.read(quote, limit: limit) ?? [])
        var evidence = Evidence(
            quoteFile: file, eventLog: try arguments.read(eventLog, limit: limit),
            configuration: try arguments.read(vmConfig, limit: limit), appCompose: compose)
        evidence.fileNames = .init(
            evidence: arguments.source(quote), eventLog: arguments.source(eventLog),
            configuration: arguments.source(vmConfig))
        return (evidence, QuoteReader(file, isEnvelope: false))
    }

    /// The quote alone, for those who only want to know the platform.
    static func quote(_ arguments: Arguments) throws(CommandFailure) -> Quote {
        let envelope = try arguments.read(attestation, limit: limit)
        let content = try arguments.read(quote, limit: limit)
        let file = EvidenceFile(recognising: envelope ?? content ?? [])
        return try CommandFailure.wrongFile(envelope == nil ? quote : attestation, arguments) {
            () throws(AttestationError) in
            try QuoteReader(file, isEnvelope: envelope != nil).quote()
        }
    }

    /// A quote that stands by itself or in an envelope.
    struct QuoteReader {
        private let file: EvidenceFile
        private let isEnvelope: Bool

        init(_ file: EvidenceFile, isEnvelope: Bool) {
            self.file = file
            self.isEnvelope = isEnvelope
        }

        func quote() throws(AttestationError) -> Quote {
            isEnvelope ? try Attestation(decoding: file.envelope()).parsedQuote() : try Quote(parsing: file.quote())
        }
    }
}
