import Foundation
import Glibc
import Synchronization

/// Headless Chromium, driven over a pair of pipes (DevTools protocol, one JSON text after the other with a zero byte
/// between them). What it does blocks, so it has a queue of its own: the tasks of the server under test need the shared
/// threads.
package actor Browser {
    package static let path = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    package struct Problem: Error, CustomStringConvertible {
        package let description: String
    }

    private let process: pid_t
    private let channel: Int32
    private let profile: String
    private var received = Data()
    private var lastID = 0
    private var session: String?
    /// Notifications so far.
    package private(set) var events: [[String: Any]] = []

    /// Runs an actor's jobs on a queue of its own.
    private final class Executor: SerialExecutor {
        private let queue = DispatchQueue(label: "browser")

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
        }

        func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
    }

    private let executor = Executor()
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Runs something with a browser, and ends the browser.
    package static func run(_ body: (Browser) async throws -> Void) async throws {
        let browser = try Browser()
        do {
            try await browser.openPage()
            try await body(browser)
        } catch {
            await browser.end()
            throw error
        }
        await browser.end()
    }

    private init() throws {
        guard let path = Self.path else { throw Problem(description: "there is no Chromium") }
        profile = NSTemporaryDirectory() + "dstack-browser-\(UUID().uuidString)"
        // The browser reads from 3 and writes to 4.
        let (ours, theirs) = try Spawn.channel()
        defer { close(theirs) }
        channel = ours
        process = try Spawn.start(
            path,
            [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
                "--hide-scrollbars", "--user-data-dir=\(profile)", "about:blank",
            ], descriptors: [3: theirs, 4: theirs])
    }

    private func end() {
        _ = try? call("Browser.close", [:], inPage: false)
        close(channel)
        for _ in 0..<100 {
            if waitpid(process, nil, WNOHANG) != 0 { break }
            usleep(50_000)
        }
        kill(process, SIGKILL)
        waitpid(process, nil, 0)
        try? FileManager.default.removeItem(atPath: profile)
    }

    private func openPage() throws {
        let target = try call("Target.createTarget", ["url": "about:blank"], inPage: false)
        let attached = try call(
            "Target.attachToTarget", ["targetId": target["targetId"] ?? "", "flatten": true], inPage: false)
        session = attached["sessionId"] as? String
        for domain in ["Page", "Runtime", "Log", "Network"] { try call("\(domain).enable") }
    }

    // MARK: Pages

    /// Sets the size of the window in CSS pixels, and the colours that the reader prefers.
    package func show(width: Int, height: Int = 900, dark: Bool = false) throws {
        try call(
            "Emulation.setDeviceMetricsOverride",
            ["width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500])
        try call(
            "Emulation.setEmulatedMedia",
            ["features": [["name": "prefers-color-scheme", "value": dark ? "dark" : "light"]]])
    }

    /// Sets the size of letters that the reader has chosen, for pages that are opened from now on.
    package func setTextSize(percent: Int) throws {
        try call(
            "Page.setFontSizes",
            ["fontSizes": ["standard": 16 * percent / 100, "fixed": 13 * percent / 100]])
    }

    /// Opens all that can be opened on the page, or closes it.
    package func openDetails(_ isOpen: Bool = true) throws {
        _ = try evaluate("document.querySelectorAll('details').forEach(d => { d.open = \(isOpen); })")
    }

    package func allowScript(_ allowed: Bool) throws {
        try call("Emulation.setScriptExecutionDisabled", ["value": !allowed])
    }

    /// Loads an address and waits until everything of it is there.
    package func open(_ url: String) throws {
        events = []
        try call("Page.navigate", ["url": url])
        try wait("the page to load") { events.contains { $0["method"] as? String == "Page.loadEventFired" } }
    }

    /// What an expression yields, as text.
    package func evaluate(_ expression: String) throws -> String {
        let answer = try call(
            "Runtime.evaluate", ["expression": "String(\(expression))", "returnByValue": true, "awaitPromise": true])
        if let problem = answer["exceptionDetails"] { throw Problem(description: "\(expression): \(problem)") }
        return (answer["result"] as? [String: Any])?["value"] as? String ?? ""
    }

    /// Waits until an expression is true.
    package func wait(until expression: String) throws { try wait(expression) { try evaluate(expression) == "true" } }

    private func wait(_ what: String, _ condition: () throws -> Bool) throws {
        let end = Date(timeIntervalSinceNow: 60)
        while try !condition() {
            guard Date() < end else { throw Problem(description: "waited in vain for \(what)") }
            // Any call reads what has come in.
            try call("Runtime.evaluate", ["expression": "0"])
            usleep(20_000)
        }
    }

    /// Lets pages use the clipboard.
    package func allowCopying() throws {
        try call(
            "Browser.grantPermissions", ["permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]],
            inPage: false)
    }

    package func press(_ key: String, code: Int) throws {
        for type in ["keyDown", "keyUp"] {
            try call(
                "Input.dispatchKeyEvent",
                [
                    "type": type, "key": key, "code": key, "windowsVirtualKeyCode": code,
                    "text": key == "Enter" ? "\r" : "",
                ])
        }
    }

    /// Types a text into what has the focus.
    package func insert(_ text: String) throws { try call("Input.insertText", ["text": text]) }

    /// Errors and violations that the browser noted since the page was opened.
    package var complaints: [String] {
        events.compactMap { event in
            let details = event["params"] as? [String: Any]
            switch event["method"] as? String {
            case "Log.entryAdded":
                let entry = details?["entry"] as? [String: Any]
                return "\(entry?["level"] ?? ""): \(entry?["text"] ?? "") \(entry?["url"] ?? "")"
            case "Runtime.exceptionThrown": return "\(details?["exceptionDetails"] ?? "")"
            case "Runtime.consoleAPICalled": return "\(details?["args"] ?? "")"
            default: return nil
            }
        }
    }

    /// Addresses of everything that was loaded.
    package var loaded: [String] {
        events.compactMap { event in
            guard event["method"] as? String == "Network.requestWillBeSent" else { return nil }
            return ((event["params"] as? [String: Any])?["request"] as? [String: Any])?["url"] as? String
        }
    }

    /// What requests other than GET, and those with a body, were sent to.
    package var sent: [String] {
        events.compactMap { event in
            guard event["method"] as? String == "Network.requestWillBeSent",
                let request = (event["params"] as? [String: Any])?["request"] as? [String: Any],
                request["method"] as? String != "GET" || request["hasPostData"] as? Bool == true
            else { return nil }
            return request["url"] as? String
        }
    }

    /// A picture of the whole page.
    package func screenshot(_ path: String) throws {
        let answer = try call("Page.captureScreenshot", ["captureBeyondViewport": true, "format": "png"])
        guard let data = Data(base64Encoded: answer["data"] as? String ?? "") else {
            throw Problem(description: "no picture")
        }
        try data.write(to: URL(fileURLWithPath: path))
    }

    // MARK: Protocol

    @discardableResult
    private func call(_ method: String, _ parameters: [String: Any] = [:], inPage: Bool = true) throws -> [String: Any]
    {
        lastID += 1
        var message: [String: Any] = ["id": lastID, "method": method, "params": parameters]
        if inPage { message["sessionId"] = session }
        let bytes = try JSONSerialization.data(withJSONObject: message) + Data([0])
        var sent = 0
        while sent < bytes.count {
            let count = bytes.dropFirst(sent).withUnsafeBytes {
                send(channel, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Problem(description: "the browser has gone") }
            sent += count
        }
        while true {
            let answer = try nextMessage()
            guard answer["id"] as? Int == lastID else {
                events.append(answer)
                continue
            }
            if let error = answer["error"] { throw Problem(description: "\(method): \(error)") }
            return answer["result"] as? [String: Any] ?? [:]
        }
    }

    private func nextMessage() throws -> [String: Any] {
        while true {
            if let end = received.firstIndex(of: 0) {
                let message = received[received.startIndex..<end]
                received = Data(received[(end + 1)...])
                return try JSONSerialization.jsonObject(with: message) as? [String: Any] ?? [:]
            }
            var ready = pollfd(fd: channel, events: Int16(POLLIN), revents: 0)
            guard poll(&ready, 1, 60_000) > 0 else { throw Problem(description: "the browser does not answer") }
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            let count = recv(channel, &buffer, buffer.count, 0)
            guard count > 0 else { throw Problem(description: "the browser has gone") }
            received.append(contentsOf: buffer[..<count])
        }
    }
}
