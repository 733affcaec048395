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

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "epoch", &epoch)
            fields.value(2, "app_id", &appID)
            fields.value(3, "state", &state)
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

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.messages(1, "epochs", &epochs)
            fields.repeated(2, "replicas", &replicas)
            fields.value(3, "replica", &replica)
            fields.messages(4, "retirements", &retirements)
        }
    }
}
