import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMSClient
import DstackKeys
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// Services that are killed in the middle of something, with SIGKILL, as by a machine that loses its power.
@Suite("A service that is killed", .enabled(if: SimulatedHost.isThere, SimulatedHost.absence))
struct KillTests {
    private let host: SimulatedHost

    init() throws { host = try SimulatedHost.shared() }

    /// Has something asked of a service that waits to be set up, and kills it so many milliseconds later, ever later, until
    /// it has been given the keys and would serve.
    ///
    /// - Returns: how often it was killed before.
    private func kill(_ service: KMSProcess, during method: String, _ body: String) async throws -> Int {
        var delay = 0
        for round in 0..<60 {
            let program = try await service.launch()
            let isReady = try await eventually {
                program.errors.contains("onboarding needs the token") || program.errors.contains("listening on ")
                    || !program.isRunning
            }
            try #require(isReady && program.isRunning, "round \(round): \(program.errors)")
            // Keys were there, whole: it serves.
            if program.errors.contains("listening on ") { return round }
            let asking = Task { try await service.setUp(method, body) }
            try await Task.sleep(for: .milliseconds(delay))
            try await service.stop(SIGKILL)
            // Whoever was told that there are keys finds them.
            if let answer = try? await asking.value, answer.status == 200 {
                #expect(FileManager.default.fileExists(atPath: service.directory + "/root-ca.key"), "round \(round)")
            }
            delay += delay < 40 ? 8 : 25
        }
        return 60
    }

