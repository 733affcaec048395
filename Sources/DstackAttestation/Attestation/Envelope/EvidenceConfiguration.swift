internal import DstackEncoding

/// The host's configuration inside an attestation, taken apart. The host wrote it and nobody signed it: each value counts
/// only as far as it is checked against a register.
public struct EvidenceConfiguration: Sendable, Hashable {
    /// `vm_config` as JSON; empty if there is none.
    public let vmConfig: String
    /// The text of the document that version 3 of ``MRConfigID`` pins.
    public let mrConfig: String?

    /// Reads the member `config` of an attestation: `vm_config` itself, or a system configuration with the string members
    /// `vm_config` and `mr_config`. An empty text has neither.
    ///
    /// - Throws: ``AttestationError/Code/invalidEnvelope`` for anything but JSON objects with such members.
    public init(parsing config: String) throws(AttestationError) {
        self = try AttestationError.decoding(.invalidEnvelope) { () throws(DecodingFailure) in
            if config.isEmpty { return EvidenceConfiguration(vmConfig: "", mrConfig: nil) }
            let root = try Self.object(config, "config")
            guard let nested = root["vm_config"] else {
                return EvidenceConfiguration(vmConfig: config, mrConfig: try Self.document(in: root))
            }
            let vmConfig = try nested.string()
            var mrConfig = try Self.document(in: root)
            if mrConfig == nil, !vmConfig.isEmpty {
                mrConfig = try Self.document(in: Self.object(vmConfig, "config.vm_config"))
            }
            return EvidenceConfiguration(vmConfig: vmConfig, mrConfig: mrConfig)
        }
    }

    private init(vmConfig: String, mrConfig: String?) {
        self.vmConfig = vmConfig
        self.mrConfig = mrConfig
    }

    private static func object(_ text: String, _ subject: String) throws(DecodingFailure) -> JSONNode {
        let root = try JSONDocument(parsing: text, subject: subject).root
        guard root.kind == .object else { throw root.failure("an object expected, found \(root.kindName)") }
        return root
    }

    private static func document(in node: JSONNode) throws(DecodingFailure) -> String? {
        guard let text = try node.optionalMember("mr_config")?.string(), !text.isEmpty else { return nil }
        return text
    }
}

extension Attestation {
    /// The host's configuration, taken apart.
    public func configuration() throws(AttestationError) -> EvidenceConfiguration {
        try EvidenceConfiguration(parsing: config)
    }
}
