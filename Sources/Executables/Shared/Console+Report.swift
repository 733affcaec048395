package import DstackAttestation
package import DstackCommandLine
import DstackEncoding
package import DstackSystem

extension ReportStyle {
    /// Drawn for a person at a terminal that can show it, plain lines for a pipe, and the verdict alone where quiet is asked for.
    package init(_ console: Console, listsChecks: Bool = false) {
        let terminal = console.outputTerminal
        // Beyond a hundred columns lines are no easier to read.
        self.init(
            isColored: terminal.usesColor, isDrawn: terminal.isInteractive && terminal.isUnicode,
            width: min(terminal.width, 100),
            listsChecks: listsChecks, isBrief: console.isQuiet)
    }
}

extension Console {
    /// Shows a report as it is wanted, and last what to do.
    package func show(_ report: VerificationReport, _ arguments: Arguments) -> ExitStatus {
        if arguments[Flag.json] {
            print(String(decoding: report.json(), as: UTF8.self))
        } else {
            let style = ReportStyle(self, listsChecks: arguments[JudgementOptions.checks])
            print(String(report.text(style: style).dropLast()))
        }
        if let remedy = report.remedy { hint(remedy.text(for: arguments)) }
        return report.verdict == .accepted ? .yes : .no
    }

    /// The same for the report about a service.
    package func show(_ report: EndpointReport, _ arguments: Arguments) -> ExitStatus {
        if arguments[Flag.json] {
            print(String(decoding: report.json(), as: UTF8.self))
        } else {
            let style = ReportStyle(self, listsChecks: arguments[JudgementOptions.checks])
            print(String(report.text(style: style).dropLast()))
        }
        if let remedy = report.remedy { hint(remedy.text(for: arguments)) }
        return report.verdict == .accepted ? .yes : .no
    }

    /// A no to what never came to a verification; in JSON the members of a report that a program looks at first.
    package func refuse(
        _ subject: String, check: String, code: String, _ message: String, simulated note: String? = nil,
        remedy: Remedy?, _ arguments: Arguments
    ) -> ExitStatus {
        if arguments[Flag.json] {
            var writer = JSONWriter()
            writer.object { object in
                object.member("verdict", "rejected")
                object.object("reason") { reason in
                    reason.member("code", code)
                    reason.member("check", check)
                    reason.member("message", message)
                    reason.null("found")
                    reason.null("expected")
                    reason.member("hint", remedy?.text)
                }
                object.null("status")
                object.member("advisory_ids", [])
                object.member("simulated", note != nil)
            }
            print(writer.text)
        } else {
            print(style.red("REJECTED") + " \(subject)" + (note == nil ? "" : " [simulated]"))
            if let note { print("  note     \(note)") }
            print("  because  \(SafeText.line(message)) [\(check): \(code)]")
        }
        if let remedy { hint(remedy.text(for: arguments)) }
        return .no
    }
}
