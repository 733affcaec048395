import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Foundation
import TestKit
import Testing

@Suite("Verifier service: the program", .enabled(if: VerifierProgram.isThere, VerifierProgram.absence))
struct VerifierServiceHTTPTests {
    /// Evidence of now on disk, because the program has the system's clock.
    private struct Files {
        let directory: ScratchDirectory
        let vm: SimulatedVM
        /// Trusts the VM's root and has its collateral.
        let settings: String
        let request: String

        init() throws {
            directory = try ScratchDirectory()
            let vm = try SimulatedVM()
            self.vm = vm
            let now = Int64(Date().timeIntervalSince1970)
            let root = try directory.write(vm.platform.rootCertificate, "root.der")
            let collateral = try directory.write(vm.platform.collateral(for: .tdx, at: now).json, "collateral.json")
            settings = """
                [attestation]
                insecure_allow_external_trust_anchors = true
                [attestation.root_ca]
                tdx = "\(root)"
                [collateral]
                offline = "\(collateral)"

                """
            var writer = JSONWriter()
            writer.object { object in
                object.member("quote", Hex.encode((try? vm.quote(ReportData(FixedBytes()))) ?? []))
                object.member("event_log", vm.log.json)
                object.member("vm_config", vm.vmConfig)
            }
            request = try directory.write(writer.bytes, "request.json")
        }

        /// Settings that ask a collateral service in place of the files.
        func settings(service port: UInt16) -> String {
            let lines = settings.split(separator: "\n").filter { !$0.hasPrefix("offline") && $0 != "[collateral]" }
            return lines.joined(separator: "\n") + "\n[attestation.urls]\npccs = \"http://127.0.0.1:\(port)\"\n"
        }
    }

    private static func json(_ text: String) throws -> JSONNode {
        try JSONDocument(parsing: text, subject: "answer").root
    }

    // MARK: HTTP

    @Test("Python and curl get the answers of upstream's service")
    func clients() async throws {
        let files = try Files()
        let server = try await VerifierServer(files.settings)
        let python = try await server.post(files.request)
        #expect(python.status == 200)
        let answer = try Self.json(python.body)
        #expect(try answer.member("is_valid").bool(), "\(python.body)")
        #expect(try answer.member("details").member("app_info").member("app_id").string() == files.vm.appID.bytes.hex)
        // With the content type that curl presets, a form's.
        let curl = try await server.curl("/verify", "--data-binary", "@\(files.request)")
        #expect(curl.status == 200)
        #expect(try Self.json(curl.body).member("is_valid").bool())
        let health = try await server.curl("/health")
        #expect(health.status == 200 && health.body == #"{"status":"ok","service":"dstack-verifier"}"#)
        let (log, status) = (server.logText, await server.terminate())
        #expect(log.contains("simulated TEE") && log.contains("valid=true"))
        #expect(status == 0)
    }

