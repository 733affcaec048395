import DstackEncoding
import DstackHTTP
package import DstackHTTPServer
package import DstackSystem

/// Upstream's authorization API over HTTP, whoever decides: `POST /bootAuth/app`, `POST /bootAuth/kms` and `GET /`.
package struct AuthorizationService: Sendable {
    private let authorizer: any BootAuthorizer
    private let log: Log
    /// For what strangers cause as often as they like.
    private let limited: LimitedLog
    private let denials: LimitedLog

    /// Old senders put a whole event log into their questions.
    private static let maximumBodyBytes = 2 << 20

    package init(_ authorizer: any BootAuthorizer, log: Log = Log("auth")) {
        self.authorizer = authorizer
        self.log = log
        limited = LimitedLog(log)
        // One line for each, as long as nobody asks thousands of times.
        denials = LimitedLog(log, LimitedReports(burst: 1_000, perSecond: 20))
    }

    package func configuration(listeners: [HTTPListener]) -> HTTPServerConfiguration {
        var limits = HTTPServerLimits()
        limits.maximumBodyBytes = Self.maximumBodyBytes
        limits.maximumBufferedBodyBytes = 64 << 20
        limits.maximumRequestsInFlight = 128
        limits.maximumConnections = 1024
        limits.bodyTimeout = .seconds(15)
        // Longer than any authorizer takes.
        limits.handlerTimeout = .seconds(30)
        var http = HTTPServerConfiguration(
            listeners: listeners, limits: limits, observer: { [limited] in $0.write(to: limited) })
        // What comes in beyond is for the process's own files and connections.
        let descriptors = Int(clamping: DescriptorLimit.raise())
        http.limits.maximumConnections = min(http.limits.maximumConnections, max(16, descriptors / 2))
        http.route = { head, _ in
            HTTPRouteRules(maximumBodyBytes: head.path.hasPrefix("/bootAuth/") ? nil : 4 << 10)
        }
        http.threads = .apart
        return http
    }

    package var routes: HTTPRoutes {
        var routes = HTTPRoutes()
        for subject in BootSubject.allCases {
            routes.on(.post, subject.path) { request in await answer(request, as: subject) }
        }
        routes.on(.get, "/") { _ in await answerInfo() }
        routes.notFound = .text(404, "not found; POST /bootAuth/app, POST /bootAuth/kms, GET /\n")
        return routes
    }

    private func answer(_ request: HTTPServerRequest, as subject: BootSubject) async -> HTTPServerResponse {
        let info: BootInfo
        do throws(DecodingFailure) { info = try BootInfo(parsingJSON: request.body) } catch {
            limited.info(
                "invalid request", ["for": subject.rawValue, "peer": "\(request.peer.address)", "reason": "\(error)"])
            return .json(BootDecision.denied("invalid authorization request").json, status: 400)
        }
        let decision: BootDecision
        do throws(AuthorizationError) {
            decision = try await authorizer.decide(info, as: subject)
            note(decision, info, subject, request.peer)
        } catch {
            limited.error(
                "nobody decided",
                ["for": subject.rawValue, "code": error.code.rawValue, "reason": error.description])
            decision = .denied(error.publicReason)
            note(decision, info, subject, request.peer)
        }
        return .json(decision.json)
    }

    private func answerInfo() async -> HTTPServerResponse {
        do throws(AuthorizationError) { return .json(try await authorizer.info().json) } catch {
            limited.error("nothing can be said about the authorizer", ["reason": error.description])
            var writer = JSONWriter()
            writer.object { object in
                object.member("status", "error")
                object.member("message", error.publicReason)
            }
            return .json(writer.bytes, status: 500)
        }
    }

    /// One line for each decision. A yes is never left out.
    private func note(_ decision: BootDecision, _ info: BootInfo, _ subject: BootSubject, _ peer: HTTPPeer) {
        let fields: @Sendable () -> Log.Fields = {
            [
                "for": subject.rawValue, "allowed": decision.isAllowed, "reason": decision.reason,
                "app_id": info.appID.hex, "instance_id": info.instanceID?.hex ?? "",
                "compose_hash": info.composeHash.hex, "device_id": info.deviceID.hex,
                "os_image_hash": info.osImageHash?.hex ?? "", "mr_aggregated": info.mrAggregated.hex,
                "tcb_status": info.tcbStatus, "advisories": info.advisoryIDs.joined(separator: ","),
                "tee_variant": info.teeVariant ?? "", "peer": "\(peer.address)",
            ]
        }
        if decision.isAllowed { log.info("decided", fields()) } else { denials.info("decided", fields()) }
    }
}
