import DstackEncoding
import DstackSystem

extension EndpointReport {
    /// How a text report looks.
    public struct TextStyle: Hashable, Sendable {
        /// Whether to colour verdicts and marks with ANSI escapes.
        public var isColored: Bool
        /// Whether to draw the chain with lines and cut long hashes, for a person at a terminal; else one line a fact.
        public var isDrawn: Bool
        /// Columns that a drawn report may take.
        public var width: Int
        /// Whether to list what was not checked, or only to count it.
        public var listsUnchecked: Bool

        /// A style; plain lines unless said otherwise.
        public init(isColored: Bool = false, isDrawn: Bool = false, width: Int = 80, listsUnchecked: Bool = true) {
            self.isColored = isColored
            self.isDrawn = isDrawn
            self.width = width
            self.listsUnchecked = listsUnchecked
        }
    }

    /// The report for a person: the answer and why, the chain of trust from hardware to connection, what was not checked.
    public func text(style: TextStyle = TextStyle()) -> String {
        var page = EndpointPage(style)
        writeVerdict(to: &page)
        page.line("")
        page.line(page.bold("Chain of trust"))
        for (index, link) in chain.enumerated() { page.write(link, isLast: index == chain.count - 1) }
        page.line("")
        let items = notChecked
        if style.listsUnchecked {
            page.line(page.bold("Not checked"))
            for item in items { page.item(item) }
        } else {
            page.line(page.bold("Not checked") + "  \(items.count) things, which `dstack verify` lists")
        }
        return page.text
    }

    private func writeVerdict(to page: inout EndpointPage) {
        let simulated = isSimulated ? " " + page.warning("[simulated]") : ""
        switch verdict {
        case .accepted:
            page.line(page.good("YES") + " \(address.url) is the application that you expect\(simulated)")
        case .rejected: page.line(page.bad("NO") + " \(address.url)\(simulated)")
        case .undecided:
            page.line(page.warning("UNDECIDED") + " \(address.url) is genuine, but which code is it?\(simulated)")
        }
        if let failure {
            page.paragraph("because", "\(failure.message) [\(failure.check): \(failure.code.rawValue)]")
            if !failure.found.isEmpty { page.paragraph("found", failure.found) }
            if !failure.expected.isEmpty { page.paragraph("expected", failure.expected) }
        }
        for condition in conditions { page.paragraph("if", condition) }
        if isSimulated {
            page.paragraph(
                "note",
                trustAnchor.isSimulated
                    ? "this TEE is simulated: its root was made by software, and nothing about hardware is proven"
                    : "this TEE is simulated, as its platform's certificate says: only its own root vouches for it")
        }
        if let evidence { page.paragraph("policy", evidence.policy.name) }
        page.paragraph("time", RFC3339.format(time))
        if verdict == .accepted, let until = evidence?.validUntil {
            page.paragraph(
                "holds to",
                "\(RFC3339.format(min(until, certificate?.notAfter ?? until))) as far as collateral and certificate go")
        }
    }
}

/// Lines of a report, wrapped where they are drawn for a person.
private struct EndpointPage {
    private let style: EndpointReport.TextStyle
    private(set) var text = ""

    /// Where values begin.
    private static let column = 21

    init(_ style: EndpointReport.TextStyle) { self.style = style }

    mutating func line(_ line: String) { text += line + "\n" }

    func bold(_ text: String) -> String { escape("1", text) }
    func good(_ text: String) -> String { escape("1;32", text) }
    func bad(_ text: String) -> String { escape("1;31", text) }
    func warning(_ text: String) -> String { escape("1;33", text) }
    private func faint(_ text: String) -> String { escape("2", text) }

    private func escape(_ code: String, _ text: String) -> String {
        style.isColored ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    /// A name and its text, which goes on below itself.
    mutating func paragraph(_ name: String, _ text: String) {
        let safe = SafeText.line(text)
        let lines = style.isDrawn ? wrapped(safe, 11) : [safe]
        for (index, part) in lines.enumerated() {
            line("  " + (index == 0 ? name : "").padded(to: 9) + part)
        }
    }

    mutating func item(_ text: String) {
        let lines = style.isDrawn ? wrapped(SafeText.line(text), 4) : [SafeText.line(text)]
        for (index, part) in lines.enumerated() { line((index == 0 ? "  - " : "    ") + part) }
    }

    mutating func write(_ link: EndpointReport.Link, isLast: Bool) {
        guard style.isDrawn else { return writePlain(link) }
        let mark =
            switch link.outcome {
            case .passed: good("✓")
            case .failed: bad("✗")
            case .notCompared: warning("?")
            case .unproven, .notReached: faint("·")
            }
        let rail = faint(isLast ? " " : "│")
        let subject = wrapped(SafeText.line(link.subject), Self.column)
        for (index, part) in subject.enumerated() {
            if index == 0 {
                line(
                    "  \(mark) " + bold(link.title) + String(repeating: " ", count: max(1, 17 - link.title.count))
                        + part)
            } else {
                line("  \(rail) " + "".padded(to: 17) + part)
            }
        }
        for fact in link.facts {
            let value = SafeText.line(fact.value).withShortHashes
            for (index, part) in wrapped(value, Self.column + 14).enumerated() {
                line("  \(rail) " + "".padded(to: 17) + faint((index == 0 ? fact.name : "").padded(to: 14)) + part)
            }
        }
        if !isLast { line("  \(rail)") }
    }

    private mutating func writePlain(_ link: EndpointReport.Link) {
        let mark =
            switch link.outcome {
            case .passed: "ok"
            case .failed: "FAIL"
            case .notCompared: "?"
            case .unproven, .notReached: "--"
            }
        line("  \(mark.padded(to: 5))\(link.title): \(SafeText.line(link.subject))")
        for fact in link.facts { line("       \(link.title): \(fact.name): \(SafeText.line(fact.value))") }
    }

    /// Words in lines that leave room for so many columns before them. A word that is too long gets a line of its own.
    private func wrapped(_ text: String, _ indentation: Int) -> [String] {
        let room = max(20, style.width - indentation)
        var lines = [""]
        for word in text.split(separator: " ") {
            let last = lines[lines.count - 1]
            if last.isEmpty {
                lines[lines.count - 1] = String(word)
            } else if last.count + 1 + word.count <= room {
                lines[lines.count - 1] = last + " " + word
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}
