internal import DstackCrypto
public import DstackEncoding

extension EventLog {
    /// Extends four registers of zeros with the log's events, as the trust domain did.
    ///
    /// The digest of a runtime event is always computed from its name and payload, never believed. Version 1 and version
    /// 2 hash different kinds of bytes, so that an event cannot pass under the other version either.
    ///
    /// - Throws: ``AttestationError`` for a boot event without digest, a runtime event whose digest or preimage is not its
    ///   own, a runtime event outside RTMR3, or anything else inside RTMR3.
    public func replay() throws(AttestationError) -> ReplayedEventLog {
        try ReplayedEventLog(replaying: self)
    }
}

/// An event log and the registers to which it leads. Only replay makes one.
///
/// The log is proven once the registers equal those of a verified quote (``compare(with:)``). Until then it is a
/// consistent story that anybody can write.
public struct ReplayedEventLog: Sendable, Hashable {
    /// The log that was replayed.
    public let log: EventLog
    /// The registers at the end of the log.
    public let registers: RTMRValues
    /// The events of RTMR3, in order.
    public let runtimeEvents: [RuntimeEvent]
    /// RTMR3 after each of ``runtimeEvents``.
    private let runtimeRegisters: [Measurement384]
    /// How many events extended each register.
    private let counts: [Int]
    /// How much of the boot the log tells.
    public let bootCoverage: BootCoverage

    fileprivate init(replaying log: EventLog) throws(AttestationError) {
        var registers = RTMRValues()
        var runtimeEvents: [RuntimeEvent] = []
        var runtimeRegisters: [Measurement384] = []
        var counts = [Int](repeating: 0, count: RTMR.allCases.count)
        for (index, event) in log.events.enumerated() {
            guard let digest = try event.extendedDigest("event \(index) of the log") else { continue }
            let extended = SHA384.hash(registers[event.register].bytes + digest.bytes)
            registers[event.register] = extended
            counts[Int(event.register.rawValue)] += 1
            if let runtimeEvent = event.runtimeEvent {
                runtimeEvents.append(runtimeEvent)
                runtimeRegisters.append(extended)
            }
        }
        self.log = log
        self.registers = registers
        self.runtimeEvents = runtimeEvents
        self.runtimeRegisters = runtimeRegisters
        self.counts = counts
        bootCoverage = BootCoverage(log)
    }

    /// How many events extended a register.
    public func eventCount(of register: RTMR) -> Int { counts[Int(register.rawValue)] }

    /// Whether the log tells how a register came about: RTMR3 always, the others where the boot is told
    /// (``bootCoverage``). The value in ``registers`` means nothing otherwise.
    public func tells(_ register: RTMR) -> Bool { register == .rtmr3 || bootCoverage == .full }

    /// RTMR3 as it was after so many of ``runtimeEvents``.
    func runtimeRegister(afterEvents count: Int) -> Measurement384 {
        count == 0 ? Measurement384() : runtimeRegisters[count - 1]
    }

    /// RTMR3 as it was right after the first event of a name, or nil if the boot recorded none. Events after
    /// `system-ready` do not count: they are the application's.
    public func runtimeRegister(after event: BootEvent) -> Measurement384? {
        for (index, recorded) in runtimeEvents.enumerated() {
            if recorded.name == event.rawValue { return runtimeRegisters[index] }
            if recorded.name == BootEvent.systemReady.rawValue { return nil }
        }
        return nil
    }

    /// One register's part of a comparison with a quote.
    public struct Comparison: Sendable, Hashable {
        /// The register.
        public let register: RTMR
        /// What the quote says.
        public let quoted: Measurement384
        /// What the log leads to.
        public let replayed: Measurement384
        /// How many events of the log extended it.
        public let eventCount: Int
        /// Whether the log tells how the register came about; the comparison means nothing otherwise.
        public let isTold: Bool

        /// Whether both are equal.
        public var matches: Bool { quoted == replayed }
    }

    /// The registers of a quote to which the log should lead and does not. Those that it does not tell are not among them:
    /// nothing is known of them.
    public func mismatches(with quoted: RTMRValues) -> [Comparison] {
        compare(with: quoted).filter { $0.isTold && !$0.matches }
    }

    /// Compares all four registers with those of a quote.
    public func compare(with quoted: RTMRValues) -> [Comparison] {
        RTMR.allCases.map { register in
            Comparison(
                register: register, quoted: quoted[register], replayed: registers[register],
                eventCount: eventCount(of: register), isTold: tells(register))
        }
    }
}

extension LoggedEvent {
    /// What the event extends its register with; nil if it extends nothing.
    fileprivate func extendedDigest(_ subject: @autoclosure () -> String) throws(AttestationError) -> Measurement384? {
        guard let event = runtimeEvent else {
            // Otherwise a log could explain RTMR3 by digests of anything, and events looked up by name would not be all
            // that went in.
            guard register != .rtmr3 else {
                throw AttestationError(
                    .foreignEvent, subject: subject(), reason: "RTMR3 has only runtime events, not type \(type)")
            }
            // TCG PC Client Platform Firmware Profile 1.06, section 10.4.1: EV_NO_ACTION shall not be extended.
            guard type != .noAction else { return nil }
            guard let digest else {
                throw AttestationError(
                    .missingDigest, subject: subject(),
                    reason: "a boot event needs the SHA-384 digest that its register was extended with")
            }
            return digest
        }
        guard register == .rtmr3 else {
            throw AttestationError(
                .misplacedRuntimeEvent, subject: subject(), reason: "runtime events belong into RTMR3, not \(register)")
        }
        let expected = event.digest
        if let digest, digest != expected {
            throw AttestationError(
                .digestMismatch, subject: subject(), reason: "digest \(digest) found, name and payload have \(expected)"
            )
        }
        if let preimage, preimage != event.preimage {
            throw AttestationError(
                .digestMismatch, subject: subject(), reason: "the preimage is not that of name and payload")
        }
        return expected
    }
}
