package import DstackCrypto
import DstackEncoding
package import DstackKMS
package import DstackKMSClient
import DstackRPC
package import DstackStore
import DstackSystem

/// Looks from time to time how far the audit logs of other services have come, and keeps that: a service whose disk was put back
/// to an older one cannot tell itself, and these can.
///
/// What is kept is a signed head; a service that shows one that contradicts it is told of in this one's log, and in its audit log.
package actor ReplicaWatch {
    private let urls: [String]
    private let connect: @Sendable (String) throws -> KMSClient
    private let store: any Store
    private let audit: AuditLog
    private let root: P256.PublicKey
    private let interval: Duration
    private let log = Log("kms.replicas")
    private var witness: AuditWitness?

    private static let prefix = StoreKey("kms/witness/")

    /// - Parameters:
    ///   - urls: of the other services.
    ///   - connect: makes the client for one, which trusts those alone who have this root.
    ///   - root: the root CA's key.
    package init(
        urls: [String], _ store: any Store, _ audit: AuditLog, root: P256.PublicKey,
        interval: Duration = .seconds(3_600), connect: @escaping @Sendable (_ url: String) throws -> KMSClient
    ) {
        self.urls = urls
        self.store = store
        self.audit = audit
        self.root = root
        self.interval = interval
        self.connect = connect
    }

    /// Looks until the task is cancelled.
    package func run() async {
        guard !urls.isEmpty else { return }
        // Services that start together find each other first.
        guard (try? await Task.sleep(for: min(interval, .seconds(60)))) != nil else { return }
        repeat {
            for url in urls { await look(at: url) }
        } while (try? await Task.sleep(for: interval)) != nil
    }

    private func look(at url: String) async {
        do {
            guard let head = try await connect(url).meta().message.auditHead else { return }
            try await note(SignedAuditHead(json: Array(head.utf8)), of: url)
        } catch {
            log.warn("the audit log of a replica cannot be looked at", ["url": url, "error": "\(error)"])
        }
    }

    /// Compares a head with what is known of its log, and keeps the higher.
    ///
    /// - Throws: ``KMSStateError``: `.notAuthentic` for one that no service of this root signed.
    package func note(_ head: SignedAuditHead, of url: String) async throws(KMSStateError) {
        // This service's own, where all have one list of addresses.
        guard head.log != audit.id else { return }
        var known: AuditWitness
        if let witness { known = witness } else { known = try await load() }
        let before = known.heads[head.log]
        let observation = try known.observe(head, root: root)
        witness = known
        switch observation {
        case .first, .good:
            guard before?.count != head.count else { return }
            var changes = StoreTransaction()
            changes.put(StoreKey("kms/witness/", head.log.bytes), head.json)
            try await audit.record(.headSeen(log: head.log, count: head.count, hash: head.hash), with: changes)
        case .late: break
        case .cutOff(let higher), .forked(let higher):
            log.error(
                "the audit log of a replica contradicts what it showed before: its state was put back, or changed",
                ["url": url, "log": head.log.hex, "entries": head.count, "entries_before": higher.count])
            try await audit.record(
                .headContradicted(log: head.log, count: head.count, hash: head.hash, known: higher.count))
        }
    }

    private func load() async throws(KMSStateError) -> AuditWitness {
        do throws(StoreError) {
            let records = try await store.allRecords(prefix: Self.prefix)
            return AuditWitness(heads: records.compactMap { try? SignedAuditHead(json: $0.value) })
        } catch {
            throw KMSStateError(error)
        }
    }
}
