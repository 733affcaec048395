internal import DstackEncoding

// Whether the parts of an attestation belong together. All of it compares an attestation with the report of its quote;
// whether the quote is genuine is for QuoteVerifier to say.

extension Attestation {
    /// Step 1: report data of a pod is `app-data` over its payload.
    public func checkReportDataPayload() -> EvidenceFinding {
        guard let reportDataPayload else {
            return EvidenceFinding(.reportDataPayload, .skipped("the attestation has no report_data_payload"))
        }
        return EvidenceFinding(
            .reportDataPayload, expected: ReportData(tag: .appData, content: reportDataPayload.utf8).hex,
            found: reportData.hex, otherwise: "report_data does not match report_data_payload")
    }

    /// Step 4: the runtime events beside the platform's evidence replay to RTMR3.
    public func checkRuntimeEvents(with report: TDReport) -> EvidenceFinding {
        let replayed = Hex.encode(RegisterBank.sha384.replay(runtimeEvents))
        return EvidenceFinding(
            .runtimeEvents, expected: report.rtMr3.hex, found: replayed,
            otherwise: "RTMR3 mismatch, quoted: \(report.rtMr3), replayed: \(replayed)")
    }

    /// Step 5: the quote was made for this report data.
    public func checkReportData(with report: TDReport) -> EvidenceFinding {
        EvidenceFinding(
            .reportData, expected: reportData.hex, found: report.reportData.hex,
            otherwise: "tdx report_data mismatch")
    }

    /// Step 6, and for events of version 1 too: where the log has a runtime event's preimage or digest, it is that of name
    /// and payload. Blank ones are left to replay, so that stripped logs pass.
    public func checkEventDigests() -> EvidenceFinding {
        guard let eventLog else { return skippedForPlatform(.eventDigests) }
        for (index, logged) in eventLog.events.enumerated() {
            guard let event = logged.runtimeEvent else { continue }
            if let preimage = logged.preimage, preimage != event.preimage {
                return EvidenceFinding(
                    .eventDigests, .failed("event \(index) (\(event.name)) has the preimage of another event"),
                    expected: Hex.encode(event.preimage), found: Hex.encode(preimage))
            }
            if let digest = logged.digest, digest != event.digest {
                return EvidenceFinding(
                    .eventDigests, .failed("event \(index) (\(event.name)) has the digest of another event"),
                    expected: event.digest.hex, found: digest.hex)
            }
        }
        return EvidenceFinding(.eventDigests, .passed)
    }

    /// The runtime events in the log are those beside it, in the same order. Readers look at either.
    public func checkSameRuntimeEvents() -> EvidenceFinding {
        guard let eventLog else { return skippedForPlatform(.sameRuntimeEvents) }
        let logged = eventLog.events.filter { $0.register == .rtmr3 }.map(\.runtimeEvent)
        for index in 0..<max(logged.count, runtimeEvents.count) {
            let inLog = index < logged.count ? logged[index] : nil
            let beside = index < runtimeEvents.count ? runtimeEvents[index] : nil
            guard inLog == beside, inLog != nil else {
                return EvidenceFinding(
                    .sameRuntimeEvents,
                    .failed("runtime event \(index) is not the same in event_log and runtime_events"),
                    expected: beside?.name ?? "no event", found: inLog?.name ?? "no runtime event")
            }
        }
        return EvidenceFinding(.sameRuntimeEvents, .passed)
    }

