internal import DstackCrypto
public import DstackEncoding

/// The registers that any event log of a trust domain leads to, as far as they can be computed, with everything about it that
/// is not as dstack's logs are. For looking at logs, not for believing them: verification takes a ``ReplayedEventLog``, and
/// refuses what is only remarked here.
public struct EventLogSurvey: Sendable, Hashable {
    /// A register and what the log says of it.
    public struct Register: Sendable, Hashable {
        /// Which.
        public let register: RTMR
        /// What the log leads to; nil if it cannot be computed (``absence``).
        public let value: Measurement384?
        /// Why there is no value; nil if there is one.
        public let absence: String?
        /// How many entries of the log extend it.
        public let eventCount: Int
    }

    /// RTMR0 to RTMR3, in order.
    public let registers: [Register]
    /// What is unusual, a sentence each: entries that were not read, entries of others than dstack, digests that are missing
    /// or not their event's.
    public let remarks: [String]

    /// How many entries the log has, also those that extend nothing.
    public let entryCount: Int

    /// The register's value; nil if it cannot be computed.
    public subscript(register: RTMR) -> Measurement384? { registers[Int(register.rawValue)].value }

    /// Whether all four registers can be computed and are those of a quote.
    public func matches(_ quoted: RTMRValues) -> Bool { registers.allSatisfy { $0.value == quoted[$0.register] } }

    /// Computes what can be computed. The digest of a runtime event is that of its name and payload here too, whatever stands
    /// beside them.
    public init(_ log: EventLog) {
        entryCount = log.events.count
        var values: [Measurement384?] = RTMR.allCases.map { _ in Measurement384() }
        var absences: [String?] = RTMR.allCases.map { _ in nil }
        var counts = RTMR.allCases.map { _ in 0 }
        var remarks = RemarkList()
        for (index, event) in log.events.enumerated() {
            let place = Int(event.register.rawValue)
            let runtimeEvent = event.runtimeEvent
            if runtimeEvent == nil, event.type == .noAction { continue }
            counts[place] += 1
            if runtimeEvent == nil, event.register == .rtmr3 {
                remarks.add(
                    "RTMR3 has an event that is not dstack's, so that no application can be read from it", index, event)
            }
            if runtimeEvent != nil, event.register != .rtmr3 {
                remarks.add("a runtime event stands outside RTMR3", index, event)
            }
            if let runtimeEvent {
                let isOwn = event.digest == nil || event.digest == runtimeEvent.digest
                let hasOwnPreimage = event.preimage == nil || event.preimage == runtimeEvent.preimage
                if !isOwn {
                    remarks.add(
                        "a digest is not that of the name and payload beside it, which were taken", index, event)
                }
                if !hasOwnPreimage { remarks.add("a preimage is not that of its name and payload", index, event) }
            }
            guard let digest = runtimeEvent?.digest ?? event.digest else {
                values[place] = nil
                absences[place] = absences[place] ?? "event \(index) (\(event.type)) has no SHA-384 digest"
                remarks.add("an event has no SHA-384 digest, so that its register cannot be computed", index, event)
                continue
            }
            values[place] = values[place].map { SHA384.hash($0.bytes + digest.bytes) }
        }
        if let gap = BootCoverage(log).gap {
            for place in 0...2 {
                values[place] = nil
                absences[place] = gap
            }
        }
        registers = RTMR.allCases.map { register in
            let place = Int(register.rawValue)
            return Register(
                register: register, value: values[place], absence: absences[place], eventCount: counts[place])
        }
        self.remarks = log.omissions + remarks.texts
    }
}

/// Remarks of the same kind become one, with how many there are and which was the first.
private struct RemarkList {
    private var kinds: [(text: String, first: String, count: Int)] = []

    mutating func add(_ text: String, _ index: Int, _ event: LoggedEvent) {
        if let known = kinds.firstIndex(where: { $0.text == text }) {
            kinds[known].count += 1
        } else {
            kinds.append((text, "event \(index), \(event.register), \(event.type)", 1))
        }
    }

    var texts: [String] {
        kinds.map { text, first, count in
            "\(text) (\(first)\(count > 1 ? ", and \(count - 1) more like it" : ""))"
        }
    }
}
