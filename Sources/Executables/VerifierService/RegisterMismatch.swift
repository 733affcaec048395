internal import DstackAttestation
internal import DstackEncoding
internal import DstackMeasurement

/// A quoted register that is not the one predicted for the OS image, with the events that should have led to it beside
/// those that did.
struct RegisterMismatch: Sendable {
    /// What became of one event.
    enum Status: String, Sendable {
        case match
        case mismatch
        /// Logged and not predicted.
        case extra
    }

    struct Event: Sendable {
        /// Its place in the whole log.
        let index: Int
        let logged: LoggedEvent
        let expectedDigest: Measurement384?
        let status: Status
    }

    let register: RTMR
    let expected: Measurement384
    let actual: Measurement384
    let events: [Event]
    /// Digests that were predicted after the last logged event.
    let missingDigests: [Measurement384]

    init(_ register: RTMR, predicted: PredictedRegister, quoted: Measurement384, log: EventLog) {
        self.register = register
        expected = predicted.value
        actual = quoted
        let logged = log.events.enumerated().filter { $0.element.register == register && $0.element.type != .noAction }
        if register == .rtmr0, BootCoverage(log) == .acpiEvents {
            // Three of the events alone have no places to go by, but names.
            let isACPI = { (event: PredictedEvent) in ACPIBlob(rawValue: event.name) != nil }
            let acpi = predicted.events.filter(isACPI)
            events = zip(logged, acpi).map { entry, predicted in
                Event(
                    index: entry.offset, logged: entry.element, expectedDigest: predicted.digest,
                    status: predicted.digest == entry.element.digest ? .match : .mismatch)
            }
            missingDigests = predicted.events.filter { !isACPI($0) }.map(\.digest)
            return
        }
        events = logged.enumerated().map { position, entry in
            let expected = position < predicted.events.count ? predicted.events[position].digest : nil
            return Event(
                index: entry.offset, logged: entry.element, expectedDigest: expected,
                status: expected == nil ? .extra : expected == entry.element.digest ? .match : .mismatch)
        }
        missingDigests = predicted.events.dropFirst(logged.count).map(\.digest)
    }

    /// The mismatches of a configuration's OS image with a quote; those registers that could be predicted.
    static func all(_ attestation: Attestation, _ report: TDReport) -> [RegisterMismatch] {
        guard let log = attestation.eventLog, let text = try? attestation.configuration().vmConfig,
            let configuration = try? VMConfiguration(decoding: Array(text.utf8))
        else { return [] }
        let result = LiteImageVerifier.verify(configuration, eventLog: log, quoted: ImageRegisters(report))
        let registers: [(RTMR, PredictedRegister?, Measurement384)] = [
            (.rtmr0, result.predictedRTMR0, report.rtMr0), (.rtmr1, result.predictedRTMR1, report.rtMr1),
            (.rtmr2, result.predictedRTMR2, report.rtMr2),
        ]
        return registers.compactMap { register, predicted, quoted in
            guard let predicted, predicted.value != quoted else { return nil }
            return RegisterMismatch(register, predicted: predicted, quoted: quoted, log: log)
        }
    }

    func write(to object: inout JSONWriter.Object) {
        object.member("rtmr", "RTMR\(register.rawValue)")
        object.member("expected", expected.hex)
        object.member("actual", actual.hex)
        object.array("events") { array in
            for event in events {
                array.object { item in
                    item.member("index", event.index)
                    item.member("event_type", event.logged.type.rawValue)
                    item.member("event_name", event.logged.name.isEmpty ? "(unnamed)" : event.logged.name)
                    item.member("actual_digest", event.logged.digest?.hex ?? "")
                    if let digest = event.expectedDigest { item.member("expected_digest", digest.hex) }
                    item.member("payload_len", event.logged.payload.count)
                    item.member("status", event.status.rawValue)
                }
            }
        }
        if !missingDigests.isEmpty {
            object.array("missing_expected_digests") { array in
                for digest in missingDigests { array.element(digest.hex) }
            }
        }
    }
}
