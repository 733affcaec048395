/// One named check of whether the parts of an attestation belong together, with its outcome.
public struct EvidenceFinding: Sendable, Hashable {
    /// What is checked, in the order in which it is reported. Numbered steps are those of upstream's verifier; what has
    /// none is checked here in addition.
    public enum Check: String, Sendable, CaseIterable {
        /// Step 1: the report data is the tagged hash of a pod's payload.
        case reportDataPayload = "report_data_payload"
        /// Step 2: the report data has 64 bytes. Decoding leaves no other.
        case reportDataLength = "report_data_length"
        /// Step 4: the runtime events replay to the quote's RTMR3.
        case runtimeEvents = "runtime_events_rtmr3"
        /// Step 5: the quote has the attestation's report data.
        case reportData = "report_data"
        /// Step 6: preimages and digests of logged runtime events are those of their names and payloads.
        case eventDigests = "event_digests"
        /// The event log has runtime events in RTMR3 and nowhere else, nothing else in RTMR3, and a digest for every boot
        /// event.
        case eventLog = "event_log"
        /// The runtime events in the log and those beside it are the same.
        case sameRuntimeEvents = "event_log_runtime_events"
        /// The log replays to the quote's RTMR0.
        case rtmr0 = "event_log_rtmr0"
        /// The log replays to the quote's RTMR1.
        case rtmr1 = "event_log_rtmr1"
        /// The log replays to the quote's RTMR2.
        case rtmr2 = "event_log_rtmr2"
        /// The log replays to the quote's RTMR3.
        case rtmr3 = "event_log_rtmr3"
        /// The identity's events are there, with values of the right lengths and forms.
        case identity = "application_identity"
        /// The instance is what the host pinned in MRCONFIGID.
        case mrConfigID = "mr_config_id"
    }

    /// How a check came out.
    public enum Outcome: Sendable, Hashable {
        /// As it must be.
        case passed
        /// Not as it must be, with the reason.
        case failed(String)
        /// Nothing to check, with the reason.
        case skipped(String)
    }

    /// What was checked.
    public let check: Check
    /// How it came out.
    public let outcome: Outcome
    /// What it should be, for comparisons.
    public let expected: String?
    /// What it is, for comparisons.
    public let found: String?

    init(_ check: Check, _ outcome: Outcome, expected: String? = nil, found: String? = nil) {
        self.check = check
        self.outcome = outcome
        self.expected = expected
        self.found = found
    }

    /// A comparison of two texts.
    init(_ check: Check, expected: String, found: String, otherwise reason: String) {
        self.init(check, expected == found ? .passed : .failed(reason), expected: expected, found: found)
    }

    /// Whether the check failed.
    public var isFailure: Bool {
        if case .failed = outcome { true } else { false }
    }
}
