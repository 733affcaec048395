import DstackCrypto
import DstackRPC

extension DstackClient {
    /// The newer interface of guest agents, `/v1`: its keys are kept apart by domain and algorithm, and are others than
    /// those of the older one. ``DstackClient/capabilities()`` says whether an agent has it.
    public struct V1: Sendable {
        let connection: AgentConnection
        static let mount = "/v1"

        /// What the agent's software is.
        public func version() async throws(DstackClientError) -> AgentVersion {
            AgentVersion(try await connection.call(AgentRPCv1.DstackGuest.version, RPCEmpty(), mount: Self.mount))
        }

        /// The application's key for a domain. Different domains and algorithms give unrelated keys.
        public func key(
            domain: String, algorithm: KeyAlgorithm = .secp256k1
        ) async throws(DstackClientError) -> AgentKey {
            let response = try await connection.call(
                AgentRPCv1.DstackGuest.getKey, .with { ($0.domain, $0.algorithm) = (domain, algorithm.rawValue) },
                mount: Self.mount)
            return try AgentKey(
                "GetKey", response.key, algorithm: algorithm, claim: .domain(domain),
                chain: response.signatureChain, publicKey: response.publicKey)
        }

        /// Evidence over report data, in upstream's envelope.
        public func attest(reportData: ReportData) async throws(DstackClientError) -> AgentAttestation {
            try await attestWithGPUs(reportData: reportData, includingGPUs: false).attestation
        }

        /// Evidence over up to 64 bytes, filled with zeros on the right.
        public func attest(reportData: [UInt8]) async throws(DstackClientError) -> AgentAttestation {
            try await attest(reportData: try DstackClient.padded(reportData))
        }

        /// Evidence over report data, with what the boot recorded of the GPUs' attestation.
        public func attestWithGPUs(
            reportData: ReportData
        ) async throws(DstackClientError) -> (attestation: AgentAttestation, gpus: [GPUEvidence]) {
            try await attestWithGPUs(reportData: reportData, includingGPUs: true)
        }

        private func attestWithGPUs(
            reportData: ReportData, includingGPUs: Bool
        ) async throws(DstackClientError) -> (attestation: AgentAttestation, gpus: [GPUEvidence]) {
            let response = try await connection.call(
                AgentRPCv1.DstackGuest.attest,
                .with {
                    $0.reportData = reportData.bytes.bytes
                    $0.includesBootTimeGPUEvidence = includingGPUs
                }, mount: Self.mount, size: .evidence)
            return (
                try AgentAttestation(response.attestation, for: reportData, "Attest"),
                response.bootTimeGPUEvidence.map(GPUEvidence.init)
            )
        }

        /// Fresh evidence of the GPUs over a nonce.
        public func attestGPU(nonce: FixedBytes<32>) async throws(DstackClientError) -> [GPUEvidence] {
            try await connection.call(
                AgentRPCv1.DstackGuest.attestGPU, .with { $0.nonce = nonce.bytes }, mount: Self.mount, size: .evidence
            ).bundles.map(GPUEvidence.init)
        }

        /// What the agent says of the instance: a statement, not evidence.
        public func info() async throws(DstackClientError) -> AgentInfo {
            try AgentInfo(
                try await connection.call(
                    AgentRPCv1.DstackGuest.info, RPCEmpty(), mount: Self.mount, size: .information), "Info")
        }
    }
}

/// Evidence of GPUs, for the vendor's verifier.
public struct GPUEvidence: Sendable, Hashable {
    /// Who makes the GPU, e.g. `nvidia`.
    public let vendor: String
    /// What ``bytes`` are, e.g. `nvidia-nvattest-collect-evidence-json-v1`.
    public let format: String
    /// The evidence, byte for byte.
    public let bytes: [UInt8]

    init(_ message: AgentRPCv1.GpuEvidence) {
        vendor = message.vendor
        format = message.format
        bytes = message.evidence
    }
}
