import DstackCrypto
import DstackEncoding
import DstackGuest
import DstackHTTP
import DstackHTTPServer
import DstackKeys
import DstackSystem
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

@Suite("Guest agent: who may do what, and what is written down")
struct AgentAccessTests {
    private static func settings(_ rules: [AccessRules.Rule]) -> GuestSettings {
        var settings = AgentFixture.settings
        settings.access = AccessRules(rules)
        return settings
    }

    private static func rule(_ change: (inout AccessRules.Rule) -> Void) -> AccessRules.Rule {
        var rule = AccessRules.Rule()
        change(&rule)
        return rule
    }

    @Test("without rules every process may do everything, with rules only what one of them allows")
    func users() async throws {
        let agent = try await AgentFixture(Self.settings([Self.rule { $0.users = [getuid()] }]))
        for path in ["/GetKey", "/Info", "/GetQuote", "/v1/Info"] {
            #expect(try await agent.post("dstack", path).status == 200, "\(path)")
        }
        let stranger = try await AgentFixture(
            Self.settings([Self.rule { $0.users = [424_242] }, Self.rule { $0.groups = [424_242] }]))
        for (socket, path) in [
            ("dstack", "/GetKey"), ("dstack", "/Info"), ("dstack", "/v0/GetQuote"), ("dstack", "/v1/GetKey"),
            ("dstack", "/prpc/GetTlsKey"), ("dstack", "/Nope"), ("tappd", "/prpc/Tappd.DeriveKey"),
            ("tappd", "/GetKey"),
        ] {
            let answer = try await stranger.post(socket, path, #"{"algorithm":"ed25519"}"#)
            #expect(answer.status == 403, "\(socket) \(path)")
            #expect(answer.error?.contains("core.access") == true)
        }
        // Health checks and strangers on the public port see what they always see.
        #expect(try await stranger.get("dstack", "/Version").status == 200)
        #expect(try await stranger.external("/prpc/Info").status == 200)
        #expect(try await stranger.get("guest", "/api/Info").status == 200)
    }

    @Test("rules restrict methods and key paths, also for keys that are in the cache")
    func paths() async throws {
        let agent = try await AgentFixture(
            Self.settings([
                Self.rule {
                    $0.users = [getuid()]
                    $0.methods = ["GetKey", "DeriveKey", "DeriveK256Key"]
                    $0.paths = ["web/", "shared"]
                },
                Self.rule { $0.methods = ["Info"] },
            ]))
        for (path, status) in [
            ("web/a", 200), ("web/", 200), ("shared/x", 200), ("web", 403), ("", 403), ("db/web/", 403), ("WEB/a", 403),
        ] {
            for _ in 0..<2 {
                #expect(try await agent.post("dstack", "/GetKey", #"{"path":"\#(path)"}"#).status == status, "\(path)")
                let newer = #"{"domain":"\#(path)","algorithm":"ed25519"}"#
                #expect(try await agent.post("dstack", "/v1/GetKey", newer).status == status, "\(path)")
                for method in ["DeriveKey", "DeriveK256Key"] {
                    let answer = try await agent.post("tappd", "/prpc/Tappd.\(method)", #"{"path":"\#(path)"}"#)
                    #expect(answer.status == status, "\(method) \(path)")
                }
            }
        }
        #expect(try await agent.post("dstack", "/Info").status == 200)
        #expect(try await agent.post("dstack", "/Sign", #"{"algorithm":"ed25519"}"#).status == 403)
    }

    @Test("rules know a caller by its control group")
    func controlGroups() async throws {
        let text = try String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)
        let line = try #require(
            text.split(separator: "\n").first { $0.hasPrefix("0::") } ?? text.split(separator: "\n").first)
        let own = String(line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)[2])
        for (group, status) in [(own, 200), ("/no-such.slice", 403), (own + "x", 403)] where group != "/" {
            let agent = try await AgentFixture(Self.settings([Self.rule { $0.controlGroups = [group] }]))
            #expect(try await agent.post("dstack", "/GetKey").status == status, "\(group)")
        }
    }

    @Test("the control group above all has every process in it")
    func topGroup() async throws {
        let agent = try await AgentFixture(Self.settings([Self.rule { $0.controlGroups = ["/"] }]))
        #expect(try await agent.post("dstack", "/GetKey").status == 200)
        #expect(try await agent.post("dstack", "/v1/Info").status == 200)
    }

    @Test("a rule with paths and without methods is for keys of these paths, and not for Sign")
    func pathsAlone() async throws {
        let agent = try await AgentFixture(Self.settings([Self.rule { $0.paths = ["web/"] }]))
        #expect(try await agent.post("dstack", "/GetKey", #"{"path":"web/a"}"#).status == 200)
        #expect(try await agent.post("tappd", "/prpc/Tappd.DeriveKey", #"{"path":"web/a"}"#).status == 200)
        for (path, body) in [
            ("/Sign", #"{"algorithm":"ed25519","data":"00"}"#), ("/EmitEvent", #"{"event":"x"}"#), ("/GetQuote", "{}"),
            ("/GetKey", #"{"path":"web/a","purpose":"signing"}"#), ("/GetTlsKey", "{}"),
        ] { #expect(try await agent.post("dstack", path, body).status == 403, "\(path) \(body)") }
    }

    /// All ways to the 32 bytes that Sign signs with, and to a chain that would make another key pass for Sign's.
    private static let signingKeys: [(socket: String, path: String, body: String)] = [
        ("dstack", "/GetKey", #"{"path":"vms"}"#), ("dstack", "/GetKey", #"{"path":"vms","algorithm":"ed25519"}"#),
        ("dstack", "/GetKey", #"{"path":"vms","purpose":"x","algorithm":"k256"}"#),
        ("dstack", "/GetKey", #"{"path":"\u0076m\u0073"}"#), ("dstack", "/v0/GetKey", #"{"path":"vms"}"#),
        ("dstack", "/prpc/DstackGuest.GetKey", #"{"path":"vms"}"#), ("dstack", "/%47etKey", #"{"path":"vms"}"#),
        ("tappd", "/GetKey", #"{"path":"vms"}"#), ("tappd", "/prpc/Tappd.DeriveK256Key", #"{"path":"vms"}"#),
        ("tappd", "/prpc/Tappd.DeriveKey", #"{"path":"vms"}"#),
        ("tappd", "/prpc/Tappd.DeriveKey", #"{"path":"vms","subject":"x","random_seed":false}"#),
        ("dstack", "/GetKey", #"{"path":"mine","purpose":"signing"}"#),
        ("dstack", "/GetKey", #"{"path":"mine","purpose":"signing","algorithm":"ed25519"}"#),
        ("tappd", "/DeriveK256Key", #"{"path":"mine","purpose":"signing"}"#),
    ]

    @Test("where Sign is refused or needs a context, nobody gets its private key or a chain that passes for its own")
    func signingKey() async throws {
        var strict = AgentFixture.settings
        strict.signing.requiresContext = true
        var both = Self.settings([Self.rule { $0.users = [getuid()] }])
        both.signing.requiresContext = true
        let keysOnly = Self.settings([Self.rule { $0.methods = ["GetKey", "DeriveKey", "DeriveK256Key"] }])
        for settings in [strict, both, keysOnly] {
            let agent = try await AgentFixture(settings)
            for (socket, path, body) in Self.signingKeys {
                // The second time from caches.
                for _ in 0..<2 {
                    let answer = try await agent.post(socket, path, body)
                    #expect(answer.status == 403, "\(path) \(body): \(answer.text)")
                    #expect(answer.error?.contains("Sign") == true, "\(answer.text)")
                }
            }
            let query = try await agent.get("dstack", "/GetKey?path=%76ms")
            #expect(query.status == 403)
            let protobuf = try await agent.send("dstack", .post, "/GetKey", [:], [0x0A, 3] + Array("vms".utf8))
            #expect(protobuf.status == 403)
            // Other keys are had as before, the newer interface's key of that name among them.
            for (path, body) in [
                ("/GetKey", #"{"path":"vms/"}"#), ("/GetKey", #"{"path":"VMS","purpose":"signing:"}"#),
                ("/v1/GetKey", #"{"domain":"vms","algorithm":"secp256k1"}"#),
            ] { #expect(try await agent.post("dstack", path, body).status == 200, "\(path) \(body)") }
            let fresh = try await agent.post("tappd", "/DeriveKey", #"{"path":"vms","random_seed":true}"#)
            #expect(fresh.status == 200)
        }
    }

    @Test("the newer interface's keys are none that Sign signs with")
    func newerKeys() async throws {
        let agent = try await AgentFixture()
        for algorithm in ["secp256k1", "ed25519"] {
            let signed = try await agent.post("dstack", "/Sign", #"{"algorithm":"\#(algorithm)","data":"00"}"#).json
            // Without rules the key is everybody's, as upstream has it.
            let same = try await agent.post("dstack", "/GetKey", #"{"path":"vms","algorithm":"\#(algorithm)"}"#)
            #expect(same.status == 200)
            for domain in ["vms", "signing", ""] {
                let newer = try await agent.post(
                    "dstack", "/v1/GetKey", #"{"domain":"\#(domain)","algorithm":"\#(algorithm)"}"#
                ).json
                #expect(try newer.text("public_key") != signed.text("public_key"))
                #expect(try newer.text("key") != same.json.text("key"))
            }
        }
    }

    @Test("who may call Sign may have its key, unless a context is demanded")
    func signers() async throws {
        let agent = try await AgentFixture(Self.settings([Self.rule { $0.users = [getuid()] }]))
        for (socket, path, body) in Self.signingKeys {
            #expect(try await agent.post(socket, path, body).status == 200, "\(path) \(body)")
        }
        // Its path must be allowed, too.
        let apart = try await AgentFixture(
            Self.settings([
                Self.rule { $0.methods = ["Sign"] },
                Self.rule {
                    $0.methods = ["GetKey"]
                    $0.paths = ["web/"]
                },
            ]))
        #expect(try await apart.post("dstack", "/GetKey", #"{"path":"vms"}"#).status == 403)
        #expect(try await apart.post("dstack", "/GetKey", #"{"path":"web/a","purpose":"signing"}"#).status == 200)
    }

    @Test("a context that is signed along makes another signature, and can be demanded")
    func contexts() async throws {
        let agent = try await AgentFixture()
        func sign(_ members: String) async throws -> AgentFixture.Answer {
            try await agent.post("dstack", "/Sign", #"{"algorithm":"ed25519","data":"6869"\#(members)}"#)
        }
        let plain = try await sign("").json
        let login = try await sign(#","context":"login""#).json
        let other = try await sign(#","context":"logi""#).json
        #expect(try Set([plain, login, other].map { try $0.text("signature") }).count == 3)
        for (context, expected) in [(#","context":"login""#, true), ("", false), (#","context":"x""#, false)] {
            let answer = try await agent.post(
                "dstack", "/Verify",
                #"{"algorithm":"ed25519","data":"6869","signature":"\#(login.text("signature"))","public_key":"\#(login.text("public_key"))"\#(context)}"#
            )
            #expect(try answer.json.flag("valid") == expected, "\(context)")
        }
        // What is signed can be built by anybody: a tag and the context with their lengths, then the data.
        func framed(_ text: String) -> [UInt8] {
            withUnsafeBytes(of: UInt32(text.utf8.count).bigEndian) { Array($0) } + Array(text.utf8)
        }
        let message = framed("dstack-sign-context/1") + framed("login") + Array("hi".utf8)
        #expect(
            try MessageSigner.isValidSignature(
                hex(login.text("signature")), over: message, publicKey: hex(login.text("public_key")),
                algorithm: .ed25519))
        // Who builds the frame himself does not get it signed.
        for algorithm in ["ed25519", "secp256k1"] {
            let forged = try await agent.post(
                "dstack", "/Sign", ["algorithm": algorithm, "data": Hex.encode(message)])
            #expect(forged.status == 400 && forged.error?.contains("context") == true)
        }
        var settings = AgentFixture.settings
        settings.signing.requiresContext = true
        let strict = try await AgentFixture(settings)
        #expect(try await strict.post("dstack", "/Sign", #"{"algorithm":"ed25519","data":"00"}"#).status == 400)
        #expect(
            try await strict.post("dstack", "/Sign", #"{"algorithm":"ed25519","data":"00","context":"a"}"#).status
                == 200)
    }
}
