public import DstackAttestation
import DstackEncoding
import DstackHTTP
import DstackPages
package import DstackSystem

/// The page of an application for people who want to know whether to believe it, of the same parts as the guest agent's
/// dashboard: what the application claims to be, a comparison with the reader's own compose file, and the commands with
/// which a reader finds out without believing the page.
///
/// ```swift
/// var page = AttestedPage(of: info, isSimulated: isSimulated)
/// page.sections = [.init("Evidence for a challenge", [.text("…"), .command("curl -k https://…")])]
/// …
/// case "/": return request.prefersPage ? page.response(to: request) : .text(200, greeting)
/// default: return page.problem(404, "No such page", "There is nothing at this address.", for: request)
/// ```
///
/// It loads nothing, needs no script, and its content-security policy allows nothing but its own style and script. Text is
/// escaped by itself. A simulated TEE is called that on every page.
public struct AttestedPage: Sendable {
    /// A headed part below the answer.
    public struct Section: Sendable {
        /// What a section consists of.
        public enum Item: Sendable {
            /// A paragraph.
            case text(String)
            /// A command to be typed, with a button that copies it.
            case command(String)
            /// Names with their values.
            case facts([(name: String, value: String)])
        }

        /// The heading.
        public var title: String
        /// In their order.
        public var items: [Item]

        /// A section.
        public init(_ title: String, _ items: [Item]) {
            self.title = title
            self.items = items
        }
    }

    /// Further parts of the page, below the answer.
    public var sections: [Section] = []

    /// The compose file as it was measured, which the page shows and tells readers' own files apart from, member by member;
    /// nil keeps it off the page. From ``init(of:isSimulated:)`` it is the agent's, unless it is not the measured one or says
    /// `public_tcbinfo: false`.
    public var appCompose: String?

    private let appName: String
    private let appID: AppID
    private let composeHash: ComposeHash
    private let isSimulated: Bool
    private let commands: VerificationCommands

    /// The page of an application.
    ///
    /// Of a simulated TEE whose agent's socket `DSTACK_SIMULATOR_ENDPOINT` names, the commands have the real paths of root
    /// certificate, collateral and compose file.
    ///
    /// - Parameters:
    ///   - info: what the agent says of the instance.
    ///   - isSimulated: whether the TEE is simulated (``/DstackAttestation/AgentQuote/isSimulated``).
    public init(of info: AgentInfo, isSimulated: Bool) {
        self.init(
            appName: info.appName, appID: info.appID, composeHash: info.composeHash, isSimulated: isSimulated)
        if info.composeHashMatches == true { appCompose = info.appCompose.flatMap { Self.isPublic($0) ? $0 : nil } }
    }

    /// Whether an application lets the agent show its compose file, as the agent reads it: a flag that is none hides it.
    private static func isPublic(_ appCompose: String) -> Bool {
        do {
            let root = try JSONDocument(
                parsing: Array(appCompose.utf8), subject: "app-compose.json", maximumValues: 1 << 18
            ).root
            return try root["public_tcbinfo"]?.bool() ?? true
        } catch {
            return false
        }
    }

    /// The page of an application, from what it knows of itself.
    public init(appName: String, appID: AppID, composeHash: ComposeHash, isSimulated: Bool) {
        self.init(
            appName: appName, appID: appID, composeHash: composeHash, isSimulated: isSimulated, environment: .process)
    }

    package init(
        appName: String, appID: AppID, composeHash: ComposeHash, isSimulated: Bool, environment: Environment
    ) {
        self.appName = appName
        self.appID = appID
        self.composeHash = composeHash
        self.isSimulated = isSimulated
        guard isSimulated else {
            commands = VerificationCommands()
            return
        }
        var socket = Substring(environment["DSTACK_SIMULATOR_ENDPOINT"] ?? "")
        for scheme in ["unix://", "unix:"] where socket.hasPrefix(scheme) { socket = socket.dropFirst(scheme.count) }
        let directory = socket.lastIndex(of: "/").map { String(socket[..<$0]) } ?? "."
        commands = VerificationCommands.simulation(in: directory, environment: environment) ?? .simulation
    }

    // MARK: Answers

    /// The page, for whoever asked for it: its commands have the address that the client used.
    public func response(to request: AttestedServerRequest) -> AttestedServerResponse {
        let hash = "\(composeHash)"
        var answer = ApplicationAnswer(
            name: appName, composeHash: hash, appID: "\(appID)", isSimulated: isSimulated,
            chain: .application(appName, runs: "answers you", composeHash: hash, isSimulated: isSimulated),
            commands: commands)
        answer.address = PageAddress.url(host: request.headers["Host"], isTLS: true)
        let page = Page(
            title: "\(appName) · dstack", name: appName, badges: [badge], assets: ApplicationAnswer.assets,
            footer: HTML.element(.p) { "Attested HTTPS by dstack" }
        ) {
            answer.html
            sections.enumerated().map { index, section in
                HTML.section(section.title, id: "section-\(index + 1)") { section.items.map { Self.html(of: $0) } }
            }
            // Longer ones are a burden for whoever looks at a page.
            if let appCompose, appCompose.utf8.count <= 512 << 10 {
                HTML.section("What was measured", id: "measured") {
                    HTML.evidence("App compose file, byte for byte", appCompose, id: "compose")
                }
            }
        }
        return Self.response(page, 200)
    }

    /// An answer that is no success: a page for a browser, a line of text for every other client.
    ///
    /// - Parameters:
    ///   - status: 400 to 599.
    ///   - title: a heading.
    ///   - reason: a sentence.
    public func problem(
        _ status: Int, _ title: String, _ reason: String, for request: AttestedServerRequest
    ) -> AttestedServerResponse {
        guard request.prefersPage else { return .text(status, reason + "\n") }
        let page = Page(
            title: "\(title) · \(appName)", name: appName, badges: [badge], navigation: [("Start", .path(""))]
        ) {
            HTML.element(.section) {
                HTML.element(.h1) { title }
                HTML.element(.p) { reason }
            }
        }
        return Self.response(page, status)
    }

    private var badge: HTML { ApplicationAnswer.platformBadge(isSimulated: isSimulated) }

    private static func html(of item: Section.Item) -> HTML {
        switch item {
        case .text(let text): HTML.element(.p) { text }
        case .command(let command): HTML.command(command, label: "command")
        case .facts(let facts): HTML.keyValues(facts.map { (name: $0.name, value: HTML.text($0.value)) })
        }
    }

    private static func response(_ page: Page, _ status: Int) -> AttestedServerResponse {
        AttestedServerResponse(status, headers: HTTPFields(page.headers), body: page.bytes)
    }
}

extension AttestedServerRequest {
    /// Whether a person looks at the answer in a browser: the client names HTML in `Accept`, and nothing that programs read
    /// with more weight. Programs that take anything, like curl, are better served with text or JSON.
    public var prefersPage: Bool { PagePreference.prefersPage(accept: headers["Accept"]) }
}
