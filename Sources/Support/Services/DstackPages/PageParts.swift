/// What pages are made of. A part says what it shows; how it looks is the style sheet's.
extension HTML {
    /// How something stands: colours follow from it, and never stand alone (a word or a sign says it too).
    package enum Tone: Sendable {
        case neutral, good, warning, bad, accent

        fileprivate var badgeClass: HTMLAttribute {
            switch self {
            case .neutral: .class("badge")
            case .good: .class("badge good")
            case .warning: .class("badge warning")
            case .bad: .class("badge bad")
            case .accent: .class("badge accent")
            }
        }

        fileprivate var noticeClass: HTMLAttribute {
            switch self {
            case .neutral, .accent: .class("notice")
            case .good: .class("notice good")
            case .warning: .class("notice warning")
            case .bad: .class("notice bad")
            }
        }
    }

    /// A word or two with a colour.
    package static func badge(_ text: String, _ tone: Tone = .neutral, title: String? = nil) -> HTML {
        .element(.span, tone.badgeClass, title.map { .title($0) }) { text }
    }

    /// Something to read before anything else.
    package static func notice(_ tone: Tone, @HTMLBuilder _ content: () -> HTML) -> HTML {
        .element(.div, tone.noticeClass, content: content)
    }

    /// A headed part of the page that links can lead to.
    ///
    /// - Parameter live: the name under which script keeps the part up to date; nil for parts that do not change.
    package static func section(
        _ title: String, id: String, live: HTMLAttribute? = nil, @HTMLBuilder _ content: () -> HTML
    ) -> HTML {
        let content = content()
        return .element(.section, .id(id), live) {
            HTML.element(.h2) { HTML.element(.a, .href(.here(id))) { title } }
            content
        }
    }

    /// Names with their values.
    package static func keyValues(_ rows: [(name: String, value: HTML)]) -> HTML {
        .element(.dl, .class("facts")) {
            rows.map { row in
                HTML.element(.div) {
                    HTML.element(.dt) { row.name }
                    HTML.element(.dd) { row.value }
                }
            }
        }
    }

    /// A table. On a narrow screen each row becomes a small list whose lines begin with the column's title, so that
    /// nothing scrolls sideways.
    package static func table(
        caption: String, columns: [String], rows: [[HTML]], empty: String = "none"
    ) -> HTML {
        guard !rows.isEmpty else { return .element(.p, .class("quiet")) { empty } }
        return .element(.table) {
            HTML.element(.caption, .class("unseen")) { caption }
            HTML.element(.thead) {
                HTML.element(.tr) { columns.map { title in HTML.element(.th, .scope("col")) { title } } }
            }
            HTML.element(.tbody) {
                rows.map { row in
                    HTML.element(.tr) {
                        zip(columns, row).map { title, cell in
                            // The inner element is one cell of the list that a row becomes on a narrow screen.
                            HTML.element(.td, .data("data-title", title)) { HTML.element(.div) { cell } }
                        }
                    }
                }
            }
        }
    }

    /// A digest, a key or an identifier, whole, with a button that copies it (shown where script runs).
    package static func hash(_ text: String, label: String) -> HTML {
        guard !text.isEmpty else { return .element(.span, .class("quiet")) { "none" } }
        // Digests of 96 digits and more break into lines of 48, which can be compared by eye.
        return .element(.span, text.utf8.count > 64 ? .class("hash long") : .class("hash")) {
            HTML.element(.code) { text }
            copyButton(text, label: label)
        }
    }

    /// A long digest as its first and last characters; the whole is one click below.
    package static func shortHash(_ text: String, label: String) -> HTML {
        let characters = Array(text)
        guard characters.count > 20 else { return .element(.code) { text } }
        return .element(.details, .class("short")) {
            HTML.element(.summary, .ariaLabel("\(label), \(String(characters.prefix(8)))…")) {
                HTML.element(.code) { String(characters.prefix(8)) + "…" + String(characters.suffix(6)) }
            }
            hash(text, label: label)
        }
    }

    /// Copies a text; shown where script runs.
    package static func copyButton(_ text: String, label: String) -> HTML {
        .element(
            .button, .class("copy"), .type("button"), .data("data-copy", text), .ariaLabel("Copy \(label)"), .hidden
        ) { "Copy" }
    }

    /// A command to be typed, with a button that copies it.
    package static func command(_ text: String, label: String) -> HTML {
        .element(.div, .class("command")) {
            HTML.element(.pre) {
                HTML.element(.code) {
                    // Words that break only where they must: a line that begins with half an option misleads.
                    text.split(separator: " ").enumerated().map { index, word in
                        HTML.group {
                            if index > 0 { " " }
                            HTML.element(.span) { String(word) }
                        }
                    }
                }
            }
            copyButton(text, label: label)
        }
    }

    /// Long text that is opened by a click and scrolls in its own box.
    package static func evidence(_ title: String, _ text: String, id: String? = nil) -> HTML {
        .element(.details, .class("evidence"), id.map { .id($0) }) {
            HTML.element(.summary) { title }
            copyButton(text, label: title)
            HTML.element(.pre, .focusable) { text }
        }
    }

    /// Steps in order, with how each of them stands.
    package static func steps(_ steps: [(title: HTML, tone: Tone, detail: HTML)]) -> HTML {
        .element(.ol, .class("steps")) {
            steps.map { step in
                HTML.element(.li, stepClass(step.tone)) {
                    HTML.element(.div, .class("step")) { step.title }
                    HTML.element(.div, .class("detail")) { step.detail }
                }
            }
        }
    }

    private static func stepClass(_ tone: Tone) -> HTMLAttribute {
        switch tone {
        case .neutral, .accent: .class("todo")
        case .good: .class("good")
        case .warning: .class("warning")
        case .bad: .class("bad")
        }
    }

    /// A share of a whole as a bar, with words beside it.
    ///
    /// - Parameter share: 0 to 1; anything else is brought there.
    package static func bar(share: Double, _ words: String) -> HTML {
        let width = share.isFinite ? Int((max(0, min(1, share)) * 1_000).rounded()) : 0
        let tone: HTMLAttribute =
            width >= 950 ? .class("fill bad") : width >= 800 ? .class("fill warning") : .class("fill")
        return .element(.div, .class("bar")) {
            HTML.element(.svg, viewBox(1_000, 8), .svg("preserveAspectRatio", "none"), .ariaHidden) {
                HTML.element(.rect, .class("rail"), .svg("width", 1_000), .svg("height", 8))
                HTML.element(.rect, tone, .svg("width", width), .svg("height", 8))
            }
            HTML.element(.span) { words }
        }
    }

    static func viewBox(_ width: Int, _ height: Int) -> HTMLAttribute {
        .svg("viewBox", numbers: [0, 0, width, height])
    }
}
