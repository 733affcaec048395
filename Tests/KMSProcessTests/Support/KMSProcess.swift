import DstackAttestation
import DstackHTTP
import DstackHTTPClient
import DstackKMS
import DstackKMSClient
import DstackKeys
import DstackMockTEE
import DstackNetwork
import Foundation
import Synchronization
import TestKit
import Testing

/// A key management service as a program, with its directory, its settings and everything that it has ever written.
final class KMSProcess: Sendable {
    /// What kms.toml says beside what all services of these tests have.
    struct Settings {
        /// Nil for a file with ``BootRules`` in the service's directory.
        var authorizer: String?
        /// Empty for a service that waits for somebody to decide.
        var autoBootstrapDomain = "localhost"
        var profile = "upstream"
        var replicas: [String] = []
        /// Lines at the end.
        var more = ""
        var environment: [String: String] = [:]
    }

    static let adminToken = "an-operator's-token-0123456789"
    static let onboardingToken = "whoever-sets-up-0123456789"

    let host: SimulatedHost
    let scratch: ScratchDirectory
    let port: UInt16
    let adminPort: UInt16
    let environment: [String: String]
    private let runs = Mutex<[StartedProgram]>([])

    init(_ settings: Settings = .init(), _ host: SimulatedHost? = nil) throws {
        let host = try host ?? .shared()
        self.host = host
        scratch = try ScratchDirectory()
        (port, adminPort) = (try FreePorts.next(), try FreePorts.next())
        environment = settings.environment
        try write(BootRules(host))
        try configure(settings)
    }

    var directory: String { scratch.path("certs") }
    var url: String { "https://localhost:\(port)" }
    var onboardingURL: String { "http://127.0.0.1:\(port)" }
    var adminURL: String { "http://127.0.0.1:\(adminPort)" }

    // MARK: Settings

    func write(_ rules: BootRules) throws { try scratch.write(rules.text, "auth.json") }

    func configure(_ settings: Settings) throws {
        let authorizer =
            settings.authorizer ?? "type = \"file\"\nfile.path = \"\(scratch.path("auth.json"))\""
        let urls = settings.replicas.map { "\"\($0)\"" }.joined(separator: ", ")
        let replicas = urls.isEmpty ? "" : "replicas.urls = [\(urls)]"
        try scratch.write(
            """
            [rpc]
            address = "127.0.0.1"
            port = \(port)

            [core]
            cert_dir = "\(directory)"
            image.cache_dir = "\(scratch.path("images"))"
            \(replicas)

            [core.attestation]
            collateral_dir = "\(host.files.path("collateral.json"))"
            insecure_allow_external_trust_anchors = true
            root_ca.tdx = "\(host.files.path("root.pem"))"

            [core.auth_api]
            \(authorizer)

            [core.onboard]
            address = "127.0.0.1"
            port = \(port)
            auto_bootstrap_domain = "\(settings.autoBootstrapDomain)"
            token = "\(Self.onboardingToken)"

            [core.admin]
            enabled = true
            port = \(adminPort)
            auth_token = "\(Self.adminToken)"

            [core.certificates]
            profile = "\(settings.profile)"
            \(settings.more)
            """, "kms.toml")
    }

    // MARK: Running

    /// The program of now.
    var program: StartedProgram? { runs.withLock { $0.last } }

    /// All that it has ever written, of every run.
    var written: String { runs.withLock { $0 }.map { $0.output + $0.errors }.joined() }

