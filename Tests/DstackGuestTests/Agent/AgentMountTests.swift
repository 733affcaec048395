import DstackEncoding
import DstackGuest
import DstackHTTP
import DstackRPC
import Foundation
import TestKit
import Testing

@Suite("Guest agent: paths, and what is answered to wrong input")
struct AgentMountTests {
    @Test("each socket has its methods at upstream's paths, and at those that inherited clients use")
    func paths() async throws {
        let agent = try await AgentFixture()
        for (socket, path) in [
            ("dstack", "/Version"), ("dstack", "/DstackGuest.Version"), ("dstack", "/prpc/Version"),
            ("dstack", "/prpc/DstackGuest.Version"), ("dstack", "/v0/Version"), ("dstack", "/v1/Version"),
            ("dstack", "/GpuInfo"), ("dstack", "/prpc/DstackGuest.GetKey"),
            ("tappd", "/prpc/Tappd.Version"), ("tappd", "/prpc/Version"), ("tappd", "/Version"),
            ("tappd", "/Tappd.Info"),
            ("tappd", "/prpc/Tappd.Tappd.Info"), ("tappd", "/prpc/Tappd.GetKey"), ("tappd", "/prpc/Tappd.GetQuote"),
            ("tappd", "/prpc/Tappd.DeriveK256Key"), ("tappd", "/GetKey"), ("tappd", "/prpc/DstackGuest.Attest"),
            ("external", "/prpc/Worker.Version"), ("external", "/prpc/Version"), ("external", "/prpc/Info"),
            ("external", "/prpc/v0/Info"), ("external", "/prpc/v1/Info"), ("external", "/prpc/v1/Health"),
            ("guest", "/api/Info"), ("guest", "/api/SysInfo"), ("guest", "/api/NetworkInfo"),
        ] {
            for answer in [try await agent.get(socket, path), try await agent.post(socket, path)] {
                #expect(answer.status == 200, "\(socket) \(path): \(answer.text)")
                #expect(answer.headers["Content-Type"] == "application/json")
            }
            let percent = path.replacingOccurrences(of: "Version", with: "%56ersion")
            #expect(try await agent.get(socket, percent).status == 200, "\(percent)")
        }
    }

    @Test("what is secret is on no socket but the application's")
    func isolation() async throws {
        let agent = try await AgentFixture()
        let secret = [
            "GetKey", "GetTlsKey", "GetQuote", "Attest", "AttestSession", "Sign", "EmitEvent", "DeriveKey", "IssueCert",
            "DeriveK256Key", "TdxQuote", "RawQuote", "Shutdown",
        ]
        for method in secret where method != "Shutdown" {
            for path in [
                "/prpc/\(method)", "/prpc/Worker.\(method)", "/prpc/v1/\(method)", "/\(method)", "/api/\(method)",
                "/prpc/DstackGuest.\(method)", "/v1/\(method)",
            ] {
                for socket in ["external", "guest"] {
                    let answer = try await agent.post(socket, path)
                    #expect([400, 404].contains(answer.status), "\(socket) \(path)")
                    #expect(answer.error != nil || answer.status == 404)
                }
                #expect(try await agent.external(path, method: .post, Array("{}".utf8)).status != 200, "\(path)")
            }
        }
        for socket in ["dstack", "tappd", "external"] {
            for path in ["/api/Shutdown", "/Shutdown", "/prpc/Shutdown"] {
                #expect(try await agent.post(socket, path).status != 200)
            }
        }
    }

