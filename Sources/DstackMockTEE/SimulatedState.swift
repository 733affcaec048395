import DstackAttestation
import DstackConcurrency
import DstackCrypto
import DstackEncoding
import DstackSystem
import Synchronization

/// What stands behind a simulated attester: the report of a trust domain, whose RTMR3 extends, and the log that explains
/// it.
final class SimulatedState: Sendable {
    private struct State {
        /// As quotes carry it, but for the report data.
        var body: QuoteBody
        var eventLog: EventLog
        var runtimeEvents: [RuntimeEvent]
    }

    let platform: MockPlatform
    let quoteVersion: UInt16
    let eventVersion: RuntimeEvent.Version
    private let config: String
    /// Where RTMR3's events are kept; nil for a state that ends with the process.
    private let record: SimulatedRecord?
    private let state: Mutex<State>
    /// Writing to the record waits for the disk.
    private let writer = BlockingWorker(capacity: 64)

    /// - Parameters:
    ///   - body: the report at the end of `eventLog`.
    ///   - record: path of the file with RTMR3's events. It is made if it is not there; one that is there must begin with
    ///     the events of this log, and the rest of it is measured again.
    init(
        _ platform: MockPlatform, body: QuoteBody, quoteVersion: UInt16, eventLog: EventLog, config: String,
        eventVersion: RuntimeEvent.Version, record path: String?
    ) throws(AttestationError) {
        self.platform = platform
        self.quoteVersion = quoteVersion
        self.eventVersion = eventVersion
        self.config = config
        let booted = eventLog.events.compactMap(\.runtimeEvent)
        var state = State(body: body, eventLog: eventLog, runtimeEvents: booted)
        if let path {
            let record = try SimulatedRecord(path, booted: booted)
            for event in record.laterEvents { Self.measure(event, into: &state) }
            self.record = record
        } else {
            record = nil
        }
        self.state = Mutex(state)
    }

    private static func measure(_ event: RuntimeEvent, into state: inout State) {
        state.body.editReport { report in
            report.rtMr3 = SHA384.hash(report.rtMr3.bytes + event.digest.bytes)
        }
        state.eventLog.events.append(LoggedEvent(event))
        state.runtimeEvents.append(event)
    }

    func attestation(reportData: ReportData) throws(AttestationError) -> Attestation {
        var current = state.withLock { $0 }
        current.body.editReport { $0.reportData = reportData.bytes }
        let quote: [UInt8]
        do {
            quote = try platform.quote(current.body, version: quoteVersion)
        } catch {
            throw AttestationError(.quoteUnavailable, subject: "simulated TEE", reason: error.description)
        }
        return Attestation(
            platform: .tdx(.init(quote: quote, eventLog: current.eventLog)), runtimeEvents: current.runtimeEvents,
            reportData: reportData, config: config)
    }

    /// The registers as they are now.
    var registers: RTMRValues { state.withLock { $0.body.tdReport?.rtmrs ?? RTMRValues() } }

    func emit(_ event: RuntimeEvent) async throws(AttestationError) {
        guard event.version == eventVersion else {
            throw AttestationError(
                .measurementFailed, subject: "event \(event.name)",
                reason: "it has version \(event.version.rawValue), the events of this boot have "
                    + "\(eventVersion.rawValue)")
        }
        // Written before it is measured: here the registers are whatever the record says, so that this order loses
        // nothing. (Hardware must do it the other way round.)
        let outcome = await writer.run(within: .seconds(10), onceStarted: .waitFor) { [self] in
            Result { () throws(AttestationError) in
                // One thread measures, so that nothing comes between this and the change.
                try event.checkMeasurable(after: state.withLock { $0.runtimeEvents })
                try record?.append(event)
                state.withLock { Self.measure(event, into: &$0) }
            }
        }
        switch outcome {
        case .success(let result): try result.get()
        case .failure(let rejection):
            throw AttestationError(
                .measurementFailed, subject: "event \(event.name)", reason: "the record was busy: \(rejection)")
        }
    }
}

extension QuoteBody {
    /// Changes the fields that every TDX body has.
    mutating func editReport(_ edit: (inout TDReport) -> Void) {
        switch self {
        case .sgxEnclave: break
        case .td10(var report):
            edit(&report)
            self = .td10(report)
        case .td15(var report):
            edit(&report.base)
            self = .td15(report)
        case .td15Extended(var report):
            edit(&report.base.base)
            self = .td15Extended(report)
        }
    }
}
