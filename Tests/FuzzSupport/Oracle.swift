import DstackAttestation
import DstackCrypto
import DstackEncoding

/// What became of a case, and whether that is right.
package enum Judgement: Sendable {
    /// Rejected, as everything is that should be; by which check.
    case rejected(check: String)
    /// Accepted although changed: nothing that matters has.
    case neutral
    /// Accepted or judged as its maker expected.
    case expected
    /// Wrong: the reason.
    case wrong(String)
}

/// Judges cases: runs each through all paths of the verifier, and compares what comes out with what may.
package struct Oracle: Sendable {
    private let corpus: Corpus
    private let provenance: Provenance
    /// One for each seed, used by all cases with its collateral: whatever they leave behind in it must not show.
    private let prepared: [PreparedCollateral]
    private let answers: [Answer]
    let evidenceAnswers: [EvidenceAnswer]

    /// - Throws: if a seed is not accepted as it is, without which nothing can be learned from its mutations.
    package init(_ corpus: Corpus) throws(FuzzFailure) {
        self.corpus = corpus
        provenance = Provenance(corpus)
        var answers: [Answer] = []
        for seed in corpus.seeds {
            let report = try Self.plainReport(seed.exhibit, anchor: seed.anchor)
            guard report.verdict == .accepted else {
                throw FuzzFailure("seed \(seed.name): \(report.failure.map { "\($0)" } ?? "rejected")")
            }
            answers.append(Answer(report))
        }
        self.answers = answers
        prepared = corpus.seeds.map { QuoteVerifier(trustAnchor: $0.anchor).prepare($0.exhibit.collateral) }
        var evidenceAnswers: [EvidenceAnswer] = []
        for seed in corpus.texts.evidence {
            let report = QuoteVerifier(trustAnchor: seed.anchor).verify(
                seed.subject.evidence, collateral: seed.collateral, policy: .authentic, at: seed.time)
            guard report.verdict == .accepted, let answer = EvidenceAnswer(report) else {
                throw FuzzFailure("evidence \(seed.name): \(report.failure.map { "\($0)" } ?? "no identity")")
            }
            evidenceAnswers.append(answer)
        }
        self.evidenceAnswers = evidenceAnswers
    }

    /// Everything in an accepted report that a relying party may rely on.
    struct Answer: Equatable, Sendable {
        let status: TCBStatus?
        let advisoryIDs: [String]
        let qeStatus: TCBStatus?
        let platformStatus: TCBStatus?
        let platform: PCKExtension?
        let body: QuoteBody?
        let validUntil: Int64?
        /// Chosen levels, evaluation numbers, dates, versions: the report's `claims`, as JSON.
        let claims: [UInt8]

        init(_ report: VerificationReport) {
            status = report.status
            advisoryIDs = report.advisoryIDs
            qeStatus = report.qeStatus
            platformStatus = report.platformStatus
            platform = report.platform
            body = report.verifiedQuote?.body
            validUntil = report.validUntil
            let document = try? JSONDocument(parsing: report.json(), subject: "report")
            claims = document?.root["claims"]?.rawBytes ?? []
        }
    }

    /// A verification that has no tables, no cache and no other memory.
    static func plainReport(_ exhibit: Exhibit, anchor: TrustAnchor) throws(FuzzFailure) -> VerificationReport {
        QuoteVerifier(trustAnchor: anchor, tables: P256KeyTables()).verify(
            exhibit.quote, collateral: exhibit.collateral, policy: .authentic, at: exhibit.time)
    }

    // MARK: Judging

    /// Judges a case.
    package func judge(_ fuzzCase: FuzzCase) -> Judgement {
        switch fuzzCase.subject {
        case .exhibit(let exhibit): judge(fuzzCase, exhibit)
        case .evidence(let subject): judge(fuzzCase, subject, corpus.texts.evidence[fuzzCase.seed])
        case .bytes(let bytes):
            FormatOracle.judge(fuzzCase.kind, bytes, corpus.texts.texts(fuzzCase.kind)[fuzzCase.seed])
        }
    }

    private func judge(_ fuzzCase: FuzzCase, _ exhibit: Exhibit) -> Judgement {
        let seed = corpus.seeds[fuzzCase.seed]
        var exhibit = exhibit
        let isExpectedToPass =
            switch fuzzCase.expectation {
            case .sameAnswer, .judged: true
            case .untrusted, .rejected, .issued: false
            }
        if let text = exhibit.collateralJSON {
            do throws(AttestationError) {
                exhibit.collateral = try QuoteCollateral(parsingJSON: text)
            } catch {
                return isExpectedToPass ? .wrong("collateral refused: \(error)") : .rejected(check: "collateral")
            }
            // What was read is what is written again.
            guard let again = try? QuoteCollateral(parsingJSON: exhibit.collateral.json),
                again == exhibit.collateral
            else { return .wrong("collateral written again differs") }
        }
        let anchor: TrustAnchor
        if exhibit.root == seed.exhibit.root {
            anchor = seed.anchor
        } else {
            do throws(AttestationError) {
                anchor = try TrustAnchor(certificate: exhibit.root)
            } catch {
                return isExpectedToPass ? .wrong("root refused: \(error)") : .rejected(check: "root")
            }
        }
        if let parsed = try? Quote(parsing: exhibit.quote), parsed.encoded != exhibit.quote {
            return .wrong("the quote encoded again differs")
        }
        let report: VerificationReport
        do throws(FuzzFailure) {
            report = try Self.plainReport(exhibit, anchor: anchor)
        } catch {
            return .wrong("\(error)")
        }
        if let difference = difference(between: report, and: exhibit, anchor, fuzzCase) { return .wrong(difference) }
        if let reason = inconsistency(of: report) { return .wrong(reason) }
        return judge(report, exhibit, fuzzCase, seed)
    }

    /// Whether an accepted or rejected report is what may be.
    private func judge(
        _ report: VerificationReport, _ exhibit: Exhibit, _ fuzzCase: FuzzCase, _ seed: Seed
    ) -> Judgement {
        let failure = report.failure.map { "\($0.check.name) \($0.code.rawValue)" } ?? ""
        switch (fuzzCase.expectation, report.verdict) {
        case (.sameAnswer, .rejected): return .wrong("rejected although nothing that matters changed: \(failure)")
        case (.judged, .rejected): return .wrong("rejected although it should be accepted: \(failure)")
        case (.rejected, .accepted): return .wrong("accepted as \(report.status?.rawValue ?? "?")")
        case (_, .rejected): return .rejected(check: failure)
        case (.issued, .accepted): return .expected
        case (.judged(let status, let advisoryIDs), .accepted):
            guard report.status == status, report.advisoryIDs == advisoryIDs else {
                return .wrong(
                    "status \(report.status?.rawValue ?? "none") \(report.advisoryIDs), expected \(status.rawValue) "
                        + "\(advisoryIDs)")
            }
            return .expected
        case (.sameAnswer, .accepted):
            // Only documents are signed again for these; what they say is what they said.
            return Answer(report) == answers[fuzzCase.seed]
                ? .expected : .wrong("accepted with another answer than the original")
        case (.untrusted, .accepted):
            switch provenance.genuineTwin(of: exhibit, exhibit.collateral) {
            case .failure(let reason): return .wrong("accepted: \(reason)")
            case .success(let twin):
                guard let genuine = try? Self.plainReport(twin, anchor: seed.anchor) else { return .wrong("no twin") }
                guard genuine.verdict == .accepted else {
                    return .wrong("accepted, but what it is made from is not: \(genuine.failure?.check.name ?? "")")
                }
                return Answer(genuine) == Answer(report) ? .neutral : .wrong("accepted with another answer")
            }
        }
    }

    /// All ways to the answer must lead to the same report, byte for byte.
    private func difference(
        between plain: VerificationReport, and exhibit: Exhibit, _ anchor: TrustAnchor, _ fuzzCase: FuzzCase
    ) -> String? {
        let expected = plain.json()
        let verifier = QuoteVerifier(trustAnchor: anchor)
        func verify(_ name: String, _ report: VerificationReport) -> String? {
            report.json() == expected
                ? nil
                : "\(name) says \(report.failure.map { "\($0)" } ?? "accepted"), plain evaluation says "
                    + (plain.failure.map { "\($0)" } ?? "accepted")
        }
        func cold() -> VerificationReport {
            verifier.verify(exhibit.quote, collateral: exhibit.collateral, policy: .authentic, at: exhibit.time)
        }
        let fresh = verifier.prepare(exhibit.collateral)
        func warm(_ collateral: PreparedCollateral) -> VerificationReport {
            collateral.verify(exhibit.quote, policy: .authentic, at: exhibit.time)
        }
        if let difference = verify("cold verification", cold()) { return difference }
        if let difference = verify("prepared collateral", warm(fresh)) { return difference }
        if let difference = verify("prepared collateral, second time", warm(fresh)) { return difference }
        let seed = corpus.seeds[fuzzCase.seed]
        if exhibit.collateral == seed.exhibit.collateral, exhibit.root == seed.exhibit.root,
            let difference = verify("long-lived prepared collateral", warm(prepared[fuzzCase.seed]))
        {
            return difference
        }
        return nil
    }

    /// What every report must fulfil by itself.
    private func inconsistency(of report: VerificationReport) -> String? {
        let isAccepted = report.verdict == .accepted
        guard isAccepted == (report.failure == nil), isAccepted == (report.verifiedQuote != nil) else {
            return "verdict, failure and proof disagree"
        }
        guard isAccepted == (report.validUntil != nil) else { return "valid_until belongs to accepted quotes" }
        if let validUntil = report.validUntil, validUntil < report.time { return "accepted after valid_until" }
        if isAccepted, report.status == nil || report.status == .revoked { return "accepted without a good status" }
        for check in report.checks where isAccepted {
            switch check.outcome {
            case .passed, .notApplicable: continue
            case .failed, .notReached: return "accepted although \(check.id.name) did not pass"
            }
        }
        guard (try? JSONDocument(parsing: report.json(), subject: "report")) != nil else {
            return "the report is not JSON"
        }
        return nil
    }
}
