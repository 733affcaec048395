import DstackAttestation
import DstackCommandLine
import DstackShells
import DstackSystem

/// Evidence in files, as options name them.
enum EvidenceFiles {
    static let quote = Option("quote", .file, "the quote, binary or hexadecimal")
    static let attestation = Option(
        "attestation", .file, "an attestation envelope in place of quote and event log, binary or hexadecimal")
    static let eventLog = Option("event-log", .file, "the event log, dstack's JSON or binary (CCEL)")
    static let appCompose = Option(
        "app-compose", .file, "your own copy of app-compose.json, to compare with the measured one")
    static let vmConfig = Option("vm-config", .file, "the VM configuration, JSON, to verify the OS image")

    private static let limit = JudgementOptions.limit

    /// Everything that was given.
    static func evidence(_ arguments: Arguments) throws(CommandFailure) -> (Evidence, quote: QuoteReader) {
        let compose = try arguments.read(appCompose, limit: limit)
        if let content = try arguments.read(attestation, limit: limit) {
            let bytes = Evidence.binary(from: content)
            return (Evidence(attestation: bytes, appCompose: compose), QuoteReader(bytes, isEnvelope: true))
        }
        let bytes = Evidence.binary(from: try arguments.read(quote, limit: limit) ?? [])
        let configuration = try arguments.read(vmConfig, limit: limit)
        return (
            Evidence(
                quote: bytes, eventLog: try arguments.read(eventLog, limit: limit),
                configuration: configuration.map { String(decoding: $0, as: UTF8.self) } ?? "", appCompose: compose),
            QuoteReader(bytes, isEnvelope: false)
        )
    }

    /// The quote alone, for those who only want to know the platform.
    static func quote(_ arguments: Arguments) throws(CommandFailure) -> Quote {
        let envelope = try arguments.read(attestation, limit: limit)
        let content = try arguments.read(quote, limit: limit)
        let bytes = Evidence.binary(from: envelope ?? content ?? [])
        do throws(AttestationError) {
            return try QuoteReader(bytes, isEnvelope: envelope != nil).quote()
        } catch {
            throw CommandFailure(
                .no, "not a quote: \(error.message)", hint: error.hint.isEmpty ? nil : error.hint,
                code: error.code.rawValue)
        }
    }

    /// A quote that stands by itself or in an envelope.
    struct QuoteReader {
        private let bytes: [UInt8]
        private let isEnvelope: Bool

        init(_ bytes: [UInt8], isEnvelope: Bool) {
            self.bytes = bytes
            self.isEnvelope = isEnvelope
        }

        func quote() throws(AttestationError) -> Quote {
            isEnvelope ? try Attestation(decoding: bytes).parsedQuote() : try Quote(parsing: bytes)
        }
    }
}
