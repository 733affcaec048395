package import DstackEncoding

/// The shape of a VM as its host states it (`vm_config`): what the launch measurements depend on beside the image.
///
/// **Untrusted.** The host writes it, and nothing signs it. Each value counts only as far as registers that were
/// recomputed from it equal the quoted ones.
package struct VMConfiguration: Sendable, Equatable {
    /// How a verifier is meant to check the image.
    package enum AttestationVariant: String, Sendable, CaseIterable {
        /// From the image's files.
        case legacy
        /// From the measurement document alone, without the content of the ACPI tables.
        case lite
    }

    /// SHA-256 of the image's checksum file; nil if it is absent or empty.
    package var osImageHash: FixedBytes<32>?
    package var cpuCount: UInt32 = 0
    /// In bytes.
    package var memorySize: UInt64 = 0
    /// `qemu_single_pass_add_pages`, which means the opposite of its name: true is two passes.
    package var twoPassAddPages: Bool?
    /// Whether the VM has an interrupt controller of the old kind.
    package var pic: Bool?
    package var qemuVersion: String?
    /// Size of the PCI hole above 4 GiB in bytes; 0 where it is not set.
    package var pciHole64Size: UInt64 = 0
    package var usesHugepages = false
    package var gpuCount: UInt32 = 0
    package var nvSwitchCount: UInt32 = 0
    package var nicCount: UInt32 = 1
    package var verityVolumeCount: UInt32 = 0
    package var hasSoftwareTPM = false
    package var isHotplugOff = false
    /// Name of the image, for people.
    package var image: String?
    package var hostShareMode = ""
    /// The firmware generation, if the host names one; not limited to the known ones.
    package var ovmfVariant: String?
    package var attestationVariant: AttestationVariant = .legacy
    package var tdxMeasurement: MeasurementDocument?
    package var gcpMeasurement: MeasurementDocument?
    package var awsMeasurement: MeasurementDocument?

    package init() {}

    /// A guest takes at most 32 KiB of system configuration, of which this is a part.
    static let maximumLength = 256 * 1024

    /// Reads a `vm_config`, or a whole system configuration that holds one in its string member `vm_config`.
    ///
    /// Members that are not known are ignored, absent ones have defaults.
    ///
    /// - Throws: ``DecodingFailure`` if the text is not JSON, a member has another type, or the text is both at once: a
    ///   system configuration and a VM's.
    package init(decoding json: [UInt8]) throws(DecodingFailure) {
        let root = try Self.document(json, subject: "vm_config")
        guard let nested = root["vm_config"] else {
            try self.init(members: root)
            return
        }
        // Readers that look into the nested text and readers that do not must not see two VMs.
        for (name, value) in root.members where Self.memberNames.contains(where: { $0.utf8.elementsEqual(name.utf8) }) {
            throw value.failure("a member of a VM's configuration beside a nested vm_config")
        }
        try self.init(members: try Self.document(Array(try nested.string().utf8), subject: "vm_config.vm_config"))
    }

    /// Whether a text that can be read says nothing of a VM: it is empty, or has none of the members that are read here.
    package static func isVacant(_ text: String) -> Bool {
        guard !text.isEmpty else { return true }
        guard var root = try? document(Array(text.utf8), subject: "vm_config") else { return false }
        if let nested = root["vm_config"] {
            guard let inner = try? nested.string() else { return false }
            guard !inner.isEmpty else { return true }
            guard let members = try? document(Array(inner.utf8), subject: "vm_config.vm_config") else { return false }
            root = members
        }
        return !root.members.contains { member in
            memberNames.contains { $0.utf8.elementsEqual(member.name.utf8) } && !member.value.isNull
        }
    }

    private static func document(_ json: [UInt8], subject: String) throws(DecodingFailure) -> JSONNode {
        guard json.count <= maximumLength else {
            throw DecodingFailure(.tooLarge, subject, "\(json.count) bytes, at most \(maximumLength) are allowed")
        }
        let root = try JSONDocument(parsing: json, subject: subject, maximumDepth: 16).root
        guard root.kind == .object else { throw root.failure("an object expected, found \(root.kindName)") }
        return root
    }

    /// The members that are read here, in the order in which they are written.
    private static let memberNames = [
        "os_image_hash", "cpu_count", "memory_size", "qemu_single_pass_add_pages", "pic", "qemu_version",
        "pci_hole64_size", "hugepages", "num_gpus", "num_nvswitches", "num_nics", "num_verity_volumes", "swtpm",
        "hotplug_off", "image", "host_share_mode", "ovmf_variant", "tdx_attestation_variant", "tdx_measurement",
        "gcp_measurement", "aws_measurement",
    ]

    private init(members node: JSONNode) throws(DecodingFailure) {
        func read<Value>(
            _ name: StaticString, _ body: (JSONNode) throws(DecodingFailure) -> Value
        ) throws(DecodingFailure) -> Value? {
            guard let member = try node.optionalMember(name) else { return nil }
            return try body(member)
        }
        func bool(_ member: JSONNode) throws(DecodingFailure) -> Bool { try member.bool() }
        func text(_ member: JSONNode) throws(DecodingFailure) -> String { try member.string() }
        func u32(_ member: JSONNode) throws(DecodingFailure) -> UInt32 { try member.integer() }
        func u64(_ member: JSONNode) throws(DecodingFailure) -> UInt64 { try member.integer() }
        func document(_ member: JSONNode) throws(DecodingFailure) -> MeasurementDocument {
            try MeasurementDocument(member)
        }
        func imageHash(_ member: JSONNode) throws(DecodingFailure) -> FixedBytes<32>? {
            let bytes = try member.hexBytes(prefix: .none)
            guard !bytes.isEmpty else { return nil }
            guard let hash = FixedBytes<32>(bytes) else { throw member.failure("\(bytes.count) bytes, 32 expected") }
            return hash
        }
        func variant(_ member: JSONNode) throws(DecodingFailure) -> AttestationVariant {
            let name = try member.string()
            guard let variant = AttestationVariant.allCases.first(where: { $0.rawValue.utf8.elementsEqual(name.utf8) })
            else {
                throw member.failure("unknown variant; known are legacy and lite", .unsupported)
            }
            return variant
        }
        osImageHash = try read("os_image_hash", imageHash) ?? nil
        cpuCount = try read("cpu_count", u32) ?? 0
        memorySize = try read("memory_size", u64) ?? 0
        twoPassAddPages = try read("qemu_single_pass_add_pages", bool)
        pic = try read("pic", bool)
        qemuVersion = try read("qemu_version", text)
        pciHole64Size = try read("pci_hole64_size", u64) ?? 0
        usesHugepages = try read("hugepages", bool) ?? false
        gpuCount = try read("num_gpus", u32) ?? 0
        nvSwitchCount = try read("num_nvswitches", u32) ?? 0
        nicCount = try read("num_nics", u32) ?? 1
        verityVolumeCount = try read("num_verity_volumes", u32) ?? 0
        hasSoftwareTPM = try read("swtpm", bool) ?? false
        isHotplugOff = try read("hotplug_off", bool) ?? false
        image = try read("image", text)
        hostShareMode = try read("host_share_mode", text) ?? ""
        ovmfVariant = try read("ovmf_variant", text)
        attestationVariant = try read("tdx_attestation_variant", variant) ?? .legacy
        tdxMeasurement = try read("tdx_measurement", document)
        gcpMeasurement = try read("gcp_measurement", document)
        awsMeasurement = try read("aws_measurement", document)
    }
}

extension VMConfiguration {
    /// The order in which this VM's firmware was measured.
    ///
    /// - Throws: for a QEMU version that is none, or one that cannot start a TD; also where the order is stated,
    ///   because such a configuration is not true.
    package func mrtdPageOrder() throws(MeasurementFailure) -> MRTDPageOrder {
        let order = try MRTDPageOrder(qemu: try parsedQEMUVersion())
        guard let twoPassAddPages else { return order }
        return twoPassAddPages ? .twoPass : .singlePass
    }

    /// The stated QEMU version, or the one that its absence means.
    package func parsedQEMUVersion() throws(MeasurementFailure) -> QEMUVersion {
        guard let qemuVersion else { return .assumed }
        do {
            return try QEMUVersion(parsing: qemuVersion)
        } catch {
            throw MeasurementFailure("qemu_version", error.reason)
        }
    }
}
