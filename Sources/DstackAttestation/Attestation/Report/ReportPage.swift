import DstackEncoding
import DstackSystem

/// The lines of every report for a person, wrapped where they are drawn for one.
struct ReportPage {
    /// How something that is said looks.
    enum Tone: String {
        case good = "1;32"
        case bad = "1;31"
        case warning = "1;33"
    }

    /// The answer in one word, and what it is about.
    struct Answer {
        let word: String
        let tone: Tone
        let subject: String
        let isSimulated: Bool
    }

    let style: ReportStyle
    private(set) var text = ""

    /// Where values begin.
    private static let column = 21

    init(_ style: ReportStyle) { self.style = style }

    // MARK: Parts

    /// The answer: the first line of a report, and at a terminal, where the first line has scrolled away, also the last.
    mutating func verdict(_ answer: Answer) {
        let subject = SafeText.line(answer.subject) + (answer.isSimulated ? " [simulated]" : "")
        let lines = style.isDrawn ? wrapped(subject, first: answer.word.count + 1, rest: 2) : [subject]
        for (index, part) in lines.enumerated() {
            let text = paintingMark(part, answer.isSimulated)
            line(index == 0 ? paint(answer.tone.rawValue, answer.word) + " " + text : "  " + text)
        }
    }

    private func paintingMark(_ text: String, _ isSimulated: Bool) -> String {
        let mark = "[simulated]"
        guard isSimulated, text.hasSuffix(mark) else { return text }
        return text.dropLast(mark.count) + paint(Tone.warning.rawValue, mark)
    }

    /// Why there is no yes, if there is none, and what of the platform is outdated, a line each.
    mutating func reason(_ reason: Reason?, outdated: [TCBShortfall]) {
        if let reason { paragraph("because", reason.line) }
        for shortfall in outdated { paragraph("outdated", SafeText.line(shortfall.line)) }
        if let found = reason?.found { paragraph("found", found) }
        if let expected = reason?.expected { paragraph("expected", expected) }
    }

    /// A name and its text, which goes on below itself.
    mutating func paragraph(_ name: String, _ text: String) {
        // A line feed in it begins a line here too; nothing else in it moves the cursor.
        for (number, paragraph) in SafeText.lines(text).split(separator: "\n").enumerated() {
            let lines = style.isDrawn ? wrapped(String(paragraph), first: 11, rest: 11) : [String(paragraph)]
            for (index, part) in lines.enumerated() {
                line("  " + (index == 0 && number == 0 ? name : "").padded(to: 9) + part)
            }
        }
    }

    mutating func heading(_ text: String) {
        line("")
        line(paint("1", text))
    }

    mutating func items(_ title: String, _ items: [String]) {
        guard style.listsUnchecked else {
            line("")
            return line(paint("1", title) + "  \(items.count) things, which `dstack verify` lists")
        }
        heading(title)
        for item in items {
            let text = SafeText.line(item)
            let lines = style.isDrawn ? wrapped(text, first: 4, rest: 4) : [text]
            for (index, part) in lines.enumerated() { line((index == 0 ? "  - " : "    ") + part) }
        }
    }

    /// Checks: those that failed, first; all others only where they are asked for.
    mutating func checks(_ checks: [VerificationCheck]) {
        let failed = checks.filter { if case .failed = $0.outcome { true } else { false } }
        if !failed.isEmpty {
            heading("Failed checks")
            for check in failed { write(check) }
        }
        guard style.listsChecks else { return }
        heading(failed.isEmpty ? "Checks" : "Other checks, each by itself")
        for check in checks {
            if case .failed = check.outcome { continue }
            write(check)
        }
    }

    private mutating func write(_ check: VerificationCheck) {
        let number = check.id.intelNumber.map { " (\($0))" } ?? ""
        let (mark, text): (String, String) =
            switch check.outcome {
            case .passed: (paint(Tone.good.rawValue, "ok  "), check.id.title)
            case .failed(let code): (paint(Tone.bad.rawValue, "FAIL"), check.message + " [\(code.rawValue)]")
            case .notApplicable(let reason): ("n/a ", reason)
            case .notReached: ("--  ", "not reached")
            }
        let safe = SafeText.lines("\(check.id.name)\(number): \(text)")
        for (number, paragraph) in safe.split(separator: "\n").enumerated() {
            let lines = style.isDrawn ? wrapped(String(paragraph), first: 7, rest: 7) : [String(paragraph)]
            for (index, part) in lines.enumerated() {
                line(index == 0 && number == 0 ? "  \(mark) \(part)" : "       \(part)")
            }
        }
    }

    // MARK: Chain of trust

    mutating func chain(_ links: [ChainLink]) {
        heading("Chain of trust")
        for (index, link) in links.enumerated() {
            if style.isDrawn { draw(link, isLast: index == links.count - 1) } else { list(link) }
        }
    }

    private mutating func draw(_ link: ChainLink, isLast: Bool) {
        let mark =
            switch link.outcome {
            case .passed: paint(Tone.good.rawValue, "✓")
            case .failed: paint(Tone.bad.rawValue, "✗")
            case .notCompared: paint(Tone.warning.rawValue, "?")
            case .unproven, .notReached: paint("2", "·")
            }
        let rail = paint("2", isLast ? " " : "│")
        let subject = wrapped(SafeText.line(link.subject), first: Self.column, rest: Self.column)
        for (index, part) in subject.enumerated() {
            let gap = String(repeating: " ", count: max(1, 17 - link.title.count))
            line(
                index == 0
                    ? "  \(mark) " + paint("1", link.title) + gap + part : "  \(rail) " + "".padded(to: 17) + part)
        }
        for fact in link.facts {
            let value = SafeText.line(fact.value).withShortHashes
            for (index, part) in wrapped(value, first: Self.column + 14, rest: Self.column + 14).enumerated() {
                let name = paint("2", (index == 0 ? fact.name : "").padded(to: 14))
                line("  \(rail) " + "".padded(to: 17) + name + part)
            }
        }
        if !isLast { line("  \(rail)") }
    }

    private mutating func list(_ link: ChainLink) {
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

    // MARK: Lines

    mutating func line(_ line: String) {
        var line = line[...]
        while line.last == " " { line.removeLast() }
        text += line + "\n"
    }

    private func paint(_ code: String, _ text: String) -> String {
        style.isColored ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    /// Words in lines that leave room for so many columns before them. A word that is longer than a line begins one and goes on
    /// below itself, so that the terminal never breaks it into the margin.
    private func wrapped(_ text: String, first: Int, rest: Int) -> [String] {
        var lines = [""]
        for word in text.split(separator: " ") {
            var word = word
            while true {
                let room = max(20, style.width - (lines.count == 1 ? first : rest))
                let last = lines[lines.count - 1]
                if last.isEmpty, word.count > room {
                    lines[lines.count - 1] = String(word.prefix(room))
                    lines.append("")
                    word = word.dropFirst(room)
                    continue
                }
                if last.isEmpty {
                    lines[lines.count - 1] = String(word)
                } else if last.count + 1 + word.count <= room {
                    lines[lines.count - 1] = last + " " + word
                } else {
                    lines.append("")
                    continue
                }
                break
            }
        }
        return lines
    }
}

extension String {
    /// Runs of more than 40 hexadecimal digits cut to 16 and an ellipsis.
    var withShortHashes: String {
        split(separator: " ", omittingEmptySubsequences: false).map { word in
            word.count > 40 && word.allSatisfy(\.isHexDigit) ? word.prefix(16) + "…" : word
        }.joined(separator: " ")
    }

    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
