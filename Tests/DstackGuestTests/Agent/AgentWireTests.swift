import DstackGuest
import DstackHTTP
import DstackRPC
import Foundation
import TestKit
import Testing

@Suite("Guest agent: what the SDKs put on the wire")
struct AgentWireTests {
    /// A compose file that no client can read as ASCII.
    private static let foreign =
        #"{"manifest_version":2,"name":"应用-🦀-ünïcode","runner":"docker-compose","docker_compose_file":"services: {}\n"}"#

    @Test("the JavaScript client's exchange ends at once, also where texts are not ASCII")
    func javaScript() async throws {
        let agent = try await AgentFixture(compose: Self.foreign)
        for (path, body) in [
            ("/Info", "{}"), ("/GetKey", #"{"path":"钱包","purpose":"","algorithm":"secp256k1"}"#),
            ("/GetQuote", #"{"report_data":""}"#), ("/GetKey", #"{"algorithm":"nonsense ü"}"#),
        ] {
            let request =
                "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
            let answer = try await RawConnection.exchange(agent.path("dstack"), request, end: .afterBody)
            #expect(answer.isOrderly, "\(path)")
            // It counts UTF-16 units where the header counts bytes: only in ASCII these are the same.
            #expect(answer.bytes.allSatisfy { $0 < 0x80 })
            #expect(answer.header("content-length").flatMap { Int($0) } == answer.body.utf16.count)
            #expect(answer.header("transfer-encoding") == nil)
        }
        let info = try await agent.post("dstack", "/Info").json
        #expect(try info.text("app_name") == "应用-🦀-ünïcode")
        #expect(
            try JSONDictionary(JSONSerialization.jsonObject(with: Data(info.text("tcb_info").utf8))).text("app_compose")
                == Self.foreign)
    }

    @Test("a body that the JavaScript client cut short is answered with an error, and the connection ends")
    func cutShort() async throws {
        let agent = try await AgentFixture()
        let body = #"{"path":"钱包","purpose":"","algorithm":"secp256k1"}"#
        let request =
            "POST /GetKey HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf16.count)\r\n\r\n\(body)"
        let answer = try await RawConnection.exchange(agent.path("dstack"), request, end: .never)
        #expect(answer.status == 400)
        #expect(answer.body.hasPrefix("{\n  \"error\": \""))
    }

    @Test("a client that ends its side right after the request gets its answer, then the end")
    func halfClose() async throws {
        let agent = try await AgentFixture()
        for path in ["/Info", "/GetQuote", "/Version", "/Nope"] {
            let answer = try await RawConnection.exchange(
                agent.path("dstack"), "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(answer.isOrderly && answer.status == (path == "/Nope" ? 400 : 200), "\(path)")
            #expect(answer.header("content-length").flatMap { Int($0) } == answer.body.utf8.count)
        }
    }

    @Test("requests of the Rust clients: no Host, lower-case names, Content-Type twice")
    func rust() async throws {
        let agent = try await AgentFixture()
        let body = #"{"path":"p","subject":"s"}"#
        let noHost = try await RawConnection.exchange(
            agent.path("tappd"),
            "POST /prpc/Tappd.DeriveKey HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n"
                + "\r\n\(body)")
        #expect(noHost.status == 200 && noHost.body.hasPrefix(#"{"key":"-----BEGIN PRIVATE KEY-----\n"#))
        let twice = try await RawConnection.exchange(
            agent.path("dstack"),
            "POST /GetKey HTTP/1.1\r\nhost: dstack\r\ncontent-type: application/json\r\nContent-Type: application/json\r\n"
                + "content-length: 12\r\n\r\n{\"path\":\"a\"}")
        #expect(twice.status == 200 && twice.body.hasPrefix(#"{"key":""#))
        let error = try await RawConnection.exchange(
            agent.path("tappd"),
            "POST /prpc/Tappd.RawQuote HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n"
                + #"{"report_data":"00"}"#)
        #expect(error.status == 400)
        #expect(error.body == "{\n  \"error\": \"invalid content length\"\n}")
    }

    @Test("requests of the Go client are not compressed, whatever it accepts")
    func go() async throws {
        let agent = try await AgentFixture()
        let answer = try await agent.send(
            "dstack", .post, "/Info",
            ["Content-Type": "application/json", "Accept-Encoding": "gzip", "User-Agent": "dstack-sdk-go/0.1.0"],
            Array("{}".utf8))
        #expect(answer.status == 200 && answer.headers["Content-Encoding"] == nil)
        #expect(answer.headers["Content-Type"] == "application/json")
        // An algorithm that it does not name, and options that it leaves at false.
        let key = try await agent.post("dstack", "/GetKey", #"{"path":"a","purpose":"b","algorithm":""}"#)
        #expect(key.status == 200)
        let tls = try await agent.post(
            "dstack", "/GetTlsKey",
            #"{"subject":"","usage_ra_tls":false,"usage_server_auth":false,"usage_client_auth":false}"#)
        #expect(try tls.json.texts("certificate_chain").count == 2)
    }

    @Test("requests as curl makes them: queries, bodies of unknown type, chunks and long bodies")
    func curl() async throws {
        let agent = try await AgentFixture()
        #expect(
            try await agent.get("dstack", "/GetQuote?report_data=0x1234").json.text("report_data").hasPrefix("1234000"))
        let byQuery = try await agent.get("dstack", "/GetKey?path=a%2Fb+c&purpose=x&algorithm=ed25519").json
        let byBody = try await agent.post(
            "dstack", "/GetKey", ["path": "a/b c", "purpose": "x", "algorithm": "ed25519"]
        ).json
        #expect(try byQuery.text("key") == byBody.text("key"))
        let odd = try await agent.get("dstack", "/GetQuote?report_data=0xabc")
        #expect(odd.status == 400 && odd.headers["Content-Type"] == "application/json" && odd.error != nil)
        for names in [
            "alt_names[0]=a.example&alt_names[1]=b.example", "alt_names%5B%5D=a.example&alt_names[]=b.example",
        ] {
            let tls = try await agent.get("dstack", "/GetTlsKey?subject=x&\(names)")
            #expect(tls.status == 200, "\(tls.text)")
        }
        // Without a type it is protobuf, which JSON is not.
        let form = try await agent.send(
            "dstack", .post, "/GetKey", ["Content-Type": "application/x-www-form-urlencoded"],
            Array(#"{"path":"a"}"#.utf8))
        #expect(form.status == 400 && form.headers["Content-Type"] == "application/octet-stream")
        // With `json` in the query it is not.
        for body in ["null", "", "{}", "garbage"] {
            let answer = try await agent.send("dstack", .post, "/Info?json", [:], Array(body.utf8))
            #expect(answer.status == 200, "\(body)")
        }
        let chunked = try await RawConnection.exchange(
            agent.path("dstack"),
            "POST /GetKey HTTP/1.1\r\nHost: x\r\nContent-Type: application/json; charset=utf-8\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"pat\r\n7\r\nh\":\"a\"}\r\n0\r\n\r\n")
        #expect(chunked.status == 200)
        let length = 2 << 20
        let long = #"{"data":""# + String(repeating: "00", count: length) + #"","algorithm":"ed25519"}"#
        let waited = try await RawConnection.exchange(
            agent.path("dstack"),
            "POST /Sign HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
                + "Content-Length: \(long.utf8.count)\r\n\r\n\(long)")
        // The interim answer may be left out for a client that did not wait for it.
        #expect(waited.text.contains("HTTP/1.1 200 OK\r\n") && waited.text.contains("\"signature\":"))
    }

    @Test("messages travel as protobuf too, and over one connection one after the other")
    func protobuf() async throws {
        let agent = try await AgentFixture()
        var client = agent.client()
        client.encoding = .protobuf
        let json = agent.client()
        let request = AgentRPC.GetKeyArgs.with { $0.path = "a" }
        let key = try await client.call(AgentRPC.DstackGuest.getKey, request)
        #expect(try await json.call(AgentRPC.DstackGuest.getKey, request) == key)
        #expect(key.key.count == 32)
        let info = try await client.call(AgentRPC.DstackGuest.info)
        #expect(info.appID.count == 20 && !info.tcbInfo.isEmpty)
        await #expect(throws: RPCClientError(.refused, "", reason: "")) {
            _ = try await client.call(AgentRPC.DstackGuest.getKey, .with { $0.algorithm = "x" })
        }
        let many = String(repeating: "GET /Version HTTP/1.1\r\nHost: x\r\n\r\n", count: 50)
        let answer = try await RawConnection.exchange(agent.path("dstack"), many)
        #expect(answer.text.components(separatedBy: "HTTP/1.1 200 OK").count == 51)
    }

    @Test("the headers are upstream's; the public port names the version")
    func headers() async throws {
        let agent = try await AgentFixture()
        let answer = try await agent.get("dstack", "/Version")
        #expect(answer.headers["Server"] == "dstack Simulator")
        #expect(answer.headers["X-Content-Type-Options"] == "nosniff")
        #expect(answer.headers["X-Frame-Options"] == "SAMEORIGIN")
        #expect(answer.headers["Permissions-Policy"] == "interest-cohort=()")
        #expect(answer.headers["X-App-Version"] == nil)
        for path in ["/prpc/Worker.Version", "/prpc/Nope", "/", "/nowhere"] {
            let answer = try await agent.external(path)
            #expect(answer.headers.values("X-App-Version") == ["v1.2.3 (git:0123456789abcdef0123)"], "\(path)")
            #expect(answer.headers.values("Server") == ["dstack Simulator"])
        }
        #expect(
            try await agent.external("/prpc/Version").text == #"{"version":"1.2.3","rev":"git:0123456789abcdef0123"}"#)
    }
}
