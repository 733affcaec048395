package import DstackAttestation
package import DstackCommandLine
package import DstackEncoding
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
        show(
            report.verdict == .accepted, report.remedy, arguments, json: { report.json() },
            text: { report.text(style: $0) })
    }

    /// The same for the report about a service.
    package func show(_ report: EndpointReport, _ arguments: Arguments) -> ExitStatus {
        show(
            report.verdict == .accepted, report.remedy, arguments, json: { report.json() },
            text: { report.text(style: $0) })
    }

    private func show(
        _ isAccepted: Bool, _ remedy: Remedy?, _ arguments: Arguments, json: () -> [UInt8],
        text: (ReportStyle) -> String
    ) -> ExitStatus {
        if arguments[Flag.json] {
            print(String(decoding: json(), as: UTF8.self))
        } else {
            let style = ReportStyle(self, listsChecks: arguments[JudgementOptions.checks])
            print(String(text(style).dropLast()))
        }
        if let remedy { hint(remedy.text(for: arguments)) }
        return isAccepted ? .yes : .no
    }

    /// A no to what never came to a verification; in JSON the members of a report that a program looks at first.
    package func refuse(
        _ subject: String, _ reason: Reason, simulated note: String? = nil, remedy: Remedy?, _ arguments: Arguments
    ) -> ExitStatus {
        if arguments[Flag.json] {
            var writer = JSONWriter()
            writer.object { object in
                object.answer(VerificationReport.Verdict.rejected.rawValue, reason)
                object.null("status")
                object.member("advisory_ids", [])
                object.member("simulated", note != nil)
            }
            print(writer.text)
        } else {
            print(style.red("REJECTED") + " \(subject)" + (note == nil ? "" : " [simulated]"))
            if let note { print("  note     \(note)") }
            print("  because  \(SafeText.line(reason.line))")
        }
        if let remedy { hint(remedy.text(for: arguments)) }
        return .no
    }
}
