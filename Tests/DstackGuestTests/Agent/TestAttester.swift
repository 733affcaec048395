import DstackAttestation
import DstackGuest
import DstackHTTPServer
import DstackNetwork
import DstackSimulation
import DstackSystem
import Foundation
import Synchronization
import TestKit
import Testing

/// A simulated platform that counts what it is asked for, and can be slow, hang or fail.
final class TestAttester: Attester {
    struct State {
        var quotes = 0
        var delay = Duration.zero
        var hangs = false
        var failure: AttestationError?
        /// Whether the agent takes it for real hardware.
        var passesForReal = false
        /// Beside those that were measured, as programs without a limit leave them behind.
        var foreignEvents: [RuntimeEvent] = []
    }

    let base: any Attester
    let state = Mutex(State())

    init(_ base: any Attester) { self.base = base }

    var isSimulated: Bool { !state.withLock { $0.passesForReal } && base.isSimulated }
    var eventVersion: RuntimeEvent.Version { base.eventVersion }
    var quotes: Int { state.withLock { $0.quotes } }

    func set(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

    func attestation(reportData: ReportData) async throws(AttestationError) -> Attestation {
        let (delay, failure) = state.withLock { state in
            state.quotes += 1
            return (state.delay, state.failure)
        }
        if let failure { throw failure }
        if delay > .zero { try? await Task.sleep(for: delay) }
        while state.withLock({ $0.hangs }) {
            // Not even cancellation ends it.
            await withCheckedContinuation { continuation in
                DispatchQueue.global().asyncAfter(deadline: .now() + 0.02) { continuation.resume() }
            }
        }
        var attestation = try await base.attestation(reportData: reportData)
        let foreign = state.withLock { $0.foreignEvents }
        if !foreign.isEmpty, case .tdx(var evidence) = attestation.platform {
            evidence.eventLog.events += foreign.map { LoggedEvent($0) }
            attestation.platform = .tdx(evidence)
            attestation.runtimeEvents += foreign
        }
        return attestation
    }

    func emit(_ event: RuntimeEvent) async throws(AttestationError) { try await base.emit(event) }
}

/// An agent over a platform of the test's making, on sockets of its own.
final class BenchAgent: Sendable {
    let fixture: Place
    let attester: TestAttester
    let agent: GuestAgent
    let server: GuestServer
    let bound: [HTTPBoundListener]
    let port: UInt32

    final class Place: Sendable {
        let path: String
        init() throws {
            path = Scratch.path("bench")
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    /// - Parameters:
    ///   - prepare: changes the platform before the agent asks it for anything.
    ///   - files: what the agent answers from; nil for those of the simulation.
    init(
        _ configuration: GuestSettings = AgentFixture.settings, host: (any GuestHost)? = nil,
        actions: any GuestActions = NoGuestActions(), machine: GuestMachine = .init(),
        clock: any WallClock = SystemWallClock(),
        files: ((SimulationDirectory) throws -> GuestFiles)? = nil, prepare: (TestAttester) -> Void = { _ in }
    ) async throws {
        fixture = try Place()
        let simulation = try await SimulationDirectory.loadOrCreate(in: fixture.path, at: clock.unixSeconds)
        attester = TestAttester(simulation.attester)
        prepare(attester)
        var settings = configuration
        settings.files.keys = simulation.appKeysPath
        settings.files.compose = simulation.appComposePath
        settings.files.system = simulation.sysConfigPath
        settings.listeners.main.address = .unix(path: fixture.path + "/dstack.sock")
        settings.listeners.tappd.address = .unix(path: fixture.path + "/tappd.sock")
        if case .vsock = settings.listeners.guestAPI.address {
            settings.listeners.guestAPI.address = .unix(path: fixture.path + "/guest.sock")
        }
        settings.listeners.external.address = .tcp(host: "127.0.0.1", port: 0)
        agent = GuestAgent(
            settings, files: try files?(simulation) ?? GuestFiles(settings.files), attester: attester, host: host,
            actions: actions, machine: machine, clock: clock)
        server = try GuestServer(agent, inherited: [])
        bound = try await server.start()
        port = try #require(bound.first { $0.name == "external" }?.port)
    }

    func path(_ socket: String) -> String { "\(fixture.path)/\(socket).sock" }

    func post(_ socket: String, _ path: String, _ body: String = "{}") async throws -> AgentFixture.Answer {
        try await AgentFixture.post(self.path(socket), path, body)
    }

    func external(_ path: String) async throws -> AgentFixture.Answer {
        try await AgentFixture.get("http://127.0.0.1:\(port)\(path)")
    }
}
