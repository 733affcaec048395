// How large events may be that are measured: they are in all evidence from then on, and never go away.

extension RuntimeEvent {
    /// Of a name, in UTF-8.
    package static let maximumNameBytes = 1 << 10
    /// Of a payload. What is larger is measured as its hash.
    package static let maximumPayloadBytes = 16 << 10
    /// Of all events of RTMR3 together, as evidence has them. OpenSSL takes 100 KiB of certificates from a peer; the quote,
    /// the boot events and the chain need less than the rest.
    package static let maximumEvidenceBytes = 72 << 10

    /// What the event adds to an attestation at most, in its log and in its list of events, where what follows from the
    /// rest is left out (``EventLog/Stripping/upstream``).
    package var evidenceByteCount: Int { 128 + 2 * (name.utf8.count + payload.count) }

    /// Whether the event may be measured after others: what was extended cannot be taken back.
    ///
    /// - Throws: ``AttestationError/Code/ambiguousName`` for a name with a colon, else
    ///   ``AttestationError/Code/measurementTooLarge``.
    package func checkMeasurable(after events: some Sequence<RuntimeEvent>) throws(AttestationError) {
        _ = try RuntimeEvent(emitting: name, payload: [])
        let nameLength = name.utf8.count
        guard nameLength <= Self.maximumNameBytes else {
            throw Self.tooLarge(
                "event name", "\(nameLength) bytes, an event's name has \(Self.maximumNameBytes) at most")
        }
        guard payload.count <= Self.maximumPayloadBytes else {
            throw Self.tooLarge(
                "payload", "\(payload.count) bytes, an event has \(Self.maximumPayloadBytes) at most", "measure a hash")
        }
        let present = events.reduce(0) { $0 + $1.evidenceByteCount }
        guard present + evidenceByteCount <= Self.maximumEvidenceBytes else {
            throw Self.tooLarge(
                "event \(name)",
                "RTMR3's events would have \(present + evidenceByteCount) bytes in evidence, \(present) without this one; "
                    + "\(Self.maximumEvidenceBytes) fit, or no TLS library would take certificates with that evidence",
                "a new boot begins with an empty record")
        }
    }

    private static func tooLarge(_ subject: String, _ reason: String, _ hint: String = "") -> AttestationError {
        AttestationError(.measurementTooLarge, subject: subject, reason: reason, hint: hint)
    }
}

extension AttestationError.Code {
    /// An event that is too large, or one more than evidence has room for; nothing was measured.
    package static let measurementTooLarge = Self(rawValue: "measurement_too_large")
}
