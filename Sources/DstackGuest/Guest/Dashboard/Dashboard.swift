import DstackHTTP
package import DstackHTTPServer
import DstackPages
package import DstackSystem

/// The pages that the guest shows to the world: what runs here, how to check it, its logs and its metrics.
///
///     let dashboard = Dashboard(content: agent, engine: engine, settings: settings)
///     let server = HTTPServer(configuration) { request in
///         if let answer = await router.answer(request) { return answer }
///         return await dashboard.answer(request) ?? .notFound
///     }
///
/// What the settings do not make public is not there: its path is answered like any unknown one.
package struct Dashboard: Sendable {
    let content: any DashboardContent
    /// Nil where there is no container engine.
    let containers: RecentContainers?
    let settings: DashboardSettings
    let source: SystemSource
    let clock: any WallClock
    let history: MetricsHistory

    package init(
        content: any DashboardContent, engine: (any ContainerEngine)?, settings: DashboardSettings,
        source: SystemSource = SystemSource(), clock: any WallClock = .system
    ) {
        self.content = content
        containers = engine.map { RecentContainers($0) }
        self.settings = settings
        self.source = source
        self.clock = clock
        history = MetricsHistory()
    }

    /// Answers requests for `/`, `/metrics`, `/logs/<name>` and `/containers/<name>`, and tells browsers of all other paths
    /// that there is nothing; nil for everything else.
    package func answer(_ request: HTTPServerRequest) async -> HTTPServerResponse? {
        let isReading = request.method == .get || request.method == .head
        guard let place = place(of: request.path) else {
            guard isReading, request.prefersPage else { return nil }
            return problemPage("No such page", "There is nothing at this address, or it is not public.").response(404)
        }
        guard isReading else { return .methodNotAllowed([.get, .head]) }
        switch place {
        case .page: return await page(request)
        case .metrics: return metrics()
        case .logs(let name): return await logs(name, request)
        case .viewer(let name): return await viewer(name)
        }
    }

    /// A page of one sentence.
    func problemPage(_ title: String, _ reason: String, _ tone: HTML.Tone = .neutral) -> Page {
        Page(
            title: "\(title) · dstack", name: "dstack guest",
            badges: [ApplicationAnswer.platformBadge(isSimulated: content.isSimulated)],
            navigation: [("Dashboard", .path(""))], assets: [.dashboardStyle]
        ) {
            HTML.element(.section, .class("problem")) {
                HTML.element(.h1) { title }
                HTML.notice(tone) { HTML.element(.p) { reason } }
                HTML.element(.p) { HTML.element(.a, .class("button"), .href(.path(""))) { "Back to the dashboard" } }
            }
        }
    }

    private enum Place {
        case page
        case metrics
        /// With the name as it was sent, decoded.
        case logs(String)
        case viewer(String)
    }

    private func place(of path: String) -> Place? {
        switch path {
        case "/": return .page
        case "/metrics": return settings.publicSystemInformation ? .metrics : nil
        default: break
        }
        guard settings.publicLogs else { return nil }
        func name(after prefix: String) -> String? {
            guard path.hasPrefix(prefix) else { return nil }
            let segment = path.dropFirst(prefix.count)
            // An encoded slash comes out of decoding, an unencoded one is another path.
            guard !segment.isEmpty, !segment.contains("/") else { return nil }
            return HTTPSyntax.percentDecoded(segment)
        }
        if let name = name(after: "/logs/") { return .logs(name) }
        if let name = name(after: "/containers/") { return .viewer(name) }
        return nil
    }

    /// Reads the machine's numbers every few seconds, so that the page can show how they went, until the task is
    /// cancelled. Without it the page shows what visitors caused to be read.
    package func recordHistory(every interval: Duration = .seconds(10)) async {
        while !Task.isCancelled {
            recordSample()
            do { try await Task.sleep(for: interval) } catch { return }
        }
    }

    /// A sample for the history, if one may be kept and the system tells.
    func recordSample() {
        guard settings.publicSystemInformation else { return }
        guard let system = try? SystemInformation.current(dataDisks: [], from: source) else { return }
        history.add(system, at: clock.unixSeconds)
    }
}
