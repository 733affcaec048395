import DstackAttestation
import DstackEncoding
import DstackKMSClient
import DstackKeys
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// Epochs of two services as programs, looked after with the command.
@Suite("Epochs of two services", .enabled(if: SimulatedHost.isThere, SimulatedHost.absence))
struct EpochCommandTests {
    private let host: SimulatedHost

    init() throws { host = try SimulatedHost.shared() }

    /// Two services with the same keys, each of which knows where the other is.
    private func pair() async throws -> (KMSProcess, KMSProcess) {
        let (first, second) = (try KMSProcess(), try KMSProcess())
        try connect(first, second)
        try await first.start()
        try connect(first, second, autoBootstrapDomain: "")
        try await second.startOnboarding()
        let taken = try await second.setUp("Onboard", #"{"source_url":"\#(first.url)","domain":"localhost"}"#)
        try #require(taken.status == 200, "\(taken)")
        #expect(try await second.setUp("Finish").status == 200)
        try await second.serving()
        return (first, second)
    }

    private func connect(
        _ first: KMSProcess, _ second: KMSProcess, autoBootstrapDomain: String = "localhost"
    ) throws {
        try first.configure(.init(autoBootstrapDomain: autoBootstrapDomain, replicas: [second.url]))
        try second.configure(.init(autoBootstrapDomain: "", replicas: [first.url]))
    }

    private func list(_ service: KMSProcess) async throws -> [String: Any] {
        try await service.command("epoch", "list", "--json").object()
    }

    private func states(_ service: KMSProcess) async throws -> [Int: String] {
        let epochs = try #require(try await list(service)["epochs"] as? [[String: Any]])
        return Dictionary(
            epochs.compactMap { one in
                guard let number = one["epoch"] as? Int, let state = one["state"] as? String else { return nil }
                return (number, state)
            }, uniquingKeysWith: { $1 })
    }

    private func replicas(_ service: KMSProcess) async throws -> Set<String> {
        Set(try #require(try await list(service)["replicas"] as? [String]))
    }

    private func waitUntil(_ epoch: Int, is state: String, at services: KMSProcess...) async throws {
        for service in services {
            let isSo = try await eventually { try await self.states(service)[epoch] == state }
            try #require(isSo, "epoch \(epoch) is not \(state)\n\(service.written)")
        }
    }

    private func keys(_ service: KMSProcess, _ epoch: UInt64?) async throws -> AppKeyBytes {
        AppKeyBytes(try await service.appKeys(epoch: epoch))
    }

    private func expected(_ service: KMSProcess, _ epoch: UInt64) throws -> AppKeyBytes {
        try AppKeyBytes(from: service.roots(), host.app, epoch: epoch)
    }

    /// Why no keys of an epoch are given.
    private func refusal(_ service: KMSProcess, _ epoch: UInt64) async throws -> String {
        do {
            _ = try await service.appKeys(epoch: epoch)
            return "given"
        } catch let error as KMSClientError {
            return "\(error.code.rawValue): \(error)"
        }
    }

    @Test("begins at both, older keys stay to be had by number, what is retired is not, and both logs tell it")
    func life() async throws {
        let (first, second) = try await pair()
        #expect(try await replicas(first).count == 2)
        let proposed = try await first.command("epoch", "advance", "--all")
        #expect(proposed.status == 0 && proposed.output == "epoch 1 is proposed for all applications\n", "\(proposed)")
        try await waitUntil(1, is: "in_force", at: first, second)
        for service in [first, second] {
            #expect(try await keys(service, nil) == expected(first, 1))
            #expect(try await keys(service, 0) == expected(first, 0))
            #expect(try await keys(service, 1) == expected(first, 1))
            #expect(try await refusal(service, 2).contains("this service does not know it"))
        }
        #expect(try expected(first, 0) != expected(first, 1))

        // For one application, proposed at the other service.
        let own = try await second.command("epoch", "advance", "--app-id", host.app.appID.bytes.hex)
        #expect(own.status == 0 && own.output.contains("epoch 2 is proposed for application "), "\(own)")
        try await waitUntil(2, is: "in_force", at: first, second)
        #expect(try await keys(first, nil) == expected(first, 2))
        let other = try await first.call(
            "GetAppEnvEncryptPubKey", #"{"app_id":"\#(host.kms.appID.bytes.hex)"}"#)
        #expect(try other.object()["epoch"] as? Int == 1, "\(other)")

        let current = try await second.command("epoch", "retire", "2")
        #expect(current.status == 2 && !current.errors.isEmpty, "\(current)")
        let unknown = try await second.command("epoch", "retire", "7")
        #expect(unknown.status == 2 && unknown.errors.contains("epoch 7"), "\(unknown)")
        let retired = try await second.command("epoch", "retire", "1", "--app-id", host.app.appID.bytes.hex)
        #expect(retired.status == 0, "\(retired)")
        for service in [first, second] {
            let isRefused = try await eventually {
                try await self.refusal(service, 1).contains("it was retired and gives no keys any more")
            }
            #expect(isRefused)
            #expect(try await keys(service, nil) == expected(first, 2))
        }
        try await first.restart()
        #expect(try await refusal(first, 1).contains("it was retired"))
        #expect(try await keys(first, nil) == expected(first, 2))
        let words = try await first.command("epoch", "list").output
        #expect(words.contains("epoch 1: in force for all applications\n"), "\(words)")
        #expect(words.contains("epoch 1: retired for application \(host.app.appID.bytes.hex)\n"), "\(words)")
        for service in [first, second] {
            let changes = try await service.audit().facts("epoch_changed")
            let told = changes.compactMap { one in
                (one["change"] as? String).map { "\($0) \(one["epoch"] as? Int ?? -1)" }
            }
            #expect(Set(told).isSuperset(of: ["in_force 1", "in_force 2", "retired 1"]), "\(told)")
        }
    }

    @Test("waits for a service that is cut off, which refuses it by name and gives no other's keys; and then learns it")
    func cutOff() async throws {
        let (first, second) = try await pair()
        // Both serve, and neither reaches the other.
        let nobody = "https://localhost:\(try FreePorts.next())"
        for service in [first, second] {
            try await service.stop()
            try service.configure(.init(autoBootstrapDomain: "", replicas: [nobody]))
            try await service.start()
        }
        #expect(try await first.command("epoch", "advance", "--all").status == 0)
        #expect(try await states(first) == [1: "proposed"])
        #expect(try await states(second).isEmpty)
        #expect(try await refusal(first, 1).contains("it is not in force"))
        #expect(try await refusal(second, 1).contains("this service does not know it"))
        for service in [first, second] { #expect(try await keys(service, nil) == expected(first, 0)) }
        let words = try await first.command("epoch", "list").output
        #expect(words.contains("epoch 1: proposed, not every replica has stored it, for all applications"), "\(words)")

        // One is enough that can call again. While it is down nothing changes.
        try await second.stop()
        #expect(try await states(first) == [1: "proposed"])
        try connect(first, second, autoBootstrapDomain: "")
        try await second.start()
        try await waitUntil(1, is: "in_force", at: first, second)
        for service in [first, second] {
            #expect(try await keys(service, nil) == expected(first, 1))
            #expect(try await keys(service, 0) == expected(first, 0))
        }
    }

    @Test("does not wait for a service that was given up, which then gives no keys at all")
    func forgotten() async throws {
        let (first, second) = try await pair()
        let id = try #require(try await list(second)["replica"] as? String)
        #expect(try await replicas(first).contains(id))
        try await second.stop()
        #expect(try await first.command("epoch", "advance", "--all").status == 0)
        #expect(try await states(first) == [1: "proposed"])
        let forgotten = try await first.command("epoch", "forget-replica", id)
        #expect(forgotten.status == 0 && forgotten.output == "replica \(id) is none any more\n", "\(forgotten)")
        try await waitUntil(1, is: "in_force", at: first)
        let again = try await first.command("epoch", "forget-replica", String(repeating: "0", count: 32))
        #expect(again.status != 0 && again.errors.contains("there is none of this id"), "\(again)")

        try await second.start()
        let isRefused = try await eventually { try await self.refusal(second, 0).hasPrefix("failed: ") }
        #expect(isRefused)
        let ready = try await second.ask(second.url + "/ready")
        #expect(ready.status == 503 && ready.text.contains(#""epochs":false"#), "\(ready)")
        let words = try await second.command("epoch", "list").output
        #expect(words.contains("gives no keys"), "\(words)")
        #expect(try await keys(first, nil) == expected(first, 1))
        #expect(try await first.audit().facts("administered").count == 2)
    }

    @Test("the command says what is wrong: no token, another one, no service, no such thing")
    func mistakes() async throws {
        let service = try await KMSProcess().start()
        for token in [nil, "another"] {
            for words in [["epoch", "list"], ["epoch", "advance", "--all"], ["audit", "export"]] {
                let result = try await service.command(words, token: token)
                #expect(result.status == 2 && result.output.isEmpty, "\(result)")
                #expect(result.errors.contains("credentials are missing or wrong"), "\(result)")
                #expect(result.errors.contains("hint: set DSTACK_KMS_ADMIN_TOKEN"), "\(result)")
            }
        }
        try service.scratch.write(KMSProcess.adminToken + "\n", "token")
        let named = try await service.command(
            ["epoch", "list", "--token-file", service.scratch.path("token")], token: nil)
        #expect(named.status == 0 && named.output.hasPrefix("epoch 0: in force for all applications"), "\(named)")
        #expect(try await states(service).isEmpty)
        for words in [["epoch", "retire", "0"], ["epoch", "retire"], ["epoch", "advance", "--app-id", "12"]] {
            let result = try await service.command(words)
            #expect(result.status == 2 && result.errors.contains("error: "), "\(result)")
        }
        try await service.stop()
        for words in [["epoch", "list"], ["audit", "export"]] {
            let result = try await service.command(words)
            #expect(result.status == 3, "\(result)")
            #expect(result.errors.contains("does the service run, with core.admin.enabled = true?"), "\(result)")
        }
    }
}
