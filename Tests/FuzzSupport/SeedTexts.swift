import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import DstackSystem

/// Genuine evidence beside a quote: accepted as it is.
struct EvidenceSeed: Sendable {
    let name: String
    let subject: EvidenceSubject
    let collateral: QuoteCollateral
    let anchor: TrustAnchor
    let time: Int64
}

/// Genuine event logs, envelopes, compose files, configurations and policies to mutate.
struct SeedTexts: Sendable {
    private(set) var evidence: [EvidenceSeed] = []
    private(set) var eventLogs: [[UInt8]] = []
    private(set) var ccel: [[UInt8]] = []
    private(set) var envelopes: [[UInt8]] = []
    private(set) var composeFiles: [[UInt8]] = []
    private(set) var policies: [[UInt8]] = []
    private(set) var configurations: [[UInt8]] = []

    init(vectors: String?) throws(FuzzFailure) {
        do {
            try addSimulated()
            if let vectors { try addReal(vectors + "/attestation/") }
        } catch {
            throw FuzzFailure("evidence: \(error)")
        }
        addPolicies()
    }

    /// The texts of a kind.
    func texts(_ kind: FuzzKind) -> [[UInt8]] {
        switch kind {
        case .eventLog: eventLogs
        case .ccel: ccel
        case .envelope: envelopes
        case .appCompose: composeFiles
        case .policy: policies
        case .configuration: configurations
        default: []
        }
    }

    private static let compose = """
        {"manifest_version":2,"name":"fuzz","runner":"docker-compose","docker_compose_file":"services:\\n  web:\\n    \
        image: nginx@sha256:00\\n","kms_enabled":true,"gateway_enabled":true,"public_logs":true,"features":["kms"],\
        "allowed_envs":["A","\\u00e9"],"event_log_version":1,"limits":{"n":1e3,"f":-0.5,"none":null}}
        """

    private mutating func addSimulated() throws {
        let mint = try Mint(authorities: "A", machine: "1", MockPlatform.Configuration())
        let anchor = try TrustAnchor(certificate: mint.platform.rootCertificate)
        let collateral = try mint.collateral(for: .tdx, at: Corpus.now)
        let compose = Array(Self.compose.utf8)
        var boot = try MockBoot(
            mint.platform, appCompose: compose, keyProvider: KeyProviderInfo(kind: .kms, id: [1, 2, 3, 4]))
        try boot.emit("application-event", Array("a:b".utf8))
        let body = boot.domain.report(reportData: FixedBytes(repeating: 0x52))
        let quote = try mint.quote(body)
        let log = boot.eventLog
        let stripped = log.stripped()
        let runtime = log.stripped(EventLog.Stripping(bootEvents: .dropped, keepsRuntimeDigests: true))
        for (name, log) in [("log", log), ("stripped log", stripped), ("runtime log", runtime)] {
            let text = Array(log.json.utf8)
            eventLogs.append(text)
            add(
                name, EvidenceSubject(quote: quote, eventLog: text, configuration: "", appCompose: compose), collateral,
                anchor)
        }
        let attestation = try Attestation(quote: quote, eventLog: log)
        for form in Attestation.WireForm.allCases {
            let envelope = try attestation.encoded(as: form)
            envelopes.append(envelope)
            add(
                "envelope \(form)",
                EvidenceSubject(quote: [], configuration: "", appCompose: compose, envelope: envelope), collateral,
                anchor)
        }
        try addPod(attestation, mint)
        var second = log
        for index in second.events.indices where second.events[index].type == .runtime {
            let event = RuntimeEvent(
                name: second.events[index].name, payload: second.events[index].payload, version: .v2)
            second.events[index] = LoggedEvent(event)
            second.events[index].preimage = event.preimage
        }
        eventLogs.append(Array(second.json.utf8))
        composeFiles = [compose, Array("{\"name\":\"é\",\"10\":1,\"9\":[{}],\"b\":{\"a\":true}}".utf8)]
        configurations.append(
            Array(
                """
                {"os_image_hash":"\(String(repeating: "ab", count: 32))","cpu_count":2,"memory_size":2147483648,\
                "qemu_version":"9.2.1","pci_hole64_size":0,"hugepages":false,"num_gpus":0,"num_nvswitches":0,\
                "hotplug_off":true,"image":"dstack-0.5"}
                """.utf8))
        var boots = TCGEventLog(header: TCGEventLog.Header(), entries: [])
        for event in log.events where event.type != .runtime {
            guard let digest = event.digest, let entry = TCGEventLog.Digest(.sha384, digest.bytes) else { continue }
            boots.entries.append(
                TCGEventLog.Entry(
                    registerIndex: UInt32(event.register.rawValue) + 1, type: event.type, digests: [entry],
                    data: event.payload))
        }
        ccel.append(boots.encoded)
    }

