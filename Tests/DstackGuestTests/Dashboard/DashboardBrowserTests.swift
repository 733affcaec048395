import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackGuest
import Foundation
import TestKit
import Testing

/// `DSTACK_SCREENSHOTS=DIR` keeps pictures of what the tests look at.
@Suite(
    "The dashboard in a browser", .serialized,
    .enabled(
        if: Browser.path != nil || ProcessInfo.processInfo.environment["STRICT"] != nil,
        "needs Chromium (Scripts/setup test installs it)"),
    .enabled(RealEngine.absence) { await RealEngine.canRun() })
struct DashboardBrowserTests {
    /// A fixture with one container that runs and one that failed.
    private func fixture(_ name: String = "private-inference") async throws -> DashboardFixture {
        let real = try await RealEngine.started()
        try await real.start(
            "model",
            script:
                "echo loading; seq 1 40; echo '<img src=x onerror=alert(1)>'; printf 'tab\\there \\033[32mgreen\\033[0m\\n';"
                + " sleep 0.2; echo 'cache is cold' >&2; sleep 0.2; echo 'ready to serve'; sleep 1000")
        try await real.start("proxy", script: "exit 3")
        try await real.waitForEnd(of: "proxy", status: 3)
        var settings = DashboardSettings.everything
        settings.refresh = .seconds(1)
        return try await DashboardFixture(StandInContent(name: name), engine: real.engine(), settings: settings)
    }

    private static let places = [
        ("page", "/"), ("log", "/containers/model"), ("missing", "/containers/nobody"),
        ("nowhere", "/nowhere"),
    ]

    @Test("at every size and in both colours pages load nothing from elsewhere, break no rule and scroll one way")
    func everySize() async throws {
        let fixture = try await fixture()
        let url = fixture.url
        let pictures = ProcessInfo.processInfo.environment["DSTACK_SCREENSHOTS"]
        try await Browser.run { browser in
            for (name, path) in Self.places {
                // The last as by a reader who needs letters of twice the size (WCAG 2.2, 1.4.4 and 1.4.10).
                for (width, dark, scale) in [
                    (1280, false, 1), (1280, true, 1), (360, false, 1), (360, true, 1), (320, false, 2),
                ] {
                    try await browser.show(width: width, dark: dark)
                    try await browser.setTextSize(percent: 100 * scale)
                    try await browser.open(url + path)
                    try await browser.openDetails()
                    #expect(try await browser.evaluate("getComputedStyle(document.body).fontSize") == "\(16 * scale)px")
                    let scrolled = try await browser.evaluate("document.documentElement.scrollWidth")
                    let broad = try await browser.evaluate(BrowserRules.widest)
                    #expect(scrolled == "\(width)", "\(name) at \(width): \(broad)")
                    #expect(try await browser.evaluate(BrowserRules.smallTargets) == "", "\(name) at \(width)")
                    #expect(try await browser.evaluate(BrowserRules.headingJumps) == "", "\(name)")
                    let sizes = try await browser.evaluate(BrowserRules.fontSizes).split(separator: " ")
                    #expect(sizes.count <= 4, "\(name) at \(width): \(sizes)")
                    // The missing page's own status is noted.
                    #expect(await browser.complaints.filter { !$0.contains("404") } == [], "\(name) at \(width)")
                    #expect(await browser.loaded.allSatisfy { $0.hasPrefix(url + "/") })
                    #expect(try await BrowserRules.lowestContrast(browser) >= 4.5, "\(name), dark: \(dark)")
                    if let pictures {
                        try await Task.sleep(for: .milliseconds(400))
                        try await browser.screenshot("\(pictures)/\(name)-\(width)-\(dark ? "dark" : "light").png")
                        try await browser.openDetails(false)
                        try await browser.screenshot(
                            "\(pictures)/\(name)-\(width)-\(dark ? "dark" : "light")-closed.png")
                    }
                }
            }
        }
    }

