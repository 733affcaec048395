import DstackEncoding
import DstackHTTPServer
package import DstackKMS
import DstackNetwork
import DstackRPC
package import DstackRPCServer
package import DstackSystem

/// What replicas of this service are answered.
package struct ReplicaService: Sendable {
    private let epochs: Epochs
    private let exchange: ReplicaExchange
    private let caPublicKey: [UInt8]
    private let clock: any WallClock
    private let admit: @Sendable (RPCCall) async throws -> Void

    /// Twice the largest table of epochs, which is written in hexadecimal.
    private static let maximumBodyBytes = 1 << 20

    /// - Parameters:
    ///   - caPublicKey: SubjectPublicKeyInfo of the root, DER.
    ///   - admit: throws what a caller is answered who has no evidence, or whom whoever decides does not let be a KMS.
    package init(
        _ epochs: Epochs, _ exchange: ReplicaExchange, caPublicKey: [UInt8], clock: any WallClock = .system,
        admit: @escaping @Sendable (RPCCall) async throws -> Void
    ) {
        self.epochs = epochs
        self.exchange = exchange
        self.caPublicKey = caPublicKey
        self.clock = clock
        self.admit = admit
    }

    package var service: RPCService {
        let limits = RPCMethodLimits(maximumBodyBytes: Self.maximumBodyBytes)
        var service = RPCService(KMSRPC.Replica.name)
        service.on(KMSRPC.Replica.identify, limits: limits) { _, call in
            try await admit(call)
            var answer = answer([])
            answer.instance = exchange.instance.bytes
            return answer
        }
        service.on(KMSRPC.Replica.join, limits: limits) { request, call in
            try await admit(call)
            return try await join(request)
        }
        service.on(KMSRPC.Replica.exchange, limits: limits) { request, call in
            try await admit(call)
            return try await exchange(request, call)
        }
        return service
    }

    /// Of who joins only the id counts: it has no keys yet, so nothing that it says about epochs can be about these.
    ///
    /// The id is on the disk among those that epochs wait for before this is answered, and so before it is given keys.
    private func join(_ request: KMSRPC.ReplicaMessage) async throws -> KMSRPC.ReplicaMessage {
        let replica = try sender(of: request)
        do throws(KMSStateError) {
            try await epochs.add(replica)
        } catch {
            throw KMSServiceError(error).rpcError
        }
        return answer(EpochMessage(epochs.table, isQuestion: false).encoded)
    }

    private func exchange(_ request: KMSRPC.ReplicaMessage, _ call: RPCCall) async throws -> KMSRPC.ReplicaMessage {
        do throws(KMSServiceError) {
            try ReplicaCertificate.check(
                call.peer.tls?.certificates ?? [], signedBy: caPublicKey, at: clock.unixSeconds)
        } catch {
            throw error.rpcError
        }
        // Nobody calls itself. That the caller has these root keys is known, so it is no stranger who ends this service.
        if request.replicaID == epochs.replica.bytes.bytes {
            exchange.note(copyAt: "\(call.peer.address.identity)", epochs)
        }
        let replica = try sender(of: request)
        do throws(KMSStateError) {
            return answer(
                try await exchange.receive(
                    request.epochs, from: replica, at: "\(call.peer.address.identity)", epochs))
        } catch  where error.code == .malformed {
            throw RPCError(error.explanation)
        } catch {
            throw KMSServiceError(error).rpcError
        }
    }

    private func sender(of request: KMSRPC.ReplicaMessage) throws -> ReplicaID {
        guard let id = FixedBytes<16>(request.replicaID) else {
            throw RPCError("replica_id must be 16 bytes")
        }
        let replica = ReplicaID(id)
        guard replica != epochs.replica else {
            throw RPCError("replica_id is that of this service: its state was copied, and every replica needs its own")
        }
        return replica
    }

    private func answer(_ message: [UInt8]) -> KMSRPC.ReplicaMessage {
        .with {
            $0.replicaID = epochs.replica.bytes.bytes
            $0.epochs = message
        }
    }
}
