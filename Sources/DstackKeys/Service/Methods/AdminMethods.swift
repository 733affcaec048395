import DstackAttestation
import DstackAuthorization
import DstackCrypto
import DstackEncoding
import DstackHTTP
package import DstackHTTPServer
package import DstackKMS
import DstackKeys
import DstackRPC
package import DstackRPCServer
import DstackSystem

/// What operators ask for, on a listener of their own. Everything that changes something is in the audit log.
package struct AdminMethods: Sendable {
    private let parts: KMSMethods.Parts
    private let sighting: @Sendable (ReplicaID) -> ReplicaExchange.Sighting?
    private let log = Log("kms.admin")

    /// - Parameter sighting: what is known of another replica.
    package init(
        _ parts: KMSMethods.Parts, sighting: @escaping @Sendable (ReplicaID) -> ReplicaExchange.Sighting? = { _ in nil }
    ) {
        self.parts = parts
        self.sighting = sighting
    }

    private static let limits = RPCMethodLimits(maximumBodyBytes: 16 << 10, timeout: .seconds(30))

    package var service: RPCService {
        var service = RPCService(KMSRPC.Admin.name)
        service.on(KMSRPC.Admin.clearImageCache, limits: Self.limits) { request, _ in
            try await answering { () async throws(KMSServiceError) in
                try await changing("clear_image_cache", "image \(request.imageHash), config \(request.configHash)") {
                    () throws(KMSServiceError) in
                    try parts.judge.images.clear(image: request.imageHash, config: request.configHash)
                    return RPCEmpty()
                }
            }
        }
        service.on(KMSRPC.Admin.listEpochs, limits: Self.limits) { _, _ in list() }
        service.on(KMSRPC.Admin.advanceEpoch, limits: Self.limits) { request, _ in
            try await answering { () async throws(KMSServiceError) in
                let scope = try Self.scope(request.appID)
                let epoch = try await state { () async throws(KMSStateError) in try await parts.epochs.advance(scope) }
                parts.metrics.epochAdvances.add()
                return .with { $0.epoch = epoch.number }
            }
        }
        service.on(KMSRPC.Admin.retireEpoch, limits: Self.limits) { request, _ in
            try await answering { () async throws(KMSServiceError) in
                let scope = try Self.scope(request.appID)
                try await state { () async throws(KMSStateError) in
                    try await parts.epochs.retire(KeyEpoch(request.epoch), for: scope)
                }
                parts.metrics.epochRetirements.add()
                return RPCEmpty()
            }
        }
        service.on(KMSRPC.Admin.forgetReplica, limits: Self.limits) { request, _ in
            try await answering { () async throws(KMSServiceError) in
                guard let id = FixedBytes<16>(request.id) else {
                    throw KMSServiceError(.invalidRequest, "id", "16 bytes are needed, found \(request.id.count)")
                }
                try await changing("forget_replica", id.hex) { () async throws(KMSServiceError) in
                    try await state { () async throws(KMSStateError) in
                        try await parts.epochs.forget(ReplicaID(id))
                    }
                }
                return RPCEmpty()
            }
        }
        return service
    }

    // MARK: Epochs

    private func list() -> KMSRPC.EpochList {
        let (table, missing) = (parts.epochs.table, parts.epochs.missing)
        var list = KMSRPC.EpochList()
        list.epochs = table.epochs.sorted { $0.key < $1.key }.map { number, epoch in
            .with {
                $0.epoch = number
                $0.appID = epoch.scope.appID
                let isRetired = table.retired.contains(.init(number: number, scope: epoch.scope))
                $0.state = isRetired ? "retired" : epoch.phase == .inForce ? "in_force" : "proposed"
                if epoch.phase == .proposed { $0.missing = (missing[number] ?? []).map { $0.bytes.bytes } }
            }
        }
        list.replicas = table.members.sorted().map { $0.bytes.bytes }
        list.states = table.members.subtracting([parts.epochs.replica]).sorted().map { replica in
            let known = sighting(replica)
            return .with {
                $0.id = replica.bytes.bytes
                $0.lastHeard = known.map { UInt64(clamping: $0.heardAt) }
                $0.address = known?.address ?? ""
            }
        }
        list.silence = parts.epochs.silence?.rawValue ?? ""
        list.replica = parts.epochs.replica.bytes.bytes
        list.retirements = table.retired.sorted { ($0.number, "\($0.scope)") < ($1.number, "\($1.scope)") }.map { one in
            .with {
                $0.epoch = one.number
                $0.appID = one.scope.appID
            }
        }
        return list
    }

    private static func scope(_ app: [UInt8]) throws(KMSServiceError) -> EpochScope {
        if app.isEmpty { return .all }
        guard let id = FixedBytes<20>(app) else {
            throw KMSServiceError(.invalidRequest, "app_id", "app_id must be 20 bytes, or empty for all")
        }
        return .app(AppID(id))
    }

    // MARK: The audit log

    /// The whole log as JSON Lines, its signed head last.
    package func auditExport() -> HTTPServerResponse {
        let audit = parts.audit
        return HTTPServerResponse(
            200, headers: ["Content-Type": "application/jsonl"],
            body: .stream { writer in try await audit.export { try await writer.write($0) } })
    }

    // MARK: What the methods have in common

    /// Notes in the audit log what an operator is about to do, and does it.
    private func changing<Answer: Sendable>(
        _ action: String, _ detail: String, _ body: () async throws(KMSServiceError) -> Answer
    ) async throws(KMSServiceError) -> Answer {
        _ = try await state { () async throws(KMSStateError) in
            try await parts.audit.record(.administered(by: "operator", action: action, detail: detail))
        }
        return try await body()
    }

    private func state<Answer: Sendable>(
        _ body: () async throws(KMSStateError) -> Answer
    ) async throws(KMSServiceError) -> Answer {
        do throws(KMSStateError) { return try await body() } catch { throw KMSServiceError(error) }
    }

    private func answering<Answer: Sendable>(
        _ body: () async throws(KMSServiceError) -> Answer
    ) async throws -> Answer {
        do throws(KMSServiceError) {
            return try await body()
        } catch {
            if error.code == .internalFault { log.error("a request failed", ["error": error.explanation]) }
            throw error.rpcError
        }
    }
}

extension EpochScope {
    /// 20 bytes; none for all.
    fileprivate var appID: [UInt8] { if case .app(let app) = self { app.bytes.bytes } else { [] } }
}
