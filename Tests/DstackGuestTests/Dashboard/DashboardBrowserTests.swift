import DstackGuest
import Foundation
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
        try await real.waitForEnd(of: "proxy")
        var settings = DashboardSettings.everything
        settings.refresh = .seconds(1)
        return try await DashboardFixture(StandInContent(name: name), engine: real.engine(), settings: settings)
    }

    private static let places = [("page", "/"), ("log", "/containers/model"), ("missing", "/containers/nobody")]

    @Test("at every size and in both colours pages load nothing from elsewhere, break no rule and scroll one way")
    func everySize() async throws {
        let fixture = try await fixture()
        let url = fixture.url
        let pictures = ProcessInfo.processInfo.environment["DSTACK_SCREENSHOTS"]
        try await Browser.run { browser in
            for (name, path) in Self.places {
                for (width, dark) in [(1280, false), (1280, true), (360, false), (360, true)] {
                    try await browser.show(width: width, dark: dark)
                    try await browser.open(url + path)
                    let scrolled = try await browser.evaluate("document.documentElement.scrollWidth")
                    #expect(scrolled == "\(width)", "\(name) at \(width)")
                    // The missing page's own status is noted.
                    #expect(await browser.complaints.filter { !$0.contains("404") } == [], "\(name) at \(width)")
                    #expect(await browser.loaded.allSatisfy { $0.hasPrefix(url + "/") })
                    #expect(try await Self.lowestContrast(browser) >= 4.5, "\(name), dark: \(dark)")
                    if let pictures {
                        try await Task.sleep(for: .milliseconds(400))
                        try await browser.screenshot("\(pictures)/\(name)-\(width)-\(dark ? "dark" : "light").png")
                    }
                }
            }
        }
    }

    /// The lowest contrast of any text with what is behind it, by WCAG's formula, measured where it is drawn.
    private static func lowestContrast(_ browser: Browser) async throws -> Double {
        let expression = """
            (() => {
              const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
              const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
                return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return .2126*r + .7152*g + .0722*b; };
              const behind = e => { for (; e; e = e.parentElement) {
                const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c; }
                return [255, 255, 255]; };
              let lowest = 21;
              const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
              while (walker.nextNode()) {
                const e = walker.currentNode.parentElement;
                if (!walker.currentNode.data.trim() || e.closest("script,style,svg,[hidden],.unseen,.said,.skip")) continue;
                const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
                lowest = Math.min(lowest, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
              }
              return lowest;
            })()
            """
        return Double(try await browser.evaluate(expression)) ?? 0
    }

    @Test("without script everything is there but the buttons that need it")
    func withoutScript() async throws {
        let fixture = try await fixture()
        let url = fixture.url
        try await Browser.run { browser in
            try await browser.allowScript(false)
            try await browser.open(url)
            #expect(try await browser.evaluate("document.querySelector('h1').textContent") == "private-inference")
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
