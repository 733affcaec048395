internal import DstackMeasurement

/// How much of the boot, i.e. of RTMR0 to RTMR2, a log tells. RTMR3 it must always tell whole.
///
/// **Why a log that tells less lets nothing wrong through.** A log is a story that whoever presents it writes; only what a
/// register of the quote confirms counts. Where a log does not tell the boot, RTMR0 to RTMR2 are confirmed by nothing, and
/// every report then lists them as not checked, unless the OS image was verified, which recomputes all three without the
/// log. So what a host can gain by shortening a log is that list, never a "yes" to something that is not so:
///
/// - Identity, compose hash and runtime events are read from RTMR3 alone, which is replayed and compared in every form.
/// - `mr_system`, `mr_aggregated` and expected registers are computed from the quote, not from the log.
/// - The three ACPI digests are used in one place, to predict RTMR0 from an image's measurements. The prediction must equal
///   the quoted RTMR0; with another digest, or the same in another order, that is a collision of SHA-384. Where no image is
///   asked for, nobody reads them.
/// - A policy that wants the boot known says so with `expected_os_image_hash`, `require_os_image` or expected registers, and
///   none of these asks the log.
///
/// Any other selection of boot events is replayed and compared, and so rejects unless it is the whole: two of the three, four
/// of them, one in RTMR1 beside them, a name or an order that upstream does not write. Only what upstream's guests send is
/// recognised, so that a log which was cut by accident or in transit is still found out.
public enum BootCoverage: Hashable, Sendable {
    /// No event of the boot; older small forms.
    case absent
    /// Exactly the three measurements of ACPI tables in RTMR0, in order and with their digests: what upstream's certificates
    /// and stripped envelopes have beside the runtime events since mid-2026, enough to verify an OS image with.
    case acpiEvents
    /// Anything else; it must replay to RTMR0 to RTMR2.
    case full

    package init(_ log: EventLog) {
        var acpi: [LoggedEvent] = []
        for event in log.events where event.type != .runtime {
            guard event.isACPIData, event.digest != nil, acpi.count < EventLog.acpiEventNames.count else {
                self = .full
                return
            }
            acpi.append(event)
        }
        if acpi.isEmpty {
            self = .absent
        } else {
            let isInOrder = acpi.map(\.name).elementsEqual(EventLog.acpiEventNames) {
                $0.utf8.elementsEqual($1.utf8)
            }
            self = isInOrder ? .acpiEvents : .full
        }
    }

    /// Why RTMR0 to RTMR2 cannot be replayed from the log; nil where they must be.
    var gap: String? {
        switch self {
        case .absent: "the log has no boot events"
        case .acpiEvents: "of the boot the log has the three ACPI events only"
        case .full: nil
        }
    }
}
