import DstackConcurrency
import DstackCrypto
import DstackEncoding
import DstackHTTP
package import DstackHTTPServer
import DstackKMS
import DstackKeys
import DstackNetwork
import DstackRPC
import DstackRPCServer
import DstackService
import DstackSystem
import Synchronization

/// The listeners of a KMS: TLS for machines and other services, and one for operators where settings have it.
///
/// They are servers of their own: whatever strangers do, the operators' places are not among those that they can take.
package final class KMSServer: Sendable {
    /// Names by which requests say where they came in.
    package enum Listener {
        package static let rpc = "rpc"
        package static let admin = "admin"
    }

    private let node: KMSNode
    private let rpc: HTTPServer
    private let admin: HTTPServer?
    private let log = Log("kms")
    private static let limited = LimitedLog(Log("kms.server"))

    /// - Throws: ``KMSServiceError/Code/invalidConfiguration`` for credentials of operators that cannot be used.
    package init(_ node: KMSNode) throws(KMSServiceError) {
        self.node = node
        rpc = Self.rpcServer(node)
        admin = node.settings.admin.isEnabled ? try Self.adminServer(node) : nil
    }

    // MARK: Machines and other services

    private static func rpcServer(_ node: KMSNode) -> HTTPServer {
        let methods = KMSMethods(node.parts)
        let replicas = ReplicaService(
            node.parts.epochs, node.exchange, caPublicKey: node.parts.keys.caPublicKey, clock: node.parts.clock,
            admit: methods.admitReplica)
        var router = RPCRouter()
        router.headers = node.headers
        router.observer = { [metrics = node.parts.metrics] in metrics.observe($0) }
        router.mount(methods.service, at: "/prpc")
        router.mount(replicas.service, at: "/prpc")
        var routes = HTTPRoutes()
        KMSProbes(
            metrics: node.settings.metrics.isEnabled ? node.currentMetrics : nil,
            checks: [
                .init("store") { await node.isStoreWritable() }, .init("epochs") { node.parts.epochs.isMember },
            ]
        ).add(to: &routes)

        let rules = node.settings.rpc
        var listener = HTTPListener(
            Listener.rpc, .tcp(host: rules.address, port: rules.port), tls: node.tls(node.parts.keys.rpcCertificate))
        // Clients in use leave it out, and one address has one service here.
        listener.requiresHost = false
        let configuration = configuration(listener, limits(node.settings.limits, router), node.headers)
        return HTTPServer(configuration) { [router, routes] request in
            if let answer = await router.answer(request) { return answer }
            return adding(node.headers, to: await routes.respond(to: request))
        }
    }

    private static func limits(_ settings: KMSSettings.Limits, _ router: RPCRouter) -> HTTPServerLimits {
        var limits = HTTPServerLimits()
        limits.maximumConnections = min(settings.maximumConnections, Int(clamping: DescriptorLimit.raise()) * 3 / 4)
        limits.maximumRequestsInFlight = settings.maximumRequests
        limits.maximumJudgements = settings.maximumVerifications
        limits.maximumBodyBytes = router.maximumBodyBytes
        limits.handlerTimeout = settings.requestTimeout
        return limits
    }

    // MARK: Operators

    private static func adminServer(_ node: KMSNode) throws(KMSServiceError) -> HTTPServer {
        let rules = node.settings.admin
        let gate = AdminGate(try AdminCredentials(rules))
        let methods = AdminMethods(node.parts, sighting: node.exchange.sighting)
        var router = RPCRouter()
        router.headers = node.headers
        router.mount(methods.service, at: "/prpc")
        var routes = HTTPRoutes()
        routes.on(.get, "/health") { _ in .text(200, "OK") }
        routes.on(.get, "/audit") { _ in methods.auditExport() }
        var limits = HTTPServerLimits()
        limits.maximumConnections = 128
        limits.maximumRequestsInFlight = 64
        limits.maximumBodyBytes = 64 << 10
        var listener = HTTPListener(Listener.admin, .tcp(host: rules.address, port: rules.port))
        listener.requiresHost = false
        return HTTPServer(configuration(listener, limits, node.headers)) { [router, routes] request in
            if let refusal = await gate.refusal(of: request) { return adding(node.headers, to: refusal) }
            if let answer = await router.answer(request) { return answer }
            return adding(node.headers, to: await routes.respond(to: request))
        }
    }

    // MARK: What both have

    private static func configuration(
        _ listener: HTTPListener, _ limits: HTTPServerLimits, _ headers: HTTPHeaders
    ) -> HTTPServerConfiguration {
        HTTPServerConfiguration(
            listeners: [listener], limits: limits, observer: { $0.write(to: limited) },
            refusal: { refusal in
                let error =
                    refusal.status == 413
                    ? RPCError.payloadTooLarge : RPCError(refusal.reason, status: refusal.status)
                return adding(headers, to: .json(error.body(as: .json), status: refusal.status))
            })
    }

    private static func adding(_ headers: HTTPHeaders, to response: HTTPServerResponse) -> HTTPServerResponse {
        var response = response
        for field in headers.fields where !response.headers.contains(field.name) {
            response.headers.add(field.name, field.value)
        }
        return response
    }

    // MARK: Serving

    package func start() async throws -> [HTTPBoundListener] {
        var bound = try await rpc.start()
        if let admin {
            do {
                bound += try await admin.start()
            } catch {
                await rpc.stop(within: .zero)
                throw error
            }
        }
        return bound
    }

    package func stop(within patience: Duration) async {
        async let operators: Void? = admin?.stop(within: patience)
        await rpc.stop(within: patience)
        _ = await operators
    }

    package var parts: [(name: String, statistics: HTTPServerStatistics)] {
        [(Listener.rpc, rpc.statistics)] + (admin.map { [(Listener.admin, $0.statistics)] } ?? [])
    }

    /// Makes the RPC certificate anew from time to time, so that its evidence is not of the service's start for ever. Connections
    /// that stand keep theirs; where the agent gives no evidence the old one stays.
    package func keepCertificateFresh(every interval: Duration = .seconds(6 * 3_600)) async {
        while (try? await Task.sleep(for: interval)) != nil {
            do {
                let certificate = try await node.renewCertificate()
                let tls = node.tls(certificate)
                try await rpc.changeTLS(of: Listener.rpc) { $0.credentials = tls.credentials }
                log.info("RPC certificate renewed")
            } catch {
                log.warn("the RPC certificate could not be renewed, the old one stays", ["error": "\(error)"])
            }
        }
    }
}

