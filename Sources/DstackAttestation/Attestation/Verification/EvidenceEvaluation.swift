import DstackCrypto
import DstackEncoding
internal import DstackMeasurement

/// The checks of what comes with a quote: envelope, event log, application, OS image.
struct EvidenceEvaluation {
    private(set) var checks = CheckList()
    private(set) var facts: EvidenceFacts?
    /// The quote's bytes; nil if there is no way to them.
    let quote: [UInt8]?
    private let evidence: Evidence
    private let attestation: Attestation?
    private let policy: VerificationPolicy

    /// Opens the evidence as far as the quote.
    init(_ evidence: Evidence, policy: VerificationPolicy) {
        self.evidence = evidence
        self.policy = policy
        if let error = evidence.configurationError {
            checks.fail(.osImage, .malformed, evidence.namedConfiguration(error))
        }
        switch evidence.form {
        case .quote(let bytes, _, _):
            quote = bytes
            attestation = nil
            checks.skip(.envelopeFormat, "no envelope given")
        case .unreadable(let error):
            quote = nil
            attestation = nil
            if error.code == .invalidEnvelope {
                checks.fail(.envelopeFormat, .malformed, evidence.named(error))
            } else {
                checks.skip(.envelopeFormat, "no envelope given")
            }
        case .envelope(let bytes):
            do throws(AttestationError) {
                let attestation = try Attestation(decoding: bytes)
                self.attestation = attestation
                quote = attestation.quote
                if attestation.tdxEvidence != nil, case .tdx = attestation.platform {
                    checks.pass(.envelopeFormat, found: .text(attestation.platform.variant))
                } else {
                    checks.fail(
                        .envelopeFormat, .unsupported,
                        "evidence of \(attestation.platform.variant) cannot be verified here; TDX and SGX can",
                        found: .text(attestation.platform.variant), expected: .literal("dstack-tdx"))
                }
            } catch {
                attestation = nil
                quote = nil
                checks.fail(.envelopeFormat, .malformed, evidence.named(error))
            }
        }
    }

    /// Evaluates everything beside the quote, against the quote's registers. Whether the quote is genuine is for others to
    /// say; the verdict needs both.
    mutating func evaluate(_ quote: Quote, pck: PCKExtension?) {
        recordStatedReportData(quote.body.reportData)
        guard let report = quote.body.tdReport else { return recordAbsence("SGX quote") }
        switch evidence.form {
        case .quote(let bytes, let log, let configuration):
            for check in [.envelopeReportData, .envelopeRuntimeEvents] as [CheckID] {
                checks.skip(check, "no envelope given")
            }
            guard let log else {
                recordAbsence("no event log given")
                if !configuration.isEmpty {
                    checks.fail(
                        .osImage, .missing, "an OS image can only be verified with the event log; none was given")
                }
                return
            }
            do throws(AttestationError) {
                let eventLog = try EvidenceFile(recognising: log).eventLog()
                evaluate(
                    try Attestation(quote: bytes, eventLog: eventLog, config: configuration), report, quote, pck)
            } catch {
                checks.fail(.eventLogFormat, .malformed, evidence.namedEventLog(error))
            }
        case .envelope, .unreadable:
            guard let attestation else { return }
            let findings = [attestation.checkReportDataPayload(), attestation.checkReportData(with: report)]
            record(findings, as: .envelopeReportData, .mismatch)
            record(
                [attestation.checkRuntimeEvents(with: report), attestation.checkSameRuntimeEvents()],
                as: .envelopeRuntimeEvents, .mismatch)
            evaluate(attestation, report, quote, pck)
        }
    }

    /// What stands beside the quote is read by people and programs as what it is for.
    private mutating func recordStatedReportData(_ reportData: FixedBytes<64>) {
        switch evidence.statedReportData {
        case .bytes(let stated)?:
            guard stated != reportData else { return }
            checks.advise(
                .expectedReportData,
                "the answer was changed, or put together from two: have a new one made, and keep it whole")
            checks.fail(
                .expectedReportData, .mismatch, "the report_data that stands beside the quote is not the quote's",
                found: .hex(reportData), expected: .hex(stated))
        case .unreadable(let reason)?:
            checks.fail(.expectedReportData, .malformed, "the report_data that stands beside the quote: \(reason)")
        case nil: break
        }
    }

    private mutating func evaluate(
        _ attestation: Attestation, _ report: TDReport, _ quote: Quote, _ pck: PCKExtension?
    ) {
        let log = attestation.checkEventLog(with: report)
        record([log.findings[0], attestation.checkEventDigests()], as: .eventLogFormat, .malformed)
        record(Array(log.findings.dropFirst()), as: .eventLogReplay, .mismatch)
        guard let replayed = log.replayed else { return }
        var facts = EvidenceFacts(replayed)
        do throws(AttestationError) {
            let identity = try ApplicationIdentity(replayed)
            checks.pass(.applicationIdentity, found: .text("app \(identity.appID)"))
            facts.identity = identity
            facts.measurements = try ApplicationMeasurements(report, replayed)
            record([attestation.checkMRConfigID(with: report, identity: identity)], as: .configurationID, .mismatch)
            recordCompose(identity)
            recordExpected(Expectation.Facts(quote.body, facts))
        } catch {
            checks.fail(.applicationIdentity, .malformed, error)
        }
        recordImage(attestation, quote, report, &facts)
        // An image that was verified has recomputed all three.
        if let gap = replayed.bootCoverage.gap, facts.osImageHash == nil {
            facts.notChecked.insert(
                "RTMR0, RTMR1 and RTMR2 (firmware configuration, kernel, command line): \(gap), and no OS image was verified "
                    + "that would recompute them", at: 0)
        }
        facts.notChecked += replayed.log.omissions.map { "the end of the event log: \($0)" }
        if let identity = facts.identity, let measurements = facts.measurements, let pck {
            facts.appInfo = AppInfo(
                identity, measurements: measurements, deviceID: DeviceID(ppid: pck.ppid.bytes),
                osImageHash: facts.osImageHash)
        }
        self.facts = facts
    }

