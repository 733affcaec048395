import DstackCrypto
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackKMSService
import DstackNetwork
import TestKit
import Testing

@Suite("KMS: who administers")
struct AdminGateTests {
    private func gate(token: String? = nil, passwords: String? = nil, isOpen: Bool = false) throws -> AdminGate {
        var settings = KMSSettings.Admin()
        settings.isEnabled = true
        settings.token = token.map { SharedSecret(copying: Array($0.utf8).span.bytes) }
        settings.allowsEveryone = isOpen
        guard let passwords else { return AdminGate(try AdminCredentials(settings)) }
        let folder = try ScratchDirectory()
        settings.passwordFile = try folder.write(passwords, "htpasswd")
        return AdminGate(try AdminCredentials(settings))
    }

    @Test(
        "the token is taken in each of its forms, and nothing else is",
        arguments: [
            (["Authorization: Bearer T0ken"], true), (["authorization: bEARER  T0ken"], true),
            (["X-Admin-Token: T0ken"], true), ([basic("anything", "T0ken")], true), ([basic("", "T0ken")], true),
            ([basic("T0ken", "")], true), (["X-Admin-Token: wrong", "Authorization: Bearer T0ken"], true),
            ([], false), (["Authorization: Bearer"], false), (["Authorization: Bearer "], false),
            (["Authorization: Bearer t0ken"], false), (["Authorization: Bearer T0ken2"], false),
            (["Authorization: Bearer T0ke"], false), (["Authorization: T0ken"], false),
            (["Authorization: Token T0ken"], false), (["Authorization: BearerT0ken"], false),
            (["Authorization: Bearer T0ken x"], false), (["X-Admin-Token:"], false),
            (["X-Admin-Token: T0ken, x"], false),
            ([basic("T0ken", "x")], false), ([basic("", "")], false), ([basic("T0ken", "T0ken2")], false),
            (["Authorization: Basic T0ken"], false), (["Authorization: Basic VDBrZW4="], false),
            (["Authorization: Basic !!!!"], false), (["Cookie: X-Admin-Token=T0ken"], false),
            // Who reads the first of two, and who the second?
            (["X-Admin-Token: T0ken", "X-Admin-Token: T0ken"], false),
            (["Authorization: Bearer T0ken", "Authorization: Bearer wrong"], false),
        ])
    func token(lines: [String], isAdmitted: Bool) async throws {
        #expect(try await gate(token: "T0ken").authorize(request(lines)) == isAdmitted)
    }

    @Test("a token in the address is none")
    func query() async throws {
        let gate = try gate(token: "T0ken")
        for target in ["/x?token=T0ken", "/x?X-Admin-Token=T0ken", "/x?access_token=T0ken", "/T0ken", "/?T0ken"] {
            #expect(try await !gate.authorize(request([], target: target)))
        }
    }

    @Test("an empty token opens nothing where passwords are the only credentials")
    func noToken() async throws {
        let gate = try gate(passwords: "ann:\(bcrypt("pass"))")
        for line in ["Authorization: Bearer ", "X-Admin-Token:", basic("", ""), basic("x", ""), basic("", "pass")] {
            #expect(try await !gate.authorize(request([line])))
        }
    }

    /// From the documentation and tests of crypt_blowfish.
    private static let knownHashes: [(hash: String, password: [UInt8])] = [
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", Array("U*U".utf8)),
        ("$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", Array("U*U".utf8)),
        ("$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", Array("U*U".utf8)),
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", Array("U*U*".utf8)),
        ("$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", Array("U*U*U".utf8)),
        ("$2y$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq", [0xA3]),
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy", []),
    ]

    @Test("known hashes are of their passwords, and of no others", arguments: knownHashes)
    func known(hash: String, password: [UInt8]) async throws {
        let gate = try gate(passwords: "# made elsewhere\r\n\nann:\(hash)\r\n")
        let user = Array("ann".utf8)
        #expect(try await gate.authorize(request([basic(user, password)])))
        for wrong in [password + [0x20], password + [0], [0] + password, Array("x".utf8)] {
            #expect(try await !gate.authorize(request([basic(user, wrong)])))
        }
        #expect(try await !gate.authorize(request([basic(Array("Ann".utf8), password)])))
    }

