/// The guest agent's services of the newer `/v1` paths and their messages.
///
/// Keys of this surface are other keys than those of ``AgentRPC``.
package enum AgentRPCv1 {
    package enum DstackGuest {
        package static let name = "DstackGuest"
        package static let issueCert = RPCMethod<IssueCertArgs, AgentRPC.GetTlsKeyResponse>(
            name, "IssueCert", .repeatable)
        package static let getKey = RPCMethod<GetKeyArgs, GetKeyResponse>(name, "GetKey", .repeatable)
        package static let attest = RPCMethod<AttestArgs, AttestResponse>(name, "Attest", .repeatable)
        package static let attestGPU = RPCMethod<AttestGpuArgs, AttestGpuResponse>(name, "AttestGpu", .repeatable)
        package static let info = RPCMethod<RPCEmpty, AppInfo>(name, "Info", .repeatable)
        package static let version = RPCMethod<RPCEmpty, AgentRPC.WorkerVersion>(name, "Version", .repeatable)
    }

    package enum Worker {
        package static let name = "Worker"
        package static let info = RPCMethod<RPCEmpty, AppInfo>(name, "Info", .repeatable)
        package static let version = RPCMethod<RPCEmpty, AgentRPC.WorkerVersion>(name, "Version", .repeatable)
        package static let health = RPCMethod<RPCEmpty, HealthResponse>(name, "Health", .repeatable)
    }

    /// A certificate for a fresh key, as ``AgentRPC/GetTlsKeyArgs``.
    package struct IssueCertArgs: RPCMessage {
        package var subject = ""
        package var altNames: [String] = []
        package var usageRATLS = false
        package var usageServerAuth = false
        package var usageClientAuth = false
        /// Seconds since 1970.
        package var notBefore: UInt64?
        /// Seconds since 1970.
        package var notAfter: UInt64?
        package var withAppInfo = false

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "subject", &subject)
            fields.repeated(2, "alt_names", &altNames)
            fields.value(3, "usage_ra_tls", &usageRATLS)
            fields.value(4, "usage_server_auth", &usageServerAuth)
            fields.value(5, "usage_client_auth", &usageClientAuth)
            fields.optional(6, "not_before", &notBefore)
            fields.optional(7, "not_after", &notAfter)
            fields.value(8, "with_app_info", &withAppInfo)
        }
    }

    package struct GetKeyArgs: RPCMessage {
        package var domain = ""
        /// `secp256k1` or `ed25519`, nothing else.
        package var algorithm = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "domain", &domain)
            fields.value(2, "algorithm", &algorithm)
        }
    }

    package struct GetKeyResponse: RPCMessage {
        /// 32 bytes.
        package var key = RPCSecret()
        package var publicKey: [UInt8] = []
        package var signatureChain: [[UInt8]] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "key", &key)
            fields.value(2, "public_key", &publicKey)
            fields.repeated(3, "signature_chain", &signatureChain)
        }
    }

    package struct AttestArgs: RPCMessage {
        /// At most 64 bytes.
        package var reportData: [UInt8] = []
        package var includesBootTimeGPUEvidence = false

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "report_data", &reportData)
            fields.value(2, "include_boottime_gpu_evidence", &includesBootTimeGPUEvidence)
        }
    }

    package struct GpuEvidence: RPCMessage {
        package var vendor = ""
        /// `nvidia-nvattest-boottime-json-v1` or `nvidia-nvattest-collect-evidence-json-v1`.
        package var format = ""
        package var evidence: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "vendor", &vendor)
            fields.value(2, "format", &format)
            fields.value(3, "evidence", &evidence)
        }
    }

    package struct AttestResponse: RPCMessage {
        package var attestation: [UInt8] = []
        package var bootTimeGPUEvidence: [GpuEvidence] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "attestation", &attestation)
            fields.messages(2, "boottime_gpu_evidence", &bootTimeGPUEvidence)
        }
    }

    package struct AttestGpuArgs: RPCMessage {
        /// Exactly 32 bytes.
        package var nonce: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "nonce", &nonce)
        }
    }

    package struct AttestGpuResponse: RPCMessage {
        package var bundles: [GpuEvidence] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.messages(1, "bundles", &bundles)
        }
    }

    package struct AppInfo: RPCMessage {
        package var appID: [UInt8] = []
        package var appName = ""
        package var composeHash: [UInt8] = []
        /// The compose file's exact text.
        package var appCompose = ""
        package var instanceID: [UInt8] = []
        package var deviceID: [UInt8] = []
        package var osImageHash: [UInt8] = []
        package var mrAggregated: [UInt8] = []
        /// JSON.
        package var vmConfig = ""
        /// JSON.
        package var keyProviderInfo = ""
        package var cloudVendor = ""
        package var cloudProduct = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "app_id", &appID)
            fields.value(2, "app_name", &appName)
            fields.value(3, "compose_hash", &composeHash)
            fields.value(4, "app_compose", &appCompose)
            fields.value(5, "instance_id", &instanceID)
            fields.value(6, "device_id", &deviceID)
            fields.value(7, "os_image_hash", &osImageHash)
            fields.value(8, "mr_aggregated", &mrAggregated)
            fields.value(9, "vm_config", &vmConfig)
            fields.value(10, "key_provider_info", &keyProviderInfo)
            fields.value(11, "cloud_vendor", &cloudVendor)
            fields.value(12, "cloud_product", &cloudProduct)
        }
    }

    package struct UnhealthyContainer: RPCMessage {
        package var name = ""
        package var status = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "name", &name)
            fields.value(2, "status", &status)
        }
    }

    package struct HealthResponse: RPCMessage {
        package var isHealthy = false
        package var unhealthy: [UnhealthyContainer] = []
        package var error = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "healthy", &isHealthy)
            fields.messages(2, "unhealthy", &unhealthy)
            fields.value(3, "error", &error)
        }
    }
}
