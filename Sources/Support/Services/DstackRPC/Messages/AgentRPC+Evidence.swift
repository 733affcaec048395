/// Quotes, events and what the agent says of itself.
extension AgentRPC {
    package struct RawQuoteArgs: RPCMessage {
        /// At most 64 bytes; shorter ones are filled with zeros.
        package var reportData: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "report_data", &reportData)
        }
    }

    package struct GetQuoteResponse: RPCMessage {
        /// Empty where the platform is not TDX.
        package var quote: [UInt8] = []
        /// JSON, an array of events.
        package var eventLog = ""
        /// 64 bytes.
        package var reportData: [UInt8] = []
        /// JSON.
        package var vmConfig = ""
        /// Where the platform is not TDX, and from a simulator.
        package var attestation: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "quote", &quote)
            fields.value(2, "event_log", &eventLog)
            fields.value(3, "report_data", &reportData)
            fields.value(4, "vm_config", &vmConfig)
            fields.value(5, "attestation", &attestation, omittedFromJSONIfDefault: true)
        }
    }

    package struct AttestResponse: RPCMessage {
        package var attestation: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "attestation", &attestation)
        }
    }

    /// What evidence is to be bound to: one TLS connection that the caller ends.
    package struct AttestSessionArgs: RPCMessage {
        /// 32 bytes of the connection's exporter (RFC 9266).
        package var exporter: [UInt8] = []
        /// 32 bytes of the verifier's choice.
        package var nonce: [UInt8] = []
        /// SubjectPublicKeyInfo of the server's certificate, DER.
        package var publicKey: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "exporter", &exporter)
            fields.value(2, "nonce", &nonce)
            fields.value(3, "public_key", &publicKey)
        }
    }

    package struct EmitEventArgs: RPCMessage {
        package var event = ""
        package var payload: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "event", &event)
            fields.value(2, "payload", &payload)
        }
    }

    package struct GpuInfoResponse: RPCMessage {
        /// JSON as the boot wrote it; empty where there is none.
        package var attestation = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "attestation", &attestation)
        }
    }

    package struct GetAttestationForAppKeyRequest: RPCMessage {
        package var algorithm = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "algorithm", &algorithm)
        }
    }

    package struct AppInfo: RPCMessage {
        package var appID: [UInt8] = []
        package var instanceID: [UInt8] = []
        /// PEM.
        package var appCertificate = ""
        /// JSON.
        package var tcbInfo = ""
        package var appName = ""
        package var deviceID: [UInt8] = []
        package var mrAggregated: [UInt8] = []
        package var osImageHash: [UInt8] = []
        /// JSON.
        package var keyProviderInfo = ""
        package var composeHash: [UInt8] = []
        /// JSON.
        package var vmConfig = ""
        package var cloudVendor = ""
        package var cloudProduct = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "app_id", &appID)
            fields.value(2, "instance_id", &instanceID)
            fields.value(3, "app_cert", &appCertificate)
            fields.value(4, "tcb_info", &tcbInfo)
            fields.value(5, "app_name", &appName)
            fields.value(8, "device_id", &deviceID)
            fields.value(9, "mr_aggregated", &mrAggregated)
            fields.value(10, "os_image_hash", &osImageHash)
            fields.value(12, "key_provider_info", &keyProviderInfo)
            fields.value(13, "compose_hash", &composeHash)
            fields.value(14, "vm_config", &vmConfig)
            fields.value(15, "cloud_vendor", &cloudVendor)
            fields.value(16, "cloud_product", &cloudProduct)
        }
    }

    package struct WorkerVersion: RPCMessage {
        package var version = ""
        /// `git:` and 20 digits, possibly with `-modified`; or `unknown`.
        package var revision = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "version", &version)
            fields.value(2, "rev", &revision)
        }
    }
}
