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
    /// NVIDIA's tool that asks the GPUs for evidence.
    package var gpuTool = "/usr/bin/nvattest"
    /// How long one run of it may take: as upstream's agent has it.
    package var gpuToolPatience = Duration.seconds(300)
    /// How many calls may wait for the tool while it runs for another.
    package var maximumWaitingForGPUs = 16

    package init() {}

    var vendor: String { trimmedText("sys_vendor") }
    var product: String { trimmedText("product_name") }

    private func trimmedText(_ name: String) -> String {
        guard let text = try? File.readText("\(firmwareDirectory)/\(name)", limit: 4_096) else { return "" }
        let isSpace: (Character) -> Bool = { $0 == " " || $0.isNewline || $0 == "\t" }
        return String(text.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
    }

    /// What the boot wrote about the GPUs' attestation, byte for byte: its hash was measured. Empty where there is nothing.
    var gpuAttestation: [UInt8] { (try? File.read(gpuAttestationFile, limit: 16 << 20)) ?? [] }

    var hasGPU: Bool { (try? File.names(in: gpuDriverDirectory))?.isEmpty == false }
}