extension KMSServer: ServiceServer {}

extension KMSNode {
    /// Sent with every answer.
    var headers: HTTPHeaders {
        [
            "Server": settings.ident, "X-App-Version": foundation.version.header, "X-Content-Type-Options": "nosniff",
        ]
    }

    /// TLS by this service's key and certificates, leaf first.
    ///
    /// Any client certificate is taken, and judged by the evidence in it: the temporary CA's key is public, so that to lead to
    /// it says nothing.
    func tls(_ certificate: [UInt8]) -> HTTPServerTLS {
        let keys = parts.keys
        return HTTPServerTLS(
            http: TLSCredentials(chain: [certificate]) { body in
                keys.material.rpcKey.withUnsafePEM { body($0) }
            },
            clientCertificates: .init(isRequired: settings.rpc.requiresClientCertificates, judge: callers))
    }

    /// With what is not counted, but so at the moment.
    var currentMetrics: @Sendable () -> KMSMetrics {
        { [metrics = parts.metrics, epochs = parts.epochs] in
            let inForce = epochs.table.epochs.filter { $0.value.phase == .inForce && $0.value.scope == .all }
            metrics.epoch.set(inForce.keys.max() ?? 0)
            metrics.proposedEpochs.set(UInt64(epochs.missing.count))
            return metrics
        }
    }

    /// A new RPC certificate with new evidence, in its file; DER.
    func renewCertificate() async throws(KMSServiceError) -> [UInt8] {
        try await ServiceKeys.load(files, foundation).rpcCertificate
    }
}
