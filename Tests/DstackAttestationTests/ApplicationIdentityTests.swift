import DstackAttestation
import DstackEncoding
import TestKit
import Testing

/// The recorded evidence of vectors/attestation/README.md, section 3.
struct RecordedEvidence: Sendable, CustomTestStringConvertible {
    let file: String
    let mrTd: String
    let mrConfigId: String
    let appID: String
    let composeHash: String
    let instanceID: String
    let keyProvider: KeyProviderInfo.Kind
    let storageFS: String?
    let osImageHashEvent: String?
    let vmConfigImageHash: String
    let deviceID: String
    let ppid: String
    /// mr_system and mr_aggregated.
    let runtime: (String, String)
    let bootTime: (String, String)
    let reportData: String

    var testDescription: String { file }

    func attestation() throws -> Attestation {
        guard file.hasSuffix(".json") else { return try Attestation(decoding: Vectors.read("attestation/\(file)")) }
        let root = try Vectors.json("attestation/\(file)")
        return try Attestation(
            quote: root.member("quote").hexBytes(), eventLog: EventLog(json: root.member("event_log").string()),
            config: root.member("vm_config").string())
    }

    static let all = [
        RecordedEvidence(
            file: "simulator_attestation.bin",
            mrTd: "e53236d44a074bc78e784cdfa1a2c858a5f6b53afc1b60d8f079662314978b64241b646d8498dd767d5ea48e1e115822",
            mrConfigId: "01c143116fef3940e7f776bfc0919c256232ae5338a6e948c96b711e0b2383483a",
            appID: "5bb4ff9a3837357f19dc176407a5709c62eb6c56",
            composeHash: "c143116fef3940e7f776bfc0919c256232ae5338a6e948c96b711e0b2383483a",
            instanceID: "1691ed1b47506cad7d08834668691d88246f5b1f", keyProvider: .kms, storageFS: "zfs",
            osImageHashEvent: "e61be43dd1cc6a6f5edefd7c51b608983780839b0000ce60dd99737dcffe09b9",
            vmConfigImageHash: "e61be43dd1cc6a6f5edefd7c51b608983780839b0000ce60dd99737dcffe09b9",
            deviceID: "c07347d88ac7ef3d42d02ceb80a0e3ac66981cf7382f72d0692ec591ea58cf1f",
            ppid: "80d4a149124353c7a2bb76551603f31b",
            runtime: (
                "51ea38f8eee6dc72dbae9b74531ae6d6204295d265dabb4e6c34621a2a1a1197",
                "85334a62c97d0f8bf82d0245d31b539d17a2d7c258e2a13efc928aaea0e107cb"
            ),
            bootTime: (
                "ef6af583432288c877e412740aa7d8a844a18920ad98e9b1d95d42a07a3044c8",
                "787f9fe525fcb61e81f31a30225a86674412088f2f1b683a421a7e9cbcd40551"
            ), reportData: ""),
        RecordedEvidence(
            file: "quote-report.json",
            mrTd: "b24d3b24e9e3c16012376b52362ca09856c4adecb709d5fac33addf1c47e193da075b125b6c364115771390a5461e217",
            mrConfigId: "", appID: "3763bc34552cf3a27ff71ad5f7a90471562a1a2d",
            composeHash: "3763bc34552cf3a27ff71ad5f7a90471562a1a2df552dfc1998cba2d60da27e7",
            instanceID: "c3714eb66990eace777b4e664c16e09375dec4c9", keyProvider: .localSGX, storageFS: nil,
            osImageHashEvent: nil,
            vmConfigImageHash: "14ad42d0270b444eaeb53918a5a94d9b17eec7a817cd336173b17c5327541c67",
            deviceID: "ea0ba482106a22ecb76b59b95fed32b5cc3a81534b27ee01a25a10a87cca7d03",
            ppid: "897d3eb76ea887b783f9ad3d0771034b",
            runtime: (
                "e1ae776a1492d4f87937b7e563d265c16300be4aba5d748207587023bb7dbb75",
                "233c659f83048505bb1ef7f105245aa80f5d04e3d096c329da272d7ee13fbf38"
            ),
            bootTime: (
                "3d124836c59609fdfdb93185f7d251268d7da9b3f95e9a43cee5c4edc10a5b5f",
                "f9a9159f75a175a0a65052b78f764a312456db56f5c397c600d08445ab68937b"
            ), reportData: "1234"),
        RecordedEvidence(
            file: "tdx-lite-getquote.json",
            mrTd: "fd685522ce791dfef67414614eb07d03fc07a32c5a66f36288b329dab92b724b1564c73d436ffb9ea84488c51ac5a1c5",
            mrConfigId: "0186b0e55f2fa8e4fb69d890f14f54d5612707646e2573d54e0d2ddaaade77caa9",
            appID: "86b0e55f2fa8e4fb69d890f14f54d5612707646e",
            composeHash: "86b0e55f2fa8e4fb69d890f14f54d5612707646e2573d54e0d2ddaaade77caa9",
            instanceID: "050bf89570575fe8fab4cb8f0a62a9e64efe8ead", keyProvider: .kms, storageFS: "zfs",
            osImageHashEvent: "07a2388c7a6a1b6a646d443f1517990a4ec294471d63146cda9d56972765051d",
            vmConfigImageHash: "e6f5cfec20c02e7b97baa213d0f718020b55e040172d90ccbcb946d56c8b09db",
            deviceID: "318a579a74326db98e209c5ffd7fd1e51a73bb1979c6408298a827a90ed268d0",
            ppid: "40deaac75f87cf05e92fbf18224aa576",
            runtime: (
                "118f754a080ecb8527df65656ee4e7e97b891cf488ad6a38886ff0dbca0c8f70",
                "c758fa624b62536ca77504c4c52745e70880220a178a615a859c52f8b101d2ee"
            ),
            bootTime: (
                "37a91fd6aac229d83a1850be9bf017455d1cf4815e8fcb77332119de7e1a52f7",
                "f4e6117e0fdea4b23b5f32a2a59e7b7b99b64df237a9536fb2cb5ca2a270145e"
            ),
            reportData: Hex.encode(Array("dip1::secp256k1c-pk:A55pWmteJIJOj8_pI7-pzeDxy1G2q18GDv88HNRdBXkQ".utf8))),
    ]
}