    /// Starts it and waits for nothing.
    ///
    /// - Parameters:
    ///   - size: of a file system in memory that its directory of keys is put on, which it alone sees; as `mount` takes it.
    ///     Nil for none.
    ///   - later: of that file system once the service has failed, when it is started a second time; the names in the
    ///     directory are written to the output between the two. Nil for one start.
    @discardableResult
    func launch(
        agent: String? = nil, onDiskOf size: String? = nil, thenOf later: String? = nil
    ) async throws -> StartedProgram {
        try await host.waitForAgent()
        var words = [try #require(Program.path("dstack-kms")), "--config", scratch.path("kms.toml")]
        if let size {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
            let script = #"""
                size=$1 later=$2 place=$3; shift 3
                mount -t tmpfs -o mode=700,size="$size" none "$place" || exit
                if [ -n "$later" ]; then
                    setpriv --pdeathsig KILL "$@" && exit
                    ls -A "$place"
                    mount -o remount,size="$later" none "$place" || exit
                fi
                exec "$@"
                """#
            words =
                [
                    "/usr/bin/unshare", "--mount", "--map-root-user", "sh", "-c", script, "-", size, later ?? "",
                    directory,
                ]
                + words
        }
        let program = try StartedProgram(
            words[0], Array(words.dropFirst()),
            environment: ["DSTACK_AGENT_ADDRESS": agent ?? host.agentSocket].merging(environment) { $1 },
            in: scratch.url)
        runs.withLock { $0.append(program) }
        return program
    }

    /// Starts it and waits until it serves.
    @discardableResult
    func start() async throws -> Self {
        try await launch()
        return try await serving()
    }

    /// Waits until it serves.
    @discardableResult
    func serving() async throws -> Self {
        try await wait { $0.errors.contains("listening on ") }
        return self
    }

    /// Starts one without keys, and waits until somebody can set it up.
    func startOnboarding() async throws {
        try await launch()
        try await wait { $0.errors.contains("onboarding needs the token of the settings") }
    }

    private func wait(_ condition: (StartedProgram) -> Bool) async throws {
        let program = try #require(program)
        let holds = try await eventually { condition(program) || !program.isRunning }
        // In one line: runners show the first of a comment alone.
        let last = program.errors.split(separator: "\n").suffix(4).joined(separator: " | ")
        try #require(holds && program.isRunning, "\(last)")
    }

    /// Waits for an end that is not asked for here.
    func end() async throws -> Program.Output {
        await (try #require(program)).finished()
    }

    func stop(_ signal: Int32 = SIGTERM) async throws {
        let program = try #require(program)
        program.signal(signal)
        let status = await program.end()
        #expect(status == (signal == SIGTERM ? 0 : -signal), "\(program.errors)")
    }

    func restart() async throws {
        try await stop()
        try await start()
    }

    // MARK: Asking

    /// What its files hold, by which answers are judged.
    func roots() throws -> KMSRootKeys {
        let ca = try File(directory + "/root-ca.key")
        let key = try File(directory + "/root-k256.key")
        return try KMSRootKeys(caKeyPEM: ca.bytes.span.bytes, key: key.bytes.span.bytes)
    }

    private struct File {
        let bytes: [UInt8]
        init(_ path: String) throws { bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }
    }

    /// The root's certificate, PEM.
    var rootFile: String { directory + "/root-ca.crt" }

    /// A machine that knows the service by its root.
    func client(_ boot: MockBoot?, _ introduction: KMSIntroduction = .automatic) throws -> KMSClient {
        var configuration = KMSClient.Configuration()
        configuration.introduction = introduction
        return try KMSClient(
            url, trust: .pinned(caPublicKey: roots().caPublicKey), attest: boot?.attest, configuration)
    }

    /// The keys of the application that may boot.
    func appKeys(epoch: UInt64? = nil) async throws -> AppKeys {
        try await client(host.app).appKeys(
            of: host.app.appID, epoch: epoch.map { KeyEpoch($0) }, vmConfiguration: host.app.vmConfig)
    }

    /// One request without evidence, JSON in and out; of whoever answers at the port.
    func ask(
        _ url: String, _ body: String? = nil, token: String? = nil, _ credentials: TLSCredentials? = nil,
        within time: Duration = .seconds(60)
    ) async throws -> Answer {
        var configuration = HTTPClientConfiguration(trust: .only { _ in .accepted })
        configuration.proxy = .none
        configuration.clientIdentity = credentials
        configuration.limits = HTTPClientLimits(maximumBodyBytes: 64 << 20, connectTimeout: time, totalTimeout: time)
        var request = HTTPRequest(body == nil ? .get : .post, url, body: body.map { Array($0.utf8) })
        if let token { request.headers["Authorization"] = "Bearer \(token)" }
        let response = try await HTTPClient(configuration).send(request)
        return Answer(status: response.status, text: String(decoding: response.body, as: UTF8.self))
    }

    /// A method of the service, bare and in JSON, as upstream's clients ask.
    func call(
        _ method: String, _ body: String = "{}", _ credentials: TLSCredentials? = nil,
        within time: Duration = .seconds(60)
    ) async throws -> Answer { try await ask("\(url)/prpc/\(method)?json", body, credentials, within: time) }

    /// A method of the listener for whoever sets the service up.
    func setUp(
        _ method: String, _ body: String = "{}", token: String? = KMSProcess.onboardingToken
    ) async throws -> Answer {
        try await ask("\(onboardingURL)/prpc/\(method)?json", body, token: token)
    }

    /// The command, as an operator runs it.
    func command(_ words: String..., token: String? = KMSProcess.adminToken) async throws -> Program.Output {
        try await command(words, token: token)
    }

    func command(_ words: [String], token: String? = KMSProcess.adminToken) async throws -> Program.Output {
        var environment = ["DSTACK_KMS_ADMIN_URL": adminURL]
        if let token { environment["DSTACK_KMS_ADMIN_TOKEN"] = token }
        return try await Program.run("dstack-kms", words, environment: environment)
    }

    struct Answer: CustomStringConvertible {
        let status: Int
        let text: String

        var description: String { "\(status) \(text)" }

        func object() throws -> [String: Any] {
            try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(self)")
        }
    }

    // MARK: The audit log

    /// Exports the log, has it checked by the command, and gives its entries.
    func audit() async throws -> [[String: Any]] {
        let exported = try await command("audit", "export")
        try #require(exported.status == 0, "\(exported)")
        try scratch.write(exported.output, "audit.jsonl")
        let checked = try await command("audit", "check", scratch.path("audit.jsonl"), "--root", rootFile)
        #expect(checked.status == 0 && checked.output.hasPrefix("INTACT "), "\(checked)")
        return try exported.output.split(separator: "\n").dropLast().map { line in
            try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
    }
}

extension [[String: Any]] {
    /// The facts of all entries of one kind.
    func facts(_ event: String) -> [[String: Any]] {
        filter { $0["event"] as? String == event }.compactMap { $0["facts"] as? [String: Any] }
    }
}

/// Ports for programs that are started again at the same: below those that the system gives out by itself.
enum FreePorts {
    private static let last = Mutex(20_000 + UInt16(getpid() % 250) * 40)

    static func next() throws -> UInt16 {
        for _ in 0..<200 {
            let port = last.withLock { last in
                last = last < 31_000 ? last + 1 : 20_000
                return last
            }
            if let free = try? LocalPort(port) {
                free.close()
                return port
            }
        }
        throw POSIXError(.EADDRINUSE)
    }
}
