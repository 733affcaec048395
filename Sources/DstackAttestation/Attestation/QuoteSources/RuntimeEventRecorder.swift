internal import DstackCrypto
internal import DstackEncoding
internal import DstackSystem
internal import Glibc

/// Measures runtime events and keeps the record of them (`runtime_events.log`), so that record and register agree at every
/// moment at which somebody may look. Calls block.
///
/// All writers of a trust domain take a lock around both steps: first the register is extended, then the line is written.
/// A process that dies in between would leave a register that no record explains. Therefore the event is noted in a file
/// of its own before; whoever comes next compares the register with the record and finishes or drops what was noted.
/// Where neither leads to the register's value, the record is in doubt, and no event is handed out any more.
package struct RuntimeEventRecorder: Sendable {
    package let directory: String
    private let register: any RuntimeRegister
    /// The version of a boot that has not recorded anything yet.
    private let defaultVersion: RuntimeEvent.Version

    /// Of a record that is read. Other programs measure events too, and some of them without a limit.
    private static let maximumByteCount = 4 << 20

    package var logPath: String { directory + "/runtime_events.log" }
    package var lockPath: String { directory + "/runtime_event.lock" }
    package var versionPath: String { directory + "/runtime_event_version" }
    /// The event that is being measured.
    package var pendingPath: String { directory + "/runtime_event.pending" }

    package init(
        directory: String, register: any RuntimeRegister, defaultVersion: RuntimeEvent.Version = .v1
    ) {
        self.directory = directory
        self.register = register
        self.defaultVersion = defaultVersion
    }

    // MARK: Version

    /// How events of this boot are hashed: as its first event was.
    package func version() throws(AttestationError) -> RuntimeEvent.Version {
        let text: String
        do {
            text = String(decoding: try File.readRegular(versionPath, limit: 16), as: UTF8.self)
        } catch {
            if error.code == ENOENT { return defaultVersion }
            throw AttestationError(.measurementFailed, subject: versionPath, reason: error.description)
        }
        switch text.filter({ !$0.isWhitespace }) {
        case "1": return .v1
        case "2": return .v2
        default:
            throw AttestationError(
                .measurementFailed, subject: versionPath, reason: "it holds neither 1 nor 2")
        }
    }

    // MARK: Recording

    /// Measures and records an event.
    ///
    /// - Throws: ``AttestationError/Code/measurementTooLarge`` for what evidence has no room for; ``AttestationError/Code/measurementInDoubt`` if the register may have been extended without a record;
    ///   any other code, as ``AttestationError/Code/measurementFailed``, if nothing happened.
    package func record(_ event: RuntimeEvent, deadline: ContinuousClock.Instant) throws(AttestationError) {
        // For what needs no look at the record there is no need to wait for it.
        try event.checkMeasurable(after: [])
        let lock = try lock(deadline)
        defer { withExtendedLifetime(lock) {} }
        let version = try version()
        guard event.version == version else {
            throw AttestationError(
                .measurementFailed, subject: "event \(event.name)",
                reason: "it has version \(event.version.rawValue), the events of this boot have \(version.rawValue)")
        }
        let state = try settle()
        try event.checkMeasurable(after: state.events)
        let line = Array(event.logLine.utf8) + [UInt8(ascii: "\n")]
        do throws(SystemError) {
            if access(versionPath, F_OK) != 0 {
                try AtomicFile.write("\(version.rawValue)", to: versionPath, mode: .secret)
            }
            try AtomicFile.write(line, to: pendingPath, mode: .secret)
        } catch {
            _ = unlink(pendingPath)
            throw AttestationError(.measurementFailed, subject: directory, reason: error.description)
        }
        try extend(with: event, from: state.value)
        try finish(line)
    }

    private func extend(with event: RuntimeEvent, from before: Measurement384) throws(AttestationError) {
        do throws(AttestationError) {
            try register.extend(with: event.digest)
        } catch {
            // The register tells what the error does not.
            switch try? register.value() {
            case before:
                _ = unlink(pendingPath)
                throw error
            case Self.extended(before, with: event): return
            default:
                throw AttestationError(
                    .measurementInDoubt, subject: "event \(event.name)",
                    reason: "extending RTMR3 failed, and its value does not tell whether it was extended: \(error)")
            }
        }
    }

    /// Writes the line of an event that was measured.
    private func finish(_ line: [UInt8]) throws(AttestationError) {
        do {
            try File.append(line, to: logPath, mode: .secret)
        } catch {
            throw AttestationError(
                .measurementInDoubt, subject: logPath,
                reason: "RTMR3 was extended, but the event could not be recorded: \(error)",
                hint: "once the file can be written again, the event that was noted is recorded")
        }
        _ = unlink(pendingPath)
    }

    private static func extended(_ value: Measurement384, with event: RuntimeEvent) -> Measurement384 {
        SHA384.hash(value.bytes + event.digest.bytes)
    }

    // MARK: Reading

    /// All events of the register, in order. The register is what the events lead to, unless it is extended meanwhile.
    ///
    /// - Throws: ``AttestationError/Code/measurementInDoubt`` if the record does not explain the register.
    package func events(deadline: ContinuousClock.Instant) throws(AttestationError) -> [RuntimeEvent] {
        let lock = try lock(deadline)
        defer { withExtendedLifetime(lock) {} }
        return try settle().events
    }

    private struct Settled {
        let events: [RuntimeEvent]
        /// The register.
        let value: Measurement384
    }

    /// What the files hold.
    private struct Record {
        var complete: [UInt8]
        /// A last line without end.
        var torn: [UInt8]
        var pending: [UInt8]
    }

    /// Finds out what was measured, and brings the record to it. The lock is held.
    private func settle() throws(AttestationError) -> Settled {
        let record = try read()
        let events = try RuntimeEvent.parse(log: record.complete)
        let value = try register.value()
        let replayed = Self.replay(events)
        if value == replayed {
            // Neither a torn line nor a noted event was measured, so that both can go.
            if !record.torn.isEmpty { try cut(to: record.complete.count) }
            if !record.pending.isEmpty { _ = unlink(pendingPath) }
            return Settled(events: events, value: value)
        }
        for candidate in [record.pending, record.torn + [UInt8(ascii: "\n")]] where candidate.count > 1 {
            guard let added = try? RuntimeEvent.parse(log: candidate), added.count == 1,
                Self.extended(replayed, with: added[0]) == value
            else { continue }
            if !record.torn.isEmpty { try cut(to: record.complete.count) }
            try finish(candidate)
            return Settled(events: events + added, value: value)
        }
        let torn = record.torn.isEmpty ? "" : "; its last line is incomplete"
        throw AttestationError(
            .measurementInDoubt, subject: logPath,
            reason: "its \(events.count) events lead to RTMR3 \(replayed), but the register is \(value)\(torn)",
            hint: "only a new boot brings register and record together again")
    }

    private static func replay(_ events: [RuntimeEvent]) -> Measurement384 {
        events.reduce(Measurement384()) { extended($0, with: $1) }
    }

    private func read() throws(AttestationError) -> Record {
        func content(_ path: String) throws(AttestationError) -> [UInt8] {
            do {
                return try File.readRegular(path, limit: Self.maximumByteCount)
            } catch {
                if error.code == ENOENT { return [] }
                throw AttestationError(.measurementInDoubt, subject: path, reason: error.description)
            }
        }
        let text = try content(logPath)
        let end = (text.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
        return Record(
            complete: Array(text[..<end]), torn: Array(text[end...]), pending: try content(pendingPath))
    }

    private func cut(to count: Int) throws(AttestationError) {
        do throws(SystemError) {
            try File.truncate(logPath, to: count)
        } catch {
            throw AttestationError(.measurementInDoubt, subject: logPath, reason: error.description)
        }
    }

    // MARK: Lock

    private func lock(_ deadline: ContinuousClock.Instant) throws(AttestationError) -> LockFile {
        do throws(SystemError) {
            if mkdir(directory, 0o755) != 0, errno != EEXIST { throw SystemError.last("make", directory) }
            while true {
                if let lock = try LockFile.taken(lockPath) { return lock }
                guard Polling.pause(until: deadline) else {
                    throw SystemError(
                        "lock", lockPath, code: EWOULDBLOCK, reason: "another process has held it the whole time")
                }
            }
        } catch {
            throw AttestationError(.measurementFailed, subject: directory, reason: error.description)
        }
    }
}
