package import DstackAttestation
import DstackEncoding
import DstackKeys
import DstackRPC
import DstackRPCServer
package import DstackSystem
import Synchronization

/// The service inside a confidential VM that gives an application's containers their keys, certificates and evidence.
///
/// ```swift
/// let agent = GuestAgent(settings, files: try GuestFiles(settings.files), attester: attester)
/// let server = try GuestServer(agent)
/// try await server.start()
/// ```
///
/// It holds the parent of all the application's keys. Everything that reaches one of its Unix sockets is the application
/// (``AccessRules`` can say otherwise), everything on the public port is a stranger, who gets nothing secret.
package final class GuestAgent: Sendable {
    package let settings: GuestSettings
    package let version: GuestVersion
    let files: GuestFiles
    let gpus: GPUEvidence
    let host: (any GuestHost)?
    let actions: any GuestActions
    let clock: any WallClock
    let quotes: QuoteQueue
    let evidence: EvidenceCache<GuestEvidence>
    let keyCache: KeyCache
    let issuer: CertificateIssuer
    let appKeyEvidence: AppKeyEvidence
    let health: GuestHealth
    let demoCertificate: DemoCertificate?
    /// Whether the host has asked for the end, and it is under way.
    let isShuttingDown = Atomic(false)
    private let attester: any Attester
    private let infoReplies: InfoReplyCache

    /// - Parameters:
    ///   - settings: what is configured.
    ///   - files: the application's.
    ///   - attester: who makes evidence. It is asked for one quote at a time.
    ///   - host: who knows the machine's state; nil where nobody does, and those methods say so.
    package init(
        _ settings: GuestSettings, files: GuestFiles, attester: any Attester, version: GuestVersion = .unknown,
        host: (any GuestHost)? = nil, actions: any GuestActions = NoGuestActions(), machine: GuestMachine = .init(),
        clock: any WallClock = SystemWallClock()
    ) {
        self.settings = settings
        self.files = files
        self.attester = attester
        self.version = version
        self.host = host
        self.actions = actions
        gpus = GPUEvidence(of: machine)
        self.clock = clock
        let quotes = QuoteQueue(
            timeout: settings.evidence.timeout, capacity: settings.evidence.maximumWaiting)
        self.quotes = quotes
        keyCache = KeyCache(capacity: settings.keys.cachedAnswers)
        infoReplies = InfoReplyCache(version: version.version)
        health = GuestHealth(files.compose, host: host, clock: clock)

        let attest: @Sendable (ReportData) async throws -> Attestation = { reportData in
            try await quotes.run { try await attester.attestation(reportData: reportData) }
        }
        let (vendor, product) = (machine.vendor, machine.product)
        let evidence = EvidenceCache<GuestEvidence>(maximumAge: settings.evidence.maximumAge) {
            let attestation = try await attest(ReportData(FixedBytes()))
            return try GuestEvidence(
                attestation, isSimulated: attester.isSimulated, files: files, vendor: vendor, product: product)
        }
        self.evidence = evidence
        let issuer = CertificateIssuer(
            files: files, settings: settings.certificates, clock: clock,
            kms: KMSCertificates(files, settings.certificates, clock: clock, attest: attest), attest: attest,
            appInfo: { try await evidence.value().appInfo })
        self.issuer = issuer
        appKeyEvidence = AppKeyEvidence(quotesPerMinute: settings.evidence.publicQuotesPerMinute)
        guard settings.certificates.makesDemoCertificate else {
            demoCertificate = nil
            return
        }
        let (certificates, clocks) = (settings.certificates, clock)
        demoCertificate = DemoCertificate(lifetime: certificates.maximumValidity) {
            let request = AgentRPC.GetTlsKeyArgs.with {
                $0.subject = "demo-cert"
                $0.usageClientAuth = true
                $0.usageRATLS = true
            }
            return try await issuer.issue(
                CertificateOrder(request, certificates, now: clocks.unixSeconds)
            ).chain
        }
    }

    /// Takes the first quote and asks for the first certificate, in the background: an agent whose platform is slow, or
    /// whose KMS is away, hands out keys all the same.
    package func warmUp() {
        evidence.refresh()
        _ = demoCertificate?.current
    }

    /// Whether evidence proves nothing.
    package var isSimulated: Bool { attester.isSimulated }

    /// How events are hashed, for the life of this boot.
    var eventVersion: RuntimeEvent.Version { attester.eventVersion }

    /// Evidence as it is handed out.
    func encoded(_ attestation: Attestation) -> [UInt8] { attester.encoded(attestation) }

    /// Evidence with report data that an application chose.
    ///
    /// - Throws: an `RPCError` for more than 64 bytes, and for what only ``attestSession(_:)`` may have signed.
    func attestation(chosen bytes: [UInt8]) async throws -> Attestation {
        guard let reportData = try? ReportData(padding: bytes) else { throw RPCError("Report data is too long") }
        return try await attestation(chosen: reportData)
    }

    func attestation(chosen reportData: ReportData) async throws -> Attestation {
        // Evidence that is bound to a TLS connection would be worth nothing if an application could have its report data
        // signed for a connection that ends elsewhere.
        guard !reportData.isReservedForSessions else {
            throw RPCError(
                "report data that begins with \"dstack-session/\" is reserved for AttestSession, which builds it from a "
                    + "connection's exporter value")
        }
        return try await attestation(built: reportData)
    }

    /// Evidence with report data that the agent built itself.
    func attestation(built reportData: ReportData) async throws -> Attestation {
        do {
            return try await quotes.run { [attester] in
                try await attester.attestation(reportData: reportData)
            }
        } catch let error as AttestationError {
            throw RPCError("Failed to get quote: \(error)", status: 503)
        }
    }

    /// Measures an event.
    func emit(_ event: RuntimeEvent) async throws(RPCError) {
        defer { evidenceChanged() }
        do {
            try await attester.emit(event)
        } catch {
            let status =
                switch error.code {
                case .measurementInDoubt: 500
                case .measurementUnsupported, .measurementTooLarge: 400
                default: 503
                }
            throw RPCError("Failed to emit event: \(error)", status: status)
        }
    }

    private func evidenceChanged() {
        evidence.invalidate()
        appKeyEvidence.invalidate()
        evidence.refresh()
    }

    // MARK: Info

    /// What the agent knows of the instance: from a cache, except right after measured events.
    package func snapshot() async throws -> GuestSnapshot { try await evidence.value().snapshot }

    /// The answers of Info, where they are at hand.
    var currentInfo: InfoReplies? { evidence.current.map(replies) }

    /// The answers of Info, from a new quote if there is none of the present state.
    func info() async throws -> InfoReplies { replies(for: try await evidence.value()) }

    private func replies(for evidence: GuestEvidence) -> InfoReplies {
        infoReplies.replies(for: evidence, certificate: demoCertificate?.current ?? .init())
    }
}

/// What Version answers.
package struct GuestVersion: Sendable, Hashable {
    package var version: String
    /// `git:` and digits of the commit, or `unknown`.
    package var revision: String

    package init(version: String, revision: String) {
        self.version = version
        self.revision = revision
    }

    /// Of a build.
    ///
    /// - Parameter commit: nil where the build did not know.
    package init(version: String, commit: String?) {
        self.init(version: version, revision: commit.map { "git:\($0)" } ?? "unknown")
    }

    package static let unknown = GuestVersion(version: "0.0.0", revision: "unknown")

    /// As the public port says it in a header.
    var header: String { "v\(version) (\(revision))" }

    var message: AgentRPC.WorkerVersion {
        .with {
            $0.version = version
            $0.revision = revision
        }
    }
}

/// What the agent does to the machine when the host asks for it.
package protocol GuestActions: Sendable {
    /// Ends the machine's life. Called after the answer is on its way.
    func shutDown() async
}

/// Does nothing, as in tests.
package struct NoGuestActions: GuestActions {
    package init() {}
    package func shutDown() async {}
}
