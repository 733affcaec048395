import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMSClient
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// A simulated machine and what runs on it: genuine by the root and the collateral in its directory, and by nothing else.
///
/// The services of these tests have their evidence from an agent, which is a program as well; callers have it made here, so
/// that each can lie in its own way.
final class SimulatedHost: Sendable {
    private static let made = Result { try SimulatedHost() }

    static func shared() throws -> SimulatedHost { try made.get() }

    static let programs = ["dstack", "dstack-kms", "dstack-simulator"]
    static let isThere = programs.allSatisfy { Program.path($0) != nil }
    static let absence: Testing.Comment = "needs dstack-kms and dstack-simulator, built with the tests"

    /// Whether what takes minutes runs too.
    static let isSoak = ProcessInfo.processInfo.environment["DSTACK_SOAK"] == "1"

    private static func compose(_ name: String) -> [UInt8] {
        Array(
            #"{"manifest_version":2,"name":"\#(name)","runner":"docker-compose","docker_compose_file":"services: {}\n","no_instance_id":true}"#
                .utf8)
    }

    static let kmsCompose = compose("kms")
    static let appCompose = compose("app")

    let files: ScratchDirectory
    let platform: MockPlatform
    /// The service's own code, as its agent has booted it.
    let kms: MockBoot
    /// An application that may boot.
    let app: MockBoot
    /// The agent beside every service.
    private let agent: StartedProgram

    private init() throws {
        files = try ScratchDirectory()
        platform = try MockPlatform(seed: FixedBytes(repeating: 0x5E))
        kms = try MockBoot(platform, appCompose: Self.kmsCompose, seed: nil)
        app = try MockBoot(platform, appCompose: Self.appCompose)
        try platform.save(to: files.path("agent"))
        try files.write(Self.kmsCompose, "kms-compose.json")
        let now = Int64(Date().timeIntervalSince1970)
        try files.write(platform.rootCertificatePEM, "root.pem")
        try files.write(platform.collateral(for: .tdx, at: now).json, "collateral.json")
        agent = try StartedProgram(
            "dstack-simulator", [files.path("agent"), "--app-compose", files.path("kms-compose.json")])
    }

    var agentSocket: String { files.path("agent/dstack.sock") }

    /// Waits until the agent answers, as services do only for a while.
    func waitForAgent() async throws {
        let client = DstackClient(.unix(agentSocket), startupTime: .zero)
        let isThere = try await eventually {
            let isReachable = await client.isReachable(within: .seconds(5))
            return isReachable || !agent.isRunning
        }
        try #require(isThere && agent.isRunning, "\(agent.errors)")
    }

    /// A service's measurements, which whoever decides must have listed.
    static func mrAggregated(_ boot: MockBoot) throws -> String {
        let report = try #require(boot.domain.report(reportData: FixedBytes()).tdReport)
        return try ApplicationMeasurements(report, boot.eventLog.replay()).mrAggregated.hex
    }
}

extension MockBoot {
    /// Gives evidence of this boot.
    var attest: KMSAttest { { reportData in try self.attestation(reportData: reportData) } }
}
