import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackRPC
import DstackRPCServer
import Synchronization
import Testing

@Suite("Calls over a Unix socket, with curl", .enabled(if: RPCFixture.hasCurl, "needs /usr/bin/curl"))
struct RPCServerTests {
    private let json = ["-H", "Content-Type: application/json", "-d"]

    private func answer(_ status: Int, _ body: String) -> RPCFixture.Answer {
        .init(status: status, type: "application/json", body: body)
    }

    private func error(_ status: Int, _ text: String) -> RPCFixture.Answer {
        answer(status, "{\n  \"error\": \"\(text)\"\n}")
    }

    @Test("the form of a call follows from method, query and type")
    func forms() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        let body = #"{"path":"a","purpose":"b","algorithm":"c"}"#
        let expected = answer(200, #"{"key":"617c627c63","signature_chain":["64737461636b",""]}"#)
        for arguments in [
            json + [body], ["-H", "content-type: APPLICATION/JSON ; charset=utf-8", "-d", body],
            ["-H", "Content-Type: application/json", "-H", "Transfer-Encoding: chunked", "-d", body],
        ] {
            #expect(try await agent.curl("dstack", "/GetKey", arguments) == expected)
        }
        for query in ["json", "json=", "json=1", "json=true", "x=1&json"] {
            #expect(try await agent.curl("dstack", "/GetKey?\(query)", ["-d", body]) == expected)
        }
        for query in ["path=a&purpose=b&algorithm=c", "path=%61&purpose=b&algorithm=c&json=no"] {
            #expect(try await agent.curl("dstack", "/GetKey?\(query)") == expected)
        }
        // Anything else is protobuf, also `curl -d` without a type.
        for path in ["/GetKey", "/GetKey?json=0", "/GetKey?json=yes"] {
            let refused = try await agent.curl("dstack", path, ["-d", body])
            #expect(refused.status == 400 && refused.type == "application/octet-stream")
            #expect(
                refused.body.contains("it looks like JSON") && refused.body.contains("Content-Type: application/json"))
        }
        let empty = try await agent.curl("dstack", "/GetKey", ["-X", "POST"])
        #expect(empty.body == "\n\u{2}||\u{12}\u{6}dstack\u{12}\u{0}" && empty.type == "application/octet-stream")
    }

    @Test("parameters beside the place where they are read are refused, whatever was answered before")
    func misplaced() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        for body in ["{}", #"{"path":"a"}"#] {
            #expect(try await agent.curl("dstack", "/GetKey", json + [body]).status == 200)
            for query in [
                "path=web", "Path=web", "path=", "json&path=web", "pa%74h=web", "path%5B%5D=web", "path[0]=web",
            ] {
                let refused = try await agent.curl("dstack", "/GetKey?\(query)", json + [body])
                #expect(refused.status == 400, "\(query)")
                #expect(refused.body.contains(#"put \"path\" there"#), "\(refused.body)")
            }
        }
        let refused = try await agent.curl("dstack", "/GetKey?path=a", ["-X", "GET"] + json + [#"{"path":"web"}"#])
        #expect(refused.status == 400 && refused.body.contains("takes its parameters from the query"))
    }

    @Test("every value may be missing, and a method that takes nothing looks at nothing")
    func absent() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        for arguments in [json + ["{}"], json + [""], []] {
            let answered = try await agent.curl("dstack", "/GetQuote", arguments)
            #expect(
                answered == answer(200, #"{"quote":"","event_log":"","report_data":"","vm_config":""}"#))
        }
        for arguments in [json + ["{}"], json + ["null"], json + [""], json + ["garbage"], []] {
            let answered = try await agent.curl("dstack", "/Info", arguments)
            #expect(answered.status == 200 && answered.body.contains(#""app_name":"prepared""#))
        }
        #expect(try await agent.curl("dstack", "/EmitEvent", json + [#"{"event":"x"}"#]) == answer(200, "null"))
    }

    @Test("query strings hold lists, hexadecimal and numbers")
    func queries() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        for query in ["alt_names[0]=x&alt_names[1]=y+z", "alt_names[]=x&alt_names%5B%5D=y%20z"] {
            let answered = try await agent.curl("dstack", "/GetTlsKey?\(query)&not_before=7")
            #expect(answered == answer(200, #"{"key":"","certificate_chain":["x","y z","7"]}"#))
        }
        let quote = try await agent.curl("dstack", "/GetQuote?report_data=0xAB")
        #expect(quote.body.contains(#""report_data":"ab""#))
        let odd = try await agent.curl("dstack", "/GetQuote?report_data=0xabc")
        #expect(odd == error(400, "report_data: odd number of hexadecimal digits (3)"))
        let undecodable = try await agent.curl("dstack", "/GetQuote?report_data=%ff")
        #expect(undecodable == error(400, "query: percent-encoded UTF-8 expected"))
    }

    @Test("a failure is answered in the form of the call, with its text and its status")
    func failures() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        let tooLong = #"{"report_data":"\#(String(repeating: "00", count: 65))"}"#
        #expect(try await agent.curl("dstack", "/GetQuote", json + [tooLong]) == error(400, "Report data is too long"))
        func emit(_ event: String) async throws -> RPCFixture.Answer {
            try await agent.curl("dstack", "/EmitEvent", json + [#"{"event":"\#(event)"}"#])
        }
        #expect(try await emit("silent") == error(500, "internal error"))
        #expect(try await emit("talkative") == error(500, "the quote provider is away: no device"))
        #expect(try await emit("busy") == error(503, "too many quotes at once"))
        #expect(try await emit("cancelled") == error(503, "the call was cancelled"))
        #expect(
            try await emit("multi")
                == error(400, #"Failed to sign the CSR: \"KMS\" said:\nnein \u2013 \u6c34"#))
        #expect(
            try await agent.curl("dstack", "/GetKey", json + [#"{"path":1}"#])
                == error(400, "message.path at byte 8: a string expected, found the number 1"))
        let protobuf = try await agent.curl("dstack", "/GetKey", ["-d", "\u{8}\u{1}"])
        #expect(protobuf.status == 400 && protobuf.type == "application/octet-stream")
        #expect(try RPCErrorMessage(protobuf: Array(protobuf.body.utf8)).message.contains("wire type 0"))
    }

    @Test("a body over the method's limit is refused with 413, in the form of the call")
    func oversize() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        let body = #"{"report_data":"\#(String(repeating: "0", count: 1_000))"}"#
        #expect(
            try await agent.curl("dstack", "/GetQuote", json + [body])
                == error(413, "failed to read data: payload too large"))
        let protobuf = try await agent.curl("dstack", "/GetQuote", ["-d", body])
        #expect(protobuf.status == 413 && protobuf.type == "application/octet-stream")
        #expect(protobuf.body.hasSuffix("failed to read data: payload too large"))
    }

    @Test("a call that takes too long is answered for, whether its handler listens or not")
    func deadline() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        #expect(
            try await agent.curl("dstack", "/Attest", json + ["{}"])
                == error(504, "the call took longer than 0.05 seconds"))
    }

    @Test("methods are found by listener, mount and name, and only there")
    func paths() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        func status(_ socket: String, _ path: String) async throws -> Int {
            try await agent.curl(socket, path).status
        }
        for path in ["/Info", "/%49nfo", "/DstackGuest.Info", "/DstackGuest.DstackGuest.Info"] {
            #expect(try await status("dstack", path) == 200, "\(path)")
        }
        for path in ["/prpc/Info", "/prpc/Tappd.Info", "/prpc/Tappd.Tappd.Info", "/prpc/DeriveKey"] {
            let answered = try await agent.curl("tappd", path)
            #expect(answered.status == 200, "\(path)")
            // Of two services at one place the first is asked first.
            #expect(path.contains("Info") == answered.body.contains(#""app_name":"tappd""#))
        }
        #expect(try await agent.curl("tappd", "/prpc/GetKey").body.contains("7461707064"))
        for path in ["/", "/prpc/Info", "/Info/", "//Info", "/Info/x"] {
            #expect(
                try await agent.curl("dstack", path) == error(404, "there is nothing at this path"), "\(path)")
        }
        #expect(try await status("tappd", "/Info") == 404)
        for (path, name) in [("/Nope", "Nope"), ("/info", "info"), ("/DstackGuest.Nope", "Nope"), ("/a.b", "a.b")] {
            #expect(try await agent.curl("dstack", path) == error(400, "Service not found: \(name)"))
        }
        #expect(try await agent.curl("tappd", "/prpc/Tappd.Nope") == error(400, "Service not found: Nope"))
        let client = agent.tcpClient
        let missing = RPCMethod<RPCEmpty, RPCEmpty>("Worker", "Nope", .once)
        do {
            _ = try await client.call(missing)
            Issue.record("a method that does not exist was answered")
        } catch {
            #expect(error.code == .unknownMethod && error.status == 404)
        }
    }

    @Test("HEAD is answered as GET, other verbs are refused")
    func verbs() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        let head = try await agent.curl("dstack", "/Info", ["-I"])
        #expect(head.status == 200 && head.body.contains("Server: dstack guest agent\r\n"))
        #expect(head.body.contains("Content-Type: application/json\r\n"))
        let put = try await agent.curl("dstack", "/Info", ["-X", "PUT"])
        #expect(put == error(405, "GET or POST expected"))
        #expect(
            try await agent.curl("dstack", "/Nope", ["-X", "DELETE", "-i"]).body.contains("Allow: GET, HEAD, POST"))
    }

    @Test("what an admission needs is fetched in the call's task, not on the server's own thread, and once")
    func prepared() async throws {
        let fetched = Mutex(0)
        let agent = try await RPCFixture { router in
            var guest = RPCService(AgentRPC.DstackGuest.name)
            guest.on(AgentRPC.DstackGuest.info, immediately: { _, _ in RPCReply(.init()) }) { _, _ in .init() }
            router.mount(
                guest, at: "/", on: ["dstack"],
                admission: .init(
                    isReady: { _ in fetched.withLock { $0 } > 0 },
                    prepare: { _ in
                        // There is none on the server's own thread.
                        #expect(withUnsafeCurrentTask { $0 != nil })
                        fetched.withLock { $0 += 1 }
                    },
                    check: { _ in
                        guard fetched.withLock({ $0 }) == 1 else { throw RPCError("not fetched", status: 403) }
                    }))
        }
        for _ in 0..<3 { #expect(try await agent.curl("dstack", "/Info").status == 200) }
        #expect(fetched.withLock { $0 } == 1)
    }

    @Test("a mount's admission decides before anything is decoded, also for cached answers and unknown methods")
    func admission() async throws {
        let agent = try await RPCFixture { router in
            var guest = RPCService(AgentRPC.DstackGuest.name)
            guest.on(AgentRPC.DstackGuest.info, immediately: { _, _ in RPCReply(.init()) }) { _, _ in .init() }
            guest.on(AgentRPC.DstackGuest.getKey) { _, _ in .init() }
            let admission = RPCRouter.Admission { call in
                guard call.head.headers["Authorization"] == "Bearer t" else {
                    throw RPCError("\(call.method) needs a token", status: 401)
                }
            }
            router.mount(guest, at: "/", on: ["dstack"], admission: admission)
        }
        let token = ["-H", "Authorization: Bearer t"]
        for path in ["/Info", "/GetKey"] {
            #expect(try await agent.curl("dstack", path, token).status == 200)
            let name = path.dropFirst()
            #expect(try await agent.curl("dstack", path, json + ["["]) == error(401, "\(name) needs a token"))
        }
        #expect(try await agent.curl("dstack", "/Nope") == error(401, "Nope needs a token"))
        #expect(try await agent.curl("dstack", "/Nope", token) == error(400, "Service not found: Nope"))
    }

    @Test("the observer is told of every call and how it ended")
    func observer() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        _ = try await agent.curl("dstack", "/GetKey?path=cached")
        _ = try await agent.curl("dstack", "/GetKey?path=other")
        _ = try await agent.curl("dstack", "/Nope")
        _ = try await agent.curl("dstack", "/GetKey", json + ["["])
        let outcomes = agent.outcomes.all
        #expect(outcomes.map(\.status) == [200, 200, 400, 400])
        #expect(outcomes.map(\.call.method) == ["GetKey", "GetKey", "Nope", "GetKey"])
        #expect(outcomes[1].error == nil && outcomes[2].error == "Service not found: Nope")
        guard case .unix(let process, userID: _, groupID: _) = outcomes[0].call.peer.address else {
            Issue.record("the peer of a Unix socket is a process")
            return
        }
        #expect(process > 0 && outcomes[0].call.listener == "dstack")
    }
}
