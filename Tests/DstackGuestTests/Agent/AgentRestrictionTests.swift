import DstackConfiguration
import DstackGuest
import DstackSystem
import Synchronization
import TestKit
import Testing

@Suite("Guest agent: restrictions that are mistyped")
struct AgentRestrictionTests {
    /// Reads one JSON file.
    ///
    /// - Returns: the warnings.
    private func load(_ text: String) throws -> [String] {
        let folder = try ScratchDirectory()
        try folder.write(Array(text.utf8), "x.json")
        let warnings = Warnings()
        _ = try GuestSettings.load(folder.path + "/x.json", standardPaths: []) { problem in
            warnings.list.withLock { $0.append("\(problem.path): \(problem.message)") }
        }
        return warnings.list.withLock { $0 }
    }

    private final class Warnings: Sendable {
        let list = Mutex<[String]>([])
    }

    private func expectRefusal(_ text: String, _ reason: String) throws {
        let error = #expect(throws: ConfigurationError.self) { _ = try load(text) }
        let description = "\(try #require(error))"
        #expect(description.contains(reason), "\(description)")
    }

    @Test(
        "a mistyped key in an access rule never gives every key to everybody",
        arguments: [
            (#""uid":[0]"#, "uid: is not a known key: did you mean uids?"),
            (#""gid":[0]"#, "gid: is not a known key: did you mean gids?"),
            (#""UIDS":[0]"#, "UIDS: is not a known key: did you mean uids?"),
            (#""users":[0]"#, "users: is not a known key: expected one of cgroups, gids, methods, paths, uids"),
            (#""path":["web/"]"#, "path: is not a known key: did you mean paths?"),
            (#""cgroup":["/web.slice"]"#, "cgroup: is not a known key: did you mean cgroups?"),
            (#""method":["Info"]"#, "method: is not a known key: did you mean methods?"),
            (#""uids":[0],"method":["Info"]"#, "method: is not a known key: did you mean methods?"),
            (#""methods":["GetKey"],"user":[0]"#, "user: is not a known key"),
            (#""comment":"root""#, "comment: is not a known key: expected one of"),
        ])
    func rule(members: String, reason: String) throws {
        try expectRefusal(
            #"{"default":{"core":{"access":{"rules":[{\#(members)}]}}}}"#, "default.core.access.rules[0].\(reason)")
    }

    @Test(
        "a mistyped name of a restriction never lifts it",
        arguments: [
            (
                #"{"default":{"core":{"acess":{"rules":[{"uids":[0]}]}}}}"#,
                "core.acess: is not a known key: did you mean access?"
            ),
            (#"{"default":{"core":{"acess":{}}}}"#, "did you mean access?"),
            (#"{"default":{"core":{"Access":{}}}}"#, "did you mean access?"),
            (#"{"default":{"core":{"access":{"rules":[{"uids":[0]}]},"acess":{}}}}"#, "did you mean access?"),
            (
                #"{"default":{"core":{"access":{"rule":[{"uids":[0]}]}}}}"#,
                "access.rule: is not a known key: did you mean rules?"
            ),
            (
                #"{"default":{"core":{"access":{"allow":[0]}}}}"#,
                "access.allow: is not a known key: expected one of rules"
            ),
            (#"{"default":{"core":{"access_rules":[{"uids":[0]}]}}}"#, "uids restricts nothing here"),
            (#"{"default":{"core":{"rules":[{"uids":[0]}]}}}"#, "rules restricts nothing here"),
            (#"{"default":{"access":{"rules":[{"uids":[0]}]}}}"#, "default.access: is not a known key"),
            (#"{"core":{"access":{"rules":[{"uids":[0]}]}}}"#, "access restricts nothing here"),
            (#"{"defualt":{"core":{"access":{"rules":[{"uids":[0]}]}}}}"#, "did you mean default?"),
            (#"{"default":{"cor":{"access":{"rules":[{"uids":[0]}]}}}}"#, "did you mean core?"),
            (
                #"{"default":{"core":{"signing":{"requires_context":true}}}}"#,
                "default.core.signing.requires_context: is not a known key: did you mean require_context?"
            ),
            (#"{"default":{"core":{"signing":{"context":true}}}}"#, "expected one of require_context"),
            (#"{"default":{"core":{"signin":{"require_context":true}}}}"#, "did you mean signing?"),
            (#"{"default":{"core":{"signin":{}}}}"#, "did you mean signing?"),
            (#"{"default":{"core":{"require_context":true}}}"#, "require_context restricts nothing here"),
            (#"{"default":{"core":{"certificates":{"validity":"90d"}}}}"#, "certificates.validity: is not a known key"),
            (#"{"default":{"core":{"certificate":{"max_validity":"90d"}}}}"#, "did you mean certificates?"),
            (#"{"default":{"core":{"evidence":{"accept_event":false}}}}"#, "did you mean accept_events?"),
            (#"{"default":{"core":{"evidense":{}}}}"#, "did you mean evidence?"),
            (#"{"default":{"core":{"audits":"all"}}}"#, "did you mean audit?"),
            (#"{"default":{"socket_mod":"0600"}}"#, "did you mean socket_mode?"),
            (#"{"internal":{"socketmode":"0600"}}"#, "did you mean socket_mode?"),
            (#"{"interna":{"socket_mode":"0600"}}"#, "did you mean internal?"),
            (#"{"guest-api":{"peer":["vsock:3"]}}"#, "guest-api.peer: is not a known key: did you mean peers?"),
            (#"{"guest_api":{"address":"vsock:2"}}"#, "did you mean guest-api?"),
            (#"{"internal":{"peers":["vsock:3"]}}"#, "internal.peers: is not a known key"),
            (#"{"internal":{"mode":"0600"}}"#, "internal.mode: is not a known key"),
            (#"{"guest-api":{"allow":["vsock:2"]}}"#, "guest-api.allow: is not a known key"),
            (#"{"internal-v0":{"enabled":false}}"#, "internal-v0.enabled: is not a known key"),
            (#"{"default":{"mode":"0600"}}"#, "default.mode: is not a known key"),
            (
                #"{"external":{"tls":{"certs":"a","key":"b","mutual":{"ca_certs":"c","mandatory":true}}}}"#,
                "external.tls: is not a known key"
            ),
            (#"{"default":{"tls":{"mutual":{"mandatory":true}}}}"#, "default.tls: is not a known key"),
        ])
    func names(text: String, reason: String) throws {
        try expectRefusal(text, reason)
    }

    @Test(
        "keys of other versions that restrict nothing of ours never keep the agent from starting",
        arguments: [
            #"{"default":{"core":{"data_disk":["/a"]}}}"#, #"{"default":{"core":{"pccs_url":"https://x"}}}"#,
            #"{"default":{"core":{"region":"x"}}}"#, #"{"default":{"core":{"simulator":{"mode":"x"}}}}"#,
            #"{"internal-v1":{"address":"unix:/x"}}"#, #"{"debug":{"address":"127.0.0.1","port":1}}"#,
            #"{"release":{"limits":{"json":"1MiB"}}}"#,
        ])
    func others(text: String) throws {
        let warnings = try load(text)
        #expect(warnings.count == 1 && warnings.allSatisfy { $0.contains("is not a known key") }, "\(warnings)")
    }

    @Test(
        "keys of upstream's web framework that restrict nothing are passed over in silence, for one listener as for all",
        arguments: [
            #"{"default":{"http_versions":[1],"workers":8,"keep_alive":10,"temp_dir":"/tmp"}}"#,
            #"{"internal":{"workers":2}}"#, #"{"guest-api":{"log_level":"off"}}"#,
        ])
    func framework(text: String) throws {
        let warnings = try load(text)
        #expect(warnings.isEmpty, "\(warnings)")
    }
}
