import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMeasurement
import DstackMockTEE
import Testing

/// A dstack VM in a simulated TEE that booted a made-up image and an application: everything it would hand out verifies
/// under its own root, the OS image included.
struct SimulatedVM {
    static let now: Int64 = 1_790_000_000

    let platform: MockPlatform
    var domain: MockTrustDomain
    var log = EventLog()
    /// `vm_config`, in the lite form.
    var vmConfig: String
    let osImageHash: FixedBytes<32>
    let composeHash: ComposeHash
    let appID: AppID
    let instanceID: InstanceID

    /// - Parameter runtimeEvents: in place of those that a boot records.
    init(
        seed: UInt8 = 0x29, appCompose: String = #"{"manifest_version":2,"name":"example"}"#,
        runtimeEvents: [(BootEvent, [UInt8])]? = nil
    ) throws {
        platform = try MockPlatform(seed: FixedBytes(repeating: seed))
        let scene = try MeasurementLiteTests.Scene()
        let acpi = ACPIDigests(
            loader: FixedBytes(repeating: 6), rsdp: FixedBytes(repeating: 7), tables: FixedBytes(repeating: 8))
        domain = MockTrustDomain(on: platform)
        domain.mrTd = scene.quoted.mrtd
        osImageHash = try #require(scene.configuration.osImageHash)
        vmConfig = Self.vmConfig(scene)
        composeHash = ComposeHash(ofFile: Array(appCompose.utf8))
        appID = AppID(defaultFor: composeHash)
        instanceID = InstanceID(seed: FixedBytes(repeating: 3), appID: appID)
        domain.mrConfigId = MRConfigID.composeHash(composeHash).register

        let boot: [(RTMR, PredictedRegister)] = [
            (
                .rtmr0,
                try RTMR0.predict(
                    variant: .pre202505, layout: scene.image.hobLayout, memorySize: scene.configuration.memorySize,
                    acpi: acpi)
            ),
            (.rtmr1, RTMR1.predict(kernelAuthenticode: scene.image.kernelAuthenticode)),
            (.rtmr2, RTMR2.predict(commandLine: scene.image.commandLine, initrd: scene.image.initrd)),
        ]
        let names = [acpi.loader: "acpi-loader", acpi.rsdp: "acpi-rsdp", acpi.tables: "acpi-tables"]
        for (register, predicted) in boot {
            for event in predicted.events {
                let name = names[event.digest]
                try append(
                    LoggedEvent(
                        register: register, type: event.type, digest: event.digest, name: name ?? "",
                        payload: name == nil ? [] : Array("ACPI DATA".utf8)))
            }
        }
        let recorded: [(BootEvent, [UInt8])] = [
            (.systemPreparing, []), (.appID, appID.bytes.bytes), (.composeHash, composeHash.bytes.bytes),
            (.instanceID, instanceID.bytes.bytes), (.bootMRDone, []),
            (.keyProvider, KeyProviderInfo(kind: .kms, id: [1, 2, 3]).payload), (.systemReady, []),
        ]
        for (event, payload) in runtimeEvents ?? recorded {
            try append(LoggedEvent(RuntimeEvent(name: event.rawValue, payload: payload)))
        }
    }

    mutating func append(_ event: LoggedEvent) throws {
        if let digest = event.digest { try domain.extend(Int(event.register.rawValue), with: digest) }
        log.events.append(event)
    }

    private static func vmConfig(_ scene: MeasurementLiteTests.Scene) -> String {
        var writer = JSONWriter()
        writer.object { object in
            object.member("os_image_hash", scene.configuration.osImageHash?.hex)
            object.member("memory_size", scene.configuration.memorySize)
            object.member("qemu_version", scene.configuration.qemuVersion)
            object.member("tdx_attestation_variant", "lite")
            object.object("tdx_measurement") { item in
                let document = scene.configuration.tdxMeasurement
                item.member("checksum_file", Base64.encode(document?.checksumFile ?? []))
                item.member("measurement", Base64.encode(document?.measurement ?? []))
            }
        }
        return writer.text
    }

    func quote(_ reportData: ReportData) throws -> [UInt8] { try domain.quote(reportData: reportData.bytes) }

    func attestation(_ reportData: ReportData) throws -> Attestation {
        try Attestation(quote: quote(reportData), eventLog: log, config: vmConfig)
    }

    func collateral(
        edit: (inout MockCollateral) -> Void = { _ in }
    ) throws -> QuoteCollateral { try platform.collateral(for: .tdx, at: Self.now, edit: edit) }

    func verifier() throws -> QuoteVerifier {
        try QuoteVerifier(trustAnchor: TrustAnchor(certificate: platform.rootCertificate))
    }
}
