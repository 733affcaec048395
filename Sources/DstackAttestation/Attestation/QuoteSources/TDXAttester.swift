internal import DstackConcurrency
internal import DstackCrypto
internal import DstackEncoding
internal import DstackSystem
internal import Glibc
internal import Synchronization

/// The attester of an Intel TDX guest: quotes from the platform, boot events from the firmware, runtime events from the
/// guest's own record.
///
/// ```swift
/// let attester = try TDXAttester(
///     paths: TDXPlatformPaths(environment: environment), config: sysConfigText, eventVersion: .v1)
/// for notice in try await attester.examine() { log.warning(notice) }
/// ```
///
/// The record explains RTMR3 of each quote exactly. What the firmware logged about RTMR0 to RTMR2 is handed out as it is:
/// whether it explains these registers is for the verifier to judge, and ``examine()`` tells beforehand.
///
/// Quotes take up to seconds of a blocked thread. They are made one after another on a thread of their own; when more wait
/// than the queue takes, or one is not there in time, the caller is told so at once.
public final class TDXAttester: Attester {
    private let quotes: any QuoteProvider
    private let recorder: RuntimeEventRecorder
    private let bootLogPath: String
    private let config: String
    private let timeout: Duration
    private let quoting: BlockingWorker
    private let recording: BlockingWorker
    private let bootLog = Mutex<EventLog?>(nil)
    /// How runtime events of this boot are hashed.
    public let eventVersion: RuntimeEvent.Version

    /// - Parameters:
    ///   - paths: where everything is.
    ///   - config: what the host configured, as evidence carries it: `vm_config`, or the whole system configuration.
    ///   - eventVersion: of a boot that has not recorded any event yet; a boot that has keeps its own.
    ///   - timeout: how long a call may take, waiting for others included.
    ///   - queue: how many calls may wait.
    /// - Throws: ``AttestationError/Code/measurementFailed`` if the version that the boot chose cannot be read.
    public convenience init(
        paths: TDXPlatformPaths = TDXPlatformPaths(), config: String,
        eventVersion: RuntimeEvent.Version = .v1, timeout: Duration = .seconds(15), queue: Int = 32
    ) throws(AttestationError) {
        try self.init(
            paths: paths, config: config, eventVersion: eventVersion, timeout: timeout, queue: queue,
            device: TDXGuestDevice(path: paths.device), files: SystemPseudoFiles())
    }

    package convenience init(
        paths: TDXPlatformPaths, config: String, eventVersion: RuntimeEvent.Version = .v1,
        timeout: Duration = .seconds(15), queue: Int = 32, device: any TDXDevice, files: any PseudoFiles
    ) throws(AttestationError) {
        try self.init(
            quotes: TDXQuoteSource(paths, device: device, files: files),
            register: Self.register(paths, device, files), bootLog: paths.bootLog,
            runtimeLogDirectory: paths.runtimeLogDirectory, config: config, eventVersion: eventVersion,
            timeout: timeout, queue: queue)
    }

    /// An attester with another source of quotes.
    package init(
        quotes: any QuoteProvider, register: any RuntimeRegister, bootLog: String, runtimeLogDirectory: String,
        config: String, eventVersion: RuntimeEvent.Version = .v1, timeout: Duration = .seconds(15), queue: Int = 32
    ) throws(AttestationError) {
        self.quotes = quotes
        recorder = RuntimeEventRecorder(
            directory: runtimeLogDirectory, register: register, defaultVersion: eventVersion)
        bootLogPath = bootLog
        self.config = config
        self.timeout = timeout
        quoting = BlockingWorker(capacity: queue)
        recording = BlockingWorker(capacity: queue)
        self.eventVersion = try recorder.version()
    }

    /// The kernel's file where there is one; else the device, whose command not every kernel has.
    private static func register(
        _ paths: TDXPlatformPaths, _ device: any TDXDevice, _ files: any PseudoFiles
    ) -> any RuntimeRegister {
        let inDirectory = paths.register + "/rtmr3:sha384"
        for path in [inDirectory, paths.register] where files.exists(path) {
            // The directory itself is no register.
            if path == paths.register, isDirectory(path) { continue }
            return SysfsRegister(path: path, files: files)
        }
        return DeviceRegister(device)
    }

    private static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// What a source gets to say why it is late, before it is said for it.
    private static let grace = Duration.milliseconds(250)

    /// False.
    public var isSimulated: Bool { false }

    // MARK: Evidence

    /// A quote and the events that lead to its registers.
    public func attestation(reportData: ReportData) async throws(AttestationError) -> Attestation {
        let deadline = ContinuousClock.now + timeout
        let outcome = await quoting.run(within: timeout + Self.grace) { [self] in
            Result { () throws(AttestationError) in try attest(reportData, deadline) }
        }
        switch outcome {
        case .success(let result): return try result.get()
        case .failure(let rejection): throw Self.unavailable(rejection, timeout)
        }
    }

