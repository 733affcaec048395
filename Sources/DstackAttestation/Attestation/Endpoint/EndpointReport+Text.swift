import DstackEncoding

extension EndpointReport {
    /// The report for a person: the answer and why, the chain of trust from hardware to connection, what was not checked.
    public func text(style: ReportStyle = ReportStyle()) -> String {
        var page = ReportPage(style)
        page.verdict(answer)
        writeReasons(to: &page)
        guard !style.isBrief else { return page.text }
        page.chain(chain)
        if style.listsChecks { page.checks(evidence?.checks ?? []) }
        page.items("Not checked", notChecked)
        guard style.isDrawn else { return page.text }
        page.line("")
        page.verdict(answer)
        return page.text
    }

    private var answer: ReportPage.Answer {
        let (word, tone, subject): (String, ReportPage.Tone, String) =
            switch verdict {
            case .accepted: ("YES", .good, "\(address.url) is the application that you expect")
            case .rejected: ("NO", .bad, address.url)
            case .undecided: ("UNDECIDED", .warning, "\(address.url) is genuine, but which code is it?")
            }
        return ReportPage.Answer(word: word, tone: tone, subject: subject, isSimulated: isSimulated)
    }

    private func writeReasons(to page: inout ReportPage) {
        if let note = VerificationReport.simulationNote(isSimulated, trustAnchor) { page.paragraph("note", note) }
        if let evidence {
            for note in evidence.notes + evidence.replacedDocuments.map(\.description) { page.paragraph("note", note) }
        }
        page.reason(reason, outdated: evidence?.tcbShortfalls ?? [])
        for condition in conditions { page.paragraph("if", condition) }
        if let evidence { page.paragraph("policy", evidence.policy.shownName) }
        // The chain says it otherwise, at its last link.
        if page.style.isBrief, let binding {
            page.paragraph("binding", "\(binding.rawValue): \(sessionAbsence ?? binding.meaning)")
        }
        page.paragraph("time", RFC3339.format(time))
        if verdict == .accepted, let until = evidence?.validUntil {
            page.paragraph(
                "holds to",
                "\(RFC3339.format(min(until, certificate?.notAfter ?? until))) as far as collateral and certificate go")
        }
    }
}