    private mutating func record(_ findings: [EvidenceFinding], as check: CheckID, _ code: FailureCode) {
        var skipped: String?
        var hasPassed = false
        for finding in findings {
            switch finding.outcome {
            case .passed: hasPassed = true
            case .skipped(let reason): skipped = skipped ?? reason
            case .failed(let reason):
                checks.fail(
                    check, code, reason, found: finding.found.map { .text($0) } ?? .none,
                    expected: finding.expected.map { .text($0) } ?? .none)
            }
        }
        if hasPassed {
            checks.pass(check)
        } else {
            checks.skip(check, skipped ?? "nothing to check")
        }
    }

    private mutating func recordCompose(_ identity: ApplicationIdentity) {
        guard let appCompose = evidence.appCompose else {
            return checks.skip(
                .composeHash, "no compose file given, so what the application runs is known by hash only")
        }
        let hash = ComposeHash(ofFile: appCompose)
        if hash != identity.composeHash, let error = AppCompose.misnomer(appCompose) {
            return checks.fail(.composeHash, .mismatch, error)
        }
        checks.require(
            .composeHash, hash == identity.composeHash, .mismatch,
            Self.composeMismatch(appCompose, measured: identity.composeHash),
            found: .hex(identity.composeHash.bytes), expected: .hex(hash.bytes))
    }

    /// Says whether the files differ in their form alone. That is no less of a difference: guests run the bytes that they
    /// were given, and only who has those very bytes knows what they say.
    private static func composeMismatch(_ given: [UInt8], measured: ComposeHash) -> String {
        let reason = "the measured compose file is not the given one"
        guard let form = ComposeForm(of: given, reaching: measured) else { return reason }
        return "\(reason), but differs from it in form alone: it is the given file \(form)"
    }

    private mutating func recordExpected(_ facts: Expectation.Facts) {
        if checks.record(.expectedApplication, policy.expected, facts).isEmpty {
            checks.skip(.expectedApplication, "no application expected")
        }
    }

    /// The OS image, where a VM configuration comes along. Its legacy form can only be recomputed from the image's files,
    /// which a verifier of evidence does not have: then the image is not verified, and whether that may pass is the
    /// policy's decision.
    private mutating func recordImage(
        _ attestation: Attestation, _ quote: Quote, _ report: TDReport, _ facts: inout EvidenceFacts
    ) {
        let text: String
        do throws(AttestationError) {
            text = try attestation.configuration().vmConfig
        } catch {
            return checks.fail(.osImage, .malformed, error.description)
        }
        guard !text.isEmpty else { return recordImageAbsence("no VM configuration given") }
        let configuration: VMConfiguration
        do throws(DecodingFailure) {
            configuration = try VMConfiguration(decoding: Array(text.utf8))
        } catch {
            return checks.fail(.osImage, .malformed, error.description)
        }
        if configuration.attestationVariant == .legacy, policy.osImage == .optional, policy.expected.osImageHash == nil
        {
            return checks.skip(
                .osImage,
                "not verified: this form needs recomputation from the image's files, and the \(policy.shownName) policy does "
                    + "not ask for it")
        }
        let result = LiteImageVerifier.verify(
            configuration, eventLog: facts.replayed.log, quoted: ImageRegisters(report))
        guard result.isVerified, let hash = result.osImageHash else {
            let finding = result.findings.first { if case .failed = $0.outcome { true } else { false } }
            return checks.fail(
                .osImage, configuration.attestationVariant == .legacy ? .unsupported : .mismatch,
                result.failureReason ?? "the OS image was not verified",
                found: finding?.found.map { .text($0) } ?? .none,
                expected: finding?.expected.map { .text($0) } ?? .none)
        }
        facts.osImageHash = hash
        facts.areACPITablesVerified = result.areACPITablesVerified
        facts.notChecked += result.notVerified
        _ = checks.record(.osImage, policy.expected, Expectation.Facts(quote.body, facts))
        checks.pass(.osImage, found: .hex(hash))
    }

    /// For evidence that names no image. Whoever presents evidence can leave the configuration out, so that an image which
    /// must be there and is not is as bad as one that does not verify.
    private mutating func recordImageAbsence(_ reason: String) {
        if policy.expected.osImageHash != nil {
            checks.fail(.osImage, .missing, "the policy expects an OS image: \(reason)")
        } else if policy.osImage == .required {
            checks.fail(
                .osImage, .missing, "the policy requires a verified OS image (require_os_image): \(reason)",
                expected: .literal("event log and VM configuration; or a policy that does not require an image"))
        } else {
            checks.skip(.osImage, reason)
        }
    }

    /// For a quote that comes alone: nothing to check, unless something is expected that only an event log can show.
    private mutating func recordAbsence(_ reason: String) {
        for check in [
            .envelopeReportData, .envelopeRuntimeEvents, .eventLogFormat, .eventLogReplay, .applicationIdentity,
            .configurationID,
        ] as [CheckID] { checks.skip(check, reason) }
        if evidence.appCompose != nil {
            checks.fail(.composeHash, .missing, "a compose file can only be compared with an event log: \(reason)")
        } else {
            checks.skip(.composeHash, reason)
        }
        if policy.expected.needsEventLog {
            checks.fail(
                .expectedApplication, .missing,
                "the policy expects an application, which only an event log can show: \(reason)")
        } else {
            checks.skip(.expectedApplication, "no application expected")
        }
        recordImageAbsence(reason)
    }
}