    @Test("what is no request gets a 4xx, and the service goes on")
    func wrongRequests() async throws {
        let files = try Files()
        let server = try await VerifierServer(files.settings + "[limits]\nmax_body = \"1MiB\"\n")
        let notJSON = try await server.curl("/verify", "-d", "quote=00")
        #expect(notJSON.status == 400)
        #expect(try Self.json(notJSON.body).member("error").member("code").integer(Int.self) == 400)
        #expect(try await server.curl("/verify", "-d", #"{"quote":1}"#).status == 422)
        #expect(try await server.curl("/verify").status == 405)
        #expect(try await server.curl("/verify?policy=strict", "--data-binary", "@\(files.request)").status == 400)
        // Whoever looks at it is told what there is, at the beginning as elsewhere.
        for (path, status) in [("/", 200), ("/nowhere", 404), ("/verify/", 404)] {
            let answer = try await server.curl(path)
            #expect(answer.status == status, "\(path)")
            #expect(answer.body.contains("POST /verify") && answer.body.contains("GET /health"), "\(answer.body)")
        }
        let large = try files.directory.write(
            Array(#"{"event_log":"\#(String(repeating: "x", count: 1 << 20))"}"#.utf8), "large.json")
        #expect(try await server.curl("/verify", "--data-binary", "@\(large)").status == 413)
        #expect(
            try await server.curl("/verify", "-H", "Transfer-Encoding: chunked", "--data-binary", "@\(large)").status
                == 413)
        #expect(try await server.post(files.request).status == 200)
        #expect(await server.terminate() == 0)
    }

    @Test("a request beyond the limit is answered with 503 at once, health always")
    func concurrencyLimit() async throws {
        let files = try Files()
        let silent = try RawListener()
        let server = try await VerifierServer(files.settings(service: silent.port) + "[limits]\nmax_requests = 1\n")
        async let first = server.curl("/verify", "--data-binary", "@\(files.request)")
        // The first request is under way: it asks for collateral.
        let peer = await silent.nextConnection()
        #expect(try await server.curl("/verify", "--data-binary", "@\(files.request)").status == 503)
        #expect(try await server.curl("/health").status == 200)
        silent.end()
        peer?.close()
        let answer = try await first
        #expect(answer.status == 200)
        #expect(try Self.json(answer.body).member("reason").string().hasPrefix("Quote verification failed: "))
        #expect(await server.terminate() == 0)
    }

    @Test("on SIGTERM a request under way is still answered, at the latest when its time is up, and nothing new")
    func drain() async throws {
        let files = try Files()
        let silent = try RawListener()
        let server = try await VerifierServer(
            files.settings(service: silent.port) + "[limits]\nrequest_timeout = \"2s\"\n")
        async let answer = server.curl("/verify", "--data-binary", "@\(files.request)")
        let peer = await silent.nextConnection()
        let status = await server.terminate()
        #expect(status == 0)
        #expect(try await answer.status == 504)
        // curl's way to say that there was no answer.
        #expect(try await server.curl("/health").status == 0)
        silent.end()
        peer?.close()
    }

    @Test("SIGHUP brings changed settings into force, and unusable ones leave the old in force")
    func reload() async throws {
        let files = try Files()
        let policy = try files.directory.write(Array("{}".utf8), "policy.json")
        let server = try await VerifierServer(
            files.settings + "[policy]\nfile = \"\(policy)\"\n", arguments: ["--config", "CONFIG"])
        // A policy file without members is as strict as can be; the platform has multithreading.
        #expect(try await server.post(files.request).body.contains("Policy check failed: policy_smt"))
        try files.directory.write(Array(#"{"allow_smt":true}"#.utf8), "policy.json")
        server.signal(SIGHUP)
        try await server.wait(for: "configuration read again")
        #expect(try await Self.json(server.post(files.request).body).member("is_valid").bool())
        try files.directory.write(Array(#"{"allow_anything":true}"#.utf8), "policy.json")
        server.signal(SIGHUP)
        try await server.wait(for: "the old one stays in force")
        #expect(try await Self.json(server.post(files.request).body).member("is_valid").bool())
        #expect(await server.terminate() == 0)
    }

    // MARK: Files

    @Test("--verify answers a request file, beside it and on standard output, and ends with 0 or 1")
    func requestFile() async throws {
        let files = try Files()
        let config = try files.directory.write(Array(files.settings.utf8), "config.toml")
        func verify(_ name: String) async throws -> (status: Int32, answer: JSONNode, file: JSONNode?) {
            let path = files.directory.path(name)
            let result = try await VerifierProgram.run("--config", config, "--verify", path)
            let file = try? String(contentsOfFile: path + ".verification.json", encoding: .utf8)
            return (result.status, try Self.json(result.output), try file.map(Self.json))
        }
        let valid = try await verify("request.json")
        #expect(valid.status == 0)
        #expect(try valid.answer.member("is_valid").bool())
        #expect(try valid.file?.member("is_valid").bool() == true)

        let request = try String(contentsOfFile: files.request, encoding: .utf8)
        try files.directory.write(
            Array((request.dropLast() + #","expected_app_id":"\#(FixedBytes<20>())"}"#).utf8), "request.json")
        let invalid = try await verify("request.json")
        #expect(invalid.status == 1)
        #expect(try invalid.answer.member("reason").string().hasPrefix("Policy check failed: "))
        #expect(try invalid.file?.member("is_valid").bool() == false)

        try files.directory.write(Array("nonsense".utf8), "request.json")
        let nonsense = try await verify("request.json")
        #expect(nonsense.status == 1)
        #expect(try nonsense.answer.member("reason").string().hasPrefix("Internal error: Failed to parse JSON"))
        #expect(try nonsense.file?.member("is_valid").bool() == false)

        try FileManager.default.removeItem(atPath: files.request)
        let missing = try await verify("request.json")
        #expect(missing.status == 1)
        #expect(try missing.answer.member("reason").string().hasPrefix("Internal error: cannot "))
        #expect(missing.file == nil)
    }

    @Test("--verify-cert writes and prints a yes; for a no it ends with 1 and leaves no earlier answer behind")
    func certificateFile() async throws {
        let files = try Files()
        let config = try files.directory.write(Array(files.settings.utf8), "config.toml")
        var fixture = RATLSFixture()
        fixture.add(.attestation, try files.vm.attestation(fixture.reportData).stripped().encoded(as: .v1))
        let pem = PEM.encode("CERTIFICATE", try fixture.der)
        let path = try files.directory.write(Array(pem.utf8), "server.pem")
        let output = path + ".ratls-verification.json"

        let valid = try await VerifierProgram.run("--config", config, "--verify-cert", path)
        #expect(valid.status == 0, "\(valid.errors)")
        #expect(try Self.json(valid.output).member("is_valid").bool())
        #expect(try String(contentsOfFile: output, encoding: .utf8) == valid.output)

        let other = RATLSFixture()
        try files.directory.write(try other.der, "server.pem")
        let invalid = try await VerifierProgram.run("--config", config, "--verify-cert", path)
        #expect(invalid.status == 1 && invalid.output.isEmpty)
        #expect(invalid.errors.contains("RA-TLS attestation extension missing"))
        #expect(!FileManager.default.fileExists(atPath: output))

        let missing = try await VerifierProgram.run("--config", config, "--verify-cert", path + ".none")
        #expect(missing.status == 1 && missing.output.isEmpty)
    }

    // MARK: Settings

    @Test("settings that make no sense end the program with 2 and the name of what is wrong")
    func settings() async throws {
        let directory = try ScratchDirectory()
        let request = try directory.write(Array("{}".utf8), "request.json")
        for (toml, complaint) in [
            ("unknown_policy = true", "unknown_policy"), ("port = 0", "port"), ("address = \"localhost\"", "address"),
            ("image_cache_dir = \"\"", "image_cache_dir"),
            ("image_download_url = \"file:///{OS_IMAGE_HASH}\"", "image_download_url"),
            ("image_download_url = \"http://h/image.tar.gz\"", "image_download_url"),
            ("image_download_timeout_secs = 0", "image_download_timeout_secs"),
            ("[attestation.root_ca]\ntdx = \"/r.der\"", "insecure_allow_external_trust_anchors"),
            ("[attestation.root_ca]\ngcp_tpm = \"/r.der\"", "insecure_allow_external_trust_anchors"),
            ("[attestation.urls]\npccs = \"ftp://h\"", "attestation.urls.pccs"),
            ("[attestation.url]\npccs = \"http://h\"", "attestation.url"),
            ("[policy]\npreset = \"lax\"", "policy.preset"),
            ("[policy]\npreset = \"strict\"\nfile = \"p.json\"", "policy.file"),
            ("[policy]\nfile = \"/nonexistent.json\"", "/nonexistent.json"),
            ("[collateral]\noffline = \"/nonexistent\"", "/nonexistent"),
            ("[limits]\nmax_requests = 0", "limits.max_requests"), ("address = ", "verifier.toml"),
        ] {
            let config = try directory.write(Array(toml.utf8), "verifier.toml")
            let result = try await VerifierProgram.run("--config", config, "--verify", request)
            #expect(result.status == 2, "\(toml): \(result.errors)")
            #expect(result.errors.contains(complaint), "\(toml): \(result.errors)")
            #expect(result.output.isEmpty)
        }
        let missing = try await VerifierProgram.run("serve", "--config", directory.path("none.toml"))
        #expect(missing.status == 2)
    }

    @Test("upstream's own settings are good; the working directory's file and the environment count too")
    func layers() async throws {
        let directory = try ScratchDirectory()
        let request = try directory.write(Array("{}".utf8), "request.json")
        let upstream = """
            address = "0.0.0.0"
            port = 8080
            image_cache_dir = "/tmp/dstack-verifier/cache"
            image_download_url = "https://download.dstack.org/os-images/mr_{OS_IMAGE_HASH}.tar.gz"
            image_download_timeout_secs = 300
            [attestation]
            insecure_allow_external_trust_anchors = false
            [attestation.urls]
            amd_kds = "https://kdsintf.amd.com/vcek/v1"
            [attestation.root_ca]

            """
        let config = try directory.write(Array(upstream.utf8), "upstream.toml")
        let good = try await VerifierProgram.run("--config", config, "--verify", request)
        #expect(good.status == 1 && good.output.contains("Internal error: Quote is required"), "\(good.errors)")

        try directory.write(Array("port = 0".utf8), "dstack-verifier.toml")
        let local = try await VerifierProgram.run("--verify", request, in: directory.url)
        #expect(local.status == 2 && local.errors.contains("dstack-verifier.toml"))
        let overridden = try await VerifierProgram.run(
            VerifierProgram.path, ["--verify", request], environment: ["DSTACK_VERIFIER_PORT": "1"], in: directory.url)
        #expect(overridden.status == 1)
        let nested = try await VerifierProgram.run(
            VerifierProgram.path, ["--verify", request],
            environment: ["DSTACK_VERIFIER_PORT": "1", "DSTACK_VERIFIER_POLICY__PRESET": "lax"], in: directory.url)
        #expect(nested.status == 2 && nested.errors.contains("DSTACK_VERIFIER_POLICY__PRESET"))
    }

    @Test("without command and options the program says what it needs")
    func nothing() async throws {
        let result = try await VerifierProgram.run()
        #expect(result.status == 2 && result.errors.contains("a command is needed"))
        let both = try await VerifierProgram.run("--verify", "a", "--verify-cert", "b")
        #expect(both.status == 2)
    }
}
