import DstackConfiguration
import DstackGuest
import DstackHTTP
import DstackHTTPServer
import DstackNetwork
import DstackSystem
import Foundation
import Synchronization
import TestKit
import Testing

@Suite("Guest agent: configuration")
struct AgentSettingsTests {
    private final class Warnings: Sendable {
        let list = Mutex<[String]>([])
        var all: [String] { list.withLock { $0 } }
    }

    /// Reads files of these names and contents, the last as the one that was named.
    private func load(
        _ files: [(name: String, text: String)], _ warnings: Warnings = Warnings()
    ) throws -> GuestSettings {
        let folder = try ScratchDirectory()
        for file in files { try folder.write(Array(file.text.utf8), file.name) }
        let paths = files.map { folder.path + "/" + $0.name }
        return try GuestSettings.load(paths.last, standardPaths: Array(paths.dropLast()) + ["/nowhere/x.toml"]) {
            problem in
            warnings.list.withLock { $0.append("\(problem)") }
        }
    }

    @Test("without files, upstream's defaults hold")
    func defaults() throws {
        let settings = try GuestSettings.load(nil, standardPaths: []) { _ in }
        #expect(settings.ident == "dstack guest agent")
        #expect(settings.files.keys == "/dstack/.host-shared/.appkeys.json")
        #expect(settings.files.compose == "/dstack/.host-shared/app-compose.json")
        #expect(settings.files.system == "/dstack/.host-shared/.sys-config.json")
        #expect(settings.dataDisks == ["/"])
        #expect(settings.listeners.main.address == .unix(path: "/var/run/dstack/dstack.sock"))
        #expect(settings.listeners.tappd.address == .unix(path: "/var/run/dstack/tappd.sock"))
        #expect(settings.listeners.external.address == .tcp(host: "0.0.0.0", port: 8090))
        #expect(settings.listeners.guestAPI.address == .vsock(cid: .max, port: 8000))
        #expect(settings.listeners.main.mode == 0o777 && settings.listeners.main.replacesStale)
        #expect(settings.evidence.acceptsEvents == nil && settings.access == nil && settings.simulator == nil)
    }