    private func attest(
        _ reportData: ReportData, _ deadline: ContinuousClock.Instant
    ) throws(AttestationError) -> Attestation {
        // Before the quote: without a log the quote would be for nothing.
        let boot = try firmwareLog()
        let quote = try quotes.quote(reportData: reportData, deadline: deadline)
        let body: QuoteBody
        do throws(AttestationError) {
            body = try Quote(parsing: quote).body
        } catch {
            throw AttestationError(
                .quoteUnavailable, subject: quotes.name, reason: "what it gave is no quote: \(error)")
        }
        guard let report = body.tdReport, body.reportData == reportData.bytes else {
            throw AttestationError(
                .quoteUnavailable, subject: quotes.name,
                reason: "the quote is not over the report data that was asked for")
        }
        let events = try explain(report.rtMr3, recordedEvents(deadline))
        var log = boot
        log.events += events.map { LoggedEvent($0) }
        return Attestation(
            platform: .tdx(.init(quote: quote, eventLog: log)),
            runtimeEvents: events, reportData: reportData, config: config)
    }

    private func recordedEvents(_ deadline: ContinuousClock.Instant) throws(AttestationError) -> [RuntimeEvent] {
        do throws(AttestationError) {
            return try recorder.events(deadline: deadline)
        } catch {
            // Nothing was to be measured here: a record that could not be looked at is no failed measurement.
            guard error.code == .measurementFailed else { throw error }
            throw AttestationError(
                .quoteUnavailable, subject: error.subject, reason: error.reason, hint: error.hint)
        }
    }

    /// The events up to the moment at which the quote was made. Others may have been measured since: nobody is kept from
    /// measuring while the platform signs.
    private func explain(
        _ quoted: Measurement384, _ events: [RuntimeEvent]
    ) throws(AttestationError) -> [RuntimeEvent] {
        var register = Measurement384()
        var count = 0
        for (index, event) in events.enumerated() where register != quoted {
            register = SHA384.hash(register.bytes + event.digest.bytes)
            count = index + 1
        }
        guard register == quoted else {
            throw AttestationError(
                .measurementInDoubt, subject: recorder.logPath,
                reason: "its \(events.count) events never lead to the quoted RTMR3 \(quoted)")
        }
        return Array(events.prefix(count))
    }

    private func firmwareLog() throws(AttestationError) -> EventLog {
        // It does not change while the trust domain runs.
        if let known = bootLog.withLock({ $0 }) { return known }
        let bytes: [UInt8]
        do {
            bytes = try File.read(bootLogPath, limit: 4 << 20)
        } catch {
            throw AttestationError(
                .quoteUnavailable, subject: bootLogPath,
                reason: "the firmware's event log cannot be read: \(error)",
                hint: "DSTACK_CCEL_FILE names another file")
        }
        do {
            let log = try EventLog(ccel: bytes)
            bootLog.withLock { $0 = log }
            return log
        } catch {
            throw AttestationError(
                .quoteUnavailable, subject: bootLogPath, reason: "the firmware's event log is malformed: \(error)")
        }
    }

    private static func unavailable(_ rejection: BlockingWorker.Rejection, _ timeout: Duration) -> AttestationError {
        let reason =
            switch rejection {
            case .saturated(let count): "\(count) requests for quotes wait already; the platform is too slow or hangs"
            case .timedOutWaiting: "other quotes took the whole \(timeout) that this one had"
            case .timedOutRunning: "the platform did not answer within \(timeout)"
            case .cancelled: "the request was cancelled"
            case .stopped: "no thread could be had"
            }
        return AttestationError(.quoteUnavailable, subject: "quote", reason: reason, hint: "try again later")
    }

    // MARK: Events

    /// Extends RTMR3 and records the event. A measurement that has begun is waited for, whatever the time.
    public func emit(_ event: RuntimeEvent) async throws(AttestationError) {
        let deadline = ContinuousClock.now + timeout
        let outcome = await recording.run(within: timeout, onceStarted: .waitFor) { [self] in
            Result { () throws(AttestationError) in try recorder.record(event, deadline: deadline) }
        }
        switch outcome {
        case .success(let result): try result.get()
        case .failure(let rejection):
            throw AttestationError(
                .measurementFailed, subject: "event \(event.name)",
                reason: "nothing was measured: \(Self.unavailable(rejection, timeout).reason)")
        }
    }

    // MARK: At start

    /// Looks at everything once, so that what is wrong is known at start and not at the first request.
    ///
    /// - Returns: what works but deserves attention, a sentence each.
    /// - Throws: ``AttestationError`` for what keeps this guest from giving evidence at all.
    public func examine() async throws(AttestationError) -> [String] {
        let attestation = try await attestation(reportData: ReportData(FixedBytes()))
        guard let report = try attestation.parsedQuote().body.tdReport, let log = attestation.eventLog else {
            return []
        }
        return try log.replay().compare(with: report.rtmrs).filter { !$0.matches }.map {
            "the firmware's event log does not explain \($0.register): quoted \($0.quoted), replayed \($0.replayed); "
                + "verifiers that replay it will refuse this guest's evidence"
        } + log.omissions
    }
}