    @Test("users have their own passwords, with colons in them, and the token counts beside them")
    func users() async throws {
        let gate = try gate(token: "T0ken", passwords: "ann:\(bcrypt("a:b"))\nbob:\(bcrypt("c"))\n")
        #expect(try await gate.authorize(request([basic("ann", "a:b")])))
        #expect(try await gate.authorize(request([basic("bob", "c")])))
        #expect(try await gate.authorize(request([basic("bob", "T0ken")])))
        #expect(try await gate.authorize(request(["X-Admin-Token: T0ken"])))
        for (user, password) in [("ann", "c"), ("bob", "a:b"), ("ann", "a"), ("carl", "c"), ("", "c"), ("ann", "")] {
            #expect(try await !gate.authorize(request([basic(user, password)])))
        }
        #expect(try await !gate.authorize(request(["Authorization: Bearer c"])))
        #expect(try await !gate.authorize(request([basic("ann", String(repeating: "x", count: 100_00))])))
    }

    @Test("without credentials nobody is let in, unless that is said, and credentials count beside it")
    func none() async throws {
        #expect(throws: KMSServiceError(.invalidConfiguration, "", "")) { try gate() }
        #expect(try await gate(isOpen: true).authorize(request([])))
        #expect(try await !gate(token: "T0ken", isOpen: true).authorize(request([])))
        #expect(try await !gate(passwords: "a:\(bcrypt("b"))", isOpen: true).authorize(request([])))
    }

    @Test("who keeps sending wrong passwords waits, and holds up neither tokens nor others")
    func guessing() async throws {
        let gate = try gate(token: "T0ken", passwords: "ann:\(bcrypt("pass"))")
        func status(_ line: String, from host: String) async throws -> Int? {
            try await gate.refusal(of: request([line], from: host))?.status
        }
        var last: Int? = 401
        for _ in 0..<1_000 where last == 401 { last = try await status(basic("ann", "guess"), from: "10.0.0.1") }
        #expect(last == 503)
        #expect(try await status("X-Admin-Token: T0ken", from: "10.0.0.1") == nil)
        #expect(try await status(basic("x", "T0ken"), from: "10.0.0.1") == nil)
        #expect(try await status(basic("ann", "pass"), from: "10.0.0.2") == nil)
        #expect(try await status(basic("ann", "guess"), from: "10.0.0.2") == 401)
    }

    @Test("right passwords are never counted against who sends them")
    func rightOnes() async throws {
        let gate = try gate(passwords: "ann:\(bcrypt("pass"))")
        for _ in 0..<50 { #expect(try await gate.authorize(request([basic("ann", "pass")]))) }
    }

    @Test("few passwords of one sender wait at once, and those that do are judged")
    func crowd() async throws {
        let gate = try gate(passwords: "ann:\(bcrypt("pass", cost: "11"))")
        let line = basic("ann", "pass")
        let statuses = try await withThrowingTaskGroup(of: Int?.self) { group in
            for _ in 0..<40 { group.addTask { try await gate.refusal(of: request([line]))?.status } }
            return try await group.reduce(into: [Int?]()) { $0.append($1) }
        }
        #expect(statuses.contains(nil) && statuses.contains(503))
        #expect(statuses.allSatisfy { $0 == nil || $0 == 503 })
    }

    @Test("over a socket: a browser is asked for credentials, and programs read why")
    func socket() async throws {
        let gate = try gate(token: "T0ken")
        let server = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("admin", .tcp(host: "127.0.0.1", port: 0))])
        ) { request in
            await gate.refusal(of: request) ?? .text(200, "in")
        }
        let url = try await server.start()[0].description
        let client = HTTPClient()
        let refused = try await client.send(HTTPRequest(.get, url + "/?T0ken"))
        #expect(refused.status == 401)
        #expect(refused.headers["WWW-Authenticate"] == "Basic realm=\"dstack-kms admin\"")
        #expect(String(decoding: refused.body, as: UTF8.self).contains("\"error\""))
        var right = HTTPRequest(.get, url + "/")
        right.headers.add("Authorization", "Bearer T0ken")
        #expect(try await client.send(right).body == Array("in".utf8))
        await server.stop(within: .zero)
    }
}
