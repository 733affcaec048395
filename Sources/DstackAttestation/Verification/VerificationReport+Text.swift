import DstackCrypto
import DstackEncoding
import DstackSystem

extension VerificationReport {
    /// How a text report looks.
    public struct TextStyle: Hashable, Sendable {
        /// Whether to colour verdicts with ANSI escapes.
        public var isColored: Bool
        /// Whether to list every check, not only those that failed.
        public var listsChecks: Bool
        /// Whether long hashes are cut to their first 16 digits in the chain of trust; for terminals.
        public var shortensHashes: Bool

        /// A style; plain and short unless said otherwise.
        public init(isColored: Bool = false, listsChecks: Bool = false, shortensHashes: Bool = false) {
            self.isColored = isColored
            self.listsChecks = listsChecks
            self.shortensHashes = shortensHashes
        }
    }

    /// The report for a person: the verdict and why, what was proven as a tree of who signed whom, what was not checked.
    public func text(style: TextStyle = TextStyle()) -> String {
        var page = TextPage(style)
        writeVerdict(to: &page)
        if let quote {
            page.blank()
            page.line(page.bold("Chain of trust"))
            for line in chainOfTrust(quote).lines() {
                page.line("  " + (style.shortensHashes ? line.withShortHashes : line))
            }
        }
        let shown = style.listsChecks ? checks : checks.filter { if case .failed = $0.outcome { true } else { false } }
        if !shown.isEmpty {
            page.blank()
            page.line(page.bold(style.listsChecks ? "Checks" : "Failed checks"))
            for check in shown { writeCheck(check, to: &page) }
        }
        page.blank()
        page.line(page.bold("Not checked"))
        for item in notChecked { page.line("  - \(item)") }
        return page.text
    }

    private func writeVerdict(to page: inout TextPage) {
        let kind = quote?.encodedDescription ?? "evidence"
        let status = self.status.map { ", \($0.rawValue)" } ?? ""
        let simulated = trustAnchor.isSimulated ? " [simulated]" : ""
        switch verdict {
        case .accepted: page.line(page.good("ACCEPTED") + " \(kind)\(status)\(simulated)")
        case .rejected: page.line(page.bad("REJECTED") + " \(kind)\(status)\(simulated)")
        }
        if let failure {
            page.line("  because \(SafeText.line(failure.message)) [\(failure.check.name): \(failure.code.rawValue)]")
            if !failure.found.isEmpty { page.line("  found    \(SafeText.line(failure.found))") }
            if !failure.expected.isEmpty { page.line("  expected \(SafeText.line(failure.expected))") }
        }
        if trustAnchor.isSimulated {
            page.line("  This TEE is simulated: its root was made by software, and nothing about hardware is proven.")
        }
        page.line("  policy     \(policy.name)")
        if let binding { page.line("  binding    \(binding.rawValue): \(binding.meaning)") }
        page.line("  time       \(RFC3339.format(time))")
        if let validUntil { page.line("  holds to   \(RFC3339.format(validUntil)) with this collateral") }
        if !advisoryIDs.isEmpty { page.line("  advisories \(SafeText.line(advisoryIDs.joined(separator: ", ")))") }
    }

    private func writeCheck(_ check: VerificationCheck, to page: inout TextPage) {
        let number = check.id.intelNumber.map { " (\($0))" } ?? ""
        switch check.outcome {
        case .passed: page.line("  \(page.good("ok  ")) \(check.id.name)\(number): \(check.id.title)")
        case .failed(let code):
            page.line(
                "  \(page.bad("FAIL")) \(check.id.name)\(number): \(SafeText.line(check.message)) [\(code.rawValue)]")
        case .notApplicable(let reason): page.line("  n/a  \(check.id.name)\(number): \(reason)")
        case .notReached: page.line("  --   \(check.id.name)\(number): not reached")
        }
    }

    // MARK: Chain of trust

    private func mark(_ checks: CheckID...) -> String {
        let outcomes = self.checks.filter { checks.contains($0.id) }.map(\.outcome)
        if outcomes.contains(where: { if case .failed = $0 { true } else { false } }) { return " ✗" }
        if outcomes.contains(.notReached) { return " ?" }
        return " ✓"
    }