@Suite("Application identity")
struct ApplicationIdentityTests {
    static func event(_ event: BootEvent, _ payload: [UInt8] = []) -> RuntimeEvent {
        RuntimeEvent(name: event.rawValue, payload: payload)
    }

    static let provider = KeyProviderInfo(kind: .kms, id: [0x30, 0x59])

    static let boot: [RuntimeEvent] = [
        event(.systemPreparing), event(.appID, [UInt8](repeating: 1, count: 20)),
        event(.composeHash, [UInt8](repeating: 2, count: 32)),
        event(.initScriptHash, [UInt8](repeating: 3, count: 32)),
        event(.initScriptHash, [UInt8](repeating: 4, count: 32)),
        event(.gpuPolicyHash, [UInt8](repeating: 5, count: 32)), event(.gpuAttestation, Array("{}".utf8)),
        event(.instanceID, [UInt8](repeating: 6, count: 20)), event(.bootMRDone),
        event(.osImageHash, [UInt8](repeating: 7, count: 32)), event(.keyProvider, provider.payload),
        event(.storageFS, Array("ext4".utf8)), event(.systemReady),
    ]

    static func identity(
        _ events: [RuntimeEvent], at moment: MeasurementMoment = .runtime
    ) throws -> ApplicationIdentity {
        try ApplicationIdentity(EventLog(runtimeEvents: events).replay(), at: moment)
    }

    // MARK: Vectors

