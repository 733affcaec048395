import DstackAttestation
import DstackEncoding
import DstackMockTEE

// What comes beside a quote, changed as bytes, as JSON and as events.

extension CaseMaker {
    func texts(_ kind: FuzzKind, _ number: Int, _ random: inout FuzzRandom) -> FuzzCase {
        guard kind == .evidence else {
            let seeds = corpus.texts.texts(kind)
            let index = random.below(seeds.count)
            var bytes = seeds[index]
            var changes: [String] = []
            for _ in 0..<random.pick([1, 1, 2, 3]) {
                changes.append(changeText(&bytes, isJSON: kind != .ccel && kind != .envelope, seeds, &random))
            }
            return FuzzCase(kind, number: number, seed: index, changes: changes, subject: .bytes(bytes))
        }
        let index = random.below(corpus.texts.evidence.count)
        var subject = corpus.texts.evidence[index].subject
        var changes: [String] = []
        for _ in 0..<random.pick([1, 1, 1, 2]) { changes.append(changeEvidence(&subject, &random)) }
        return FuzzCase(.evidence, number: number, seed: index, changes: changes, subject: .evidence(subject))
    }

    private func changeText(
        _ bytes: inout [UInt8], isJSON: Bool, _ donors: [[UInt8]], _ random: inout FuzzRandom
    ) -> String {
        guard isJSON, random.chance(1, in: 2) else { return ByteMutation.apply(to: &bytes, &random, donors: donors) }
        var text = String(decoding: bytes, as: UTF8.self)
        let what = DocumentMutation.apply(to: &text, &random).what
        bytes = Array(text.utf8)
        return what
    }

    private func changeEvidence(_ subject: inout EvidenceSubject, _ random: inout FuzzRandom) -> String {
        if var envelope = subject.envelope, random.chance(3, in: 4) {
            defer { subject.envelope = envelope }
            return "envelope: " + changeEnvelope(&envelope, &random)
        }
        if var compose = subject.appCompose, random.chance(1, in: 5) {
            defer { subject.appCompose = compose }
            return "compose file: " + changeText(&compose, isJSON: true, corpus.texts.composeFiles, &random)
        }
        if !subject.configuration.isEmpty, random.chance(1, in: 2) {
            var bytes = Array(subject.configuration.utf8)
            let what = changeText(&bytes, isJSON: true, corpus.texts.configurations, &random)
            subject.configuration = String(decoding: bytes, as: UTF8.self)
            return "configuration: \(what)"
        }
        if var log = subject.eventLog {
            defer { subject.eventLog = log }
            if random.chance(1, in: 3), var events = try? EventLog(json: log) {
                let what = changeEvents(&events, &random)
                log = Array(events.json.utf8)
                return "event log: \(what)"
            }
            return "event log: " + changeText(&log, isJSON: true, corpus.texts.eventLogs, &random)
        }
        return "nothing"
    }

    private func changeEnvelope(_ bytes: inout [UInt8], _ random: inout FuzzRandom) -> String {
        guard random.chance(1, in: 2), var attestation = try? Attestation(decoding: bytes) else {
            return ByteMutation.apply(to: &bytes, &random, donors: corpus.texts.envelopes)
        }
        var what: String
        switch random.below(6) {
        case 0:
            guard !attestation.runtimeEvents.isEmpty else { return "nothing" }
            let index = random.below(attestation.runtimeEvents.count)
            what = "runtime event \(index) removed from the second list"
            attestation.runtimeEvents.remove(at: index)
        case 1:
            attestation.runtimeEvents.swapAt(0, random.below(attestation.runtimeEvents.count))
            what = "runtime events of the second list in another order"
        case 2:
            attestation.reportData = ReportData(FixedBytes(repeating: random.byte()))
            what = "other report data"
        case 3:
            attestation.config = random.pick(["", "{}", "x", "{\"vm_config\":\"{}\"}", "{\"cpu_count\":-1}"])
            what = "configuration \(attestation.config)"
        case 4:
            attestation.reportDataPayload = attestation.reportDataPayload == nil ? "payload" : nil
            what = "a payload of the report data"
        default:
            guard case .tdx(var evidence) = attestation.platform else { return "nothing" }
            what = changeEvents(&evidence.eventLog, &random)
            attestation.platform = .tdx(evidence)
            // Both lists alike: then only the register can tell.
            if random.chance(1, in: 2) {
                attestation.runtimeEvents = evidence.eventLog.events.compactMap(\.runtimeEvent)
                what += ", in both lists"
            }
        }
        bytes = attestation.encoded.bytes
        return what
    }

    private func changeEvents(_ log: inout EventLog, _ random: inout FuzzRandom) -> String {
        guard !log.events.isEmpty else { return "nothing" }
        let index = random.below(log.events.count)
        switch random.below(12) {
        case 0:
            log.events.remove(at: index)
            return "event \(index) removed"
        case 1:
            log.events.insert(log.events[index], at: random.below(log.events.count))
            return "event \(index) twice"
        case 2:
            let other = random.below(log.events.count)
            log.events.swapAt(index, other)
            return "events \(index) and \(other) exchanged"
        case 3:
            log.events[index].name = random.pick(["app-id", "compose-hash", "system-ready", "x:y", "", "boot-mr-done"])
            return "event \(index) called \(log.events[index].name)"
        case 4:
            let what = ByteMutation.apply(to: &log.events[index].payload, &random)
            return "payload of event \(index): \(what)"
        case 5:
            log.events[index].digest = random.chance(1, in: 2) ? nil : FixedBytes(repeating: random.byte())
            return "another digest of event \(index)"
        case 6:
            log.events[index].register = random.pick(RTMR.allCases)
            return "event \(index) in \(log.events[index].register)"
        case 7:
            log.events[index].type = random.pick([.runtime, .noAction, .eventTag, .platformConfigFlags])
            return "event \(index) of type \(log.events[index].type)"
        case 8:
            log.events[index].version = log.events[index].version == .v1 ? .v2 : .v1
            return "event \(index) of version \(log.events[index].version)"
        case 9:
            // The same bytes under the hash, divided between name and payload elsewhere.
            let joined = Array(log.events[index].name.utf8) + [0x3A] + log.events[index].payload
            guard let colon = joined.lastIndex(of: 0x3A) else { return "nothing" }
            log.events[index].name = String(decoding: joined[..<colon], as: UTF8.self)
            log.events[index].payload = Array(joined[(colon + 1)...])
            return "event \(index) divided elsewhere"
        case 10:
            log = log.stripped(
                EventLog.Stripping(
                    bootEvents: random.chance(1, in: 2) ? .dropped : .withoutData,
                    keepsRuntimeDigests: random.chance(1, in: 2)))
            return "stripped"
        default:
            log.events[index].preimage =
                random.chance(1, in: 2) ? random.bytes(8) : log.events[index].runtimeEvent?.preimage
            return "another preimage of event \(index)"
        }
    }
}
