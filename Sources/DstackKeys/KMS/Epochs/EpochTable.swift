package import DstackAttestation
package import DstackEncoding
package import DstackKeys

/// Which of several services with the same root keys: random, chosen when its state began.
package struct ReplicaID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let bytes: FixedBytes<16>

    package init(_ bytes: FixedBytes<16>) { self.bytes = bytes }

    package static func < (left: Self, right: Self) -> Bool {
        left.bytes.bytes.lexicographicallyPrecedes(right.bytes.bytes)
    }

    package var description: String { bytes.hex }
}

/// Whom an epoch is for.
package enum EpochScope: Hashable, Sendable, CustomStringConvertible {
    case all
    case app(AppID)

    package func covers(_ app: AppID) -> Bool { self == .all || self == .app(app) }

    package var description: String {
        switch self {
        case .all: "all applications"
        case .app(let app): "application \(app)"
        }
    }
}

/// All that replicas know of epochs. It only grows: merging two tables gives the same in whatever order, and however often, so
/// that messages may be lost, doubled and late.
///
/// Epochs have one sequence of numbers, whether they are for all applications or for one: an application's epochs are those for
/// all and its own, and the highest in force is its current one. Number 0 is upstream's and stands in no table.
package struct EpochTable: Hashable, Sendable {
    package struct Epoch: Hashable, Sendable {
        package enum Phase: UInt8, Sendable {
            /// Gives no keys yet: somebody may not have stored it.
            case proposed = 0
            case inForce = 1
        }

        package let scope: EpochScope
        /// Tells two apart that were given the same number at the same time.
        package let proposal: FixedBytes<16>
        package let proposer: ReplicaID
        package var phase: Phase
    }

    package struct Retirement: Hashable, Sendable {
        package let number: UInt64
        package let scope: EpochScope

        package init(number: UInt64, scope: EpochScope) {
            self.number = number
            self.scope = scope
        }
    }

    package private(set) var replicas: Set<ReplicaID>
    /// Replicas that are none any more. Their ids are never used again.
    package private(set) var forgotten: Set<ReplicaID> = []
    package private(set) var epochs: [UInt64: Epoch] = [:]
    package private(set) var retired: Set<Retirement> = []

    /// How many epochs there may be, and how many retirements; and how many replicas ever.
    package static let maximumEpochs = 4_096
    package static let maximumReplicas = 256
    /// Numbers that every reader of JSON keeps.
    package static let maximumNumber: UInt64 = 1 << 53 - 1

    /// - Parameter replicas: the first; none for a service that has yet to hear from the others.
    package init(replicas: Set<ReplicaID> = []) { self.replicas = replicas }

    /// Those that must have stored an epoch before it is in force.
    package var members: Set<ReplicaID> { replicas.subtracting(forgotten) }

    // MARK: Questions

    /// The highest epoch in force.
    package func current(of app: AppID) -> KeyEpoch {
        KeyEpoch(
            epochs.filter { $0.value.phase == .inForce && $0.value.scope.covers(app) }.keys.max()
                ?? KeyEpoch.first.number)
    }

    /// The highest epoch in force that is for everybody in a scope.
    private func current(of scope: EpochScope) -> UInt64 {
        switch scope {
        case .all: epochs.filter { $0.value.phase == .inForce && $0.value.scope == .all }.keys.max() ?? 0
        case .app(let app): current(of: app).number
        }
    }

    /// The epoch whose keys an application is given. Never another than the one that is named.
    ///
    /// - Parameter named: nil for the current one.
    /// - Throws: ``KMSStateError``: `.unknownEpoch`, `.epochNotInForce`, `.retiredEpoch`.
    package func resolve(_ named: KeyEpoch?, of app: AppID) throws(KMSStateError) -> KeyEpoch {
        let epoch = named ?? current(of: app)
        if epoch != .first {
            guard let known = epochs[epoch.number], known.scope.covers(app) else {
                throw KMSStateError(
                    .unknownEpoch, "epoch \(epoch) of application \(app)", "this service does not know it",
                    hint: "ask another replica, or wait until this one has heard of it")
            }
            guard known.phase == .inForce else {
                throw KMSStateError(
                    .epochNotInForce, "epoch \(epoch) of application \(app)",
                    "it is not in force, or this service has not heard yet that it is", hint: "ask again in a moment")
            }
        }
        guard !isRetired(epoch.number, for: app) else {
            throw KMSStateError(
                .retiredEpoch, "epoch \(epoch) of application \(app)", "it was retired and gives no keys any more")
        }
        return epoch
    }

    private func isRetired(_ number: UInt64, for app: AppID) -> Bool {
        retired.contains(Retirement(number: number, scope: .all))
            || retired.contains(Retirement(number: number, scope: .app(app)))
    }

    // MARK: Changes

    mutating func add(_ replica: ReplicaID) throws(KMSStateError) {
        guard !forgotten.contains(replica) else {
            throw KMSStateError(.notAReplica, "replica \(replica)", "it was removed; it has to begin with a new id")
        }
        guard replicas.count < Self.maximumReplicas || replicas.contains(replica) else {
            throw KMSStateError(.overloaded, "replicas", "there have been \(replicas.count) of them already")
        }
        replicas.insert(replica)
    }

    mutating func forget(_ replica: ReplicaID) throws(KMSStateError) {
        guard replicas.contains(replica) else {
            throw KMSStateError(.notAReplica, "replica \(replica)", "there is none of this id")
        }
        forgotten.insert(replica)
    }

    /// - Returns: the number of the new epoch.
    mutating func propose(
        _ scope: EpochScope, _ proposal: FixedBytes<16>, by proposer: ReplicaID
    ) throws(KMSStateError) -> UInt64 {
        let number = (epochs.keys.max() ?? 0) + 1
        guard epochs.count < Self.maximumEpochs, number <= Self.maximumNumber else {
            throw KMSStateError(.overloaded, "epochs", "there are \(epochs.count) of them, and no room for more")
        }
        epochs[number] = Epoch(scope: scope, proposal: proposal, proposer: proposer, phase: .proposed)
        return number
    }

    mutating func putInForce(_ number: UInt64) { epochs[number]?.phase = .inForce }

    /// - Throws: ``KMSStateError``: `.unknownEpoch`, `.currentEpoch` where somebody in the scope has no later one.
    mutating func retire(_ number: UInt64, for scope: EpochScope) throws(KMSStateError) {
        let subject = "epoch \(number) of \(scope)"
        let belongs =
            switch (epochs[number]?.scope, scope) {
            case (nil, _): number == KeyEpoch.first.number
            case (.all?, _): true
            case (let own?, _): own == scope
            }
        guard belongs else { throw KMSStateError(.unknownEpoch, subject, "there is no such epoch") }
        guard number < current(of: scope) else {
            throw KMSStateError(
                .currentEpoch, subject,
                "it is in use, or not in force yet: a later one has to be in force for \(scope)",
                hint: "advance first")
        }
        guard retired.count < Self.maximumEpochs else {
            throw KMSStateError(.overloaded, "epochs", "\(retired.count) are retired, and there is no room for more")
        }
        retired.insert(Retirement(number: number, scope: scope))
    }

    /// Takes over what another replica knows.
    ///
    /// Where both have given one number to different epochs, neither of which is in force, the one whose proposal is the
    /// smaller stays: everybody decides alike, and none can come into force that its proposer does not have.
    ///
    /// - Returns: what had to give way.
    /// - Throws: ``KMSStateError/Code/conflict`` where two different epochs of one number are in force, which replicas that
    ///   follow the rules never come to; ``KMSStateError/Code/overloaded`` for too much of anything.
    mutating func merge(_ other: EpochTable) throws(KMSStateError) -> [Epoch] {
        var merged = self
        var displaced: [Epoch] = []
        merged.replicas.formUnion(other.replicas)
        merged.forgotten.formUnion(other.forgotten)
        merged.retired.formUnion(other.retired)
        for (number, theirs) in other.epochs {
            guard let ours = merged.epochs[number] else {
                merged.epochs[number] = theirs
                continue
            }
            if ours.proposal == theirs.proposal, ours.scope == theirs.scope, ours.proposer == theirs.proposer {
                if theirs.phase == .inForce { merged.putInForce(number) }
                continue
            }
            switch (ours.phase, theirs.phase) {
            case (.inForce, .inForce):
                throw KMSStateError(
                    .conflict, "epoch \(number)", "another replica has another one of this number in force")
            case (.inForce, .proposed): continue
            case (.proposed, .proposed):
                guard Self.order(theirs).lexicographicallyPrecedes(Self.order(ours)) else { continue }
                fallthrough
            case (.proposed, .inForce):
                displaced.append(ours)
                merged.epochs[number] = theirs
            }
        }
        guard merged.epochs.count <= Self.maximumEpochs, merged.retired.count <= Self.maximumEpochs,
            merged.replicas.count <= Self.maximumReplicas
        else { throw KMSStateError(.overloaded, "epochs", "another replica has more than there is room for") }
        self = merged
        return displaced
    }

    private static func order(_ epoch: Epoch) -> [UInt8] {
        epoch.proposal.bytes + epoch.proposer.bytes.bytes + EpochTable.encoded(epoch.scope)
    }
}

