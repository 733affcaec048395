import DstackEncoding
import DstackHTTPServer
import DstackPages
import DstackSystem

/// `/containers/<name>`: one container with its log, for people.
///
/// Without script it shows the last lines; with script it follows.
extension Dashboard {
    /// How many of the last lines the page begins with.
    private static let shownLines: UInt64 = 200
    /// Above this much log the page stops, whatever the number of lines.
    private static let shownBytes = 1 << 20

    func viewer(_ name: String) async -> HTTPServerResponse {
        guard let engine else { return Self.problemPage("There is no container engine here.").response(404) }
        guard let name = ContainerName(name) else {
            return Self.problemPage("This is not the name of a container.").response(404)
        }
        do {
            let container = try await engine.container(name)
            let lines = try await lastLines(of: name, engine)
            return page(container, name, lines).response()
        } catch {
            if error.code == .noSuchContainer {
                return Self.problemPage("There is no container named \(name.text).").response(404)
            }
            return Self.problemPage("The container engine does not tell: \(error)").response(500)
        }
    }

    private func lastLines(of name: ContainerName, _ engine: any ContainerEngine) async throws(GuestError) -> [LogLine]
    {
        let logs = try await engine.logs(of: name, LogQuery(tail: .last(Self.shownLines), hasTimestamps: true))
        var collector = LogLineCollector()
        var count = 0
        while count < Self.shownBytes, let frame = try await logs.next() {
            collector.add(frame)
            count += frame.bytes.count
        }
        return collector.finish()
    }

    private static func problemPage(_ text: String) -> Page {
        Page(
            title: "Container · dstack", name: "dstack guest", navigation: [("All containers", .path(""))],
            assets: [.dashboardStyle]
        ) {
            HTML.element(.h1) { "No log" }
            HTML.notice(.warning) { HTML.element(.p) { text } }
        }
    }

    private func page(_ container: Container, _ name: ContainerName, _ lines: [LogLine]) -> Page {
        Page(
            title: "\(container.displayName) · log", name: "dstack guest",
            navigation: [("All containers", .path(""))], refresh: settings.refresh,
            assets: [.dashboardStyle, .logScript]
        ) {
            HTML.element(.section, .class("container"), .live("container")) {
                HTML.element(.h1) { container.displayName }
                HTML.element(.p) { Self.stateBadge(container) }
                HTML.keyValues(Self.facts(container))
            }
            HTML.element(.section, .id("log"), .class("logs")) {
                HTML.element(.h2) { "Log" }
                toolbar(name)
                HTML.element(
                    .div, .class("log"), .id("lines"), .role("log"), .ariaLabel("Log of \(name.text)"), .focusable,
                    .data("data-name", name.text)
                ) {
                    if lines.isEmpty { HTML.element(.p, .class("quiet nothing")) { "Nothing has been written yet." } }
                    lines.map { $0.html }
                }
                HTML.element(.p, .class("quiet small"), .id("state"), .role("status")) {
                    "The last \(lines.count) lines, times in UTC. Load the page again for newer ones."
                }
            }
        }
    }

    private static func facts(_ container: Container) -> [(String, HTML)] {
        var facts = [("Image", HTML.element(.code) { container.image })]
        // Not every engine tells it.
        if !container.imageID.isEmpty {
            facts.append(("Image ID", HTML.shortHash(container.imageID, label: "image ID")))
        }
        facts.append(("Container ID", HTML.shortHash(container.id, label: "container ID")))
        facts.append(("Created", .text(RFC3339.format(container.created))))
        return facts
    }

    private func toolbar(_ name: ContainerName) -> HTML {
        HTML.element(.div, .class("tools")) {
            HTML.element(.button, .type("button"), .id("follow"), .ariaPressed(true), .hidden) { "Follow" }
            HTML.element(.button, .type("button"), .id("wrap"), .ariaPressed(true), .hidden) { "Wrap" }
            HTML.element(.button, .type("button"), .id("times"), .ariaPressed(true), .hidden) { "Times" }
            HTML.element(.label, .for("filter"), .class("unseen")) { "Show lines that contain" }
            HTML.element(.input, .id("filter"), .type("search"), .placeholder("Show lines that contain…"), .hidden)
            HTML.element(.a, .class("button"), .href(Self.plainLog(name.text))) { "Plain text" }
            HTML.element(
                .a, .class("button"),
                .href(
                    .path(
                        "logs", name.text,
                        query: [("text", ""), ("bare", ""), ("timestamps", ""), ("tail", "all")]))
            ) { "All of it" }
        }
    }
}

extension LogLine {
    var html: HTML {
        HTML.element(.div, channel == .stderr ? .class("line stderr") : .class("line")) {
            if let time {
                HTML.element(.time, .dateTime(time), .title(time)) { Self.clock(time) }
            }
            if channel == .stderr { HTML.element(.b) { "err" } }
            HTML.element(.span) { text }
        }
    }

    /// The time of day in an RFC 3339 text, to the second.
    private static func clock(_ time: String) -> String {
        String(time.drop { $0 != "T" }.dropFirst().prefix(8))
    }
}
