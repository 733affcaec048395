package import DstackCrypto
import DstackEncoding

/// What replicas tell each other: all that the sender has stored.
package struct EpochMessage: Hashable, Sendable {
    package let table: EpochTable
    /// Whether the sender wants to know what the receiver has stored, after it has stored this.
    package let isQuestion: Bool

    package init(_ table: EpochTable, isQuestion: Bool) {
        self.table = table
        self.isQuestion = isQuestion
    }

    package var encoded: [UInt8] { [isQuestion ? 1 : 0] + table.encoded }

    /// - Throws: ``KMSStateError/Code/malformed``.
    package init(decoding bytes: [UInt8]) throws(KMSStateError) {
        guard let first = bytes.first, first <= 1 else {
            throw KMSStateError(.malformed, "message about epochs", "it is neither question nor answer")
        }
        self.init(try EpochTable(decoding: Array(bytes.dropFirst())), isQuestion: first == 1)
    }
}

/// One replica's part in agreeing on epochs. No clock, no network, no disk: events are methods, and what is to be done comes
/// back.
///
/// An epoch comes into force in two steps. It is proposed, and every replica that it reaches stores it and says so. Who has
/// heard that from *every* member puts it in force and tells the others. So no key of an epoch leaves anywhere before it is
/// stored everywhere, and a replica that is cut off delays it rather than being left behind; an operator who gives the replica
/// up has it forgotten.
///
/// What is said to others, and keys are derived by, is what this replica has stored: after a crash it knows what it said.
package struct EpochNode: ~Copyable, Sendable {
    package enum Effect: Hashable, Sendable {
        /// To be made durable; then ``stored(_:)``. One at a time.
        case store(EpochTable)
        /// May be lost.
        case send(EpochMessage, to: ReplicaID)
    }

    package let me: ReplicaID
    /// What is on the disk.
    package private(set) var durable: EpochTable
    /// What is to be there.
    private var wanted: EpochTable
    private var isStoring = false
    /// What others said that they have on theirs.
    private var acknowledged: [ReplicaID: EpochTable] = [:]
    /// Who waits for an answer.
    private var owed: Set<ReplicaID> = []
    /// Whose turn it is to be asked though nothing is new.
    private var turn = 0
    private let random: any RandomBytes

    /// - Parameter table: what is on the disk; ``EpochTable/init(replicas:)`` with this one alone for the first service of new
    ///   root keys, without any for one that gets them from another.
    package init(_ me: ReplicaID, _ table: EpochTable, random: any RandomBytes = SystemRandom()) {
        self.me = me
        durable = table
        wanted = table
        self.random = random
    }

    /// Whether it may give keys: it has heard from the others, and was not forgotten.
    package var isMember: Bool { durable.members.contains(me) }

    /// Whether others have given this one up.
    package var isForgotten: Bool { durable.forgotten.contains(me) }

    /// Of each proposed epoch the members that have not said yet that they have stored it.
    package var missing: [UInt64: [ReplicaID]] {
        let (me, acknowledged, members) = (me, acknowledged, durable.members.sorted())
        return durable.epochs.filter { $0.value.phase == .proposed }.reduce(into: [:]) { missing, epoch in
            missing[epoch.key] = members.filter { member in
                member != me && acknowledged[member]?.epochs[epoch.key]?.proposal != epoch.value.proposal
            }
        }
    }

    // MARK: Events

    /// - Returns: the number of the new epoch, and what is to be done. If another replica gives the number away at the same
    ///   time, the epoch may come under a higher one instead.
    package mutating func advance(_ scope: EpochScope) throws(KMSStateError) -> (number: UInt64, effects: [Effect]) {
        try expectMember()
        let number = try wanted.propose(scope, random.fixed(FixedBytes<16>.self), by: me)
        return (number, proceed())
    }

    package mutating func retire(_ number: UInt64, for scope: EpochScope) throws(KMSStateError) -> [Effect] {
        try expectMember()
        try wanted.retire(number, for: scope)
        return proceed()
    }

    /// Has another service among those that must store epochs. To be stored before it is given root keys.
    package mutating func add(_ replica: ReplicaID) throws(KMSStateError) -> [Effect] {
        try expectMember()
        try wanted.add(replica)
        return proceed()
    }

    /// Gives a service up: nothing waits for it any more, and it gives no keys once it hears of it.
    ///
    /// Never this one, which would give no keys from then on, and could not be had back. So the last one stays, too.
    ///
    /// - Throws: ``KMSStateError``: `.ownReplica`, `.notAReplica`.
    package mutating func forget(_ replica: ReplicaID) throws(KMSStateError) -> [Effect] {
        try expectMember()
        guard replica != me else {
            throw KMSStateError(
                .ownReplica, "replica \(replica)",
                "it is the one that was asked, and would never give keys again",
                hint: "ask another replica to give it up, if it is to end; the last one cannot be given up")
        }
        try wanted.forget(replica)
        acknowledged[replica] = nil
        return proceed()
    }

    /// A message came.
    ///
    /// - Parameter sender: as the connection proves it.
    package mutating func receive(
        _ message: EpochMessage, from sender: ReplicaID
    ) throws(KMSStateError) -> [Effect] {
        // One that was given up may not know it. Of its table nothing is believed; the answer tells it.
        if wanted.forgotten.contains(sender) {
            return message.isQuestion ? [.send(EpochMessage(durable, isQuestion: false), to: sender)] : []
        }
        guard message.table.members.contains(sender) else {
            throw KMSStateError(.notAReplica, "replica \(sender)", "by its own word it is none")
        }
        let displaced = try wanted.merge(message.table)
        acknowledged[sender] = message.table
        for epoch in displaced where epoch.proposer == me && isMember {
            _ = try wanted.propose(epoch.scope, random.fixed(FixedBytes<16>.self), by: me)
        }
        if message.isQuestion { owed.insert(sender) }
        return proceed()
    }

    /// What ``Effect/store(_:)`` said is on the disk.
    package mutating func stored(_ table: EpochTable) -> [Effect] {
        isStoring = false
        durable = table
        // At once: a proposal goes to everybody, and so does the word that it is in force.
        let effects = proceed()
        return isStoring ? effects : effects + questions()
    }

    /// The disk did not take it: what was asked has not happened. What others said they say again.
    package mutating func storingFailed() {
        isStoring = false
        wanted = durable
    }

    /// To be called every few seconds: messages may have been lost.
    package mutating func tick() -> [Effect] {
        let effects = proceed()
        let questions = questions()
        guard let next = nextInTurn(), !questions.contains(next) else { return effects + questions }
        return effects + questions + [next]
    }

    /// A question to one of the others, each in turn: who was given up has nothing new to say, is told nothing, and hears of
    /// it only if it asks.
    private mutating func nextInTurn() -> Effect? {
        guard isMember else { return nil }
        let others = durable.members.subtracting([me]).sorted()
        guard !others.isEmpty else { return nil }
        turn = (turn + 1) % others.count
        return .send(EpochMessage(durable, isQuestion: true), to: others[turn])
    }

    // MARK: What follows

    private mutating func proceed() -> [Effect] {
        putInForce()
        if wanted != durable {
            guard !isStoring else { return [] }
            isStoring = true
            return [.store(wanted)]
        }
        // What is asked is answered when it is stored.
        let answer = EpochMessage(durable, isQuestion: false)
        defer { owed = [] }
        return owed.sorted().map { .send(answer, to: $0) }
    }

    private mutating func putInForce() {
        guard isMember else { return }
        let (me, acknowledged) = (me, acknowledged)
        for (number, epoch) in durable.epochs where epoch.phase == .proposed && wanted.epochs[number] == epoch {
            // Also members of which this replica has only just heard.
            let isEverywhere = wanted.members.allSatisfy { member in
                member == me || acknowledged[member]?.epochs[number]?.proposal == epoch.proposal
            }
            if isEverywhere { wanted.putInForce(number) }
        }
    }

    /// To everybody who has not said that it has all that this one has.
    private func questions() -> [Effect] {
        guard isMember else { return [] }
        let (durable, acknowledged) = (durable, acknowledged)
        return durable.members.subtracting([me]).sorted().filter { acknowledged[$0] != durable }
            .map { .send(EpochMessage(durable, isQuestion: true), to: $0) }
    }

    private func expectMember() throws(KMSStateError) {
        guard isMember else {
            throw KMSStateError(
                .notAReplica, "replica \(me)",
                durable.forgotten.contains(me)
                    ? "it was removed from the services with these keys" : "it has not heard of the others' epochs yet",
                hint: durable.forgotten.contains(me) ? "it has to be set up anew" : "wait until it has")
        }
    }
}
