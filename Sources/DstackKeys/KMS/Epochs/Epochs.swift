package import DstackAttestation
import DstackConcurrency
package import DstackCrypto
import DstackEncoding
package import DstackKeys
package import DstackStore
import Synchronization

/// The epochs of a service's keys: which are current, which are still given, and what other replicas know of them.
///
/// ```swift
/// let epochs = try await Epochs.open(store, .founding, audit: log) { message, replica in … }
/// let epoch = try epochs.epoch(of: app, named: nil)
/// let key = try roots.appRootKey(app, epoch: epoch)
/// ```
package actor Epochs {
    /// Where a service without epochs on its disk begins.
    package enum Beginning: Sendable {
        /// With new root keys: there is no other replica.
        case founding
        /// With another service's root keys: gives no keys before it has heard from it.
        case joining
    }

    /// Carries a message to another replica, over a connection on which both are attested. May lose it.
    package typealias Send = @Sendable (_ message: EpochMessage, _ replica: ReplicaID) -> Void

    private static let tableKey = StoreKey("kms/epochs")
    private static let replicaKey = StoreKey("kms/replica")

    private struct View: Sendable {
        var table: EpochTable
        var isMember: Bool
        var isForgotten: Bool
        var missing: [UInt64: [ReplicaID]]
        /// Addresses of others with this one's id.
        var copies: Set<String> = []

        var silence: Silence? {
            if isForgotten { return .forgotten }
            guard isMember else { return .waiting }
            return copies.isEmpty ? nil : .copied
        }
    }

    private let store: any Store
    private let audit: AuditLog?
    private let send: Send
    private var node: EpochNode
    /// The record as it was written last.
    private var record: StoreRecord?
    /// One event after another: each is on the disk before the next is looked at.
    private let turns = Gate(permits: 1)
    /// For answers that wait for no actor.
    private let view: Mutex<View>

    /// This service among its like.
    package nonisolated let replica: ReplicaID

    /// Opens what is stored, or begins.
    ///
    /// - Parameter anew: for a service that has no keys yet. Epochs in its store are then of keys that never came, or are gone:
    ///   they give way, since under other keys they would hold up, or mix with, those of other services. The replica's id
    ///   stays, so that a service that counts it already does not wait for two.
    package static func open(
        _ store: any Store, _ beginning: Beginning, anew: Bool = false, audit: AuditLog? = nil,
        random: any RandomBytes = SystemRandom(), send: @escaping Send
    ) async throws(KMSStateError) -> Epochs {
        var (id, table): (StoreRecord?, StoreRecord?)
        do throws(StoreError) {
            (id, table) = (try await store.record(replicaKey), try await store.record(tableKey))
            if id == nil, table == nil {
                let me = ReplicaID(random.fixed(FixedBytes<16>.self))
                var transaction = StoreTransaction()
                transaction.requireAbsent(replicaKey)
                transaction.requireAbsent(tableKey)
                transaction.put(replicaKey, me.bytes.bytes)
                transaction.put(tableKey, EpochTable(replicas: beginning == .founding ? [me] : []).encoded)
                _ = try await store.commit(transaction)
                (id, table) = (try await store.record(replicaKey), try await store.record(tableKey))
            } else if anew, let bytes = FixedBytes<16>(id?.value ?? []) {
                var transaction = StoreTransaction()
                transaction.requireUnchanged(tableKey, since: table)
                transaction.put(
                    tableKey, EpochTable(replicas: beginning == .founding ? [ReplicaID(bytes)] : []).encoded)
                _ = try await store.commit(transaction)
                table = try await store.record(tableKey)
            }
        } catch {
            throw KMSStateError(error)
        }
        guard let bytes = FixedBytes<16>(id?.value ?? []), let table else {
            throw KMSStateError(
                .corrupt, "epochs", "the store has them without the replica's id, or the id without them")
        }
        return Epochs(
            store, audit, EpochNode(ReplicaID(bytes), try EpochTable(decoding: table.value), random: random), table,
            send)
    }

    private init(
        _ store: any Store, _ audit: AuditLog?, _ node: consuming EpochNode, _ record: StoreRecord,
        _ send: @escaping Send
    ) {
        replica = node.me
        view = Mutex(
            View(
                table: node.durable, isMember: node.isMember, isForgotten: node.isForgotten, missing: node.missing))
        self.store = store
        self.audit = audit
        self.node = node
        self.record = record
        self.send = send
    }

    // MARK: Answers

    /// What this service has stored.
    package nonisolated var table: EpochTable { view.withLock { $0.table } }

    /// Of each proposed epoch the replicas that have not said since this service's start that they have stored it.
    package nonisolated var missing: [UInt64: [ReplicaID]] { view.withLock { $0.missing } }

    /// Why no keys are given; nil where they are.
    package enum Silence: String, Sendable {
        /// The others have given this one up.
        case forgotten
        /// Somebody else answers with its id.
        case copied
        /// It has not heard from the others yet.
        case waiting
    }

    package nonisolated var silence: Silence? { view.withLock { $0.silence } }

    /// Whether it may give keys: it has heard from the others, was not forgotten, and is there once.
    package nonisolated var isMember: Bool { silence == nil }

    /// - Throws: ``KMSStateError/Code/notAReplica`` where it may give no keys.
    package nonisolated func expectMember() throws(KMSStateError) {
        try Self.expectMember(view.withLock { $0 }, replica)
    }

    private static func expectMember(_ view: View, _ replica: ReplicaID) throws(KMSStateError) {
        guard let silence = view.silence else { return }
        let reason =
            switch silence {
            case .forgotten: "it was given up by the services with its keys, and gives none any more"
            case .copied: "another service answers with its id: the state was copied"
            case .waiting: "it does not know the epochs of the services with its keys"
            }
        throw KMSStateError(.notAReplica, "replica \(replica)", reason, hint: "ask another replica")
    }

    /// Notes whether somebody else answers at an address with this replica's id. As long as there is one no keys are given.
    ///
    /// Two processes with copies of one store are one replica for all others: what one of them has stored counts for both, and
    /// an epoch could be in force of which the other one knows nothing.
    package nonisolated func note(copyAt place: String, isThere: Bool) {
        view.withLock { view in
            if isThere { view.copies.insert(place) } else { view.copies.remove(place) }
        }
    }

    /// The epoch whose keys an application is given.
    ///
    /// - Parameter named: the one that it asks for; nil for its current one.
    /// - Throws: ``KMSStateError``: `.notAReplica`, `.unknownEpoch`, `.epochNotInForce`, `.retiredEpoch`. No keys of another
    ///   epoch are to be given then.
    package nonisolated func epoch(of app: AppID, named: KeyEpoch? = nil) throws(KMSStateError) -> KeyEpoch {
        let view = view.withLock { $0 }
        try Self.expectMember(view, replica)
        return try view.table.resolve(named, of: app)
    }

    // MARK: Changes

    /// Proposes new keys for an application, or for all. They are in force once every replica has stored that.
    ///
    /// - Returns: the number of the epoch, which is durable here.
    package func advance(_ scope: EpochScope) async throws(KMSStateError) -> KeyEpoch {
        var number: UInt64 = 0
        try await inTurn { (node: inout EpochNode) throws(KMSStateError) in
            let (proposed, effects) = try node.advance(scope)
            number = proposed
            return effects
        }
        return KeyEpoch(number)
    }

    /// Gives no keys of an epoch any more. They are lost for who did not move to a later one.
    package func retire(_ epoch: KeyEpoch, for scope: EpochScope) async throws(KMSStateError) {
        try await inTurn { (node: inout EpochNode) throws(KMSStateError) in try node.retire(epoch.number, for: scope) }
    }

    /// Has another service among those that must store epochs. To be done before it is given root keys.
    package func add(_ replica: ReplicaID) async throws(KMSStateError) {
        try await inTurn { (node: inout EpochNode) throws(KMSStateError) in try node.add(replica) }
    }

    /// Gives a service up, so that nothing waits for it.
    package func forget(_ replica: ReplicaID) async throws(KMSStateError) {
        try await inTurn { (node: inout EpochNode) throws(KMSStateError) in try node.forget(replica) }
    }

    /// A message from another replica, who is the one by the evidence of its connection.
    package func receive(_ message: [UInt8], from sender: ReplicaID) async throws(KMSStateError) {
        let message = try EpochMessage(decoding: message)
        try await inTurn { (node: inout EpochNode) throws(KMSStateError) in try node.receive(message, from: sender) }
    }

    /// To be called every few seconds.
    package func tick() async throws(KMSStateError) {
        try await inTurn { (node: inout EpochNode) in node.tick() }
    }

    // MARK: What follows

    /// Lets something happen, and does what follows from it.
    private func inTurn(
        _ event: (inout EpochNode) throws(KMSStateError) -> [EpochNode.Effect]
    ) async throws(KMSStateError) {
        guard await turns.enter() == .admitted else {
            throw KMSStateError(.overloaded, "epochs", "the task was cancelled before its turn came")
        }
        defer { turns.leave() }
        var effects = try event(&node)
        while !effects.isEmpty {
            switch effects.removeFirst() {
            case .send(let message, let replica): send(message, replica)
            case .store(let table):
                do throws(KMSStateError) {
                    try await write(table)
                } catch {
                    node.storingFailed()
                    throw error
                }
                effects += node.stored(table)
                publish()
            }
        }
        // What others have stored changes without anything to store here.
        publish()
    }

    private func publish() {
        let (table, isMember, isForgotten, missing) = (node.durable, node.isMember, node.isForgotten, node.missing)
        view.withLock { view in
            (view.table, view.isMember, view.isForgotten, view.missing) = (table, isMember, isForgotten, missing)
        }
    }

    private func write(_ table: EpochTable) async throws(KMSStateError) {
        let value = table.encoded
        var transaction = StoreTransaction()
        transaction.requireUnchanged(Self.tableKey, since: record)
        transaction.put(Self.tableKey, value)
        let events = Self.events(from: node.durable, to: table)
        if let audit, !events.isEmpty {
            // What does not fit beside the change is on the disk before it.
            for start in stride(from: 0, to: events.count - 1, by: AuditLog.maximumCount) {
                let end = min(start + AuditLog.maximumCount, events.count - 1)
                try await audit.record(Array(events[start..<end]))
            }
            try await audit.record(events[events.count - 1], with: transaction)
        }
        do throws(StoreError) {
            if audit == nil || events.isEmpty {
                guard case .committed = try await store.commit(transaction) else {
                    throw StoreError(.invalid, "\(Self.tableKey)", "somebody else has changed it")
                }
            }
            record = try await store.record(Self.tableKey)
        } catch {
            throw KMSStateError(error)
        }
    }

    private static func events(from old: EpochTable, to new: EpochTable) -> [AuditEvent] {
        var events: [AuditEvent] = []
        for (number, epoch) in new.epochs.sorted(by: { $0.key < $1.key }) where old.epochs[number] != epoch {
            let app: AppID? = if case .app(let app) = epoch.scope { app } else { nil }
            events.append(.epochChanged(epoch.phase == .inForce ? .inForce : .proposed, number: number, app: app))
        }
        for retirement in new.retired.subtracting(old.retired).sorted(by: { $0.number < $1.number }) {
            let app: AppID? = if case .app(let app) = retirement.scope { app } else { nil }
            events.append(.epochChanged(.retired, number: retirement.number, app: app))
        }
        return events
    }
}
