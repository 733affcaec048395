import DstackEncoding
import DstackRPC
import DstackSystem
import Glibc

/// What the agent reads from the machine itself. The paths are given, so that tests have machines of their own.
package struct GuestMachine: Sendable {
    /// Vendor and model as firmware names them.
    package var firmwareDirectory = "/sys/class/dmi/id"
    /// What the boot found out about the GPUs.
    package var gpuAttestationFile = "/run/nvidia-gpu-attestation/attestation.out"
    /// There only where the driver has a GPU.
    package var gpuDriverDirectory = "/proc/driver/nvidia/gpus"

    package init() {}

    var vendor: String { trimmedText("sys_vendor") }
    var product: String { trimmedText("product_name") }

    private func trimmedText(_ name: String) -> String {
        guard let text = try? File.readText("\(firmwareDirectory)/\(name)", limit: 4_096) else { return "" }
        let isSpace: (Character) -> Bool = { $0 == " " || $0.isNewline || $0 == "\t" }
        return String(text.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
    }

    /// The text of the boot's GPU attestation, exactly as it was written: its hash was measured. Empty where there is none.
    var gpuAttestation: String { (try? File.readText(gpuAttestationFile, limit: 16 << 20)) ?? "" }

    var hasGPU: Bool {
        guard let directory = opendir(gpuDriverDirectory) else { return false }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            // The first two are "." and "..".
            if entry.pointee.d_name.0 != CChar(bitPattern: UInt8(ascii: ".")) { return true }
        }
        return false
    }
}

/// Evidence about GPUs, as the newer interface has it.
enum GPUEvidence {
    /// What the boot left behind, for whoever asks for it with an attestation.
    static func atBoot(_ machine: GuestMachine) -> [AgentRPCv1.GpuEvidence] {
        let text = machine.gpuAttestation
        guard !text.isEmpty else { return [] }
        return [
            .with {
                $0.vendor = "nvidia"
                $0.format = "nvidia-nvattest-boottime-json-v1"
                $0.evidence = Array(text.utf8)
            }
        ]
    }

    /// Fresh evidence over a nonce.
    ///
    /// - Throws: always: it takes NVIDIA's tool and a GPU in confidential mode, and this agent drives neither.
    static func onDemand(_ machine: GuestMachine, nonce: [UInt8]) throws(RPCError) -> [AgentRPCv1.GpuEvidence] {
        guard nonce.count == 32 else { throw RPCError("nonce: 32 bytes are needed, not \(nonce.count)") }
        guard machine.hasGPU else { throw RPCError("there is no GPU in this machine that could be attested") }
        throw RPCError(
            "GPUs are attested at boot only; Attest with include_boottime_gpu_evidence has what was found then",
            status: 501)
    }
}
