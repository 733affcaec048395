import DstackAttestation
import DstackEncoding

/// What follows from one attestation: the snapshot that is shown, and what certificates say of the instance.
struct GuestEvidence: Sendable {
    let snapshot: GuestSnapshot
    let appInfo: AppInfo
    let madeAt: ContinuousClock.Instant

    /// - Parameter attestation: made a moment ago, with its complete log. It is our own, so that its signatures are not
    ///   verified; but its log must lead to its registers, or clients would find out.
    /// - Throws: ``AttestationError`` for evidence that contradicts itself or has no identity in it.
    init(
        _ attestation: Attestation, isSimulated: Bool, files: GuestFiles, vendor: String, product: String
    ) throws(AttestationError) {
        let log = attestation.eventLog ?? EventLog(runtimeEvents: attestation.runtimeEvents)
        let replayed = try log.replay()
        let identity = try ApplicationIdentity(replayed)
        // The id of a machine is in a verified certificate of its platform, which a guest does not have of itself.
        let deviceID = DeviceID(ppid: [])
        let osImageHash = Self.osImageHash(try attestation.configuration().vmConfig)
        var registers: GuestSnapshot.Registers?
        var measurements: ApplicationMeasurements?
        if attestation.quote != nil, let report = try attestation.parsedQuote().body.tdReport {
            registers = .init(
                mrtd: report.mrTd,
                rtmrs: RTMRValues(
                    rtmr0: report.rtMr0, rtmr1: report.rtMr1, rtmr2: report.rtMr2, rtmr3: report.rtMr3))
            measurements = try ApplicationMeasurements(report, replayed)
        }
        let keyProviderInfo = identity.keyProvider?.payload ?? []
        appInfo = AppInfo(
            appID: identity.appID, composeHash: identity.composeHash, instanceID: identity.instanceID,
            deviceID: deviceID, mrSystem: measurements?.mrSystem ?? FixedBytes(),
            mrAggregated: measurements?.mrAggregated ?? FixedBytes(), osImageHash: osImageHash,
            keyProviderInfo: keyProviderInfo,
            initScriptHashes: identity.initScriptHashes.isEmpty ? nil : identity.initScriptHashes)
        let mrAggregated = measurements?.mrAggregated.bytes ?? []
        let tcbInfo = Self.tcbInfo(
            registers, mrAggregated: mrAggregated, osImageHash: osImageHash?.bytes ?? [], identity: identity,
            deviceID: deviceID, log: log, compose: files.compose.text)
        snapshot = GuestSnapshot(
            isSimulated: isSimulated, identity: identity, registers: registers, mrAggregated: mrAggregated,
            osImageHash: osImageHash?.bytes ?? [], deviceID: deviceID, eventLog: log, appName: files.compose.name,
            appCompose: files.compose.text, isComposeMeasured: files.compose.composeHash == identity.composeHash,
            vmConfig: files.system.vmConfig, keyProviderInfo: String(decoding: keyProviderInfo, as: UTF8.self),
            cloudVendor: vendor, cloudProduct: product, visibility: files.compose.visibility, tcbInfo: tcbInfo)
        madeAt = .now
    }

    /// From the configuration inside the attestation, which is what verifiers see; not from the one on disk.
    private static func osImageHash(_ vmConfig: String) -> FixedBytes<32>? {
        guard let root = try? JSONDocument(parsing: vmConfig, subject: "vm_config").root,
            let text = try? root["os_image_hash"]?.string()
        else { return nil }
        return FixedBytes(hex: text)
    }

    /// Registers that the platform does not have are empty texts: clients expect texts.
    private static func tcbInfo(
        _ registers: GuestSnapshot.Registers?, mrAggregated: [UInt8], osImageHash: [UInt8],
        identity: ApplicationIdentity, deviceID: DeviceID, log: EventLog, compose: String
    ) -> String {
        var json = JSONWriter(pretty: true)
        json.object { object in
            object.member("mrtd", registers?.mrtd.hex ?? "")
            object.member("rtmr0", registers?.rtmrs.rtmr0.hex ?? "")
            object.member("rtmr1", registers?.rtmrs.rtmr1.hex ?? "")
            object.member("rtmr2", registers?.rtmrs.rtmr2.hex ?? "")
            object.member("rtmr3", registers?.rtmrs.rtmr3.hex ?? "")
            object.member("mr_aggregated", Hex.encode(mrAggregated))
            object.member("os_image_hash", Hex.encode(osImageHash))
            object.member("compose_hash", "\(identity.composeHash)")
            object.member("device_id", "\(deviceID)")
            object.raw("event_log", log.json.utf8)
            object.member("app_compose", compose)
        }
        return json.text
    }
}
