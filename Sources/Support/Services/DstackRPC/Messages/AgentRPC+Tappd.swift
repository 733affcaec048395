/// Messages of the older socket alone.
extension AgentRPC {
    /// A certificate for a key that the path determines.
    package struct DeriveKeyArgs: RPCMessage {
        package var path = ""
        package var subject = ""
        package var altNames: [String] = []
        package var usageRATLS = false
        package var usageServerAuth = false
        package var usageClientAuth = false
        /// Whether the key is a fresh one all the same.
        package var randomSeed = false

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "path", &path)
            fields.value(2, "subject", &subject)
            fields.repeated(3, "alt_names", &altNames)
            fields.value(4, "usage_ra_tls", &usageRATLS)
            fields.value(5, "usage_server_auth", &usageServerAuth)
            fields.value(6, "usage_client_auth", &usageClientAuth)
            fields.value(7, "random_seed", &randomSeed)
        }
    }

    package struct DeriveK256KeyResponse: RPCMessage {
        package var k256Key = RPCSecret()
        package var k256SignatureChain: [[UInt8]] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "k256_key", &k256Key)
            fields.repeated(2, "k256_signature_chain", &k256SignatureChain)
        }
    }

    package struct TdxQuoteArgs: RPCMessage {
        package var reportData: [UInt8] = []
        /// Empty for SHA-512; `raw` for the 64 bytes themselves.
        package var hashAlgorithm = ""
        /// Without its colon; empty for `app-data`.
        package var prefix = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "report_data", &reportData)
            fields.value(2, "hash_algorithm", &hashAlgorithm)
            fields.value(3, "prefix", &prefix)
        }
    }

    package struct TdxQuoteResponse: RPCMessage {
        package var quote: [UInt8] = []
        /// JSON, an array of events.
        package var eventLog = ""
        package var hashAlgorithm = ""
        package var prefix = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "quote", &quote)
            fields.value(2, "event_log", &eventLog)
            fields.value(3, "hash_algorithm", &hashAlgorithm)
            fields.value(4, "prefix", &prefix)
        }
    }
}
