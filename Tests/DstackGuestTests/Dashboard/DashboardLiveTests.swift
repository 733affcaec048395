import DstackAttestation
import DstackGuest
import DstackHTTP
import DstackHTTPServer
import DstackMockTEE
import DstackNetwork
import DstackPages
import DstackSystem
import Foundation
import Synchronization
import TestKit
import Testing

/// What a page in a browser does without a container engine behind it.
@Suite(
    "An open page", .serialized,
    .enabled(
        if: Browser.path != nil || ProcessInfo.processInfo.environment["STRICT"] != nil,
        "needs Chromium (Scripts/setup test installs it)"))
struct DashboardLiveTests {
    private static let stale = "document.getElementById('stale').textContent"

    /// Keeps a picture where `DSTACK_SCREENSHOTS` names a directory.
    private func picture(_ name: String, _ browser: Browser) async throws {
        guard let directory = ProcessInfo.processInfo.environment["DSTACK_SCREENSHOTS"] else { return }
        try await browser.screenshot("\(directory)/\(name).png")
    }

    private func fixture() async throws -> DashboardFixture {
        var settings = DashboardSettings.everything
        settings.refresh = .seconds(1)
        return try await DashboardFixture(settings: settings)
    }

    @Test("an agent that is gone is told of at the top, once, and old numbers do not pass for those of now")
    func gone() async throws {
        let fixture = try await fixture()
        try await Browser.run { browser in
            try await browser.open(fixture.url)
            #expect(try await browser.evaluate("document.getElementById('stale').getAttribute('role')") == "status")
            // Two rounds without trouble.
            try await Task.sleep(for: .seconds(2.5))
            #expect(try await browser.evaluate(Self.stale) == "")
            await fixture.server.stop()
            try await browser.wait(until: "\(Self.stale) !== ''")
            let said = try await browser.evaluate(Self.stale)
            #expect(
                said.wholeMatch(of: /No answer since \d\d:\d\d:\d\d; what is below is of then\./) != nil, "\(said)")
            let top = "document.getElementById('stale').getBoundingClientRect().top"
            let main = "document.querySelector('main').getBoundingClientRect().top"
            #expect(try await browser.evaluate("\(top) < \(main)") == "true")
            try await picture("gone", browser)
            // It stays the same element and text, so that it is read out once.
            _ = try await browser.evaluate("document.querySelector('#stale p').dataset.mark = '1'")
            try await Task.sleep(for: .seconds(2.5))
            #expect(try await browser.evaluate("document.querySelector('#stale p').dataset.mark") == "1")
            #expect(try await browser.evaluate(Self.stale) == said)
        }
    }

    /// Answers as it is told, in place of a dashboard.
    private final class Switch: Sendable {
        enum Mode { case page, problem, hang }
        let mode = Mutex(Mode.page)
    }

    @Test("neither an error, nor somebody else's page, nor silence passes for news; a page that comes back is of now")
    func problems() async throws {
        let dashboard = Dashboard(
            content: StandInContent(), engine: nil,
            settings: {
                var s = DashboardSettings.everything; s.refresh = .seconds(1); return s
            }())
        let state = Switch()
        let server = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("external", .tcp(host: "127.0.0.1", port: 0))])
        ) { request in
            switch state.mode.withLock({ $0 }) {
            case .page: return await dashboard.answer(request) ?? .notFound
            case .problem:
                return HTTPServerResponse(
                    502, headers: ["Content-Type": "text/html"], body: Array("<h1>Bad gateway</h1>".utf8))
            case .hang:
                try? await Task.sleep(for: .seconds(8))
                return .notFound
            }
        }
        let port = try await server.start().compactMap(\.port).first ?? 0
        try await Browser.run { browser in
            try await browser.open("http://127.0.0.1:\(port)")
            for (mode, words) in [
                (Switch.Mode.problem, "Nothing new (status 502) since "), (.hang, "No answer since "),
            ] {
                state.mode.withLock { $0 = mode }
                try await browser.wait(until: "\(Self.stale).startsWith('\(words)')")
                #expect(try await browser.evaluate("document.querySelectorAll('[data-live]').length > 1") == "true")
                state.mode.withLock { $0 = .page }
                try await browser.wait(until: "\(Self.stale) === ''")
            }
        }
        await server.stop()
    }

    // MARK: The look

    @Test("pictures begin where bars and texts begin, and are as wide as bars")
    func pictures() async throws {
        let clock = FixedWallClock(unixSeconds: 1_700_000_000)
        let fixture = try await DashboardFixture(clock: clock)
        _ = try await fixture.browse("/")
        clock.advance(bySeconds: 60)
        try await Browser.run { browser in
            for width in [1280, 360] {
                try await browser.show(width: width)
                try await browser.open(fixture.url)
                try await picture("machine-\(width)", browser)
                let offsets = try await browser.evaluate(
                    """
                    Array.from(document.querySelectorAll(".spark"), spark => {
                      const line = spark.querySelector(".line").getBoundingClientRect();
                      const bar = document.querySelector(".bar svg").getBoundingClientRect();
                      return Math.max(Math.abs(line.left - bar.left), Math.abs(line.right - bar.right)); }).join(" ")
                    """)
                #expect(
                    !offsets.isEmpty && offsets.split(separator: " ").allSatisfy { (Double($0) ?? 99) < 6 },
                    "\(offsets)")
                // No empty band above what memory was like.
                let gap = try await browser.evaluate(
                    """
                    (() => { const spark = Array.from(document.querySelectorAll(".spark")).at(-1);
                      return spark.querySelector(".line").getBoundingClientRect().top - spark.getBoundingClientRect().top; })()
                    """)
                #expect((Double(gap) ?? 99) < 20, "\(gap)")
            }
        }
    }

    @Test("on a phone commands have the whole width, and no section stands alone on a line of the navigation")
    func phone() async throws {
        let fixture = try await fixture()
        try await Browser.run { browser in
            for width in [320, 360, 390, 430, 464, 480, 600] {
                try await browser.show(width: width)
                try await browser.open(fixture.url)
                try await picture("phone-\(width)", browser)
                let shares = try await browser.evaluate(
                    """
                    Array.from(document.querySelectorAll(".command"), box =>
                      box.querySelector("pre").clientWidth / box.clientWidth).join(" ")
                    """)
                #expect(
                    !shares.isEmpty && shares.split(separator: " ").allSatisfy { (Double($0) ?? 0) > 0.85 }, "\(shares)"
                )
                let lines = try await browser.evaluate(
                    """
                    (() => { const lines = {};
                      for (const link of document.querySelectorAll("nav a")) {
                        const top = Math.round(link.getBoundingClientRect().top);
                        lines[top] = (lines[top] || 0) + 1; }
                      return Object.values(lines).join(" "); })()
                    """)
                #expect(lines.split(separator: " ").allSatisfy { (Int($0) ?? 0) > 1 }, "\(width): \(lines)")
            }
        }
    }

    // MARK: Files that are no compose files

    private func compare(_ bytes: [UInt8], _ browser: Browser) async throws -> String {
        _ = try await browser.evaluate(
            """
            (() => {
              document.getElementById("comparison").replaceChildren();
              const bytes = Uint8Array.from(atob("\(Data(bytes).base64EncodedString())"), c => c.charCodeAt(0));
              const list = new DataTransfer(), input = document.getElementById("own-file");
              list.items.add(new File([bytes], "own"));
              input.files = list.files;
              input.dispatchEvent(new Event("change"));
            })()
            """)
        try await browser.wait(until: "document.querySelector('#comparison .notice') !== null")
        return try await browser.evaluate("document.getElementById('comparison').textContent")
    }

    @Test("a file from beside the compose file is called what it is, where a compose file is asked for")
    func kinds() async throws {
        let fixture = try await fixture()
        let platform = try MockPlatform()
        let boot = try MockBoot(platform, appCompose: Array(#"{"manifest_version":2,"name":"a","runner":"x"}"#.utf8))
        let attestation = try boot.attestation(reportData: ReportData(padding: []))
        let quote = try #require(attestation.quote)
        let hex = quote.map { String(format: "%02x", $0) }.joined()
        let files: [(String, [UInt8])] = [
            ("a quote.", quote), ("a quote, in hexadecimal.", Array(hex.utf8)),
            ("a quote, in hexadecimal.", Array("0x\(hex)\n".utf8)),
            ("a quote, in Base64.", Array(Data(quote).base64EncodedString().utf8)),
            ("an agent's answer with a quote.", Array(#"{"quote":"\#(hex)","event_log":"[]"}"#.utf8)),
            ("no text", attestation.encoded.bytes + [0xFF]),
            ("a certificate.", Array(platform.rootCertificatePEM.utf8)),
            ("collateral.", try platform.collateral(for: .tdx, at: 1_790_000_000).json),
            ("an event log.", Array(boot.eventLog.json.utf8)), ("a VM configuration.", Array(boot.vmConfig.utf8)),
            ("a Docker Compose file", Array("services:\n  web:\n    image: nginx\n".utf8)),
        ]
        try await Browser.run { browser in
            try await browser.open(fixture.url)
            for (name, bytes) in files {
                let said = try await compare(bytes, browser)
                #expect(said.hasPrefix("Not a compose file. This is \(name)"), "\(name): \(said)")
            }
            // What may be one is compared as one.
            for text in ["not JSON", #"{"name":"x"}"#, #"{"manifest_version":2,"quote":"x"}"#] {
                let said = try await compare(Array(text.utf8), browser)
                #expect(said.hasPrefix("Not the same. "), "\(said)")
            }
            #expect(await browser.sent == [])
            #expect(await browser.complaints == [])
        }
    }
}
