import DstackEncoding

extension VerificationReport {
    /// The report for a person: the verdict and why, the chain of trust from hardware to application, what failed, what was
    /// not checked.
    public func text(style: ReportStyle = ReportStyle()) -> String {
        var page = ReportPage(style)
        page.verdict(answer)
        writeReasons(to: &page)
        guard !style.isBrief else { return page.text }
        if quote != nil { page.chain(chain) }
        page.checks(checks)
        page.items("Not checked", notChecked)
        guard style.isDrawn else { return page.text }
        page.line("")
        page.verdict(answer)
        return page.text
    }

    private var answer: ReportPage.Answer {
        let kind = quote?.encodedDescription ?? "evidence"
        let status = self.status.map { ", \($0.rawValue)" } ?? ""
        return ReportPage.Answer(
            word: verdict == .accepted ? "ACCEPTED" : "REJECTED", tone: verdict == .accepted ? .good : .bad,
            subject: kind + status, isSimulated: isSimulated)
    }

    private func writeReasons(to page: inout ReportPage) {
        if let note = simulationNote { page.paragraph("note", note) }
        for note in notes + replacedDocuments.map(\.description) { page.paragraph("note", note) }
        page.reason(reason, outdated: tcbShortfalls)
        page.paragraph("policy", policy.shownName)
        if let binding { page.paragraph("binding", "\(binding.rawValue): \(binding.meaning)") }
        page.paragraph("time", RFC3339.format(time))
        if let validUntil { page.paragraph("holds to", "\(RFC3339.format(validUntil)) with this collateral") }
    }

    /// What a report says first about a simulated TEE: under another root than its own, that alone explains every failure.
    package var simulationNote: String? { Self.simulationNote(isSimulated, trustAnchor) }

    static func simulationNote(_ isSimulated: Bool, _ trustAnchor: TrustAnchor) -> String? {
        guard isSimulated else { return nil }
        return trustAnchor.isSimulated
            ? "this TEE is simulated: its root was made by software, and nothing about hardware is proven"
            : "this TEE is simulated, as its platform's certificate says: only its own root vouches for it, and "
                + "\(trustAnchor.isIntel ? "Intel's" : "the one that was given") does not"
    }
}