    /// A pod's attestation: the report data is the hash of a text.
    private mutating func addPod(_ attestation: Attestation, _ mint: Mint) throws {
        var pod = attestation
        pod.reportDataPayload = "{\"pod\":1}"
        envelopes.append(try pod.encoded(as: .v1))
    }

    private mutating func add(
        _ name: String, _ subject: EvidenceSubject, _ collateral: QuoteCollateral, _ anchor: TrustAnchor,
        at time: Int64 = Corpus.now
    ) {
        evidence.append(
            EvidenceSeed(name: name, subject: subject, collateral: collateral, anchor: anchor, time: time))
    }

    private mutating func addReal(_ folder: String) throws {
        func read(_ name: String) -> [UInt8]? { try? File.read(folder + name, limit: 16 << 20) }
        if let log = read("ccel.bin") { ccel.append(log) }
        if let newer = read("collateral_tdx_B0C06F_2026-10.json") {
            let collateral = try QuoteCollateral(parsingJSON: newer)
            for name in ["simulator_attestation.bin", "simulator_attestation_v1_derived.msgpack"] {
                guard let envelope = read(name) else { continue }
                envelopes.append(envelope)
                add(
                    name, EvidenceSubject(quote: [], configuration: "", envelope: envelope), collateral, .intel,
                    at: 1_792_714_008)
            }
        }
        for name in ["quote-report.json", "tdx-lite-getquote.json"] {
            guard let text = read(name) else { continue }
            let root = try JSONDocument(parsing: text, subject: name).root
            let log = Array(try root.member("event_log").string().utf8)
            let configuration = try root.member("vm_config").string()
            eventLogs.append(log)
            configurations.append(Array(configuration.utf8))
            guard name.contains("lite") else { continue }
            // Its collateral is not at hand, but its registers can be quoted by a simulated platform.
            let mint = try Mint(authorities: "A", machine: "1", MockPlatform.Configuration())
            guard case .td10(var report) = try Quote(parsing: try root.member("quote").hexBytes()).body else {
                continue
            }
            report.teeTcbSvn = mint.platform.configuration.teeTcbSvn
            add(
                "OS image",
                EvidenceSubject(quote: try mint.quote(.td10(report)), eventLog: log, configuration: configuration),
                try mint.collateral(for: .tdx, at: Corpus.now),
                try TrustAnchor(certificate: mint.platform.rootCertificate))
        }
    }

    private mutating func addPolicies() {
        policies = [
            """
            {"allowed_statuses":["UpToDate","SWHardeningNeeded"],"rejected_advisory_ids":["INTEL-SA-00001"],\
            "allowed_advisory_ids":["INTEL-SA-00002"],"platform_grace_period_secs":86400,"qe_grace_period_secs":0,\
            "min_tcb_eval_data_number":17,"allow_dynamic_platform":true,"allow_cached_keys":false,"allow_smt":true,\
            "accepted_sgx_types":[0,1],"max_collateral_age_secs":2592000,\
            "accepted_ppids":["00112233445566778899aabbccddeeff"]}
            """,
            """
            {"expected_report_data":"\(String(repeating: "5a", count: 64))",\
            "expected_mr_td":"\(String(repeating: "01", count: 48))",\
            "expected_rt_mr3":"\(String(repeating: "02", count: 48))",\
            "expected_mr_enclave":"\(String(repeating: "03", count: 32))","expected_isv_prod_id":1,"min_isv_svn":2,\
            "expected_compose_hash":"\(String(repeating: "04", count: 32))",\
            "expected_app_id":"\(String(repeating: "05", count: 20))","allow_debug":true,"allow_service_td":true}
            """, "{}",
        ].map { Array($0.utf8) }
    }
}
