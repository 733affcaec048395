/// What services with the same root keys tell each other. Upstream's have nothing of the kind and answer that they do not know
/// these methods.
extension KMSRPC {
    package enum Replica {
        package static let name = "Replica"
        /// Which replica answers.
        package static let identify = RPCMethod<RPCEmpty, ReplicaMessage>(name, "Identify", .repeatable)
        /// A service that is about to get the root keys has itself counted among the replicas, and learns their epochs.
        package static let join = RPCMethod<ReplicaMessage, ReplicaMessage>(name, "Join", .repeatable)
        /// One message about epochs, and one in return, if there is any.
        package static let exchange = RPCMethod<ReplicaMessage, ReplicaMessage>(name, "Exchange", .repeatable)
    }

    package struct ReplicaMessage: RPCMessage {
        /// Of the sender, 16 bytes.
        package var replicaID: [UInt8] = []
        /// What the sender says about epochs; empty for nothing.
        package var epochs: [UInt8] = []
        /// Of `Identify`'s answer: 16 bytes that the process chose at random when it began. By it a service knows itself, as
        /// which everybody answers who has a copy of its state.
        package var instance: [UInt8] = []

        package init() {}

        package mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "replica_id", &replicaID)
            fields.value(2, "epochs", &epochs)
            fields.value(3, "instance", &instance)
        }
    }
}
