import DstackAttestation
import DstackEncoding
import DstackGuest
import DstackNetwork
import DstackRPC
import DstackSimulation
import DstackSystem
import Foundation
import Synchronization
import TestKit
import Testing

@Suite("Guest agent: the application's files, and what follows from them")
struct AgentFileTests {
    private static func compose(_ members: String) -> String {
        #"{"manifest_version":2,"name":"test","runner":"docker-compose"\#(members)}"#
    }

    @Test("the compose file decides what strangers see of evidence and machine")
    func visibility() async throws {
        let agent = try await AgentFixture(compose: Self.compose(#","public_tcbinfo":false"#))
        let inside = try await agent.post("dstack", "/Info").json
        #expect(try !inside.text("tcb_info").isEmpty && !inside.text("vm_config").isEmpty)
        for path in ["/prpc/Info", "/prpc/v0/Info"] {
            let outside = try await agent.external(path).json
            #expect(try outside.text("tcb_info") == "" && outside.text("vm_config") == "")
            #expect(try outside.text("app_id") == inside.text("app_id"))
            #expect(try outside.text("key_provider_info") == inside.text("key_provider_info"))
        }
        let newer = try await agent.external("/prpc/v1/Info").json
        for name in ["app_compose", "vm_config", "key_provider_info"] { #expect(try newer.text(name) == "") }
        #expect(try await agent.post("guest", "/api/Info").json.text("tcb_info") == "")
        #expect(
            try await agent.post("dstack", "/v1/Info").json.text("app_compose")
                == Self.compose(#","public_tcbinfo":false"#))
        #expect(try await agent.external("/metrics").status == 404)
        #expect(try await agent.external("/logs/x").status == 404)
        let open = try await AgentFixture(compose: Self.compose(#","public_sysinfo":true"#))
        #expect(try await open.external("/metrics").status == 200)
        #expect(try await open.external("/prpc/Info").json.text("tcb_info").contains("mrtd"))
    }

    @Test("an application that does not say how it fares is healthy; one that does is believed for a minute")
    func health() async throws {
        let silent = try await AgentFixture(compose: Self.compose(""))
        #expect(try await silent.external("/prpc/v1/Health").text == #"{"healthy":true,"unhealthy":[],"error":""}"#)

        let path = NSTemporaryDirectory() + "health-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let members = #","requirements":{"health_check":true,"health_status_file":"\#(path)"}"#
        let now = Int64(Date().timeIntervalSince1970)
        for (text, isHealthy, hasError) in [
            (nil, false, true), ("healthy\n\(now)\n", true, false), ("unhealthy\n\(now)\n", false, false),
            ("healthy\n\(now - 100)\n", false, true), ("fine\n\(now)\n", false, true), ("healthy\n", false, true),
            ("healthy\n\(now + 100_000)\n", false, true), ("healthy\n9223372036854775807\n", false, true),
        ] as [(String?, Bool, Bool)] {
            if let text { try text.write(toFile: path, atomically: true, encoding: .utf8) }
            let agent = try await AgentFixture(compose: Self.compose(members))
            let health = try await agent.external("/prpc/v1/Health").json
            #expect(try health.flag("healthy") == isHealthy, "\(text ?? "")")
            #expect(try health.text("error").isEmpty != hasError, "\(text ?? "")")
        }
    }

    @Test("a health status file that the application replaces by a link or a pipe is neither followed nor waited for")
    func healthElsewhere() async throws {
        let folder = try ScratchDirectory()
        let now = Int64(Date().timeIntervalSince1970)
        try folder.write(Array("healthy\n\(now)\n".utf8), "real")
        #expect(symlink(folder.path + "/real", folder.path + "/link") == 0)
        #expect(mkfifo(folder.path + "/pipe", 0o600) == 0)
        for (name, isHealthy) in [("real", true), ("link", false), ("pipe", false), ("none", false)] {
            let members = #","requirements":{"health_check":true,"health_status_file":"\#(folder.path)/\#(name)"}"#
            let agent = try await AgentFixture(compose: Self.compose(members))
            #expect(try await agent.external("/prpc/v1/Health").json.flag("healthy") == isHealthy, "\(name)")
        }
    }

    @Test(
        "a compose file or a system configuration that cannot be read keeps the agent from starting, with the reason",
        arguments: [
            ("compose", "{}", "manifest_version"), ("compose", "[]", "an object"), ("compose", "", "value expected"),
            ("compose", #"{"manifest_version":2,"name":1,"runner":"x"}"#, "name"),
            ("compose", #"{"manifest_version":9,"name":"a","runner":"x"}"#, "manifest versions"),
            ("compose", #"{"manifest_version":"2","name":"a"}"#, "runner"),
            ("compose", #"{"manifest_version":2,"name":"a","runner":"x","public_logs":"yes"}"#, "public_logs"),
            ("compose", #"{"manifest_version":2,"name":"a","runner":"x","event_log_version":3}"#, "version 1 or 2"),
            ("compose", requiring(#""os_versoin":">=1""#), "requirements.os_versoin at byte 77: unknown member"),
            ("compose", requiring(#""os_version":1"#), "os_version"),
            ("compose", requiring(#""platforms":"x""#), "platforms"),
            ("compose", requiring(#""launch_token_hash":"00""#), "64 hexadecimal digits"),
            ("compose", requiring(#""gpu_policy":{"allow_all":true}"#), "requirements.gpu_policy.allow_all at byte"),
            ("compose", requiring(#""gpu_policy":{"attest_gpu":"no"}"#), "attest_gpu"),
            ("compose", #"{"manifest_version":"3","name":"a","runner":"x","requirements":[]}"#, "an object"),
            ("compose", requiring(#""os_version":null"#), "demands nothing"),
            ("compose", requiring(#""os_version":"""#), "demands nothing"),
            ("compose", requiring(#""platforms":null"#), "demands nothing"),
            ("compose", requiring(#""launch_token_hash":null"#), "demands nothing"),
            ("compose", requiring(#""gpu_policy":null"#), "demands nothing"),
            ("compose", requiring(#""gpu_policy":{"rego":null}"#), "demands nothing"),
            ("compose", #"{"manifest_version":2,"name":"a","runner":"x","public_tcbinfo":null}"#, "public_tcbinfo"),
            ("compose", #"{"manifest_version":2,"name":"a","runner":"x","public_logs":null}"#, "public_logs"),
            ("system", "{}", "vm_config"), ("system", #"{"vm_config":{}}"#, "vm_config"),
            ("system", #"{"vm_config":"","kms_urls":"x"}"#, "kms_urls"), ("system", "x", "value expected"),
            ("keys", "{}", "disk_crypt_key"), ("keys", "", "value expected"),
            ("keys", #"{"k256_key":"secret-000"}"#, "disk_crypt_key"),
        ])
    func files(kind: String, text: String, reason: String) async throws {
        let folder = try ScratchDirectory()
        _ = try await SimulationDirectory.loadOrCreate(in: folder.path, at: 1_790_000_000)
        var files = GuestSettings.Files()
        files.keys = folder.path + "/appkeys.json"
        files.compose = folder.path + "/app-compose.json"
        files.system = folder.path + "/sys-config.json"
        _ = try GuestFiles(files)
        try folder.write(
            Array(text.utf8),
            ["compose": "app-compose.json", "system": "sys-config.json", "keys": "appkeys.json"][kind] ?? "")
        let error = #expect(throws: GuestError.self) { _ = try GuestFiles(files) }
        let found = try #require(error)
        #expect(found.code == .invalidFile && "\(found)".contains(reason), "\(found)")
        #expect(!"\(found)".contains("secret-000"))
    }

    private static func requiring(_ members: String) -> String {
        #"{"manifest_version":"3","name":"a","runner":"x","requirements":{\#(members)}}"#
    }

    @Test("what an application requires may be all that upstream knows")
    func requirements() async throws {
        let all = #"""
            "os_version":">=0.6.0","platforms":["dstack-tdx"],"tdx_measure_acpi_tables":true,"launch_token_hash":\#
            "\#(String(repeating: "0a", count: 32))","gpu_policy":{"attest_gpu":true,"rego":"package x","allow_debug":false},\#
            "health_check":false,"health_status_file":null
            """#
        for members in ["", all] { _ = try await AgentFixture(compose: Self.requiring(members)) }
    }

    @Test("keys that are not asked for any more make room for others, and come back the same")
    func cache() async throws {
        var settings = AgentFixture.settings
        settings.keys.cachedAnswers = 3
        let agent = try await AgentFixture(settings)
        func key(_ path: String) async throws -> String {
            try await agent.post("dstack", "/GetKey", ["path": path]).json.text("key")
        }
        var keys: [String: String] = [:]
        for index in 0..<10 { keys["\(index)"] = try await key("\(index)") }
        #expect(Set(keys.values).count == 10)
        for index in [0, 9, 0, 5, 9, 1, 0] { #expect(try await key("\(index)") == keys["\(index)"]) }
        let long = String(repeating: "x", count: 5_000)
        #expect(try await key(long) == key(long))
        // Texts that look the same are other paths all the same.
        #expect(try await key("\u{e9}") != key("e\u{301}"))
        settings.keys.cachedAnswers = 0
        let without = try await AgentFixture(settings)
        for _ in 0..<2 { #expect(try await without.post("dstack", "/GetKey").status == 200) }
    }

    @Test("what certificates and Info say is made anew when it is old, behind the caller's back")
    func age() async throws {
        var settings = AgentFixture.settings
        settings.certificates.makesDemoCertificate = false
        settings.evidence.maximumAge = .milliseconds(50)
        let bench = try await BenchAgent(settings)
        _ = try await bench.post("dstack", "/Info")
        #expect(bench.attester.quotes == 1)
        try await Task.sleep(for: .milliseconds(100))
        // Another program measures an event.
        try await bench.attester.base.emit(RuntimeEvent(emitting: "other", payload: [1]))
        #expect(
            try await eventually { try await bench.post("dstack", "/Info").json.text("tcb_info").contains("other") })
    }
}

@Suite(
    "Guest agent: upstream's simulator settings", .enabled(if: GuestFixture.isAvailable, GuestFixture.absence))
struct AgentSimulatorTests {
    private func agent(_ simulator: GuestSettings.Simulator, legacy: Bool = false) async throws -> (
        GuestService, ScratchDirectory
    ) {
        let folder = try ScratchDirectory()
        var settings = AgentFixture.settings
        settings.simulator = simulator
        let directory = GuestFixture.directory.path + (legacy ? "/legacy-0.5.4" : "")
        settings.files.keys = directory + "/appkeys.json"
        settings.files.compose = directory + "/app-compose.json"
        settings.files.system = directory + "/sys-config.json"
        settings.listeners.main.address = .unix(path: folder.path + "/dstack.sock")
        settings.listeners.tappd.address = .unix(path: folder.path + "/tappd.sock")
        settings.listeners.external.address = .unix(path: folder.path + "/external.sock")
        settings.listeners.guestAPI.address = .unix(path: folder.path + "/guest.sock")
        let service = try GuestService.recorded(settings)
        _ = try await service.server.start()
        return (service, folder)
    }

    @Test("the recorded evidence is signed anew, by the same authority where a seed is given")
    func patched() async throws {
        var simulator = GuestSettings.Simulator()
        simulator.attestationFile = GuestFixture.directory.path + "/attestation.bin"
        simulator.seed = [UInt8](repeating: 7, count: 32)
        let (first, firstFolder) = try await agent(simulator)
        #expect(first.agent.isSimulated)
        // The recording is of another compose file than the one that is with it.
        let notice = try #require(first.notice)
        #expect(notice.hasPrefix(GuestFixture.directory.path + "/app-compose.json is not the compose file"))
        let quote = try await AgentFixture.post(
            firstFolder.path + "/dstack.sock", "/GetQuote", #"{"report_data":"01"}"#
        ).json
        #expect(try AgentFixture.reportData(ofQuote: quote.text("quote")).hasPrefix("0100"))
        let decoded = try GuestFixture.decoded()
        #expect(try quote.text("event_log") == decoded.get_quote_event_log_simulator)
    }

    @Test("the recorded evidence is handed out as it is where report data is not to be changed")
    func unpatched() async throws {
        var simulator = GuestSettings.Simulator()
        simulator.attestationFile = GuestFixture.directory.path + "/attestation.bin"
        simulator.patchesReportData = false
        let (service, folder) = try await agent(simulator)
        defer { withExtendedLifetime(service) {} }
        let socket = folder.path + "/dstack.sock"
        let quote = try await AgentFixture.post(socket, "/GetQuote", #"{"report_data":"01"}"#).json
        #expect(try quote.text("quote") == GuestFixture.decoded().quote)
        #expect(try await AgentFixture.post(socket, "/EmitEvent", #"{"event":"a"}"#).status == 400)
    }

    @Test("files of older simulators are read: quote in hexadecimal, event log in JSON")
    func older() async throws {
        var simulator = GuestSettings.Simulator()
        let directory = GuestFixture.directory.path + "/legacy-0.5.4"
        simulator.quoteFile = directory + "/quote.hex"
        simulator.eventLogFile = directory + "/eventlog.json"
        let (service, folder) = try await agent(simulator, legacy: true)
        defer { withExtendedLifetime(service) {} }
        let info = try await AgentFixture.post(folder.path + "/dstack.sock", "/Info")
        #expect(info.status == 200, "\(info.text.prefix(500))")
        let quote = try await AgentFixture.post(folder.path + "/dstack.sock", "/GetQuote", #"{"report_data":"02"}"#)
            .json
        #expect(try AgentFixture.reportData(ofQuote: quote.text("quote")).hasPrefix("0200"))
    }
}
