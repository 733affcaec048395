/// Looking after the epochs of a service's keys. Upstream has none of it.
extension KMSRPC.Admin {
    package static let listEpochs = RPCMethod<RPCEmpty, KMSRPC.EpochList>(name, "ListEpochs", .repeatable)
    package static let advanceEpoch = RPCMethod<KMSRPC.EpochScope, KMSRPC.AdvancedEpoch>(name, "AdvanceEpoch", .once)
    package static let retireEpoch = RPCMethod<KMSRPC.EpochRetirement, RPCEmpty>(name, "RetireEpoch", .once)
    package static let forgetReplica = RPCMethod<KMSRPC.EpochReplica, RPCEmpty>(name, "ForgetReplica", .once)
}

extension KMSRPC {
    /// Whom an epoch is for.
    package struct EpochScope: RPCMessage {
        /// 20 bytes; empty for all applications.
        package var appID: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "app_id", &appID)
        }
    }

    package struct AdvancedEpoch: RPCMessage {
        package var epoch: UInt64 = 0

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "epoch", &epoch)
        }
    }

    package struct EpochRetirement: RPCMessage {
        package var epoch: UInt64 = 0
        /// 20 bytes; empty for all applications.
        package var appID: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "epoch", &epoch)
            fields.value(2, "app_id", &appID)
        }
    }

    package struct EpochReplica: RPCMessage {
        /// 16 bytes.
        package var id: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "id", &id)
        }
    }

    package struct EpochEntry: RPCMessage {
        package var epoch: UInt64 = 0
        /// 20 bytes; empty for all applications.
        package var appID: [UInt8] = []
        /// `proposed` until every replica has stored it, then `in_force`; `retired` where it gives no keys to anybody any more.
        package var state = ""
        /// Who has not said yet that it has stored a proposed one, 16 bytes each, as far as the one that answers has heard
        /// since its start.
        package var missing: [[UInt8]] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "epoch", &epoch)
            fields.value(2, "app_id", &appID)
            fields.value(3, "state", &state)
            fields.repeated(4, "missing", &missing)
        }
    }

    /// What is known of another service with the same root keys.
    package struct EpochReplicaState: RPCMessage {
        /// 16 bytes.
        package var id: [UInt8] = []
        /// Unix seconds; nil where nothing was heard of it since the start of the one that answers.
        package var lastHeard: UInt64?
        /// Where it answers, or called from; empty where that is not known.
        package var address = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "id", &id)
            fields.optional(2, "last_heard", &lastHeard)
            fields.value(3, "address", &address)
        }
    }

    package struct EpochList: RPCMessage {
        package var epochs: [EpochEntry] = []
        /// Services that an epoch waits for, 16 bytes each.
        package var replicas: [[UInt8]] = []
        /// The one that answers.
        package var replica: [UInt8] = []
        /// What was retired for some applications alone.
        package var retirements: [EpochRetirement] = []
        /// Of the others among ``replicas``.
        package var states: [EpochReplicaState] = []
        /// Why the one that answers gives no keys: `forgotten`, `copied`, `waiting`; empty where it gives some.
        package var silence = ""

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.messages(1, "epochs", &epochs)
            fields.repeated(2, "replicas", &replicas)
            fields.value(3, "replica", &replica)
            fields.messages(4, "retirements", &retirements)
            fields.messages(5, "states", &states)
            fields.value(6, "silence", &silence)
        }
    }
}
