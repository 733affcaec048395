import DstackEncoding

/// What the evidence beside the quote says, once replayed.
package struct EvidenceFacts: Sendable {
    /// What the evidence could have shown and did not.
    var notChecked: [String] { [] }
    var textLines: [String] { [] }
    var trees: [Tree] { [] }

    func write(to object: inout JSONWriter.Object) {}
}

/// The checks of what comes with a quote: event log, compose file, VM configuration, envelope.
enum EvidenceEvaluation {
    private static let eventLogChecks: [CheckID] = [
        .eventLogFormat, .eventLogReplay, .applicationIdentity, .composeHash, .applicationID, .configurationID,
    ]

    /// For a quote that comes alone: nothing to check, unless the policy expects what only an event log can show.
    static func recordAbsence(_ policy: VerificationPolicy, in checks: inout CheckList) {
        for check in [.envelopeReportData, .envelopeRuntimeEvents] as [CheckID] {
            checks.skip(check, "no envelope given")
        }
        for check in eventLogChecks { checks.skip(check, "no event log given") }
        if policy.expected.needsEventLog {
            checks.fail(
                .expectedApplication, .missing,
                "the policy expects an application, which only an event log can show; none was given")
        } else {
            checks.skip(.expectedApplication, "no application expected")
        }
        if policy.expected.osImageHash != nil {
            checks.fail(
                .osImage, .missing,
                "the policy expects an OS image, which only a VM configuration can show; none was given")
        } else {
            checks.skip(.osImage, "no VM configuration given")
        }
    }
}
