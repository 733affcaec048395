import DstackAttestation
import DstackKMS
import DstackKeys
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// Services that cannot start, or cannot go on: each says why, and nothing that was there is touched.
@Suite("A service that cannot start", .enabled(if: SimulatedHost.isThere, SimulatedHost.absence))
struct BadStartTests {
    private let host: SimulatedHost

    init() throws { host = try SimulatedHost.shared() }

    /// Everything in the directory of keys but what is made anew at each start.
    private func files(_ service: KMSProcess) throws -> [String: Data] {
        var found: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: service.directory)
        where !name.hasSuffix(".lock") && name != "state" && name != "rpc.crt" {
            found[name] = FileManager.default.contents(atPath: service.directory + "/" + name) ?? Data()
        }
        return found
    }

    private func expectRefusal(
        _ service: KMSProcess, status: Int32, _ reasons: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await service.launch()
        let result = try await service.end()
        #expect(result.status == status, "\(result)", sourceLocation: sourceLocation)
        for reason in reasons {
            #expect(result.errors.contains(reason), "\(reason): \(result)", sourceLocation: sourceLocation)
        }
        #expect(result.errors.contains("error: "), "\(result)", sourceLocation: sourceLocation)
    }

    @Test("names all mistakes in its settings at once, with their places, and has made nothing")
    func settings() async throws {
        let service = try KMSProcess()
        try service.scratch.write(
            """
            [rpc]
            port = 70000
            [core]
            cert_dir = "\(service.directory)"
            enforce_self_authorisation = false
            [core.attestation]
            root_ca.tdx = "\(host.files.path("root.pem"))"
            [core.auth_api]
            type = "nobody"
            [core.onboard]
            auto_bootstrap_domain = "not a name"
            [core.certificates]
            max_lifetime = "soon"
            """, "kms.toml")
        try await expectRefusal(
            service, status: 2, "kms.toml:2:", "rpc.port", "core.enforce_self_authorisation",
            "insecure_allow_external_trust_anchors", "core.auth_api.type", "core.onboard.auto_bootstrap_domain",
            "core.certificates.max_lifetime")
        #expect(!FileManager.default.fileExists(atPath: service.directory))
        try service.scratch.write("[rpc\n", "kms.toml")
        try await expectRefusal(service, status: 2, "kms.toml:1")
        try service.scratch.remove("kms.toml")
        try await expectRefusal(service, status: 2, "kms.toml")
    }

    @Test("says which port is taken, whichever of its listeners wants it")
    func ports() async throws {
        let service = try KMSProcess(.init(autoBootstrapDomain: ""))
        var taken = try LocalPort(service.port)
        try await expectRefusal(
            service, status: 3, "127.0.0.1 port \(service.port) cannot be bound: Address already in use")
        taken.close()
        try service.configure(.init())
        try await service.start()
        let expected = try AppKeyBytes(from: service.roots(), host.app)
        try await service.stop()
        for port in [service.port, service.adminPort] {
            taken = try LocalPort(port)
            try await expectRefusal(
                service, status: 3, "127.0.0.1 port \(port) cannot be bound: Address already in use")
            taken.close()
        }
        try await service.start()
        #expect(AppKeyBytes(try await service.appKeys()) == expected)
        let log = try await service.audit()
        #expect(log.facts("started").count == 4 && log.facts("stopped").count == 3, "\(log)")
    }

    @Test("leaves the directories to the service that has them")
    func twice() async throws {
        let service = try await KMSProcess().start()
        var settings = service.scratch.text("kms.toml")
        for port in [service.port, service.adminPort] {
            settings = settings.replacing("port = \(port)\n", with: "port = \(try FreePorts.next())\n")
        }
        try service.scratch.write(settings, "other.toml")
        let other = try await Program.run(
            "dstack-kms", ["--config", service.scratch.path("other.toml")],
            environment: ["DSTACK_AGENT_ADDRESS": host.agentSocket])
        #expect(other.status == 3 && other.errors.contains("error: "), "\(other)")
        #expect(other.errors.contains(service.directory) && !other.errors.contains("listening on"), "\(other)")
        let expected = try AppKeyBytes(from: service.roots(), host.app)
        #expect(AppKeyBytes(try await service.appKeys()) == expected)
        #expect(try await service.audit().facts("started").count == 1)
        try await service.restart()
    }

    @Test(
        "makes nothing in the place of a key that is missing, and takes none that others could read or that is broken")
    func keys() async throws {
        let service = try await KMSProcess().start()
        let expected = try AppKeyBytes(from: service.roots(), host.app)
        try await service.stop()
        let (directory, manager) = (service.directory, FileManager.default)
        func path(_ name: String) -> String { "\(directory)/\(name)" }
        let before = try files(service)

        for name in ["root-ca.key", "root-k256.key", "tmp-ca.key"] {
            try manager.moveItem(atPath: path(name), toPath: service.scratch.path("aside"))
            try await expectRefusal(service, status: 3, name, "are missing", "restore what is missing")
            #expect(!manager.fileExists(atPath: path(name)), "\(name) was made anew")
            try manager.moveItem(atPath: service.scratch.path("aside"), toPath: path(name))

            try manager.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path(name))
            try await expectRefusal(service, status: 3, name)
            try manager.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path(name))

            let content = try #require(manager.contents(atPath: path(name)))
            try service.scratch.write(content.prefix(20), "certs/\(name)")
            try manager.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path(name))
            try await expectRefusal(service, status: 3, name)
            try service.scratch.write(content, "certs/\(name)")
            try manager.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path(name))
        }
        try manager.setAttributes([.posixPermissions: 0o777], ofItemAtPath: directory)
        try await expectRefusal(service, status: 3, directory, "others may write in it")
        try manager.setAttributes([.posixPermissions: 0o700], ofItemAtPath: directory)
        try manager.moveItem(atPath: directory, toPath: service.scratch.path("aside"))
        try service.scratch.write("a file", "certs")
        try await expectRefusal(service, status: 3, directory)
        try service.scratch.remove("certs")
        try manager.moveItem(atPath: service.scratch.path("aside"), toPath: directory)

        #expect(try files(service) == before)
        try await service.start()
        #expect(AppKeyBytes(try await service.appKeys()) == expected)
        try KeyMaterial(of: service).expectAbsent(in: "the output", service.written)
    }

    @Test("does not begin anew where its store is damaged or gone")
    func store() async throws {
        let service = try await KMSProcess().start()
        let expected = try AppKeyBytes(from: service.roots(), host.app)
        _ = try await service.appKeys()
        try await service.stop()
        let state = service.directory + "/state"
        let manager = FileManager.default
        let name = try #require(
            manager.contentsOfDirectory(atPath: state).first { file in
                let bytes = manager.contents(atPath: "\(state)/\(file)")
                return bytes?.starts(with: Data("SQLite format 3".utf8)) == true
            })
        let good = try #require(manager.contents(atPath: "\(state)/\(name)"))
        var (scribbled, headless) = (good, good)
        scribbled.replaceSubrange(
            good.count / 4..<good.count, with: Data(repeating: 0xA5, count: good.count - good.count / 4))
        headless.replaceSubrange(0..<100, with: Data(repeating: 0, count: 100))
        let before = try files(service)
        for bad in [scribbled, headless] {
            try bad.write(to: URL(fileURLWithPath: "\(state)/\(name)"))
            try await service.launch()
            let result = try await service.end()
            #expect(result.status == 3 && result.errors.contains(state), "\(result)")
            #expect(manager.contents(atPath: "\(state)/\(name)") == bad, "it was changed")
        }
        try good.write(to: URL(fileURLWithPath: "\(state)/\(name)"))
        #expect(try files(service) == before)

        // Where it is gone the service must not take itself for one that never had epochs: it gives no keys.
        try manager.moveItem(atPath: state, toPath: service.scratch.path("aside"))
        try await service.start()
        let refused = try await service.call(
            "GetAppKey", #"{"api_version":1}"#, ClientIdentity(host.app).credentials)
        #expect(refused.status == 503 && refused.text.contains("does not know the epochs"), "\(refused)")
        #expect(try await service.audit().facts("keys_found").count == 1)
        try await service.stop()
        try manager.removeItem(atPath: state)
        try manager.moveItem(atPath: service.scratch.path("aside"), toPath: state)
        try await service.start()
        #expect(AppKeyBytes(try await service.appKeys()) == expected)
        #expect(try await service.audit().facts("keys_released").count == 2)
    }

    @Test("has no keys made or used without an agent that gives evidence")
    func agent() async throws {
        let (new, old) = (try KMSProcess(), try await KMSProcess().start())
        try await old.stop()
        let before = try files(old)
        try await withThrowingTaskGroup(of: Program.Output.self) { group in
            for service in [new, old] {
                group.addTask {
                    try await service.launch(agent: service.scratch.path("nothing.sock"))
                    return try await service.end()
                }
            }
            for try await result in group {
                #expect(result.status == 3 && result.errors.contains("nothing.sock"), "\(result)")
            }
        }
        #expect(try files(new).keys.allSatisfy { !$0.hasSuffix(".key") })
        #expect(try files(old) == before)
        try await new.start()
        #expect(try await new.audit().facts("bootstrapped").count == 1)
    }

    // MARK: A full disk

    @Test(
        "a disk that is full leaves all of the keys or none, wherever it was, and with more room the service starts",
        arguments: [4, 56, 72, 88, 104, 120, 136])
    func fullDisk(kilobytes: Int) async throws {
        let service = try KMSProcess()
        try await service.launch(onDiskOf: "\(kilobytes)k", thenOf: "8m")
        try await service.serving()
        let program = try #require(service.program)
        let failures = program.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
        // Where even the smallest disk had room enough this tests nothing.
        #expect(kilobytes > 4 || failures.count == 1)
        if let failure = failures.first {
            #expect(
                failure.contains("no room on the disk") || failure.contains("No space left on device"), "\(failure)")
            let names = program.output.split(separator: "\n")
            let keys = RootKeyFile.shared.filter { names.contains(Substring($0.rawValue)) }
            let isAnnounced = names.contains(".dstack-keys.ready")
            #expect(keys.isEmpty || keys.count == RootKeyFile.shared.count || isAnnounced, "\(names)")
            let answer = try await service.call(
                "GetAppKey", #"{"api_version":1}"#, ClientIdentity(host.app).credentials)
            #expect(answer.status == 200, "\(answer.status)")
        }
        try await service.stop(SIGKILL)
    }

    @Test("gives no key whose release it cannot write down, and goes on when there is room again")
    func fullWhileServing() async throws {
        let service = try KMSProcess()
        try await service.launch(onDiskOf: "2m")
        try await service.serving()
        let program = try #require(service.program)
        // What the service sees there.
        let place = "/proc/\(program.processID)/root\(service.directory)"
        let body = #"{"api_version":1}"#
        let identity = try ClientIdentity(host.app)
        #expect(try await service.call("GetAppKey", body, identity.credentials).status == 200)
        let filler = try #require(FileHandle.made(at: place + "/filler"))
        while (try? filler.write(contentsOf: Data(count: 4_096))) != nil {}
        while (try? filler.write(contentsOf: Data(count: 1))) != nil {}
        var refused: KMSProcess.Answer?
        let isFull = try await eventually {
            let answer = try await service.call("GetAppKey", body, identity.credentials)
            refused = answer
            return answer.status != 200
        }
        let text = refused.map(\.description) ?? ""
        #expect(isFull && refused?.status == 500 && !text.contains("k256_key"), "\(text)")
        let ready = try await service.ask(service.url + "/ready")
        #expect(ready.status == 503 && ready.text.contains(#""store":false"#), "\(ready)")
        #expect(try await service.call("GetMeta").status == 200)
        try filler.close()
        try FileManager.default.removeItem(atPath: place + "/filler")
        let isBack = try await eventually {
            try await service.call("GetAppKey", body, identity.credentials).status == 200
        }
        #expect(isBack)
        let exported = try await service.command("audit", "export")
        try service.scratch.write(exported.output, "audit.jsonl")
        let root = try #require(FileManager.default.contents(atPath: place + "/root-ca.crt"))
        try service.scratch.write(root, "root.pem")
        let checked = try await service.command(
            "audit", "check", service.scratch.path("audit.jsonl"), "--root", service.scratch.path("root.pem"))
        #expect(checked.status == 0, "\(checked)")
        try await service.stop()
    }
}

extension FileHandle {
    fileprivate static func made(at path: String) -> FileHandle? {
        FileManager.default.createFile(atPath: path, contents: nil) ? FileHandle(forWritingAtPath: path) : nil
    }
}