    @Test("without script everything is there but the buttons that need it")
    func withoutScript() async throws {
        let fixture = try await fixture()
        let url = fixture.url
        try await Browser.run { browser in
            try await browser.allowScript(false)
            try await browser.open(url)
            #expect(
                try await browser.evaluate("document.querySelector('h1').textContent")
                    == "Is this the code you think it is?")
            #expect(try await browser.evaluate("document.querySelector('#compare').hidden") == "true")
            // What does not run is told of at the top.
            let problems = try await browser.evaluate("document.querySelector('.answer .problems').textContent")
            #expect(problems.contains("Container proxy: Exited (3)") && problems.contains(" ago. Its log"))
            #expect(try await browser.evaluate("document.querySelectorAll('.copy:not([hidden])').length") == "0")
            #expect(
                try await browser.evaluate("document.querySelector('#containers').textContent.includes('Exited (3)')")
                    == "true")
            try await browser.open(url + "/containers/model")
            #expect(try await browser.evaluate("document.querySelectorAll('.line').length") == "45")
            #expect(try await browser.evaluate("document.getElementById('follow').hidden") == "true")
            let last = "document.querySelector('.line:last-child span').textContent"
            #expect(try await browser.evaluate(last) == "ready to serve")
            #expect(await browser.complaints == [])
        }
    }

    @Test("a page that is open keeps up with what happens, and keeps what was opened")
    func live() async throws {
        let real = try await RealEngine.started()
        let fixture = try await fixture()
        let url = fixture.url
        try await Browser.run { browser in
            try await browser.open(url)
            let rows = "document.querySelectorAll('#containers tbody tr').length"
            #expect(try await browser.evaluate(rows) != "0")
            _ = try await browser.evaluate("document.querySelector('#events .evidence').open = true")
            try await real.start("newcomer", script: "sleep 1000")
            try await browser.wait(until: "document.querySelector('#containers').textContent.includes('newcomer')")
            #expect(try await browser.evaluate("document.querySelector('#events .evidence').open") == "true")
            #expect(try await browser.evaluate("document.querySelectorAll('#containers .copy[hidden]').length") == "0")
            #expect(await browser.complaints == [])
        }
        try await real.remove("newcomer")
    }

    @Test("the log is followed; what containers write is text, whatever they write")
    func following() async throws {
        let real = try await RealEngine.started()
        let fixture = try await fixture()
        let url = fixture.url
        try await Browser.run { browser in
            try await browser.open(url + "/containers/model")
            try await browser.wait(until: "document.getElementById('state').textContent.startsWith('Following')")
            try await real.execute("model", "echo '<b>live</b> line' > /proc/1/fd/1; echo trouble > /proc/1/fd/2")
            try await browser.wait(until: "document.getElementById('lines').textContent.includes('<b>live</b> line')")
            try await browser.wait(until: "document.getElementById('lines').textContent.includes('trouble')")
            #expect(try await browser.evaluate("document.querySelectorAll('#lines img, #lines span b').length") == "0")
            #expect(
                try await browser.evaluate("document.getElementById('lines').textContent.includes('tab\\there green')")
                    == "true")
            #expect(try await browser.evaluate("document.querySelectorAll('.line.stderr b').length") == "2")
            // Nothing is shown twice: what the server wrote was replaced by what was followed.
            #expect(try await browser.evaluate("document.querySelectorAll('.line').length") == "47")

            let shown = "Array.from(document.querySelectorAll('.line')).filter(l => !l.hidden).length"
            _ = try await browser.evaluate(
                "(() => { const f = document.getElementById('filter'); f.value = 'TROUBLE'; "
                    + "f.dispatchEvent(new Event('input')); })()")
            #expect(try await browser.evaluate(shown) == "1")
            #expect(await browser.complaints == [])
        }
    }

    @Test("everything can be reached and done by keyboard")
    func keyboard() async throws {
        let fixture = try await fixture()
        let url = fixture.url
        try await Browser.run { browser in
            let focus = "document.activeElement.id + '|' + document.activeElement.textContent"
            try await browser.open(url)
            try await browser.press("Tab", code: 9)
            #expect(try await browser.evaluate(focus) == "|Skip to content")
            try await browser.press("Enter", code: 13)
            try await browser.wait(until: "location.hash === '#content'")
            _ = try await browser.evaluate("document.querySelector('#events .evidence summary').focus()")
            try await browser.press("Enter", code: 13)
            #expect(try await browser.evaluate("document.querySelector('#events .evidence').open") == "true")

            try await browser.open(url + "/containers/model")
            try await browser.wait(until: "!document.getElementById('follow').hidden")
            var reached: Set<String> = []
            for _ in 0..<16 {
                try await browser.press("Tab", code: 9)
                reached.insert(try await browser.evaluate("document.activeElement.id"))
            }
            #expect(reached.isSuperset(of: ["follow", "wrap", "times", "filter", "lines"]))
            _ = try await browser.evaluate("document.getElementById('follow').focus()")
            try await browser.press("Enter", code: 13)
            #expect(try await browser.evaluate("document.getElementById('state').textContent") == "Paused.")
            #expect(
                try await browser.evaluate("document.getElementById('follow').getAttribute('aria-pressed')") == "false")
        }
    }

    /// Gives a file to the page, as a reader does, and waits for what it says.
    private func compare(_ text: String, with hash: String? = nil, _ browser: Browser) async throws -> String {
        let base64 = Data(text.utf8).base64EncodedString()
        _ = try await browser.evaluate(
            """
            (() => {
              \(hash.map { "document.getElementById('compare').dataset.hash = '\($0)';" } ?? "")
              const bytes = Uint8Array.from(atob("\(base64)"), c => c.charCodeAt(0)), list = new DataTransfer();
              list.items.add(new File([bytes], "own.json"));
              const input = document.getElementById("own-file");
              input.files = list.files;
              input.dispatchEvent(new Event("change"));
            })()
            """)
        try await browser.wait(until: "document.querySelector('#comparison .notice') !== null")
        return try await browser.evaluate("document.getElementById('comparison').textContent")
    }

    @Test("a reader's own compose file is compared on the page, in whatever form it is, and never sent")
    func comparison() async throws {
        let fixture = try await fixture()
        let url = fixture.url
        let own = StandInContent().facts.appCompose
        let indented = own.replacing("{", with: "{\n  ").replacing(",\"", with: ",\n  \"").replacing(
            "\":", with: "\": ")
        try await Browser.run { browser in
            // Pages over plain HTTP have no SHA-256 of the browser's.
            for hasHash in [true, false] {
                try await browser.open(url)
                if !hasHash {
                    _ = try await browser.evaluate("Object.defineProperty(crypto, 'subtle', { value: undefined })")
                }
                #expect(try await browser.evaluate("document.getElementById('compare').hidden") == "false")
                #expect(try await compare(own, browser).hasPrefix("The same. "))
                for (form, name) in [
                    (own + "\n", "without the line end at its end"), ("\u{FEFF}" + own, "without the byte order mark"),
                    (own + "\r\n \n", "without white space at its end"), (indented, "as compact JSON"),
                ] {
                    let said = try await compare(form, browser)
                    #expect(said.hasPrefix("The same, in another form. ") && said.contains(name), "\(said)")
                }
                let other = try await compare(own.replacing("proxy:1.4", with: "proxy:1.5"), browser)
                #expect(other.hasPrefix("Not the same. "))
                #expect(
                    other.contains(
                        #"docker_compose_file, line 5: yours "    image: example.org/proxy:1.5", measured "    image: "#
                            + #"example.org/proxy:1.4""#), "\(other)")
                #expect(try await compare(#"{"name":"<img src=x>"}"#, browser).contains("runner: not in your file"))
                #expect(try await compare("not JSON", browser).hasPrefix("Not the same. "))
                #expect(try await compare("", browser).hasPrefix("Empty. "))
                #expect(try await browser.evaluate("document.querySelectorAll('#comparison img').length") == "0")
                #expect(await browser.loaded.allSatisfy { $0 == url + "/" })
                #expect(await browser.sent == [])
                #expect(await browser.complaints == [])
            }
        }
    }

    @Test("the page's own SHA-256 is SHA-256, whatever the length")
    func ownHash() async throws {
        let fixture = try await fixture()
        try await Browser.run { browser in
            try await browser.open(fixture.url)
            _ = try await browser.evaluate("Object.defineProperty(crypto, 'subtle', { value: undefined })")
            for length in [0, 1, 3, 55, 56, 57, 63, 64, 65, 111, 119, 120, 127, 128, 1_000, 70_001] {
                let text = String(repeating: "0123456789abcde", count: length / 15 + 1).prefix(length)
                let hash = Hex.encode(SHA256.hash(Array(text.utf8)).bytes)
                #expect(try await compare(String(text), with: hash, browser).hasPrefix("The same. "), "\(length) bytes")
            }
        }
    }

    @Test("a file in a normalised form is the same in another form, by the name of the measured one")
    func normalisedComparison() async throws {
        let fixture = try await fixture()
        let file = #"{ "runner": "docker-compose", "name": "a", "bash_script": "idle", "10": 1, "9": [ 1.0, "é" ] }"#
        let compose = try AppCompose(parsing: Array(file.utf8))
        try await Browser.run { browser in
            try await browser.open(fixture.url)
            for (hash, name) in [
                (compose.canonicalHash(), "as compact JSON with its members sorted"),
                (compose.canonicalHash(isNormalized: true), "normalised"),
            ] {
                let said = try await compare(file, with: "\(hash)", browser)
                #expect(said.hasPrefix("The same, in another form. ") && said.contains(name), "\(said)")
            }
        }
    }

    @Test("hostile names do nothing in a browser either")
    func hostile() async throws {
        let url = try await fixture(
            "</title></h1><script>document.title = 'owned'</script><img src=x onerror=alert(1)>"
        ).url
        try await Browser.run { browser in
            try await browser.open(url)
            #expect(try await browser.evaluate("document.querySelectorAll('img').length") == "0")
            #expect(try await browser.evaluate("document.title.startsWith('</title></h1><script>')") == "true")
            #expect(try await browser.evaluate("document.documentElement.scrollWidth === innerWidth") == "true")
            #expect(await browser.complaints == [])
        }
    }

    @Test("a hash is copied whole by its button")
    func copying() async throws {
        let content = StandInContent()
        let fixture = try await fixture()
        let url = fixture.url
        try await Browser.run { browser in
            try await browser.allowCopying()
            try await browser.open(url)
            _ = try await browser.evaluate("document.querySelector('.answer .copy').click()")
            try await browser.wait(until: "document.querySelector('.answer .copy').textContent !== 'Copy'")
            #expect(try await browser.evaluate("document.querySelector('.answer .copy').textContent") == "Copied")
            let copied = try await browser.evaluate("document.querySelector('.answer .copy').dataset.copy")
            #expect(copied == content.facts.composeHash.map { String(format: "%02x", $0) }.joined())
        }
    }
}