// MARK: - As bytes

extension EpochTable {
    private static let version: UInt8 = 1

    /// One encoding for each table: everything in order.
    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 64 + epochs.count * 64 + retired.count * 32)
        writer.u8(Self.version)
        for set in [replicas, forgotten] {
            writer.bigEndian(UInt32(set.count))
            for replica in set.sorted() { writer.fixed(replica.bytes) }
        }
        writer.bigEndian(UInt32(epochs.count))
        for (number, epoch) in epochs.sorted(by: { $0.key < $1.key }) {
            writer.bigEndian(number)
            writer.append(Self.encoded(epoch.scope))
            writer.fixed(epoch.proposal)
            writer.fixed(epoch.proposer.bytes)
            writer.u8(epoch.phase.rawValue)
        }
        writer.bigEndian(UInt32(retired.count))
        for retirement in retired.map({ Self.encoded($0) }).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            writer.append(retirement)
        }
        return writer.bytes
    }

    private static func encoded(_ retirement: Retirement) -> [UInt8] {
        var writer = ByteWriter(capacity: 29)
        writer.bigEndian(retirement.number)
        writer.append(encoded(retirement.scope))
        return writer.bytes
    }

    fileprivate static func encoded(_ scope: EpochScope) -> [UInt8] {
        switch scope {
        case .all: [0]
        case .app(let app): [1] + app.bytes.bytes
        }
    }

    /// Reads what ``encoded`` writes, to the letter.
    ///
    /// - Throws: ``KMSStateError/Code/malformed``.
    package init(decoding bytes: [UInt8]) throws(KMSStateError) {
        do throws(DecodingFailure) {
            self = try Self.read(bytes)
            guard encoded == bytes else {
                throw DecodingFailure(.malformed, "epochs", "they are not in their order, or doubled")
            }
        } catch {
            throw KMSStateError(.malformed, error)
        }
    }

    private static func read(_ bytes: [UInt8]) throws(DecodingFailure) -> EpochTable {
        var reader = ByteReader(bytes.span.bytes)
        let version = try reader.u8("version of epochs")
        guard version == Self.version else {
            throw DecodingFailure(.unsupported, "epochs", "version \(version); \(Self.version) is known")
        }
        var table = EpochTable()
        for _ in 0..<(try Self.count(&reader, maximumReplicas)) {
            table.replicas.insert(ReplicaID(try reader.fixed("replica")))
        }
        for _ in 0..<(try Self.count(&reader, maximumReplicas)) {
            table.forgotten.insert(ReplicaID(try reader.fixed("replica")))
        }
        for _ in 0..<(try Self.count(&reader, maximumEpochs)) {
            let number = try Self.number(&reader)
            let scope = try Self.scope(&reader)
            let proposal: FixedBytes<16> = try reader.fixed("proposal")
            let proposer = ReplicaID(try reader.fixed("proposer"))
            guard number > 0, let phase = Epoch.Phase(rawValue: try reader.u8("phase")) else {
                throw DecodingFailure(
                    .unsupported, "epoch \(number)", at: reader.offset, "no such epoch, or no such phase")
            }
            table.epochs[number] = Epoch(scope: scope, proposal: proposal, proposer: proposer, phase: phase)
        }
        for _ in 0..<(try Self.count(&reader, maximumEpochs)) {
            table.retired.insert(Retirement(number: try Self.number(&reader), scope: try Self.scope(&reader)))
        }
        try reader.expectEnd(of: "epochs")
        return table
    }

    private static func count(_ reader: inout ByteReader, _ limit: Int) throws(DecodingFailure) -> Int {
        let count: UInt32 = try reader.bigEndian("count")
        guard count <= limit else {
            throw DecodingFailure(.tooLarge, "epochs", at: reader.offset, "\(count), at most \(limit)")
        }
        return Int(count)
    }

    private static func number(_ reader: inout ByteReader) throws(DecodingFailure) -> UInt64 {
        let number: UInt64 = try reader.bigEndian("epoch")
        guard number <= maximumNumber else { throw DecodingFailure(.tooLarge, "epoch", at: reader.offset, "\(number)") }
        return number
    }

    private static func scope(_ reader: inout ByteReader) throws(DecodingFailure) -> EpochScope {
        switch try reader.u8("scope") {
        case 0: return .all
        case 1: return .app(AppID(try reader.fixed("app_id")))
        case let other: throw DecodingFailure(.unsupported, "scope", at: reader.offset, "\(other)")
        }
    }
}
