import DstackAttestation
import DstackEncoding
import DstackGuest
import DstackHTTP
import DstackHTTPClient
import DstackPages
import DstackSystem
import Foundation
import Testing

@Suite("The dashboard over HTTP")
struct DashboardTests {
    @Test("the page says what runs, and how to check it without believing the page")
    func page() async throws {
        let content = StandInContent()
        let response = try await DashboardFixture(content).get("/")
        #expect(response.status == 200)
        #expect(response.headers["Content-Security-Policy"]?.hasPrefix("default-src 'none'") == true)
        let text = response.text
        for part in [
            "private-inference", Hex.encode(content.facts.composeHash), Hex.encode(content.facts.appID), "simulated",
            "Simulated TEE.", "sha256sum app-compose.json", "Replaying this log gives all four",
            "system-ready", "9 events of the boot", "QEMU (Standard PC", "example.org/proxy:1.4",
        ] { #expect(text.contains(part), "\(part)") }
        let measurements = try #require(content.facts.measurements)
        #expect(text.contains(measurements.mrtd.hex))
        for register in RTMR.allCases { #expect(text.contains(measurements.rtmrs[register].hex)) }
    }

    @Test("on hardware nothing is called simulated")
    func hardware() async throws {
        let text = try await DashboardFixture(StandInContent(isSimulated: false)).text("/")
        #expect(text.contains("Intel TDX"))
        #expect(!text.contains("simulat"))
        #expect(!text.contains("--trust-root"))
    }

    @Test("a log that does not lead to the registers is called out")
    func wrongLog() async throws {
        var content = StandInContent()
        content.facts.measurements?.rtmrs.rtmr3 = Measurement384()
        #expect(try await DashboardFixture(content).text("/").contains("does not give RTMR3 of the quote"))
        content.facts.eventLog.events[0].register = .rtmr3
        #expect(try await DashboardFixture(content).text("/").contains("cannot be replayed"))
    }

    @Test("of registers that a recorded log does not tell nothing is said, neither good nor bad")
    func shortLog() async throws {
        var content = StandInContent()
        content.facts.eventLog.events.removeAll { $0.type != .runtime }
        let text = try await DashboardFixture(content).text("/")
        #expect(!text.contains("does not give"))
        #expect(text.contains("Replaying this log gives RTMR3 (of the others it does not tell) of the quote."))
        content.facts.measurements?.rtmrs.rtmr3 = Measurement384()
        #expect(try await DashboardFixture(content).text("/").contains("does not give RTMR3 of the quote"))
    }

    @Test("what is not public is not there")
    func gating() async throws {
        let content = StandInContent()
        let fixture = try await DashboardFixture(content, settings: .nothing)
        for path in ["/metrics", "/logs/x", "/containers/x"] {
            #expect(try await fixture.get(path).status == 404, "\(path)")
        }
        let text = try await fixture.text("/")
        #expect(text.contains(Hex.encode(content.facts.composeHash)))
        #expect(text.contains("The application keeps them to itself"))
        for part in [content.facts.measurements?.mrtd.hex ?? "-", "system-ready", "example.org/proxy", "Load average"] {
            #expect(!text.contains(part), "\(part)")
        }
    }

    @Test("other paths are somebody else's, other methods are not allowed")
    func paths() async throws {
        let fixture = try await DashboardFixture()
        for path in ["/x", "/metrics/", "/prpc/Info", "//", "/logs"] {
            #expect(try await fixture.get(path).text == "not found\n", "\(path)")
        }
        #expect(try await fixture.get("/", method: .post).status == 405)
        let head = try await fixture.get("/", method: .head)
        #expect(head.status == 200 && head.body.isEmpty)
    }

    @Test("the question is the heading, and the name of the application is not")
    func question() async throws {
        let text = try await DashboardFixture().text("/")
        #expect(text.components(separatedBy: "<h1").count == 2)
        #expect(text.contains("<h1>Is this the code you think it is?</h1>"))
    }

    @Test("a browser is told of a missing page by a page, a program as ever; both with status 404")
    func missingPage() async throws {
        for settings in [DashboardSettings.everything, .nothing] {
            let fixture = try await DashboardFixture(settings: settings)
            for path in ["/x", "/metrics/", "//", "/logs", "/favicon.ico"] + (settings.publicLogs ? [] : ["/logs/x"]) {
                let page = try await fixture.browse(path)
                #expect(page.status == 404 && page.headers["Content-Type"] == "text/html; charset=utf-8", "\(path)")
                #expect(page.text.contains("<h1>No such page</h1>") && page.text.contains("default-src") == false)
                #expect(page.headers["Content-Security-Policy"]?.hasPrefix("default-src 'none'") == true)
                let answer = try await fixture.get(path, headers: ["Accept": "application/json"])
                #expect(answer.status == 404 && answer.text == "not found\n", "\(path)")
            }
        }
    }

    @Test("no page of a simulated TEE comes without the word, errors included; on hardware none has it")
    func badge() async throws {
        for isSimulated in [true, false] {
            let fixture = try await DashboardFixture(StandInContent(isSimulated: isSimulated))
            for path in ["/", "/nowhere", "/containers/x", "/containers/..x", "/logs/x", "/logs/x?tail=no"] {
                let page = try await fixture.browse(path)
                #expect(page.headers["Content-Type"] == "text/html; charset=utf-8", "\(path)")
                #expect(page.text.contains(">simulated</span>") == isSimulated, "\(path)")
                #expect(page.text.contains(">Intel TDX</span>") != isSimulated, "\(path)")
            }
        }
        #expect(try await DashboardFixture(Broken()).browse("/").text.contains(">simulated</span>"))
    }

    @Test("commands name the application's address where it is known, and else take the agent's own evidence")
    func commands() async throws {
        var settings = DashboardSettings.everything
        var fixture = try await DashboardFixture(settings: settings)
        var text = try await fixture.text("/")
        #expect(text.contains("\(fixture.url)/prpc/Worker.GetAttestationForAppKey?algorithm=ed25519"))
        #expect(!text.contains("dstack verify https"))

        settings.address = .url("https://app.example.org:8443")
        fixture = try await DashboardFixture(settings: settings)
        text = try await fixture.text("/")
        #expect(text.contains("dstack verify https://app.example.org:8443 --app-compose app-compose.json"))
        #expect(!text.contains("GetAttestationForAppKey"))

        // What was written there by whoever is no command.
        let path = NSTemporaryDirectory() + "dstack-app-url-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        settings.address = .file(path)
        fixture = try await DashboardFixture(settings: settings)
        #expect(try await fixture.text("/").contains("GetAttestationForAppKey"))
        for (content, isShown) in [("https://a:1\n", true), ("https://a; reboot", false), ("-x", false), ("", false)] {
            try content.write(toFile: path, atomically: true, encoding: .utf8)
            #expect(try await fixture.text("/").contains("data-copy=\"dstack verify ") == isShown, "\(content)")
        }
    }

    @Test("a compose file of many megabytes does not become a page of as many")
    func longDocuments() async throws {
        var content = StandInContent()
        content.facts.appCompose = String(repeating: "x", count: 3 << 20)
        content.facts.tcbInfo = content.facts.appCompose
        let page = try await DashboardFixture(content).get("/")
        #expect(page.status == 200 && page.body.count < 256 << 10)
        #expect(page.text.contains("3.00 MB, which is too long for a page"))
    }

    @Test("hostile names stay text")
    func hostile() async throws {
        let hostile = #"</title><script>alert(1)</script>"'&"# + "\u{202E}evil\u{0}"
        var content = StandInContent(name: hostile)
        content.facts.keyProviderName = hostile
        content.facts.keyProviderID = hostile
        content.facts.cloudVendor = hostile
        content.facts.version = hostile
        content.facts.tcbInfo = hostile
        content.facts.appCompose = hostile
        content.facts.eventLog.events.append(LoggedEvent(RuntimeEvent(name: hostile, payload: Array("<img>".utf8))))
        let text = try await DashboardFixture(content).text("/")
        #expect(!text.contains("<script>alert"))
        #expect(!text.contains("<img>"))
        #expect(!text.contains("\u{202E}"))
        #expect(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"))
        // Two for the scripts of the page itself.
        #expect(text.components(separatedBy: "<script>").count == 3)
        #expect(text.components(separatedBy: "</title>").count == 2)
    }

    struct Broken: DashboardContent {
        var isSimulated = true

        func dashboardFacts() async throws -> DashboardFacts {
            throw GuestError(.systemUnavailable, subject: "quote", reason: "the <device> is gone")
        }
    }

    @Test("where the facts cannot be had, the status says so and the page says why")
    func brokenContent() async throws {
        let response = try await DashboardFixture(Broken()).get("/")
        #expect(response.status == 500)
        #expect(response.headers["Content-Type"] == "text/html; charset=utf-8")
        #expect(response.text.contains("the &lt;device&gt; is gone"))
    }

    @Test("where the machine does not tell, metrics fail and the page shows the rest")
    func brokenMachine() async throws {
        let fixture = try await DashboardFixture(source: SystemSource(root: "/nonexistent"))
        let metrics = try await fixture.get("/metrics")
        #expect(metrics.status == 500)
        #expect(metrics.text.contains("/etc/os-release"))
        let page = try await fixture.get("/")
        #expect(page.status == 500)
        #expect(page.text.contains("private-inference") && page.text.contains("The system does not tell"))
    }

    @Test("metrics have upstream's names with correct values, and names by Prometheus' conventions")
    func metrics() async throws {
        let root = try SystemTests.Root()
        let settings = DashboardSettings(publicSystemInformation: true, dataDisks: ["/", "/data disk"])
        let response = try await DashboardFixture(settings: settings, source: root.source).get("/metrics")
        #expect(response.status == 200)
        #expect(response.headers["Content-Type"] == "text/plain; charset=utf-8")
        let lines = response.text.split(separator: "\n").map(String.init)
        for line in [
            #"system_os_name{os_name="DStack \"OS\""} 1"#, #"system_os_version{os_version="0.6.0"} 1"#,
            #"system_kernel_version{kernel_version="6.12.1-dstack"} 1"#,
            #"system_cpu_model{cpu_model="Intel(R) Xeon(R) Platinum 8592+"} 1"#, "system_num_cpus 2",
            "system_memory_total 1024000", "system_memory_available 409600", "system_memory_used 614400",
            "system_memory_free 102400", "system_swap_total 51200", "system_swap_free 20480", "system_swap_used 30720",
            "system_uptime 12345", "system_load_average_1m 0.29", "system_load_average_5m 1.5",
            "system_load_average_15m 12.07", #"dstack_guest_load_average{window="1m"} 0.29"#,
            #"dstack_guest_memory_bytes{state="total"} 1024000"#, "dstack_guest_uptime_seconds 12345",
            "# TYPE system_num_cpus gauge",
        ] { #expect(lines.contains(line), "\(line)") }
        for name in [
            "disk_total_size", "disk_free_size", "disk_used_size", "disk_usage_percentage",
            "dstack_guest_disk_size_bytes", "dstack_guest_disk_free_bytes", "dstack_guest_disk_used_ratio",
        ] {
            #expect(lines.contains { $0.hasPrefix(name + #"{name="/dev/vda1",mount_point="/data disk"} "#) }, "\(name)")
        }
        // Every family is announced once, before its series, and has series.
        var announced: Set<String> = []
        for line in lines {
            let words = line.split(separator: " ")
            if line.hasPrefix("# TYPE ") { #expect(announced.insert(String(words[2])).inserted, "\(line)") }
            if !line.hasPrefix("#") { #expect(announced.contains(String(line.prefix { $0 != "{" && $0 != " " }))) }
        }
    }

    @Test("labels are escaped as Prometheus reads them")
    func labels() {
        #expect(PrometheusText.escapedLabel("a\"b\\c\nd") == "a\\\"b\\\\c\\nd")
        #expect(PrometheusText.escapedLabel("plain") == "plain")
    }

    @Test("the page draws how load and memory went once there are samples")
    func history() async throws {
        let clock = FixedWallClock(unixSeconds: 1_700_000_000)
        let fixture = try await DashboardFixture(clock: clock)
        #expect(try await fixture.text("/").contains("class=\"spark\"") == false)
        clock.advance(bySeconds: 60)
        #expect(try await fixture.text("/").contains("class=\"spark\""))
    }
}