    @Test(
        "identity and measurements of recorded evidence equal the vectors",
        .enabled(if: Vectors.areAvailable, Vectors.absence), arguments: RecordedEvidence.all)
    func recorded(evidence: RecordedEvidence) throws {
        let attestation = try evidence.attestation()
        let report = try #require(try attestation.parsedQuote().body.tdReport)
        #expect(report.mrTd.hex == evidence.mrTd)
        #expect(
            report.mrConfigId.hex == evidence.mrConfigId + String(repeating: "0", count: 96 - evidence.mrConfigId.count)
        )
        #expect(
            attestation.reportData.hex == evidence.reportData
                + String(repeating: "0", count: 128 - evidence.reportData.count))

        let log = try #require(attestation.eventLog).replay()
        #expect(log.registers == report.rtmrs)
        let identity = try ApplicationIdentity(log)
        #expect(identity.appID == AppID(hex: evidence.appID))
        #expect(identity.composeHash == ComposeHash(hex: evidence.composeHash))
        #expect(identity.instanceID == InstanceID(hex: evidence.instanceID))
        #expect(identity.keyProvider?.kind == evidence.keyProvider)
        #expect(identity.storageFS == evidence.storageFS)
        #expect(identity.osImageHashEvent?.hex == evidence.osImageHashEvent)
        #expect(identity.isSystemReady)
        #expect(identity.applicationEvents.map(\.name) == (evidence.storageFS == nil ? ["LIUM_MINER_HOTKEY"] : []))

        let runtime = try ApplicationMeasurements(report, log)
        #expect(runtime.mrSystem.hex == evidence.runtime.0 && runtime.mrAggregated.hex == evidence.runtime.1)
        #expect(runtime.mrKeyProvider == identity.keyProvider?.measurement)
        let bootTime = try ApplicationMeasurements(report, log, at: .bootTime)
        #expect(bootTime.mrSystem.hex == evidence.bootTime.0 && bootTime.mrAggregated.hex == evidence.bootTime.1)
        #expect(bootTime.mrKeyProvider.isZero)
        #expect(DeviceID(ppid: hex(evidence.ppid)).description == evidence.deviceID)
        #expect(try ApplicationIdentity(log, at: .bootTime).keyProvider == nil)
    }

    @Test(
        "what a guest of the recorded attestation reports follows from it",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func expectedInfo() throws {
        let attestation = try RecordedEvidence.all[0].attestation()
        let report = try #require(try attestation.parsedQuote().body.tdReport)
        let log = try #require(attestation.eventLog).replay()
        let expected = try Vectors.json("guest-agent/attestation.decoded.json").member("expected_info")
        let info = AppInfo(
            try ApplicationIdentity(log), measurements: try ApplicationMeasurements(report, log),
            deviceID: DeviceID(ppid: []), osImageHash: nil)
        #expect(info.appID.description == (try expected.member("app_id").string()))
        #expect(info.composeHash.description == (try expected.member("compose_hash").string()))
        #expect(info.instanceID?.description == (try expected.member("instance_id").string()))
        #expect(info.deviceID.description == (try expected.member("device_id").string()))
        #expect(info.mrSystem.hex == (try expected.member("mr_system").string()))
        #expect(info.mrAggregated.hex == (try expected.member("mr_aggregated").string()))
        #expect(info.keyProviderInfo == Array(try expected.member("key_provider_info").string().utf8))
    }

    @Test("measurements of made-up registers equal the vectors", .enabled(if: Vectors.areAvailable, Vectors.absence))
    func digests() throws {
        let rows = try Vectors.json("keys/kdf.json").member("tdx_measurement_digests")
        #expect(rows.count > 0)
        for row in rows.elements {
            var report = TDReport()
            report.mrTd = try row.member("mrtd").fixedHex()
            report.rtMr0 = try row.member("rtmr0").fixedHex()
            report.rtMr1 = try row.member("rtmr1").fixedHex()
            report.rtMr2 = try row.member("rtmr2").fixedHex()
            report.mrConfigId = try row.member("mr_config_id").fixedHex()
            report.mrOwner = try row.member("mr_owner").fixedHex()
            report.mrOwnerConfig = try row.member("mr_owner_config").fixedHex()
            let measurements = ApplicationMeasurements(
                report, runtimeRegister: try row.member("rtmr3").fixedHex(),
                keyProvider: try row.member("key_provider_info").hexBytes())
            #expect(measurements.mrSystem.hex == (try row.member("mr_system").string()))
            #expect(measurements.mrAggregated.hex == (try row.member("mr_aggregated").string()))
        }
    }

    @Test("identifiers follow from compose file and seed", .enabled(if: Vectors.areAvailable, Vectors.absence))
    func identifiers() throws {
        let root = try Vectors.json("keys/kdf.json")
        for row in try root.member("identifiers").array() {
            let hash = ComposeHash(ofFile: Array(try row.member("app_compose_utf8").string().utf8))
            #expect(hash.description == (try row.member("compose_hash").string()))
            let appID = AppID(defaultFor: hash)
            #expect(appID.description == (try row.member("app_id").string()))
            let seed: FixedBytes<20> = try row.member("instance_id_seed").fixedHex()
            #expect(InstanceID(seed: seed, appID: appID).description == (try row.member("instance_id").string()))
        }
        let token = try root.member("launch_token")
        #expect(LaunchToken.hash(try token.member("token").string()).hex == (try token.member("hash").string()))
        let device = try root.member("device_id")
        #expect(
            DeviceID(ppid: try device.member("ppid").hexBytes()).description
                == (try device.member("device_id").string()))
        let info = try root.member("key_provider_info")
        let provider = try KeyProviderInfo(payload: Array(try info.member("utf8").string().utf8))
        #expect(provider.kind == .kms && provider == KeyProviderInfo(kind: .kms, id: provider.id))
        #expect(provider.measurement.hex == (try info.member("mr_key_provider").string()))
        #expect(Hex.encode(provider.payload) == (try info.member("as_hex_in_boot_info").string()))
    }

    @Test("hashes of nothing and of a token are as published")
    func constants() {
        #expect(
            DeviceID(ppid: []).description == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            LaunchToken.hash("token").hex == "9bf5b7c16cd5376ece1b9bba4bd89b0931d3d195e8de245e4a676e512c01ed1d")
    }

    // MARK: Lookup

    @Test("every value is found by the name of its event, in any order before system-ready")
    func values() throws {
        var shuffled = Self.boot
        shuffled.swapAt(1, 7)
        shuffled.swapAt(2, 9)
        for events in [Self.boot, shuffled] {
            let identity = try Self.identity(events)
            #expect(identity.appID.bytes == FixedBytes(repeating: 1))
            #expect(identity.composeHash.bytes == FixedBytes(repeating: 2))
            #expect(identity.initScriptHashes == [FixedBytes(repeating: 3), FixedBytes(repeating: 4)])
            #expect(identity.gpuPolicyHash == FixedBytes(repeating: 5))
            #expect(identity.gpuAttestation == Array("{}".utf8))
            #expect(identity.instanceID?.bytes == FixedBytes(repeating: 6))
            #expect(identity.osImageHashEvent == FixedBytes(repeating: 7))
            #expect(identity.keyProvider == Self.provider)
            #expect(identity.storageFS == "ext4" && identity.isSystemReady)
            #expect(identity.applicationEvents.isEmpty && identity.rootFSHash == nil)
        }
    }

    @Test("at boot time, what follows boot-mr-done does not count")
    func bootTime() throws {
        let identity = try Self.identity(Self.boot, at: .bootTime)
        #expect(identity.keyProvider == nil && identity.osImageHashEvent == nil && !identity.isSystemReady)
        #expect(identity.instanceID != nil && identity.moment == .bootTime)
        // A KMS sees no more than this.
        #expect(try Self.identity(Array(Self.boot[...8]), at: .bootTime) == identity)
        #expect(try Self.identity(Array(Self.boot[...8]), at: .runtime).keyProvider == nil)
    }

    @Test("V58: an event that an application records after system-ready does not change the identity")
    func applicationEvents() throws {
        let later = [
            Self.event(.appID, [UInt8](repeating: 9, count: 20)), Self.event(.keyProvider, Array("x".utf8)),
            RuntimeEvent(name: "app:own", payload: [1], version: .v2),
        ]
        let identity = try Self.identity(Self.boot + later)
        #expect(identity.appID.bytes == FixedBytes(repeating: 1) && identity.keyProvider == Self.provider)
        #expect(identity.applicationEvents == later)
        // But one that could be told in two ways is refused wherever it stands.
        let ambiguous = RuntimeEvent(name: "app:own", payload: [1])
        #expect(throws: AttestationError.self) { try Self.identity(Self.boot + [ambiguous]) }
        // Nor does it stand in for an event that is not there.
        #expect(throws: AttestationError.self) { try Self.identity(Self.boot.filter { $0.name != "app-id" } + later) }
        let withoutProvider = Self.boot.filter { $0.name != "key-provider" }
        #expect(try Self.identity(withoutProvider + later).keyProvider == nil)
        let log = try EventLog(runtimeEvents: withoutProvider + later).replay()
        #expect(try ApplicationMeasurements(TDReport(), log).mrKeyProvider.isZero)
        // Nor does it move the moment at which keys are released.
        let withoutMark = Self.boot.filter { $0.name != "boot-mr-done" } + [Self.event(.bootMRDone)]
        #expect(throws: AttestationError.self) { try Self.identity(withoutMark, at: .bootTime) }
        let marked = try EventLog(runtimeEvents: withoutMark).replay()
        #expect(throws: AttestationError.self) { try ApplicationMeasurements(TDReport(), marked, at: .bootTime) }
        #expect(marked.runtimeRegister(after: .bootMRDone) == nil)
    }

    @Test("V58: the first of two identity events counts")
    func firstWins() throws {
        var events = Self.boot
        events.insert(Self.event(.appID, [UInt8](repeating: 9, count: 20)), at: 3)
        #expect(try Self.identity(events).appID.bytes == FixedBytes(repeating: 1))
    }

    @Test("an event hidden by splitting it at another colon has the same digest and is refused")
    func hidden() throws {
        let payload = Self.provider.payload
        let colon = try #require(payload.firstIndex(of: UInt8(ascii: ":")))
        let split = RuntimeEvent(
            name: "key-provider:" + String(decoding: payload[..<colon], as: UTF8.self),
            payload: Array(payload[(colon + 1)...]))
        var events = Self.boot
        events[10] = split
        let log = try EventLog(runtimeEvents: events).replay()
        #expect(try log.registers == EventLog(runtimeEvents: Self.boot).replay().registers)
        let error = #expect(throws: AttestationError.self) { try ApplicationIdentity(log) }
        #expect(error?.code == .ambiguousName)
        #expect(throws: AttestationError.self) { try ApplicationMeasurements(TDReport(), log) }
        // Version 2 hashes name and payload apart, so that a colon is only a colon.
        events[10] = RuntimeEvent(name: "a:b", payload: [], version: .v2)
        #expect(throws: Never.self) { try Self.identity(events) }
    }

    @Test(
        "a missing event or a value of the wrong length is refused, not taken as empty",
        arguments: [BootEvent.appID, .composeHash, .instanceID])
    func required(event: BootEvent) throws {
        let error = #expect(throws: AttestationError.self) {
            try Self.identity(Self.boot.filter { $0.name != event.rawValue })
        }
        #expect(error?.code == .missingEvent && error?.subject == event.rawValue)
        for length in [0, 1, 19, 21, 31, 33] where !(event == .instanceID && length == 0) {
            let events = Self.boot.map {
                $0.name == event.rawValue ? Self.event(event, [UInt8](repeating: 1, count: length)) : $0
            }
            let error = #expect(throws: AttestationError.self) { try Self.identity(events) }
            #expect(error?.code == .invalidIdentity && error?.subject == event.rawValue)
        }
    }

    @Test("an instance may have no id")
    func noInstance() throws {
        let events = Self.boot.map { $0.name == "instance-id" ? Self.event(.instanceID) : $0 }
        #expect(try Self.identity(events).instanceID == nil)
    }

    @Test(
        "optional values must have their form where they are there",
        arguments: [
            (BootEvent.osImageHash, [1]), (.gpuPolicyHash, []), (.initScriptHash, [UInt8](repeating: 0, count: 33)),
            (.storageFS, [0xFF]), (.storageFS, Array("z fs".utf8)), (.keyProvider, []),
            (.keyProvider, Array("{}".utf8)),
            (.keyProvider, Array(#"{"name":"vault","id":""}"#.utf8)),
            (.keyProvider, Array(#"{"name":"kms","id":"0"}"#.utf8)),
            (.keyProvider, Array(#"{"name":"kms","id":"","id":"00"}"#.utf8)),
        ] as [(BootEvent, [UInt8])])
    func optional(event: BootEvent, payload: [UInt8]) {
        let events = Self.boot.map { $0.name == event.rawValue ? Self.event(event, payload) : $0 }
        #expect(throws: AttestationError.self) { try Self.identity(events) }
    }

    @Test("key providers are measured as compact JSON", arguments: KeyProviderInfo.Kind.allCases)
    func keyProviders(kind: KeyProviderInfo.Kind) throws {
        let provider = KeyProviderInfo(kind: kind, id: [0xAB])
        #expect(String(decoding: provider.payload, as: UTF8.self) == #"{"name":"\#(kind.rawValue)","id":"ab"}"#)
        #expect(try KeyProviderInfo(payload: provider.payload) == provider)
        #expect(KeyProviderInfo.Kind(configurationName: kind.configurationName) == kind)
    }

    @Test("mutated runtime events never trap")
    func mutations() throws {
        let seed = Array(Self.boot.map(\.logLine).joined(separator: "\n").utf8)
        var random = SeededGenerator(seed: 0x1D)
        var read = 0
        for _ in SeededGenerator.rounds(2000) {
            guard let events = try? RuntimeEvent.parse(log: random.mutated(seed)) else { continue }
            for moment in MeasurementMoment.allCases where (try? Self.identity(events, at: moment)) != nil { read += 1 }
        }
        #expect(read > 100)
    }
}