    @Test("unknown methods and paths are answered in JSON whose error is a text")
    func unknown() async throws {
        let agent = try await AgentFixture()
        for (socket, path, status, error) in [
            ("dstack", "/Nope", 400, "Service not found: Nope"),
            ("dstack", "/getkey", 400, "Service not found: getkey"),
            ("dstack", "/v0/Nope", 404, "Service not found: Nope"),
            ("dstack", "/v1/Nope", 404, "Service not found: Nope"),
            ("dstack", "/v1/Sign", 404, "Service not found: Sign"), ("dstack", "/a/b", 404, nil),
            ("dstack", "/v2/Info", 404, nil), ("tappd", "/prpc/Tappd.Nope", 400, "Service not found: Nope"),
            ("tappd", "/prpc/a/b", 404, nil), ("external", "/prpc/Worker.Nope", 400, "Service not found: Nope"),
            ("external", "/prpc/v0/Nope", 404, "Service not found: Nope"),
            ("external", "/prpc/v1/Nope", 404, "Service not found: Nope"), ("external", "/prpc/", 404, nil),
            ("guest", "/api/Nope", 400, "Service not found: Nope"), ("guest", "/Info", 404, nil),
        ] as [(String, String, Int, String?)] {
            for answer in [try await agent.get(socket, path), try await agent.post(socket, path)] {
                #expect(answer.status == status, "\(socket) \(path)")
                #expect(answer.headers["Content-Type"] == "application/json", "\(path)")
                let found = try #require(answer.error, "\(path): \(answer.text)")
                if let error { #expect(found == error) }
            }
        }
        let put = try await agent.send("dstack", .put, "/Info", [:], [])
        #expect(put.status == 405 && put.headers["Allow"] == "GET, HEAD, POST")
        let head = try await agent.send("dstack", .head, "/Info")
        #expect(head.status == 200 && head.body.isEmpty)
    }

    @Test("a body over the limit is refused in JSON, whether it arrives or is only announced")
    func oversize() async throws {
        let agent = try await AgentFixture()
        let long = #"{"path":""# + String(repeating: "a", count: 11 << 20) + #""}"#
        let sent = try await agent.post("dstack", "/GetKey", long)
        #expect(sent.status == 413 && sent.headers["Content-Type"] == "application/json")
        #expect(sent.error == "failed to read data: payload too large")
        for path in ["/GetKey", "/nowhere/at/all"] {
            let announced = try await RawConnection.exchange(
                agent.path("dstack"),
                "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"
            )
            #expect(announced.status == 413)
            #expect(announced.body == "{\n  \"error\": \"failed to read data: payload too large\"\n}")
        }
        #expect(try await agent.get("dstack", "/Version").status == 200)
    }

    @Test("what is no request at all is answered in JSON too")
    func malformed() async throws {
        let agent = try await AgentFixture()
        for request in [
            "nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
            "POST /GetKey HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "GET /\(String(repeating: "a", count: 70_000)) HTTP/1.1\r\n\r\n",
        ] {
            let answer = try await RawConnection.exchange(agent.path("dstack"), request)
            #expect((400...505).contains(answer.status), "\(request.prefix(60))")
            #expect(answer.header("content-type") == "application/json", "\(request.prefix(60))")
            #expect(answer.body.hasPrefix("{\n  \"error\": \""))
        }
    }

    @Test(
        "wrong input is refused with status 400 and the reason",
        arguments: [
            ("/GetKey", #"{"algorithm":"rsa"}"#, "Unsupported algorithm"),
            ("/GetKey", #"{"algorithm":"secp256k1_prehashed"}"#, "Unsupported algorithm"),
            ("/GetKey", #"{"algorithm":"ED25519"}"#, "Unsupported algorithm"),
            ("/GetKey", #"{"path":1}"#, nil), ("/GetKey", #"{"path":null}"#, nil), ("/GetKey", #"{"path":"a""#, nil),
            ("/GetKey", #"{"path":"a"} x"#, nil), ("/GetKey", #"{"path":"a","path":"b"}"#, nil),
            ("/GetKey", "text", nil),
            ("/v1/GetKey", #"{"domain":"a","algorithm":""}"#, "Unsupported algorithm"),
            ("/v1/GetKey", #"{"domain":"a","algorithm":"k256"}"#, "Unsupported algorithm"),
            ("/GetQuote", #"{"report_data":"\#(String(repeating: "00", count: 65))"}"#, "Report data is too long"),
            ("/Attest", #"{"report_data":"\#(String(repeating: "00", count: 65))"}"#, "Report data is too long"),
            ("/v1/Attest", #"{"report_data":"\#(String(repeating: "00", count: 65))"}"#, "Report data is too long"),
            ("/GetQuote", #"{"report_data":"abc"}"#, nil), ("/GetQuote", #"{"report_data":"0Xab"}"#, nil),
            ("/GetQuote", #"{"report_data":["ab"]}"#, nil), ("/GetQuote", #"{"report_data":7}"#, nil),
            ("/GetTlsKey", #"{"not_before":2,"not_after":2}"#, "not_before must be earlier than not_after"),
            ("/GetTlsKey", #"{"not_before":3,"not_after":2}"#, "not_before must be earlier than not_after"),
            ("/v1/IssueCert", #"{"not_before":3,"not_after":2}"#, "not_before must be earlier than not_after"),
            ("/GetTlsKey", #"{"not_after":1}"#, nil), ("/GetTlsKey", #"{"not_before":-1}"#, nil),
            ("/GetTlsKey", #"{"not_after":18446744073709551615}"#, nil),
            ("/GetTlsKey", #"{"alt_names":["ü.example"]}"#, nil),
            ("/GetTlsKey", #"{"alt_names":["a\u0000.example"]}"#, nil), ("/GetTlsKey", #"{"usage_ra_tls":"yes"}"#, nil),
            ("/GetTlsKey", #"{"csr":"00"}"#, nil), ("/GetTlsKey", #"{"public_key":"00"}"#, nil),
            ("/Sign", #"{"data":"00"}"#, "Unsupported algorithm"),
            ("/Sign", #"{"algorithm":"rsa"}"#, "Unsupported algorithm"),
            (
                "/Sign", #"{"algorithm":"secp256k1_prehashed","data":"00"}"#,
                "Pre-hashed signing requires a 32-byte digest, but received 1 bytes"
            ),
            (
                "/Sign",
                #"{"algorithm":"secp256k1_prehashed","data":"\#(String(repeating: "00", count: 32))","context":"x"}"#,
                nil
            ),
            ("/Verify", #"{"algorithm":"","data":"00"}"#, "Unsupported algorithm"),
            ("/EmitEvent", #"{"event":"a:b","payload":""}"#, nil),
            ("/AttestSession", #"{"exporter":"00","nonce":"00","public_key":"00"}"#, nil),
            ("/v1/AttestGpu", #"{"nonce":"00"}"#, "nonce: 32 bytes are needed, not 1"),
            (
                "/v1/AttestGpu", #"{"nonce":"\#(String(repeating: "00", count: 32))"}"#,
                "there is no GPU in this machine that could be attested"
            ),
            // Report data of session-bound evidence is nobody's to choose.
            ("/GetQuote", #"{"report_data":"\#(reserved)"}"#, nil),
            ("/Attest", #"{"report_data":"\#(reserved)"}"#, nil),
            ("/GetQuote", #"{"report_data":"\#(reserved.prefix(30))"}"#, nil),
            ("/v1/Attest", #"{"report_data":"\#(reserved)"}"#, nil),
        ] as [(String, String, String?)])
    func wrong(path: String, body: String, error: String?) async throws {
        let answer = try await Self.shared.value.post("dstack", path, body)
        #expect(answer.status == 400, "\(path) \(body): \(answer.text)")
        let found = try #require(answer.error)
        if let error { #expect(found == error) }
        #expect(found.first?.isUppercase != true || error != nil, "\(found)")
    }

    @Test(
        "a member in another spelling than the field's is refused, with the right one: without it something else is asked for",
        arguments: [
            ("dstack", "/GetKey", "Path", "path"), ("dstack", "/GetKey", "PURPOSE", "purpose"),
            ("dstack", "/GetTlsKey", "notAfter", "not_after"),
            ("dstack", "/GetTlsKey", "usageServerAuth", "usage_server_auth"),
            ("dstack", "/GetTlsKey", "usageRaTls", "usage_ra_tls"), ("dstack", "/GetTlsKey", "altNames", "alt_names"),
            ("dstack", "/GetTlsKey", "publicKey", "public_key"), ("dstack", "/GetTlsKey", "CSR", "csr"),
            ("dstack", "/GetQuote", "reportData", "report_data"), ("dstack", "/Attest", "reportdata", "report_data"),
            ("dstack", "/AttestSession", "Nonce", "nonce"), ("dstack", "/Sign", "Context", "context"),
            ("dstack", "/Verify", "Context", "context"), ("dstack", "/EmitEvent", "Payload", "payload"),
            ("dstack", "/v1/IssueCert", "withAppInfo", "with_app_info"), ("dstack", "/v1/GetKey", "Domain", "domain"),
            ("dstack", "/v1/Attest", "includeBoottimeGpuEvidence", "include_boottime_gpu_evidence"),
            ("dstack", "/v1/AttestGpu", "NONCE", "nonce"),
            ("tappd", "/prpc/Tappd.DeriveKey", "randomSeed", "random_seed"),
            ("tappd", "/prpc/Tappd.DeriveK256Key", "Path", "path"), ("tappd", "/prpc/Tappd.GetKey", "Path", "path"),
            ("tappd", "/prpc/Tappd.TdxQuote", "hashAlgorithm", "hash_algorithm"),
            ("tappd", "/prpc/Tappd.RawQuote", "reportData", "report_data"),
            ("external", "/prpc/Worker.GetAttestationForAppKey", "Algorithm", "algorithm"),
            ("dstack", "/GetKey", "path%20", "path"), ("dstack", "/Verify", "con.text", "context"),
            ("dstack", "/GetTlsKey", "not%20after", "not_after"),
        ])
    func misspelled(socket: String, path: String, name: String, right: String) async throws {
        let agent = try await Self.shared.value
        for answer in [
            try await agent.post(socket, path, #"{"\#(name.replacing("%20", with: " "))":"00"}"#),
            try await agent.get(socket, "\(path)?\(name)=00"),
        ] {
            #expect(answer.status == 400)
            #expect(answer.error?.hasSuffix("\"\(right)\" is how it is spelled") == true, "\(answer.text)")
        }
        // Where only the body is read, no spelling counts.
        let beside = try await agent.post(socket, "\(path)?\(name)=00", "{}")
        #expect(beside.status == 400 && beside.error?.hasSuffix("put \"\(right)\" there") == true, "\(beside.text)")
    }

    @Test(
        "wrong input on the older socket is refused with upstream's reason",
        arguments: [
            ("TdxQuote", #"{"report_data":"00","hash_algorithm":"raw"}"#, "invalid content length"),
            ("TdxQuote", #"{"report_data":"00","hash_algorithm":"SHA256"}"#, "invalid hash algorithm"),
            ("RawQuote", #"{"report_data":"00"}"#, "invalid content length"),
            ("RawQuote", #"{"report_data":"\#(reserved)"}"#, nil),
            ("TdxQuote", #"{"report_data":"\#(reserved)","hash_algorithm":"raw"}"#, nil),
            ("DeriveK256Key", #"{"algorithm":"x"}"#, "Unsupported algorithm"),
            ("GetQuote", #"{"report_data":"\#(reserved)"}"#, nil),
        ] as [(String, String, String?)])
    func wrongOlder(method: String, body: String, error: String?) async throws {
        let answer = try await Self.shared.value.post("tappd", "/prpc/Tappd.\(method)", body)
        #expect(answer.status == 400, "\(method): \(answer.text)")
        let found = try #require(answer.error)
        if let error { #expect(found == error) } else { #expect(found.contains("dstack-session/")) }
    }

    /// Every way to a method that has report data of the caller's choice quoted.
    private static let choosing: [(socket: String, path: String)] =
        ["/", "/prpc/", "/v0/", "/DstackGuest.", "/prpc/DstackGuest.", "/v0/DstackGuest."].flatMap { mount in
            ["GetQuote", "Attest"].map { ("dstack", mount + $0) }
        } + ["/v1/Attest", "/v1/DstackGuest.Attest", "/%47etQuote"].map { ("dstack", $0) }
        + ["/", "/prpc/", "/Tappd.", "/prpc/Tappd."].flatMap { mount in
            ["GetQuote", "Attest", "RawQuote", "TdxQuote"].map { ("tappd", mount + $0) }
        } + ["/prpc/DstackGuest.GetQuote", "/prpc/DstackGuest.Attest"].map { ("tappd", $0) }

    @Test("no method signs report data of session-bound evidence that a caller chose, by whichever way it is asked")
    func reservedEverywhere() async throws {
        let agent = try await Self.shared.value
        for (socket, path) in Self.choosing {
            let algorithm = path.hasSuffix("TdxQuote") ? #","hash_algorithm":"raw""# : ""
            for digits in [Self.reserved, Self.reserved.uppercased()] {
                let posted = try await agent.post(socket, path, #"{"report_data":"\#(digits)"\#(algorithm)}"#)
                let asked = try await agent.get(
                    socket, "\(path)?report_data=\(digits)" + (algorithm.isEmpty ? "" : "&hash_algorithm=raw"))
                for answer in [posted, asked] {
                    let isReason = answer.error?.contains("reserved for AttestSession") == true
                    #expect(answer.status == 400 && isReason, "\(socket) \(path): \(answer.text.prefix(200))")
                }
            }
            // The way leads to the method: what does not begin so is signed.
            let other = String(Self.reserved.replacing("2f31", with: "0031"))
            let signed = try await agent.post(socket, path, #"{"report_data":"\#(other)"\#(algorithm)}"#)
            #expect(signed.status == 200, "\(socket) \(path): \(signed.text.prefix(200))")
        }
        // Nor is it signed for a caller who speaks protobuf.
        for socket in ["dstack", "tappd"] {
            var client = agent.client(socket)
            client.encoding = .protobuf
            let bytes = try Hex.decode(Self.reserved, subject: "report data")
            await #expect(throws: RPCClientError.self) {
                try await client.call(AgentRPC.DstackGuest.getQuote, .with { $0.reportData = bytes })
            }
            await #expect(throws: RPCClientError.self) {
                try await client.call(AgentRPC.DstackGuest.attest, .with { $0.reportData = bytes })
            }
        }
    }

    /// 64 bytes that begin as those of session-bound evidence do.
    static let reserved = Hex.encode(Array("dstack-session/1".utf8) + [UInt8](repeating: 7, count: 48))

    /// One agent for all rows of a table.
    private static let shared = Task { try await AgentFixture() }
}
