import DstackConcurrency
import DstackEncoding
import DstackHTTP
package import DstackHTTPServer

/// What supervisors and monitors ask: `/health`, `/ready` and, unless settings say otherwise, `/metrics`. Nobody has to show who
/// he is for them.
package struct KMSProbes: Sendable {
    /// Something that must be so for the service to do its work.
    package struct Check: Sendable {
        /// A key of the answer.
        package let name: String
        let holds: @Sendable () async -> Bool

        package init(_ name: String, _ holds: @escaping @Sendable () async -> Bool) {
            self.name = name
            self.holds = holds
        }
    }

    /// How long a check may take before it counts as failed.
    private static let timeout = Duration.seconds(5)

    private let metrics: (@Sendable () -> KMSMetrics)?
    private let checks: [Check]
    /// Strangers ask as often as they like, and a store writes for the answer.
    private let results = RecentValue<[Bool]>(maximumAge: .seconds(1))

    /// - Parameters:
    ///   - metrics: nil where nobody may read them.
    ///   - checks: of this service alone; who decides about boots is somebody else, whose absence is not mended by starting
    ///     this service anew.
    package init(metrics: (@Sendable () -> KMSMetrics)?, checks: [Check]) {
        self.metrics = metrics
        self.checks = checks
    }

    package func add(to routes: inout HTTPRoutes) {
        // Upstream's, to the byte: the process is there and answers, whatever else is.
        routes.on(.get, "/health") { _ in Self.healthy }
        routes.on(.get, "/ready") { _ in await ready() }
        guard let metrics else { return }
        routes.on(.get, "/metrics") { _ in
            HTTPServerResponse(200, headers: Self.prometheusHeaders, body: Array(metrics().text.utf8))
        }
    }

    private static let healthy = HTTPServerResponse.text(200, "OK")
    private static let prometheusHeaders: HTTPHeaders = ["Content-Type": "text/plain; version=0.0.4; charset=utf-8"]

    /// 200 where all checks hold, else 503: `{"ready":false,"checks":{"keys":true,"store":false}}`.
    private func ready() async -> HTTPServerResponse {
        let checks = checks
        let results = await results.value { await Self.run(checks) } ?? []
        let isReady = results.count == checks.count && results.allSatisfy(\.self)
        var writer = JSONWriter()
        writer.object { object in
            object.member("ready", isReady)
            object.object("checks") { object in
                for (check, holds) in zip(checks, results) { object.member(check.name, holds) }
            }
        }
        return .json(writer.bytes, status: isReady ? 200 : 503)
    }

    private struct TimeOut: Error {}

    private static func run(_ checks: [Check]) async -> [Bool] {
        var results: [Bool] = []
        for check in checks {
            let holds = try? await Deadline.run(within: timeout, orThrow: TimeOut(), check.holds)
            results.append(holds ?? false)
        }
        return results
    }
}