    @Test("while it makes its keys has all of them or none, and can go on")
    func bootstrap() async throws {
        let service = try KMSProcess(.init(autoBootstrapDomain: ""))
        let rounds = try await kill(service, during: "Bootstrap", #"{"domain":"localhost"}"#)
        #expect((1..<60).contains(rounds))
        let expected = try AppKeyBytes(from: service.roots(), host.app)
        #expect(AppKeyBytes(try await service.appKeys()) == expected)
        try await service.stop(SIGKILL)
        try await service.start()
        #expect(AppKeyBytes(try await service.appKeys()) == expected)
        let log = try await service.audit()
        #expect(log.facts("keys_released").count == 2 && log.facts("started").count == 2, "\(log)")
        #expect(log.facts("stopped").isEmpty)
    }

    @Test("between its first keys and its first log says in the log that they were there, in place of how they came")
    func unfinished() async throws {
        let service = try KMSProcess(.init(autoBootstrapDomain: ""))
        try await service.startOnboarding()
        let made = try await service.setUp("Bootstrap", #"{"domain":"localhost"}"#)
        try #require(made.status == 200, "\(made)")
        try await service.stop(SIGKILL)
        try await service.start()
        let log = try await service.audit()
        #expect(log.compactMap { $0["event"] as? String } == ["log_begun", "keys_found", "started"], "\(log)")
        let found = try #require(log.facts("keys_found").first?["k256_public_key"] as? String)
        #expect(try found == service.roots().publicKey.hex && made.object()["k256_pubkey"] as? String == found)
        try await service.restart()
        #expect(try await service.audit().facts("keys_found").count == 1)
    }

    @Test("while it takes another's keys has all of them or none, and is one replica however often it tried")
    func onboarding() async throws {
        let first = try await KMSProcess().start()
        let service = try KMSProcess(.init(autoBootstrapDomain: "", replicas: [first.url]))
        let rounds = try await kill(
            service, during: "Onboard", #"{"source_url":"\#(first.url)","domain":"localhost"}"#)
        #expect((1..<60).contains(rounds))
        let expected = try AppKeyBytes(from: first.roots(), host.app)
        for one in [first, service] { #expect(AppKeyBytes(try await one.appKeys()) == expected) }
        let list = try await first.command("epoch", "list", "--json").object()
        #expect((list["replicas"] as? [String])?.count == 2, "\(list)")
        // Epochs wait for nobody who is not there.
        #expect(try await first.command("epoch", "advance", "--all").status == 0)
        let next = try AppKeyBytes(from: first.roots(), host.app, epoch: 1)
        for one in [first, service] {
            let isInForce = try await eventually { AppKeyBytes(try await one.appKeys()) == next }
            #expect(isInForce)
            _ = try await one.audit()
        }
    }

    @Test("while another takes its keys leaves that one with all of them or none, and able to ask again")
    func source() async throws {
        let source = try await KMSProcess().start()
        let service = try KMSProcess(.init(autoBootstrapDomain: "", replicas: [source.url]))
        try await service.startOnboarding()
        let body = #"{"source_url":"\#(source.url)","domain":"localhost"}"#
        var isTaken = false
        for delay in stride(from: 0, through: 2_000, by: 60) where !isTaken {
            let asking = Task { try await service.setUp("Onboard", body) }
            try await Task.sleep(for: .milliseconds(delay))
            try await source.stop(SIGKILL)
            let answer = try await asking.value
            isTaken = answer.status == 200
            if !isTaken {
                #expect([400, 503].contains(answer.status) && answer.text.contains("error"), "\(answer)")
                let names = try FileManager.default.contentsOfDirectory(atPath: service.directory)
                #expect(names.allSatisfy { !$0.hasSuffix(".key") }, "\(names)")
            }
            try await source.start()
        }
        try #require(isTaken)
        #expect(try await service.setUp("Finish").status == 200)
        try await service.serving()
        let expected = try AppKeyBytes(from: source.roots(), host.app)
        for one in [source, service] { #expect(AppKeyBytes(try await one.appKeys()) == expected) }
        let released = try await source.audit().facts("keys_released").filter { $0["keys"] as? String == "root" }
        #expect(!released.isEmpty)
    }

    @Test("right behind a change of epochs has not forgotten what it said, nor gives other keys of the same number")
    func epochs() async throws {
        let service = try await KMSProcess().start()
        for number in 1...4 {
            let advanced = try await service.command("epoch", "advance", "--all")
            try await service.stop(SIGKILL)
            #expect(advanced.output.hasPrefix("epoch \(number) is proposed"), "\(advanced)")
            try await service.start()
            let isInForce = try await eventually {
                let keys = AppKeyBytes(try await service.appKeys())
                return try keys == AppKeyBytes(from: service.roots(), self.host.app, epoch: UInt64(number))
            }
            #expect(isInForce, "epoch \(number)")
            #expect(try await service.command("epoch", "retire", "\(number)").status == 2)
        }
        let retired = try await service.command("epoch", "retire", "2")
        try await service.stop(SIGKILL)
        #expect(retired.status == 0, "\(retired)")
        try await service.start()
        await #expect(throws: KMSClientError.self) { _ = try await service.appKeys(epoch: 2) }
        for number in [0, 1, 3, 4] as [UInt64] {
            let keys = AppKeyBytes(try await service.appKeys(epoch: number))
            #expect(try keys == AppKeyBytes(from: service.roots(), host.app, epoch: number))
        }
        let changes = try await service.audit().facts("epoch_changed")
        #expect(changes.filter { $0["change"] as? String == "in_force" }.count == 4, "\(changes)")
    }

    @Test("under load has every key in its log that somebody was given, and gives the same afterwards")
    func load() async throws {
        let service = try await KMSProcess().start()
        let expected = try AppKeyBytes(from: service.roots(), host.app)
        var given = 0
        for round in 0..<3 {
            let identities = try (0..<6).map { _ in try ClientIdentity(host.app) }
            let counts = Shared([Int](repeating: 0, count: identities.count))
            let wrong = Shared<[String]>([])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, identity) in identities.enumerated() {
                    group.addTask {
                        // Until the connection breaks.
                        while let answer = try? await service.call(
                            "GetAppKey", #"{"api_version":1}"#, identity.credentials)
                        {
                            let isRight =
                                try answer.status == 200 && AppKeyBytes(answer: answer.object()) == expected
                            if isRight { counts.edit { $0[index] += 1 } } else { wrong.edit { $0.append("\(answer)") } }
                        }
                    }
                }
                let isBusy = try await eventually { counts.value.reduce(0, +) > 20 * (round + 1) }
                #expect(isBusy)
                try await service.stop(SIGKILL)
                try await group.waitForAll()
            }
            #expect(wrong.value.isEmpty, "\(wrong.value)")
            try await service.start()
            let released = try await service.audit().facts("keys_released").compactMap { $0["receiver_key"] as? String }
            for (identity, count) in zip(identities, counts.value) {
                let key = Hex.encode(try RATLSCertificate(parsing: identity.chain[0]).publicKey)
                #expect(released.filter { $0 == key }.count >= count, "round \(round)")
            }
            given += counts.value.reduce(0, +)
            #expect(released.count >= given)
        }
        #expect(AppKeyBytes(try await service.appKeys()) == expected)
        try KeyMaterial(of: service).expectAbsent(in: "the output", service.written)
    }
}
