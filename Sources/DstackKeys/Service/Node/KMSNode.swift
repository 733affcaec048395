package import DstackAttestation
import DstackConcurrency
import DstackKMS
package import DstackKMSClient
import DstackKeys
package import DstackStore
package import DstackSystem

/// A KMS with its keys: everything that is opened once and lives as long as the service does.
///
/// ```swift
/// let node = try await KMSNode.open(foundation, store)
/// let server = try KMSServer(node)
/// try await Service("kms", server, …, upkeep: node.upkeep).run { … }
/// ```
package final class KMSNode: Sendable {
    package let parts: KMSMethods.Parts
    let foundation: Foundation
    let exchange: ReplicaExchange
    private let watch: ReplicaWatch
    let callers: CallerJudge
    let files: RootKeyFiles
    var settings: KMSSettings { foundation.settings }
    private let store: any Store
    private let log = Log("kms")

    /// What has to be there before there are keys: who judges, by what evidence.
    package struct Foundation: Sendable {
        package let settings: KMSSettings
        package let verifier: AttestedPeerVerifier
        package let judge: BootJudge
        package let selfAuthorization: SelfAuthorization
        package let metrics: KMSMetrics
        let evidence: OwnEvidence
        let version: KMSVersion
        let clock: any WallClock

        /// - Parameters:
        ///   - agent: gives evidence of this machine; nil where there is none, in development.
        /// - Throws: ``KMSServiceError/Code/invalidConfiguration`` for everything in settings that cannot be used.
        package init(
            _ settings: KMSSettings, agent: KMSAttest?, version: KMSVersion, clock: any WallClock = .system
        ) throws(KMSServiceError) {
            self.settings = settings
            evidence = OwnEvidence(of: agent, encoding: settings.certificates.evidence)
            self.version = version
            self.clock = clock
            // What is wrong with what is needed later is found before keys are made.
            if settings.admin.isEnabled { _ = try AdminCredentials(settings.admin) }
            metrics = KMSMetrics()
            metrics.insecureSettings.set(UInt64(settings.announcements.count))
            verifier = try settings.makeVerifier(metrics: metrics, clock: clock)
            let authorizer = try settings.authorization.makeAuthorizer(userAgent: "dstack-kms/\(version.number)")
            judge = BootJudge(CountedAuthorizer(authorizer, in: metrics), images: settings.image)
            selfAuthorization = SelfAuthorization(
                judge, isEnforced: settings.enforcesSelfAuthorization, evidence: evidence, verifier: verifier,
                clock: clock)
        }
    }

    // MARK: Opening

    /// Loads the keys, renews the certificates, and opens what is in the store.
    ///
    /// - Parameters:
    ///   - foundation: what was there before the keys.
    ///   - store: is closed with the node, and where this throws.
    ///   - arrival: how the keys came, where that was a moment ago; nil for a service that has had them.
    /// - Throws: ``KMSServiceError``: `wrongState` where there are no keys; what cannot be read, made or written.
    package static func open(
        _ foundation: Foundation, _ store: any Store, arrival: OnboardingResult? = nil
    ) async throws(KMSServiceError) -> KMSNode {
        do throws(KMSServiceError) {
            let files = RootKeyFiles(foundation.settings.files.certificateDirectory)
            let keys = try await ServiceKeys.load(files, foundation)
            let policy = foundation.settings.issuancePolicy
            do throws(KMSStateError) {
                let metrics = foundation.metrics
                let observer = AuditLog.Observer(
                    written: { metrics.auditEntries.add($0) }, failed: { metrics.storeFailures.add() })
                let audit = try await AuditLog.open(
                    store, node: keys.domain.name, observer: observer
                ) { id throws(KMSStateError) in try AuditKey(id, of: keys.material.roots) }
                let exchange = ReplicaExchange(
                    urls: foundation.settings.replicas.urls, clock: foundation.clock
                ) { url in
                    try Self.client(of: url, keys, foundation)
                }
                let mark = ReplicaMark(files.directory)
                let epochs = try await Epochs.open(store, mark.beginning(), audit: audit, send: exchange.send)
                try mark.leave(epochs.replica)
                if let arrival {
                    try await audit.record(arrival.auditEvent)
                } else if try await audit.signedHead().count == 1 {
                    // Its service was killed before it said how they came; or they are an older one's, or restored without it.
                    try await audit.record(.keysFound(publicKey: keys.material.roots.publicKey))
                }
                try await audit.record(.started(version: foundation.version.header))
                return KMSNode(foundation, keys, policy, files, store, audit, epochs, exchange)
            } catch {
                throw KMSServiceError(error)
            }
        } catch {
            await store.close()
            throw error
        }
    }

    private init(
        _ foundation: Foundation, _ keys: ServiceKeys, _ policy: IssuancePolicy, _ files: RootKeyFiles,
        _ store: any Store, _ audit: AuditLog, _ epochs: Epochs, _ exchange: ReplicaExchange
    ) {
        self.foundation = foundation
        callers = CallerJudge(foundation.verifier)
        parts = KMSMethods.Parts(
            keys: keys, epochs: epochs, audit: audit, judge: foundation.judge,
            selfAuthorization: foundation.selfAuthorization, verifier: foundation.verifier, certificates: policy,
            metrics: foundation.metrics, isDevelopment: foundation.settings.authorization.isDevelopment,
            requiresSealedRootKeys: foundation.settings.requiresSealedRootKeys, clock: foundation.clock)
        self.files = files
        self.store = store
        self.exchange = exchange
        watch = ReplicaWatch(
            urls: foundation.settings.replicas.urls, store, audit, root: keys.material.roots.caKey.publicKey
        ) { url in try Self.client(of: url, keys, foundation) }
    }

    /// Another replica's client: it shows that it has the root key, and evidence.
    private static func client(
        of url: String, _ keys: ServiceKeys, _ foundation: Foundation
    ) throws -> KMSClient {
        var configuration = KMSClient.Configuration()
        configuration.timeout = .seconds(20)
        let attest = try foundation.evidence.requireAgent(for: "the other services in core.replicas.urls")
        configuration.introduction = .issued { attest, now in
            try await ReplicaCertificate.credentials(under: keys.root, attest: attest, at: now)
        }
        return try KMSClient(
            url, trust: .pinnedAndAttested(caPublicKey: keys.caPublicKey, foundation.verifier), attest: attest,
            configuration, clock: foundation.clock)
    }

    // MARK: Beside the service

    /// Work that goes on as long as the service does.
    package var upkeep: [@Sendable () async -> Void] {
        [
            { [parts] in await parts.verifier.collateral.run() },
            { [exchange, parts] in await exchange.run(parts.epochs) },
            { [watch] in await watch.run() },
        ]
    }

    /// Lets go of everything, and says so in the audit log.
    package func close(reason: String) async {
        do throws(KMSStateError) { try await parts.audit.record(.stopped(reason: reason)) } catch {
            log.error("the end is not in the audit log", ["error": error.explanation])
        }
        await store.close()
    }

    /// Whether the store takes something.
    func isStoreWritable() async -> Bool {
        var transaction = StoreTransaction()
        transaction.put(StoreKey("kms/alive"), Array("\(parts.clock.unixSeconds)".utf8))
        do throws(StoreError) {
            if case .committed = try await store.commit(transaction) { return true }
        } catch { parts.metrics.storeFailures.add() }
        return false
    }
}

/// Which build answers.
package struct KMSVersion: Sendable {
    package let number: String
    /// Nil where the build did not know.
    package let commit: String?

    package init(_ number: String, commit: String?) {
        self.number = number
        self.commit = commit
    }

    /// As every answer says it, in upstream's form.
    var header: String { "v\(number) (\(commit.map { "git:\($0)" } ?? "unknown"))" }
}