    /// The log replays, and leads to the quote's registers. A log that leaves the boot out, or has of it the three ACPI events
    /// only, says nothing of RTMR0 to RTMR2; these are then for image verification alone (``BootCoverage`` says why that is
    /// safe).
    public func checkEventLog(with report: TDReport) -> (findings: [EvidenceFinding], replayed: ReplayedEventLog?) {
        let registers: [EvidenceFinding.Check] = [.rtmr0, .rtmr1, .rtmr2, .rtmr3]
        guard let eventLog else {
            return (([.eventLog] + registers).map { skippedForPlatform($0) }, nil)
        }
        let replayed: ReplayedEventLog
        do {
            replayed = try eventLog.replay()
        } catch {
            let failure = EvidenceFinding(.eventLog, .failed("\(error)"))
            return ([failure] + registers.map { EvidenceFinding($0, .skipped("the log does not replay")) }, nil)
        }
        let comparisons = zip(registers, replayed.compare(with: report.rtmrs)).map { check, comparison in
            if !comparison.isTold {
                return EvidenceFinding(check, .skipped(replayed.bootCoverage.gap ?? "the log does not tell"))
            }
            let (quoted, found) = (comparison.quoted.hex, comparison.replayed.hex)
            let omitted = eventLog.omissions.map { "; \($0)" }.joined()
            return EvidenceFinding(
                check, expected: quoted, found: found,
                otherwise: "\(comparison.register) mismatch, quoted: \(quoted), replayed: \(found)\(omitted)")
        }
        return ([EvidenceFinding(.eventLog, .passed)] + comparisons, replayed)
    }

    /// The identity can be read from the runtime events.
    public func checkIdentity(
        at moment: MeasurementMoment = .runtime
    ) -> (finding: EvidenceFinding, identity: ApplicationIdentity?) {
        do {
            let replayed = try EventLog(runtimeEvents: runtimeEvents).replay()
            return (EvidenceFinding(.identity, .passed), try ApplicationIdentity(replayed, at: moment))
        } catch {
            return (EvidenceFinding(.identity, .failed("\(error)")), nil)
        }
    }

    /// The instance is what its host pinned when it created the trust domain.
    public func checkMRConfigID(with report: TDReport, identity: ApplicationIdentity?) -> EvidenceFinding {
        do {
            let pinned = try MRConfigID(report.mrConfigId)
            guard pinned != .unset else {
                return EvidenceFinding(.mrConfigID, .skipped("the host pinned nothing (mr_config_id is zero)"))
            }
            guard let identity else { return EvidenceFinding(.mrConfigID, .skipped("the identity cannot be read")) }
            // Only version 3 has a document; a configuration that cannot be read is no reason to refuse the others.
            var document: String?
            if case .document = pinned { document = try configuration().mrConfig }
            try pinned.check(identity, document: document)
            return EvidenceFinding(.mrConfigID, .passed, found: report.mrConfigId.hex)
        } catch {
            return EvidenceFinding(.mrConfigID, .failed("\(error)"), found: report.mrConfigId.hex)
        }
    }

    /// All of these checks in the order of ``EvidenceFinding/Check``, and what they brought to light.
    public func consistency(
        with report: TDReport, at moment: MeasurementMoment = .runtime
    ) -> EvidenceConsistency {
        let log = checkEventLog(with: report)
        let identity = checkIdentity(at: moment)
        let findings =
            [
                checkReportDataPayload(), EvidenceFinding(.reportDataLength, .passed),
                checkRuntimeEvents(with: report), checkReportData(with: report), checkEventDigests(),
                log.findings[0], checkSameRuntimeEvents(),
            ] + log.findings[1...] + [
                identity.finding, checkMRConfigID(with: report, identity: identity.identity),
            ]
        return EvidenceConsistency(findings: findings, replayedLog: log.replayed, identity: identity.identity)
    }

    private func skippedForPlatform(_ check: EvidenceFinding.Check) -> EvidenceFinding {
        EvidenceFinding(check, .skipped("evidence of \(platform.variant) has no event log"))
    }
}

/// Whether the parts of an attestation belong together, and what they say if they do.
public struct EvidenceConsistency: Sendable {
    /// Every check, in order.
    public let findings: [EvidenceFinding]
    /// The replayed event log, if it replays.
    public let replayedLog: ReplayedEventLog?
    /// Who the application is, if its events say so. To be believed only if nothing failed and the quote is verified.
    public let identity: ApplicationIdentity?

    /// The checks that failed.
    public var failures: [EvidenceFinding] { findings.filter(\.isFailure) }
}