    private func chainOfTrust(_ quote: Quote) -> Tree {
        var root = Tree(
            "\(trustAnchor.name), key sha256 \(trustAnchor.publicKeyDigest.hex)" + mark(.trustAnchor, .rootRevocation))
        root.children.append(platformTree(quote))
        let signer = (try? facts.collateral.decoded.tcbInfoChain.get())?.first?.subjectCommonName ?? "TCB signer"
        var signing = Tree(
            signer + mark(.tcbInfoSigner, .tcbInfoSignerValidity, .tcbInfoSignerRevocation, .qeIdentitySigner))
        if let tcbInfo = facts.collateral.tcbInfo {
            signing.children.append(
                Tree(
                    "TCB info for \(Hex.encodeUppercase(tcbInfo.fmspc.bytes)), evaluation \(tcbInfo.evaluationDataNumber), "
                        + "until \(RFC3339.format(tcbInfo.nextUpdate))"
                        + mark(.tcbInfoSignature, .tcbInfoIssueDate, .tcbInfoNextUpdate)))
        }
        if let identity = facts.collateral.qeIdentity {
            signing.children.append(
                Tree(
                    "\(identity.id) identity, evaluation \(identity.evaluationDataNumber), "
                        + "until \(RFC3339.format(identity.nextUpdate))"
                        + mark(.qeIdentitySignature, .qeIdentityIssueDate, .qeIdentityNextUpdate)))
        }
        root.children.append(signing)
        return root
    }

    private func platformTree(_ quote: Quote) -> Tree {
        let evaluation = facts.platform
        var authority = Tree(
            (evaluation?.authority?.subjectCommonName ?? "PCK CA") + mark(.pckChain, .pckCARevocation))
        let platform = evaluation?.pck.map {
            ", FMSPC \(Hex.encodeUppercase($0.fmspc.bytes)), PPID \($0.ppid.hex)"
        }
        var pck = Tree(
            (evaluation?.leaf?.subjectCommonName ?? "PCK certificate") + (platform ?? "")
                + mark(.pckChain, .pckChainValidity, .pckRevocation, .pckExtension))
        let qe = quote.signature.qeReport
        let qeStatus = facts.qeLevel.map { ", \($0.status.rawValue)" } ?? ""
        var enclave = Tree(
            "quoting enclave, ISVSVN \(qe.isvSvn)\(qeStatus)"
                + mark(.qeReportSignature, .qeSigner, .qeProduct, .qeDebug, .qeAttributes, .qeMiscSelect, .qeTCBLevel))
        var key = Tree("attestation key" + mark(.attestationKeyBinding))
        var body = Tree(quote.encodedDescription + mark(.quoteSignature))
        body.children = measurementTrees(quote.body)
        key.children = [body]
        enclave.children = [key]
        pck.children = [enclave]
        authority.children = [pck]
        return authority
    }

    private func measurementTrees(_ body: QuoteBody) -> [Tree] {
        var result: [Tree] = []
        func add(_ name: String, _ value: String, _ meaning: String) {
            result.append(Tree("\(name.padded(to: 12)) \(value)  \(meaning)"))
        }
        if let report = body.tdReport {
            add("mr_td", report.mrTd.hex, "virtual firmware")
            add("rt_mr0", report.rtMr0.hex, "firmware configuration, ACPI")
            add("rt_mr1", report.rtMr1.hex, "kernel")
            add("rt_mr2", report.rtMr2.hex, "command line, initial RAM disk")
            add("rt_mr3", report.rtMr3.hex, "application events")
            if !report.mrConfigId.isZero { add("mr_config_id", report.mrConfigId.hex, "launch configuration") }
        }
        if let report = body.enclaveReport {
            add("mr_enclave", report.mrEnclave.hex, "code")
            add("mr_signer", report.mrSigner.hex, "who signed the code")
            add("isv", "product \(report.isvProdId), version \(report.isvSvn)", "")
        }
        add("report_data", body.reportData.hex, "what the code had signed")
        if let evidence { result += evidence.trees }
        return result
    }
}

/// A tree drawn with lines.
struct Tree: Sendable {
    let label: String
    var children: [Tree] = []

    /// Names and values come from certificates and logs that anybody may have made, so they are escaped.
    init(_ label: String) { self.label = SafeText.line(label) }

    func lines() -> [String] {
        var result = [label]
        for (index, child) in children.enumerated() {
            let isLast = index == children.count - 1
            let inner = child.lines()
            result.append((isLast ? "└─ " : "├─ ") + inner[0])
            for line in inner.dropFirst() { result.append((isLast ? "   " : "│  ") + line) }
        }
        return result
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

/// Lines with optional colour.
private struct TextPage {
    private let style: VerificationReport.TextStyle
    private(set) var text = ""

    init(_ style: VerificationReport.TextStyle) { self.style = style }

    mutating func line(_ line: String) { text += line + "\n" }
    mutating func blank() { text += "\n" }
    func bold(_ text: String) -> String { escape("1", text) }
    func good(_ text: String) -> String { escape("1;32", text) }
    func bad(_ text: String) -> String { escape("1;31", text) }

    private func escape(_ code: String, _ text: String) -> String {
        style.isColored ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
