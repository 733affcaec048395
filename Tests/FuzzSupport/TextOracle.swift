import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMeasurement

/// What evidence beside a quote proves, where it is accepted.
struct EvidenceAnswer: Sendable {
    let identity: ApplicationIdentity
    let registers: RTMRValues
    let runtimeEvents: [RuntimeEvent]
    let osImageHash: FixedBytes<32>?

    /// Nil without an identity.
    init?(_ report: VerificationReport) {
        guard let facts = report.evidence, let identity = facts.identity else { return nil }
        self.identity = identity
        registers = facts.replayed.registers
        runtimeEvents = facts.replayed.runtimeEvents
        osImageHash = facts.osImageHash
    }
}

extension Oracle {
    /// Event logs, compose files and envelopes: whatever is accepted tells of the same application.
    func judge(_ fuzzCase: FuzzCase, _ subject: EvidenceSubject, _ seed: EvidenceSeed) -> Judgement {
        let verifier = QuoteVerifier(trustAnchor: seed.anchor)
        let evidence = subject.evidence
        let report = verifier.verify(evidence, collateral: seed.collateral, policy: .authentic, at: seed.time)
        let prepared = verifier.prepare(seed.collateral).verify(evidence, policy: .authentic, at: seed.time)
        guard report.json() == prepared.json() else { return .wrong("prepared collateral gives another report") }
        guard report.verdict == .accepted else {
            return .rejected(check: report.failure.map { "\($0.check.name) \($0.code.rawValue)" } ?? "")
        }
        let expected = evidenceAnswers[fuzzCase.seed]
        guard let answer = EvidenceAnswer(report) else { return .wrong("accepted without an identity") }
        guard answer.identity == expected.identity else { return .wrong("accepted with another identity") }
        guard answer.runtimeEvents == expected.runtimeEvents else {
            return .wrong("accepted with other runtime events")
        }
        // Boot events may be left out, which the report says; those that are there must be the quoted ones.
        guard answer.registers.rtmr3 == expected.registers.rtmr3,
            answer.registers == expected.registers || report.notChecked.contains(where: { $0.contains("boot events") })
        else { return .wrong("accepted with other registers") }
        if let hash = answer.osImageHash, hash != expected.osImageHash {
            return .wrong("accepted with another OS image")
        }
        if let compose = subject.appCompose, ComposeHash(ofFile: compose) != expected.identity.composeHash {
            return .wrong("accepted with another compose file")
        }
        return .neutral
    }
}

/// Parsers of single formats: they end, they read what they wrote, and no change of a hashed byte goes unnoticed.
enum FormatOracle {
    static func judge(_ kind: FuzzKind, _ bytes: [UInt8], _ seed: [UInt8]) -> Judgement {
        do {
            switch kind {
            case .eventLog: return try eventLog(bytes, seed)
            case .ccel: return try ccel(bytes, seed)
            case .envelope: return try envelope(bytes)
            case .appCompose: return try appCompose(bytes)
            case .policy: return try policy(bytes)
            case .configuration: return try configuration(bytes)
            default: return .wrong("no format")
            }
        } catch let error as AttestationError {
            return .rejected(check: error.code.rawValue)
        } catch {
            return .rejected(check: "refused")
        }
    }

    private static func eventLog(_ bytes: [UInt8], _ seed: [UInt8]) throws -> Judgement {
        let log = try EventLog(json: bytes)
        guard try EventLog(json: log.json) == log else { return .wrong("the log written again differs") }
        let replayed = try log.replay()
        _ = try? ApplicationIdentity(replayed)
        _ = try? ApplicationIdentity(replayed, at: .bootTime)
        let original = try EventLog(json: seed).replay()
        guard replayed.registers == original.registers else { return .rejected(check: "registers") }
        // A hash stands behind every event: the same register means the same bytes.
        guard replayed.runtimeEvents.map(\.preimage) == original.runtimeEvents.map(\.preimage) else {
            return .wrong("other runtime events lead to the same register")
        }
        return .neutral
    }

    private static func ccel(_ bytes: [UInt8], _ seed: [UInt8]) throws -> Judgement {
        let binary = try TCGEventLog(parsing: bytes)
        guard binary.encoded == bytes else { return .wrong("the log encoded again differs") }
        let replayed = try EventLog(binary).replay()
        let original = try EventLog(ccel: seed).replay()
        guard replayed.registers == original.registers else { return .rejected(check: "registers") }
        return .neutral
    }

    private static func envelope(_ bytes: [UInt8]) throws -> Judgement {
        let attestation = try Attestation(decoding: bytes)
        for form in Attestation.WireForm.allCases {
            guard let encoded = try? attestation.encoded(as: form) else { continue }
            guard let again = try? Attestation(decoding: encoded), again == attestation else {
                return .wrong("the envelope written again in form \(form) differs")
            }
        }
        _ = try? attestation.configuration()
        _ = try? attestation.eventLog?.replay()
        return .neutral
    }

    private static func appCompose(_ bytes: [UInt8]) throws -> Judgement {
        let compose = try AppCompose(parsing: bytes)
        for isNormalized in [false, true] {
            let text = compose.canonicalText(isNormalized: isNormalized)
            let again = try AppCompose(parsing: Array(text.utf8))
            guard again.canonicalText(isNormalized: isNormalized).utf8.elementsEqual(text.utf8) else {
                return .wrong("the canonical text of the canonical text differs")
            }
        }
        return .neutral
    }

    private static func policy(_ bytes: [UInt8]) throws -> Judgement {
        let policy = try VerificationPolicy(parsingJSON: bytes)
        guard !policy.allowedStatuses.contains(.revoked) else { return .wrong("a policy that accepts Revoked") }
        var writer = JSONWriter()
        writer.object { policy.write(to: &$0) }
        // As a report shows it: with a name, which a file does not have.
        let text = writer.text.replacing("\"name\":\"custom\",", with: "")
        guard let again = try? VerificationPolicy(parsingJSON: Array(text.utf8)) else {
            return .wrong("the policy written again cannot be read")
        }
        return again == policy ? .neutral : .wrong("the policy written again differs")
    }

    private static func configuration(_ bytes: [UInt8]) throws -> Judgement {
        let configuration = try VMConfiguration(decoding: bytes)
        let registers = ImageRegisters(
            mrtd: FixedBytes(), rtmr0: FixedBytes(), rtmr1: FixedBytes(), rtmr2: FixedBytes())
        let result = LiteImageVerifier.verify(configuration, eventLog: EventLog(), quoted: registers)
        return result.isVerified ? .wrong("an image verified against zeros") : .neutral
    }
}
