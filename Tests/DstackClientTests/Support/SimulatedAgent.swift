import DstackAttestation
import DstackGuest
import DstackSimulation
import Foundation
import TestKit
import Testing

/// The project's own agent in simulation, on sockets in a directory of its own.
final class SimulatedAgent: Sendable {
    let service: GuestService
    let directory: String

    /// - Parameter recorded: whether upstream's recorded files are used, in place of a new set.
    init(recorded: Bool = false) async throws {
        // Short: a socket's path has room for 107 bytes.
        directory = Scratch.path("sdk")
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        if recorded {
            let source = Vectors.path("guest-agent")
            for name in ["appkeys.json", "app-compose.json", "sys-config.json", "attestation.bin"] {
                try FileManager.default.copyItem(atPath: "\(source)/\(name)", toPath: "\(directory)/\(name)")
            }
        }
        var settings = GuestSettings()
        settings.audit = .off
        service = try await .simulated(
            in: directory, settings, version: GuestVersion(version: "1.2.3", revision: "git:0123"))
        _ = try await service.server.start()
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// Called last, so that it does not go before.
    func end() async { await service.server.stop(within: .zero) }

    var client: DstackClient { DstackClient(.unix("\(directory)/dstack.sock"), timeout: .seconds(60)) }
    var tappd: TappdClient { TappdClient(.unix("\(directory)/tappd.sock"), timeout: .seconds(60)) }

    /// What the simulation's keys come from.
    func summary() throws -> [String: Any] {
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/simulation.json"))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    func file(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)")))
    }
}
