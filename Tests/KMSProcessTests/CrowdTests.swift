import DstackAttestation
import DstackMockTEE
import Foundation
import Glibc
import TestKit
import Testing

/// Many machines that boot at once: a host whose power was gone.
enum BootCrowd {
    /// All of them ask at the same time, each over a connection of its own.
    ///
    /// - Parameter certificates: how many different ones they have.
    static func boot(_ count: Int, certificates: Int) async throws {
        raiseDescriptorLimit()
        let service = try await KMSProcess().start()
        let app = service.host.app
        let identities = try (0..<certificates).map { _ in try ClientIdentity(app) }
        let expected = try AppKeyBytes(from: service.roots(), app)
        let answers = await withTaskGroup(of: String.self) { group in
            for index in 0..<count {
                let identity = identities[index % certificates]
                group.addTask {
                    do {
                        let answer = try await service.call(
                            "GetAppKey", #"{"api_version":1}"#, identity.credentials, within: .seconds(30))
                        guard answer.status == 200 else { return "\(answer)" }
                        return try AppKeyBytes(answer: answer.object()) == expected ? "right" : "wrong keys"
                    } catch {
                        return "\(error)"
                    }
                }
            }
            return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        #expect(answers == ["right": count], "\(answers)")
        #expect(try await service.audit().facts("keys_released").count == count)
        try await service.stop()
    }

    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

@Suite("Machines that boot at once", .enabled(if: SimulatedHost.isThere, SimulatedHost.absence))
struct CrowdTests {
    @Test("all get their keys", arguments: [5, 50])
    func crowd(certificates: Int) async throws { try await BootCrowd.boot(50, certificates: certificates) }
}

@Suite(
    "Soak: a thousand machines boot at once",
    .enabled(if: SimulatedHost.isThere && SimulatedHost.isSoak, "only with DSTACK_SOAK=1"), .serialized)
struct CrowdSoakTests {
    @Test("all get their keys within half a minute", arguments: [5, 1_000])
    func crowd(certificates: Int) async throws { try await BootCrowd.boot(1_000, certificates: certificates) }
}
