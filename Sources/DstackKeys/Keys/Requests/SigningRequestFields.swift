import DstackAttestation
import DstackEncoding

// SCALE, the fields in order: confirm, pubkey, config, then quote and event log (version 1) or, up to the end and without
// a length, the attestation (version 2).

struct SigningRequestFields {
    var confirmation: String
    var publicKey: [UInt8]
    var configuration: CertificateConfiguration
    var quote: [UInt8] = []
    var eventLog: [UInt8] = []

    /// - Returns: the fields and, for version 2, the bytes of the attestation.
    static func read(
        _ bytes: [UInt8], _ version: SigningRequest.Version
    ) throws(DecodingFailure) -> (Self, envelope: [UInt8]?) {
        var reader = ByteReader(bytes.span.bytes)
        var fields = SigningRequestFields(
            confirmation: try reader.scaleString("confirm"), publicKey: try reader.scaleBytes("pubkey"),
            configuration: CertificateConfiguration(commonName: ""))
        fields.configuration.organization =
            try reader.scaleIsPresent("org_name") ? try reader.scaleString("org_name") : nil
        fields.configuration.commonName = try reader.scaleString("subject")
        for _ in 0..<(try reader.scaleCount("subject_alt_names")) {
            fields.configuration.alternativeNames.append(try reader.scaleString("subject_alt_names"))
        }
        fields.configuration.isForServers = try reader.scaleBool("usage_server_auth")
        fields.configuration.isForClients = try reader.scaleBool("usage_client_auth")
        fields.configuration.includesEvidence = try reader.scaleBool("ext_quote")
        switch version {
        case .v1:
            fields.quote = try reader.scaleBytes("quote")
            fields.eventLog = try reader.scaleBytes("event_log")
            try reader.expectEnd(of: "signing request")
            return (fields, nil)
        case .v2:
            fields.configuration.includesAppInfo = try reader.scaleBool("ext_app_info")
            fields.configuration.notBefore =
                try reader.scaleIsPresent("not_before") ? try reader.littleEndian("not_before") : nil
            fields.configuration.notAfter =
                try reader.scaleIsPresent("not_after") ? try reader.littleEndian("not_after") : nil
            return (fields, reader.rest())
        }
    }
}

extension SigningRequest {
    static func encode(
        _ publicKey: [UInt8], _ configuration: CertificateConfiguration, _ evidence: Evidence
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 16_384)
        writer.scaleString(purpose)
        writer.scaleBytes(publicKey)
        writer.scaleOption(configuration.organization) { $0.scaleString($1) }
        writer.scaleString(configuration.commonName)
        writer.scaleCount(configuration.alternativeNames.count)
        for name in configuration.alternativeNames { writer.scaleString(name) }
        writer.scaleBool(configuration.isForServers)
        writer.scaleBool(configuration.isForClients)
        writer.scaleBool(configuration.includesEvidence)
        switch evidence {
        case .quote(let quote, let eventLog):
            writer.scaleBytes(quote)
            writer.scaleBytes(eventLog)
        case .attestation(let attestation):
            writer.scaleBool(configuration.includesAppInfo)
            writer.scaleOption(configuration.notBefore) { $0.littleEndian($1) }
            writer.scaleOption(configuration.notAfter) { $0.littleEndian($1) }
            writer.append(attestation.encoded.bytes)
        }
        return writer.bytes
    }
}

extension ByteReader {
    fileprivate mutating func scaleBool(_ subject: StaticString) throws(DecodingFailure) -> Bool {
        let start = offset
        switch try u8(subject) {
        case 0: return false
        case 1: return true
        case let other:
            throw DecodingFailure(.malformed, "\(subject)", at: start, "a truth value is 0 or 1, not \(other)")
        }
    }
}

extension ByteWriter {
    fileprivate mutating func scaleBool(_ value: Bool) { u8(value ? 1 : 0) }

    fileprivate mutating func scaleOption<Value>(_ value: Value?, _ write: (inout ByteWriter, Value) -> Void) {
        scaleBool(value != nil)
        if let value { write(&self, value) }
    }
}
