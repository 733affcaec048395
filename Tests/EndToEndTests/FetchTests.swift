import DstackHTTP
import DstackHTTPServer
import DstackNetwork
import Foundation
import TestKit
import Testing

/// Collateral from a service, fetched by the programs that need it.
@Suite("Fetching collateral", .enabled(if: Program.path("dstack-verifier") != nil, "dstack-verifier is not built"))
struct FetchTests {
    private let files: ScratchDirectory
    private var quote: [String] { ["--quote", files.path("e/quote.bin"), "--trust-root", files.path("e/root.pem")] }

    init() async throws {
        files = try ScratchDirectory()
        #expect(try await Program.dstack("mock-tee", files.path("e")).status == 0)
    }

    /// Runs a body while a service answers from the collateral of the simulated platform.
    private func withService(_ body: (_ url: String) async throws -> Void) async throws {
        let text = try #require(
            try JSONSerialization.jsonObject(with: Data(files.text("e/collateral.json").utf8)) as? [String: String])
        let encoded = text.mapValues { $0.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "" }
        func document(_ member: String, _ key: String) -> [UInt8] {
            Array("{\"\(member)\":\(text[key] ?? ""),\"signature\":\"\(text[key + "_signature"] ?? "")\"}".utf8)
        }
        let answers: [(String, [UInt8], String, String)] = [
            ("/tcb", document("tcbInfo", "tcb_info"), "TCB-Info-Issuer-Chain", "tcb_info_issuer_chain"),
            (
                "/qe/identity", document("enclaveIdentity", "qe_identity"), "SGX-Enclave-Identity-Issuer-Chain",
                "qe_identity_issuer_chain"
            ),
            ("/pckcrl", Array((text["pck_crl"] ?? "").utf8), "SGX-PCK-CRL-Issuer-Chain", "pck_crl_issuer_chain"),
            ("/rootcacrl", Array((text["root_ca_crl"] ?? "").utf8), "X-Nothing", "none"),
        ]
        let server = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("tcp", .tcp(host: "127.0.0.1", port: 0))])
        ) { request in
            guard let answer = answers.first(where: { request.path.hasSuffix($0.0) }) else {
                return HTTPServerResponse(404)
            }
            return HTTPServerResponse(
                200, headers: HTTPHeaders([.init(name: answer.2, value: encoded[answer.3] ?? "none")]), body: answer.1)
        }
        let port = try await server.start().compactMap { $0.port }.first ?? 0
        do { try await body("http://127.0.0.1:\(port)") } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    @Test("verify fetches collateral where it is told to, and keeps it where it is told to")
    func verify() async throws {
        let cache = files.path("cache")
        try FileManager.default.createDirectory(atPath: cache, withIntermediateDirectories: true)
        let call = ["verify", "--fetch", "--cache", cache] + quote
        var address = ""
        try await withService { url in
            address = url
            let result = try await Program.run("dstack-verifier", call + ["--url", url])
            #expect(result.status == 0, "\(result)")
            #expect(result.output.hasPrefix("ACCEPTED TDX"))
        }
        // The service is gone, and what it gave still holds.
        let result = try await Program.run("dstack-verifier", call, environment: ["PCCS_URL": address])
        #expect(result.status == 0, "\(result)")
        let alone = try await Program.run(
            "dstack-verifier", ["verify", "--fetch", "--url", "http://127.0.0.1:1"] + quote)
        #expect(alone.status == 3, "\(alone)")
        #expect(!alone.output.contains("ACCEPTED"))
    }

    @Test("as of a given time the cache's floors bind nothing and are left as they are; as of now they do")
    func givenTime() async throws {
        for name in ["cache", "new"] {
            try FileManager.default.createDirectory(atPath: files.path(name), withIntermediateDirectories: true)
        }
        try await withService { url in
            func verify(_ cache: String, _ arguments: String...) async throws -> Program.Output {
                try await Program.run(
                    "dstack-verifier",
                    ["verify", "--fetch", "--url", url, "--cache", files.path(cache)] + quote + arguments)
            }
            let now = "\(Int(Date().timeIntervalSince1970))"
            #expect(try await verify("cache").status == 0)
            // What is remembered there is no more to be read, which nobody can pass who is bound by it.
            try files.write("[]", "cache/floors.json")
            let bound = try await verify("cache")
            #expect(bound.status == 3 && bound.errors.contains("floors.json"), "\(bound)")
            let free = try await verify("cache", "--at", now)
            #expect(free.status == 0 && free.output.hasPrefix("ACCEPTED "), "\(free)")
            #expect(files.text("cache/floors.json") == "[]")

            // Who begins that way leaves nothing that those who come later stumble over, and no floor.
            #expect(try await verify("new", "--at", now).status == 0)
            #expect(!files.text("new/floors.json").contains("anchor"))
            #expect(try await verify("new").status == 0)
            #expect(files.text("new/floors.json").contains("anchor"))
        }
    }

    @Test("a cache that others may write in is used, and said to be one, in a line")
    func exposedCache() async throws {
        let cache = files.path("open")
        try FileManager.default.createDirectory(atPath: cache, withIntermediateDirectories: true)
        try await withService { url in
            for (mode, count) in [(0o777, 1), (0o700, 0)] as [(mode_t, Int)] {
                chmod(cache, mode)
                let result = try await Program.run(
                    "dstack-verifier", ["verify", "--fetch", "--url", url, "--cache", cache] + quote)
                #expect(result.status == 0, "\(result)")
                let warnings = result.errors.split(separator: "\n").filter { $0.hasPrefix("warning: --cache: ") }
                #expect(
                    warnings.count == count && warnings.allSatisfy { $0.contains("chmod go-w \(cache)") }, "\(result)")
            }
        }
    }

    @Test("a service that hangs is named after a few seconds, and waited for a bounded time")
    func hanging() async throws {
        let server = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("tcp", .tcp(host: "127.0.0.1", port: 0))])
        ) { _ in
            try? await Task.sleep(for: .seconds(60))
            return HTTPServerResponse(404)
        }
        let url = "http://127.0.0.1:\(try await server.start().compactMap { $0.port }.first ?? 0)"
        for call in [
            ["verify", "--fetch"] + quote, ["fetch-collateral", "--quote", files.path("e/quote.bin")],
        ] {
            let begin = ContinuousClock.now
            let result = try await Program.run("dstack-verifier", call + ["--url", url, "--timeout", "8s"])
            #expect(result.status == 3 && ContinuousClock.now - begin < .seconds(20))
            #expect(
                result.errors.split(separator: "\n").filter { $0.hasPrefix("waiting for ") }.count == 1, "\(result)")
            #expect(result.errors.contains("waiting for collateral from \(url) (TDX platform"))
            #expect(result.errors.contains("s in all)"))
        }
        await server.stop()
    }

    @Test("what fetch-collateral writes says until when it holds, and verify reads it")
    func fetch() async throws {
        let output = files.path("c.json")
        try await withService { url in
            let result = try await Program.run(
                "dstack-verifier",
                ["fetch-collateral", "--quote", files.path("e/quote.bin"), "--url", url, "-o", output, "--json"])
            #expect(result.status == 0, "\(result)")
            let object = try result.object()
            #expect(object["output"] as? String == output)
            #expect(Set(object.keys) == ["output", "expires", "notes"] && object["expires"] is String)
        }
        let verified = try await Program.run("dstack-verifier", ["verify", "--collateral", output] + quote)
        #expect(verified.status == 0, "\(verified)")
    }

    @Test("without --fetch nothing is fetched, whatever the environment names")
    func withoutFetch() async throws {
        let environment = ["PCCS_URL": "http://127.0.0.1:1"]
        let nothing = try await Program.run("dstack-verifier", ["verify"] + quote, environment: environment)
        #expect(nothing.status == 2, "\(nothing)")
        let file = try await Program.run(
            "dstack-verifier", ["verify", "--collateral", files.path("e/collateral.json")] + quote,
            environment: environment)
        #expect(file.status == 0, "\(file)")
        let both = try await Program.run(
            "dstack-verifier",
            ["verify", "--collateral", files.path("e/collateral.json"), "--url", "http://127.0.0.1:1"] + quote)
        #expect(both.status == 2, "\(both)")
        #expect(both.errors.contains("--url needs --fetch"))
    }
}
