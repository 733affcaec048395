import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Foundation
import Synchronization
import TestKit
import Testing

/// A collateral service that takes connections and never answers, and strangers who would have it asked.
@Suite(
    "Verifier service: strangers and a silent collateral service",
    .enabled(if: VerifierProgram.isThere, VerifierProgram.absence))
struct CollateralDemandAttackTests {
    /// Takes connections, counts them, and says nothing.
    final class SilentService: Sendable {
        private let socket: RawListener
        private let count = Mutex(0)

        var connections: Int { count.withLock { $0 } }
        var port: UInt16 { socket.port }

        init() throws { socket = try RawListener() }

        func run() async {
            while await socket.nextConnection() != nil { count.withLock { $0 += 1 } }
        }

        func stop() { socket.end() }
    }

    static func attack(forgeries: Int, at once: Int) async throws {
        let directory = try ScratchDirectory()
        let vm = try SimulatedVM()
        let stranger = try SimulatedVM(seed: 0x51)
        let silent = try SilentService()
        let listening = Task { await silent.run() }
        let root = try directory.write(vm.platform.rootCertificate, "root.der")
        let server = try await VerifierServer(
            """
            [attestation]
            insecure_allow_external_trust_anchors = true
            [attestation.root_ca]
            tdx = "\(root)"
            [attestation.urls]
            pccs = "http://127.0.0.1:\(silent.port)"
            """)
        func request(_ vm: SimulatedVM, _ name: String, _ edit: (inout [UInt8]) -> Void = { _ in }) throws -> String {
            var quote = try vm.quote(ReportData(FixedBytes()))
            edit(&quote)
            var writer = JSONWriter()
            writer.object { object in
                object.member("quote", Hex.encode(quote))
                object.member("event_log", vm.log.json)
                object.member("vm_config", vm.vmConfig)
            }
            return try directory.write(writer.bytes, name)
        }
        let files = try (0..<forgeries).map { number in
            // Another root's genuine quotes, and genuine chains under another body, in turn.
            try number.isMultiple(of: 2)
                ? request(stranger, "\(number).json")
                : request(vm, "\(number).json") { $0[100 + number % 400] ^= 1 }
        }
        // One after the other as fast as they are answered, so many at once.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<once {
                group.addTask {
                    for index in stride(from: lane, to: files.count, by: once) {
                        let answer = try await server.curl("/verify", "--data-binary", "@\(files[index])", "-m", "20")
                        #expect(answer.status == 200 && answer.body.contains("Quote verification failed: "))
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(silent.connections == 0, "a forged quote made the service ask for collateral")
        #expect(try await server.curl("/verify", "-d", "{}").status == 200)
        #expect(await server.terminate() == 0)
        silent.stop()
        await listening.value
    }

    @Test("forged quotes cause no request to the collateral service and hold no places")
    func forged() async throws { try await Self.attack(forgeries: 8, at: 4) }
}

@Suite(
    "Verifier service: thousands of forged quotes",
    .enabled(if: ProcessInfo.processInfo.environment["DSTACK_SOAK"] == "1", "set DSTACK_SOAK=1 for the long forms"),
    .enabled(if: VerifierProgram.isThere, VerifierProgram.absence))
struct CollateralDemandSoakTests {
    @Test("forged quotes by the thousand cause no request to the collateral service and hold no places")
    func forged() async throws { try await CollateralDemandAttackTests.attack(forgeries: 2000, at: 32) }
}
