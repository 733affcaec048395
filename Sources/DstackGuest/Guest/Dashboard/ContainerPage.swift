import DstackEncoding
import DstackHTTPServer
import DstackPages
import DstackSystem

/// `/containers/<name>`: one container with its log, for people.
///
/// Without script it shows the last lines; with script it follows.
extension Dashboard {
    func viewer(_ name: String) async -> HTTPServerResponse {
        guard let containers else {
            return problemPage("No log", "There is no container engine here.").response(404)
        }
        guard let name = ContainerName(name) else {
            return problemPage("No log", "This is not the name of a container.").response(404)
        }
        let container: Container
        do {
            container = try await containers.container(name)
        } catch {
            if error.code == .noSuchContainer {
                return problemPage("No log", "There is no container named \(name.text).").response(404)
            }
            return problemPage("No log", "The container engine does not tell: \(error)", .warning).response(500)
        }
        let lines: Result<[LogLine], GuestError>
        do {
            lines = .success(try await containers.lastLines(of: container))
        } catch {
            lines = .failure(error)
        }
        var status = 200
        // The rest of the page is there all the same.
        if case .failure = lines { status = 500 }
        return page(container, name, lines).response(status)
    }

    private func page(
        _ container: Container, _ name: ContainerName, _ lines: Result<[LogLine], GuestError>
    ) -> Page {
        Page(
            title: "\(container.displayName) · log", name: "dstack guest",
            badges: [ApplicationAnswer.platformBadge(isSimulated: content.isSimulated)],
            navigation: [("Dashboard", .path("")), ("All containers", .path("", part: "containers"))],
            refresh: settings.refresh, assets: [.dashboardStyle, .logScript]
        ) {
            HTML.element(.section, .class("container"), .live("container")) {
                HTML.element(.h1) { container.displayName }
                HTML.element(.p) { Self.stateBadge(container) }
                HTML.keyValues(Self.facts(container))
            }
            HTML.element(.section, .id("log"), .class("logs")) {
                HTML.element(.h2) { "Log" }
                switch lines {
                case .success(let lines): shown(lines, name)
                case .failure(let error):
                    HTML.notice(.warning) {
                        HTML.element(.p) { "The container engine cannot read this log. It says:" }
                        HTML.element(.p) { HTML.element(.code) { error.reason } }
                    }
                }
            }
        }
    }

    private func shown(_ lines: [LogLine], _ name: ContainerName) -> HTML {
        HTML.group {
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
            HTML.element(.input, .id("filter"), .type("search"), .placeholder("Lines that contain…"), .hidden)
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
