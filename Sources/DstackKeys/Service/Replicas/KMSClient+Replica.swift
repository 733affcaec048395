import DstackEncoding
package import DstackKMS
package import DstackKMSClient
import DstackRPC

// What one replica asks another.

extension KMSClient {
    /// Which replica answers.
    ///
    /// - Throws: ``KMSClientError/Code/unsupported`` for upstream's services, which have no epochs.
    package func replica() async throws(KMSClientError) -> ReplicaID { try await identify().replica }

    /// Which replica answers, and which process; nil for one that does not say.
    func identify() async throws(KMSClientError) -> (replica: ReplicaID, instance: FixedBytes<16>?) {
        let answer = try await call(KMSRPC.Replica.identify, RPCEmpty(), naming: .qualified)
        return (try Self.sender(of: answer), FixedBytes(answer.instance))
    }

    /// Has the service count this one among its replicas.
    ///
    /// - Parameters:
    ///   - me: this one.
    ///   - epochs: what this one knows of epochs.
    /// - Returns: who answered, and what it says about epochs.
    package func join(
        _ me: ReplicaID, _ epochs: [UInt8]
    ) async throws(KMSClientError) -> (replica: ReplicaID, epochs: [UInt8]) {
        let answer = try await call(KMSRPC.Replica.join, Self.message(me, epochs), naming: .qualified)
        return (try Self.sender(of: answer), answer.epochs)
    }

    /// Says something about epochs.
    ///
    /// - Returns: who answered, and what it says in return; empty for nothing.
    package func exchange(
        _ me: ReplicaID, _ epochs: [UInt8]
    ) async throws(KMSClientError) -> (replica: ReplicaID, epochs: [UInt8]) {
        let answer = try await call(KMSRPC.Replica.exchange, Self.message(me, epochs), naming: .qualified)
        return (try Self.sender(of: answer), answer.epochs)
    }

    private static func message(_ me: ReplicaID, _ epochs: [UInt8]) -> KMSRPC.ReplicaMessage {
        .with {
            $0.replicaID = me.bytes.bytes
            $0.epochs = epochs
        }
    }

    private static func sender(of answer: KMSRPC.ReplicaMessage) throws(KMSClientError) -> ReplicaID {
        guard let id = FixedBytes<16>(answer.replicaID) else {
            throw KMSClientError(
                .invalidAnswer, "replica_id", "\(answer.replicaID.count) bytes where there are 16")
        }
        return ReplicaID(id)
    }
}
