import DstackEncoding
import DstackKMS
import DstackKMSClient
import DstackKMSService
import DstackKeys
import Foundation
import Synchronization
import TestKit
import Testing

/// `DSTACK_SCREENSHOTS=DIR` keeps pictures of what the tests look at.
@Suite(
    "The onboarding page in a browser", .serialized, .timeLimit(.minutes(3)),
    .enabled(
        if: Browser.path != nil || ProcessInfo.processInfo.environment["STRICT"] != nil,
        "needs Chromium (Scripts/setup test installs it)"))
struct OnboardingBrowserTests {
    private static let pictures = ProcessInfo.processInfo.environment["DSTACK_SCREENSHOTS"]

    private func title(_ browser: Browser) async throws -> String {
        try await browser.evaluate("document.querySelector('h1').textContent")
    }

    /// Looks at what is there at every size and in both colours.
    private func look(_ browser: Browser, _ name: String, ignoring expected: String? = nil) async throws {
        for (width, dark, scale) in [
            (1280, false, 1), (1280, true, 1), (375, false, 1), (375, true, 1), (320, false, 2),
        ] {
            try await browser.show(width: width, dark: dark)
            try await browser.setTextSize(percent: 100 * scale)
            let broad = try await browser.evaluate(BrowserRules.widest)
            #expect(
                try await browser.evaluate("document.documentElement.scrollWidth") == "\(width)",
                "\(name) at \(width): \(broad)")
            let small = try await browser.evaluate(Self.smallTargets)
            #expect(small == "", "\(name) at \(width)")
            #expect(try await browser.evaluate(BrowserRules.headingJumps) == "", "\(name)")
            let sizes = try await browser.evaluate(BrowserRules.fontSizes).split(separator: " ")
            #expect(sizes.count <= 4, "\(name) at \(width): \(sizes)")
            #expect(try await BrowserRules.lowestContrast(browser) >= 4.5, "\(name), dark: \(dark)")
            if let pictures = Self.pictures {
                try await Task.sleep(for: .milliseconds(300))
                try await browser.screenshot("\(pictures)/onboarding-\(name)-\(width)-\(dark ? "dark" : "light").png")
            }
        }
        try await browser.setTextSize(percent: 100)
        let complaints = await browser.complaints.filter { expected.map($0.contains) != true }
        #expect(complaints == [], "\(name)")
    }

    /// A radio button is clicked by its label.
    private static let smallTargets = BrowserRules.smallTargets.replacingOccurrences(
        of: "button, input,", with: "button, input:not([type=radio]), .choice,")

    private func type(_ text: String, into id: String, _ browser: Browser) async throws {
        _ = try await browser.evaluate("document.getElementById('\(id)').focus()")
        try await browser.insert(text)
    }

    @Test("a person bootstraps by token and keyboard alone, sees the public keys, and finishes")
    func bootstrap() async throws {
        let kms = try NewKMS()
        let served = try await ServedOnboarding(kms, token: "the token of the settings", source: kms.source())
        try await Browser.run { browser in
            try await browser.open(served.url)
            #expect(try await title(browser) == "This key service has no keys yet")
            try await look(browser, "new")
            // The form begins with the token.
            try await type("a wrong token", into: "token", browser)
            try await browser.press("Tab", code: 9)
            try await browser.insert("kms.example")
            try await browser.press("Enter", code: 13)
            try await browser.wait(until: "document.querySelector('.problem').textContent !== ''")
            let problem = try await browser.evaluate("document.querySelector('.problem').textContent")
            #expect(problem.contains("token is missing or wrong"))
            #expect(try await browser.evaluate("document.activeElement.id") == "token")
            try await look(browser, "refused", ignoring: "401")
            #expect(kms.names.isEmpty)
            _ = try await browser.evaluate("document.getElementById('token').select()")
            try await type("the token of the settings", into: "token", browser)
            try await browser.press("Enter", code: 13)
            try await browser.wait(until: "document.querySelector('h1').textContent.includes('has its keys')")
            let key = try kms.files.load().material.roots.publicKey.hex
            #expect(try await browser.evaluate("document.body.textContent").contains(key))
            // Where the eyes of a screen reader are.
            #expect(try await browser.evaluate("document.activeElement.tagName") == "H1")
            try await look(browser, "made", ignoring: "401")
            // Neither shown nor kept anywhere else.
            #expect(try await browser.evaluate("document.cookie + localStorage.length + sessionStorage.length") == "00")
            _ = try await browser.evaluate("document.getElementById('done').focus()")
            try await browser.press("Enter", code: 13)
            try await browser.wait(until: "document.body.textContent.includes('Set-up is finished')")
            #expect(await browser.loaded.allSatisfy { $0.hasPrefix(served.url + "/") })
        }
        guard case .bootstrapped(_, let domain)? = try await served.result() else { throw CancellationError() }
        #expect(domain.name == "kms.example")
    }

    @Test("a person takes the keys of a running service, after it was mistyped")
    func onboard() async throws {
        let kms = try NewKMS()
        try await ScriptedKMS(kms.world).run { source in
            let served = try await ServedOnboarding(kms, source: kms.source())
            try await Browser.run { browser in
                try await browser.open(served.url)
                try await type("second.example", into: "domain", browser)
                _ = try await browser.evaluate("document.getElementById('origin-copy').click()")
                #expect(try await browser.evaluate("document.getElementById('go').textContent") == "Take the keys")
                try await type("https://localhost:1", into: "source", browser)
                try await type(Hex.encode(source.caPublicKey), into: "root", browser)
                try await look(browser, "copy")
                try await browser.press("Enter", code: 13)
                try await browser.wait(until: "document.querySelector('.problem').textContent !== ''")
                _ = try await browser.evaluate("document.getElementById('source').value = '\(source.url)'")
                try await browser.press("Enter", code: 13)
                try await browser.wait(until: "document.querySelector('h1').textContent.includes('has its keys')")
                let text = try await browser.evaluate("document.body.textContent")
                let key = source.material.roots.publicKey.hex
                #expect(text.contains(key))
                try await look(browser, "taken", ignoring: "503")
            }
            await served.stop()
        }
    }

    @Test("without script the page says what to type, and the commands do it")
    func withoutScript() async throws {
        let kms = try NewKMS()
        let served = try await ServedOnboarding(kms, token: "it's a token", source: kms.source())
        try await Browser.run { browser in
            try await browser.allowScript(false)
            try await browser.open(served.url)
            #expect(try await browser.evaluate("document.getElementById('setup').hidden") == "true")
            #expect(
                try await browser.evaluate("getComputedStyle(document.querySelector('.noscript')).display") != "none")
            try await look(browser, "plain")
            let command = try await browser.evaluate("document.querySelector('#by-hand code').textContent")
                .replacingOccurrences(
                    of: "'Authorization: Bearer TOKEN'", with: "\"Authorization: Bearer it's a token\"")
            let run = Process()
            run.executableURL = URL(fileURLWithPath: "/bin/sh")
            run.arguments = ["-c", command + " -sS -f"]
            run.standardOutput = FileHandle.nullDevice
            try run.run()
            #expect(try await eventually { !run.isRunning })
            #expect(run.terminationStatus == 0, "\(command)")
            #expect(try kms.files.load().domain?.name == "kms.example.com")
            try await browser.open(served.url)
            try await look(browser, "plain-made")
        }
        await served.stop()
    }

    @Test("a set of keys that is not whole is said to be that, and nothing can be typed")
    func broken() async throws {
        let kms = try NewKMS()
        _ = try await kms.onboarding().bootstrap(domain: "kms.example")
        try FileManager.default.removeItem(atPath: kms.directory + "/root-ca.key")
        let served = try await ServedOnboarding(kms)
        try await Browser.run { browser in
            try await browser.open(served.url)
            #expect(try await browser.evaluate("document.body.textContent").contains("root-ca.key are missing"))
            #expect(try await browser.evaluate("document.querySelectorAll('form').length") == "0")
            try await look(browser, "broken")
        }
        await served.stop()
    }
}