    @Test("what the boot writes is read: JSON, one key")
    func boot() throws {
        let settings = try load([("agent.json", #"{"default":{"core":{"data_disks":["/","/dstack/persistent"]}}}"#)])
        #expect(settings.dataDisks == ["/", "/dstack/persistent"])
        #expect(settings.listeners.external.address == .tcp(host: "0.0.0.0", port: 8090))
    }

    @Test("later files win, key by key, whether TOML or JSON; upstream's own keys are no surprise")
    func layers() throws {
        let warnings = Warnings()
        let settings = try load(
            [
                (
                    "a.toml",
                    """
                    [default]
                    workers = 8
                    max_blocking = 64
                    ident = "first"
                    temp_dir = "/tmp"
                    keep_alive = 10
                    log_level = "debug"
                    reuse = false
                    [default.core]
                    keys_file = "/a/keys"
                    compose_file = "/a/compose"
                    sys_config_file = "/a/sys"
                    [internal]
                    address = "unix:/a/main.sock"
                    reuse = true
                    [internal-v0]
                    address = "unix:/a/tappd.sock"
                    socket_mode = "0660"
                    [external]
                    address = "127.0.0.1"
                    port = 1
                    """
                ),
                (
                    "b.json",
                    #"{"default":{"ident":"second","core":{"keys_file":"/b/keys"}},"guest-api":{"address":"vsock:0x10","port":7}}"#
                ),
                ("c.conf", #"{"external":{"port":2,"address":"::1"},"internal-v0":{"address":null}}"#),
            ], warnings)
        #expect(settings.ident == "second")
        #expect(settings.files.keys == "/b/keys" && settings.files.compose == "/a/compose")
        #expect(settings.listeners.main.address == .unix(path: "/a/main.sock") && settings.listeners.main.replacesStale)
        #expect(settings.listeners.tappd.address == .unix(path: "/a/tappd.sock"))
        #expect(settings.listeners.tappd.mode == 0o660 && !settings.listeners.tappd.replacesStale)
        #expect(settings.listeners.external.address == .tcp(host: "::1", port: 2))
        #expect(settings.listeners.guestAPI.address == .vsock(cid: 16, port: 7))
        #expect(warnings.all.isEmpty, "\(warnings.all)")
    }

    @Test("all settings of our own are read")
    func own() throws {
        let settings = try load([
            (
                "x.toml",
                """
                [default.core]
                audit = "all"
                container_project = "*"
                [default.core.evidence]
                accept_events = true
                timeout = "5s"
                max_waiting = 3
                max_age = "10m"
                public_quotes_per_minute = 2
                [default.core.certificates]
                max_validity = "90d"
                legacy_evidence = true
                accept_caller_keys = true
                kms_timeout = "2s"
                kms_total_timeout = "4s"
                demo_certificate = false
                [default.core.keys]
                cached_answers = 0
                [default.core.signing]
                require_context = true
                [[default.core.access.rules]]
                uids = [1000]
                gids = [5, 6]
                cgroups = ["/web.slice"]
                methods = ["GetKey"]
                paths = ["web/"]
                [[default.core.access.rules]]
                methods = ["Info"]
                """
            )
        ])
        #expect(settings.audit == .all && settings.containers.project == "*")
        #expect(settings.evidence.acceptsEvents == true && settings.evidence.timeout == .seconds(5))
        #expect(settings.evidence.maximumWaiting == 3 && settings.evidence.maximumAge == .seconds(600))
        #expect(settings.evidence.publicQuotesPerMinute == 2)
        #expect(settings.certificates.maximumValidity == .seconds(90 * 86_400))
        #expect(settings.certificates.includesLegacyEvidence && settings.certificates.acceptsCallerKeys)
        #expect(settings.certificates.kmsTimeout == .seconds(2) && settings.certificates.kmsTotalTimeout == .seconds(4))
        #expect(!settings.certificates.makesDemoCertificate && settings.keys.cachedAnswers == 0)
        #expect(settings.signing.requiresContext)
        let rules = try #require(settings.access).rules
        #expect(rules.count == 2 && rules[0].users == [1000] && rules[0].groups == [5, 6])
        #expect(
            rules[0].controlGroups == ["/web.slice"] && rules[0].methods == ["GetKey"] && rules[0].paths == ["web/"])
        #expect(rules[1].users.isEmpty && rules[1].methods == ["Info"])
    }

    @Test("keys that nobody knows are reported with what may have been meant, and the agent starts")
    func unknown() throws {
        let warnings = Warnings()
        let settings = try load(
            [
                (
                    "x.json",
                    #"{"default":{"core":{"data_disk":["/a"],"keys":{"cached_answer":1}}},"interna":{"address":"x"}}"#
                )
            ],
            warnings)
        #expect(settings.dataDisks == ["/"])
        #expect(warnings.all.count == 3, "\(warnings.all)")
        #expect(warnings.all.contains { $0.contains("did you mean data_disks?") })
        #expect(warnings.all.contains { $0.contains("did you mean cached_answers?") })
        #expect(warnings.all.contains { $0.contains("did you mean internal?") })
    }

    @Test(
        "what makes no sense is refused with its place",
        arguments: [
            (#"{"internal":{"address":"nowhere"}}"#, "expected unix:PATH"),
            (#"{"external":{"address":"example.org"}}"#, "expected unix:PATH"),
            (#"{"external":{"port":70000}}"#, "expected unix:PATH"),
            (#"{"external":{"port":"x"}}"#, "an integer"),
            (#"{"internal":{"socket_mode":"9"}}"#, "permissions in octal"),
            (#"{"internal":{"socket_mode":511}}"#, "permissions in octal"), (#"{"default":{"ident":"a\nb"}}"#, "ASCII"),
            (#"{"default":{"core":{"evidence":{"timeout":5}}}}"#, "a duration"),
            (#"{"default":{"core":{"access":null}}}"#, "null restricts nothing"),
            (#"{"default":{"core":null}}"#, "null restricts nothing"),
            (#"{"default":{"core":{"access":{"rules":null}}}}"#, "null restricts nothing"),
            (#"{"default":{"core":{"access":{"rules":[null]}}}}"#, "a table, found null"),
            (#"{"default":{"core":{"access":{"rules":[{}]}}}}"#, "allows everybody everything"),
            (#"{"default":{"core":{"access":{"rules":[{"uids":[]}]}}}}"#, "an empty list restricts nothing"),
            (
                #"{"default":{"core":{"access":{"rules":[{"uids":null,"methods":["Info"]}]}}}}"#,
                "null restricts nothing"
            ),
            (#"{"default":{"core":{"access":{"rules":[{"uids":[null]}]}}}}"#, "found null"),
            (#"{"default":{"core":{"access":{"rules":[{"gids":[]}]}}}}"#, "an empty list restricts nothing"),
            (#"{"default":{"core":{"access":{"rules":[{"methods":[]}]}}}}"#, "an empty list restricts nothing"),
            (#"{"default":{"core":{"access":{"rules":[{"paths":[]}]}}}}"#, "an empty list restricts nothing"),
            (#"{"default":{"core":{"access":{"rules":[{"paths":[""]}]}}}}"#, "paths[0]"),
            (#"{"default":{"core":{"access":{"rules":[{"cgroups":[]}]}}}}"#, "an empty list restricts nothing"),
            (#"{"default":{"core":{"access":{"rules":[{"cgroups":["web"]}]}}}}"#, "a control group's path"),
            (#"{"default":{"core":{"signing":{"require_context":null}}}}"#, "null restricts nothing"),
            (#"{"default":{"core":{"signing":null}}}"#, "null restricts nothing"),
            (#"{"default":{"core":{"certificates":{"max_validity":null}}}}"#, "null restricts nothing"),
            (#"{"default":{"core":{"evidence":{"accept_events":null}}}}"#, "null restricts nothing"),
            (#"{"internal":{"socket_mode":null}}"#, "null restricts nothing"),
            (#"{"guest-api":{"peers":[]}}"#, "an empty list restricts nothing"),
            (#"{"guest-api":{"peers":null}}"#, "null restricts nothing"),
            (#"{"guest-api":{"peers":["host"]}}"#, "vsock:CID or an IP address"), ("", "is empty"),
            (#"{"default":{"core":{"audit":"loud"}}}"#, "one of"), (#"{"default":[]}"#, "a table"), ("[]", "an object"),
            ("{", "not JSON"), (#"{"default":{"core":{"simulator":{"quote_file":"q"}}}}"#, "event log beside it"),
            (#"{"default":{"core":{"simulator":{"mock_attestation_seed":"00"}}}}"#, "32 bytes"),
        ])
    func wrong(text: String, reason: String) throws {
        let error = #expect(throws: ConfigurationError.self) { _ = try load([("x.json", text)]) }
        #expect("\(try #require(error))".contains(reason), "\(String(describing: error))")
    }

    @Test("addresses are read as upstream writes them")
    func addresses() throws {
        #expect(SocketAddress("unix:./dstack.sock", port: nil) == .unix(path: "./dstack.sock"))
        #expect(SocketAddress("tcp:127.0.0.1:80", port: nil) == .tcp(host: "127.0.0.1", port: 80))
        #expect(SocketAddress("tcp:[::1]:80", port: 9) == .tcp(host: "::1", port: 80))
        #expect(SocketAddress("0.0.0.0", port: 8090) == .tcp(host: "0.0.0.0", port: 8090))
        #expect(SocketAddress("::", port: 1) == .tcp(host: "::", port: 1))
        #expect(SocketAddress("vsock:0xffffffff", port: 8000) == .vsock(cid: .max, port: 8000))
        #expect(SocketAddress("vsock:3", port: 8000) == .vsock(cid: 3, port: 8000))
        for wrong in ["", "unix:", "vsock:", "vsock:x", "tcp:", "tcp:x:1", "localhost", "1.2.3", "127.0.0.1:80"] {
            #expect(SocketAddress(wrong, port: 1) == nil, "\(wrong)")
        }
        #expect(SocketAddress("127.0.0.1", port: nil) == nil && SocketAddress("127.0.0.1", port: 65_536) == nil)
    }

    @Test("only the host may call the guest API, unless others are named")
    func peers() throws {
        let preset = try load([("x.json", #"{"default":{"socket_mode":"0777"}}"#)])
        #expect(preset.listeners.hostPeers == .host && preset.listeners.guestAPI.mode == 0o600)
        #expect(preset.listeners.hostPeers.allow(.vsock(cid: 2, port: 1)))
        // The hypervisor's number, this machine's own (a container's loopback), other machines, and everything else.
        for cid in [0, 1, 3, 16, .max - 1, .max] as [UInt32] {
            #expect(!preset.listeners.hostPeers.allow(.vsock(cid: cid, port: 1)), "\(cid)")
        }
        for host in ["127.0.0.1", "::1", "10.0.2.2", "2"] {
            #expect(!preset.listeners.hostPeers.allow(.internet(host: host, port: 1)), "\(host)")
        }
        #expect(!preset.listeners.hostPeers.allow(.unknown))
        let named = try load([
            ("x.json", #"{"guest-api":{"peers":["vsock:3","10.0.2.2","0:0::1","2001:db8::1"],"socket_mode":"0660"}}"#)
        ]).listeners
        #expect(named.hostPeers.allow(.vsock(cid: 3, port: 1)) && !named.hostPeers.allow(.vsock(cid: 2, port: 1)))
        #expect(named.guestAPI.mode == 0o660)
        for host in ["10.0.2.2", "::ffff:10.0.2.2", "::1"] {
            #expect(named.hostPeers.allow(.internet(host: host, port: 1)), "\(host)")
        }
        // Not the neighbours of an address either.
        for host in ["10.0.2.20", "2001:db8::2"] {
            #expect(!named.hostPeers.allow(.internet(host: host, port: 1)), "\(host)")
        }
        let all = try load([("x.json", #"{"guest-api":{"peers":["vsock:0xffffffff"]}}"#)]).listeners.hostPeers
        #expect(all.allow(.vsock(cid: 77, port: 1)) && !all.allow(.internet(host: "127.0.0.1", port: 1)))
        for wrong in ["", "2", "vsock:", "vsock:x", "tcp:1.2.3.4:5", "unix:/x", "localhost", "1.2.3.4:5"] {
            #expect(HostPeers.Peer(wrong) == nil, "\(wrong)")
        }
    }

    @Test("in a simulation, settings that its directory overrules are named")
    func simulation() throws {
        let folder = try ScratchDirectory()
        try folder.write(
            Array(
                #"""
                {"default":{"port":9,"ident":"x","core":{"keys_file":"/k","data_disks":["/"],"simulator":{}}},
                 "external":{"address":"127.0.0.1","port":80},"internal":{"socket_mode":"0660"},
                 "guest-api":{"peers":["vsock:2"]}}
                """#.utf8), "x.json")
        for isSimulation in [true, false] {
            let warnings = Warnings()
            _ = try GuestSettings.load(folder.path + "/x.json", standardPaths: [], isSimulation: isSimulation) {
                problem in
                warnings.list.withLock { $0.append(problem.path + ": " + problem.message) }
            }
            guard isSimulation else {
                #expect(warnings.all.isEmpty)
                continue
            }
            let named = [
                "default.core.keys_file", "default.core.simulator", "default.port", "external.address", "external.port",
                "guest-api.peers", "internal.socket_mode",
            ]
            #expect(
                warnings.all.sorted()
                    == named.map {
                        "\($0): has no effect in a simulation: sockets and files are those of its directory"
                    })
        }
    }
}
