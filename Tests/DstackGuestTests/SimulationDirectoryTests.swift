import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackGuest
import DstackKeys
import DstackMockTEE
import DstackSimulation
import Foundation
import TestKit
import Testing

@Suite("Simulation: a new set")
struct SimulationDirectoryTests {
    static let now: Int64 = 1_790_000_000

    @Test(
        "an empty directory becomes a set whose evidence verifies under the standard policy, OS image and compose included"
    )
    func verifies() async throws {
        let folder = try ScratchDirectory()
        let simulation = try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now)
        let data = try ReportData(padding: Array("challenge".utf8))
        let attestation = try await simulation.attester.attestation(reportData: data)
        let report = try verify(
            attestation, root: folder.read("root.pem"), collateral: folder.read("collateral.json"),
            appCompose: folder.read("app-compose.json"), at: Self.now)
        #expect(report.verdict == .accepted, "\(String(describing: report.failure))")
        #expect(report.verifiedQuote?.isSimulated == true)
        #expect(report.evidence?.osImageHash != nil)
        #expect(report.evidence?.areACPITablesVerified == false)
        #expect(report.text().contains("simulated"))
        #expect(simulation.notice == nil)
        #expect(simulation.attester.isSimulated)
        #expect(attestation.reportData == data)
        let strangers = QuoteVerifier(trustAnchor: .intel).verify(
            Evidence(attestation: attestation.encoded.bytes),
            collateral: try QuoteCollateral(parsingJSON: folder.read("collateral.json")), at: Self.now)
        #expect(strangers.verdict == .rejected)
    }

    @Test("keys, configuration and evidence of a new set are of one application")
    func consistent() async throws {
        let folder = try ScratchDirectory()
        let compose = Array(#"{"manifest_version":2,"name":"mine","runner":"docker-compose"}"#.utf8)
        let simulation = try await SimulationDirectory.loadOrCreate(
            in: folder.path, appCompose: compose, at: Self.now)
        #expect(try folder.read("app-compose.json") == compose)
        let attestation = try await simulation.attester.attestation(reportData: ReportData(padding: []))
        let identity = try #require(attestation.checkIdentity().identity)
        #expect(identity.composeHash == ComposeHash(ofFile: compose))
        #expect(identity.appID == AppID(defaultFor: identity.composeHash))
        #expect(identity.keyProvider?.kind == KeyProviderInfo.Kind.none)

        let keys = try AppKeys(contentsOf: simulation.appKeysPath)
        let derived = try keys.rootKey.derivedKey(path: "p", purpose: "q", algorithm: .secp256k1)
        let summary = try #require(
            try JSONSerialization.jsonObject(with: Data(folder.read("simulation.json"))) as? [String: String])
        #expect(summary["app_id"] == identity.appID.description)
        let kmsKey = try #require(FixedBytes<33>(hex: summary["kms_public_key"] ?? ""))
        let statement = KeyStatement.issuedAppKey(appID: identity.appID.bytes, key: keys.rootKey.publicKey)
        let signature = try Secp256k1.Signature(derived.signatureChain[1])
        #expect(try signature.signer(of: statement).compressed == kmsKey)

        let config = try #require(
            try JSONSerialization.jsonObject(with: Data(folder.read("sys-config.json"))) as? [String: Any])
        #expect(config["vm_config"] as? String == attestation.config)
        let mode = try FileManager.default.attributesOfItem(atPath: simulation.appKeysPath)[.posixPermissions]
        #expect(mode as? Int == 0o600)
        #expect(
            try Set(folder.names).isSuperset(of: [
                "root.pem", "collateral.json", "attestation.bin", "simulated-platform.json",
            ]))
    }

    @Test("init scripts of the application are measured one by one; more than a guest runs are refused")
    func initScripts() async throws {
        for (member, count) in [(#""a""#, 1), (#"["a","b"]"#, 2), ("null", 0), ("[]", 0)] {
            let folder = try ScratchDirectory()
            let compose = #"{"manifest_version":"3","name":"a","runner":"x","init_script":\#(member)}"#
            let simulation = try await SimulationDirectory.loadOrCreate(
                in: folder.path, appCompose: Array(compose.utf8), at: Self.now)
            let attestation = try await simulation.attester.attestation(reportData: ReportData(padding: []))
            let events = try #require(attestation.tdxEvidence).eventLog.events.filter { $0.name == "init-script-hash" }
            #expect(events.count == count)
            if let first = events.first { #expect(first.payload == SHA256.hash(Array("a".utf8)).bytes) }
            #expect(attestation.checkIdentity().identity != nil)
        }
        for member in [#"["","","","","",""]"#, "7", "[7]"] {
            let folder = try ScratchDirectory()
            let compose = #"{"manifest_version":"3","name":"a","runner":"x","init_script":\#(member)}"#
            await #expect(throws: GuestError.self) {
                _ = try await SimulationDirectory.loadOrCreate(
                    in: folder.path, appCompose: Array(compose.utf8), at: Self.now)
            }
        }
    }

    @Test("a simulator that is started again has the same registers, log and keys, and events of before")
    func restart() async throws {
        let folder = try ScratchDirectory()
        var before: Attestation
        do {
            let first = try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now)
            try await first.attester.emit(RuntimeEvent(emitting: "one", payload: [1]))
            try await first.attester.emit(RuntimeEvent(emitting: "two", payload: [2, 2]))
            before = try await first.attester.attestation(reportData: ReportData(padding: [9]))
        }
        let keys = try folder.read("appkeys.json")
        let second = try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now + 5)
        let after = try await second.attester.attestation(reportData: ReportData(padding: [9]))
        #expect(after.eventLog == before.eventLog)
        #expect(try after.parsedQuote().body == before.parsedQuote().body)
        #expect(after.runtimeEvents.suffix(2).map { $0.name } == ["one", "two"])
        #expect(try folder.read("appkeys.json") == keys)
        let report = try verify(
            after, root: folder.read("root.pem"), collateral: folder.read("collateral.json"),
            appCompose: folder.read("app-compose.json"), at: Self.now + 5)
        #expect(report.verdict == .accepted, "\(String(describing: report.failure))")
    }

    @Test("a compose file that asks for events of version 2 gets them, and they verify")
    func versionTwo() async throws {
        let folder = try ScratchDirectory()
        let compose = Array(#"{"manifest_version":2,"name":"v2","runner":"docker-compose","event_log_version":2}"#.utf8)
        let simulation = try await SimulationDirectory.loadOrCreate(
            in: folder.path, appCompose: compose, at: Self.now)
        #expect(simulation.attester.eventVersion == .v2)
        #expect(throws: AttestationError.self) { try RuntimeEvent(emitting: "a:b", payload: []) }
        await #expect(throws: AttestationError(.measurementFailed, subject: "", reason: "")) {
            try await simulation.attester.emit(RuntimeEvent(emitting: "old", payload: [], version: .v1))
        }
        try await simulation.attester.emit(RuntimeEvent(emitting: "new", payload: [7], version: .v2))
        let attestation = try await simulation.attester.attestation(reportData: ReportData(padding: []))
        #expect(try Attestation.WireForm(detecting: simulation.attester.encoded(attestation)) == .v1)
        let report = try verify(
            attestation, root: folder.read("root.pem"), collateral: folder.read("collateral.json"),
            appCompose: compose, at: Self.now)
        #expect(report.verdict == .accepted, "\(String(describing: report.failure))")
    }

    @Test("the directory of another application is refused, and left as it is")
    func otherApplication() async throws {
        let folder = try ScratchDirectory()
        func compose(_ name: String) -> [UInt8] {
            Array(#"{"manifest_version":2,"name":"\#(name)","runner":"docker-compose"}"#.utf8)
        }
        _ = try await SimulationDirectory.loadOrCreate(in: folder.path, appCompose: compose("a"), at: Self.now)
        let before = try folder.read("attestation.bin")
        let error = await #expect(throws: GuestError.self) {
            try await SimulationDirectory.loadOrCreate(
                in: folder.path, appCompose: compose("b"), at: Self.now)
        }
        #expect(error?.reason.contains("another application") == true)
        #expect(try folder.read("attestation.bin") == before)
    }

    @Test("a part of a set is refused by name, and nothing is written", arguments: GuestFixture.inputs)
    func partial(name: String) async throws {
        let folder = try ScratchDirectory()
        _ = try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now)
        try folder.remove(name)
        let before = try folder.names
        let error = await #expect(throws: GuestError.self) {
            try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now)
        }
        #expect(error?.reason.contains("but not \(name)") == true, "\(String(describing: error))")
        #expect(try folder.names == before)
    }

    @Test("what a creation left behind that was killed is cleaned up, other files of the same names are not")
    func killedCreation() async throws {
        let folder = try ScratchDirectory()
        let half = Array("half a set".utf8)
        try folder.write(half, "app-compose.json")
        try folder.write(Array("\(SHA256.hash(half).hex)  app-compose.json\n".utf8), ".incomplete")
        let simulation = try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now)
        #expect(simulation.notice == nil)
        #expect(try !folder.names.contains(".incomplete"))

        let other = try ScratchDirectory()
        try other.write(Array("the user's own".utf8), "app-compose.json")
        try other.write(Array("\(SHA256.hash(half).hex)  app-compose.json\n".utf8), ".incomplete")
        await #expect(throws: GuestError.self) {
            try await SimulationDirectory.loadOrCreate(in: other.path, at: Self.now)
        }
        #expect(try other.read("app-compose.json") == Array("the user's own".utf8))
    }

    @Test("two simulators cannot share a directory")
    func exclusive() async throws {
        let folder = try ScratchDirectory()
        let first = try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now)
        let error = await #expect(throws: GuestError.self) {
            try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now)
        }
        #expect(error?.reason.contains("another simulator") == true, "\(String(describing: error))")
        _ = first.path
    }

    @Test("collateral is made anew a week before it expires, and again if somebody damaged it")
    func collateral() async throws {
        let folder = try ScratchDirectory()
        let simulation = try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now)
        let first = try folder.read("collateral.json")
        #expect(try !simulation.refreshCollateral(at: Self.now + 10 * 86_400))
        #expect(try folder.read("collateral.json") == first)
        #expect(try simulation.refreshCollateral(at: Self.now + 24 * 86_400))
        #expect(try folder.read("collateral.json") != first)
        try folder.write(Array("{}".utf8), "collateral.json")
        #expect(try simulation.refreshCollateral(at: Self.now + 24 * 86_400))
        try folder.remove("collateral.json")
        #expect(try simulation.refreshCollateral(at: Self.now + 24 * 86_400))
    }

    @Test(
        "a compose file that cannot be run leaves nothing behind: neither files nor the directory",
        arguments: [
            "", "[]", "{", "{}", #"{"manifest_version":2,"name":"a"}"#,
            #"{"manifest_version":9,"name":"a","runner":"x"}"#,
            #"{"manifest_version":2,"name":"a","runner":"x","event_log_version":3}"#,
            #"{"manifest_version":2,"name":"a","runner":"x","public_logs":null}"#,
            #"{"manifest_version":"3","name":"a","runner":"x","requirements":{"unknown":1}}"#,
            #"{"manifest_version":2,"name":"a","runner":"x","init_script":["","","","","",""]}"#,
        ])
    func refusedCompose(text: String) async throws {
        let folder = try ScratchDirectory()
        for path in [folder.path + "/new", folder.path] {
            let error = await #expect(throws: GuestError.self) {
                _ = try await SimulationDirectory.loadOrCreate(in: path, appCompose: Array(text.utf8), at: Self.now)
            }
            #expect(error?.code == .invalidFile && error?.subject.hasPrefix("app-compose.json") == true)
        }
        #expect(try folder.names.isEmpty)
    }
}
