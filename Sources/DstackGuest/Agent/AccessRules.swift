import DstackHTTPServer
import DstackRPC
import DstackRPCServer
import DstackSystem
import Glibc

/// Who may call what on the Unix sockets, by what the kernel says of the process that connected.
///
/// With rules, what no rule allows is refused. Without, every process that reaches a socket may have every key, as
/// upstream; so it takes these to keep an application's containers apart.
package struct AccessRules: Sendable {
    /// One grant. A list that is empty does not restrict.
    package struct Rule: Sendable {
        package var users: [UInt32] = []
        package var groups: [UInt32] = []
        /// Control groups in or below which the caller is, as `cgroup_parent` of a compose file sets it: `/web.slice`.
        package var controlGroups: [String] = []
        /// Names of methods.
        package var methods: [String] = []
        /// Beginnings of key paths and domains, for the methods that derive keys.
        package var paths: [String] = []

        package init() {}
    }

    package var rules: [Rule]

    package init(_ rules: [Rule]) { self.rules = rules }

    /// Methods that tell nothing that the public port does not tell too; always allowed, so that health checks work.
    private static let harmless: Set<String> = ["Version"]

    /// Whether a call may be made, before its message is known.
    func check(_ call: RPCCall) throws(RPCError) {
        guard !Self.harmless.contains(call.method), !matching(call).contains(where: { _ in true }) else { return }
        throw Self.denied(call)
    }

    /// Whether a key may be had.
    func check(_ call: RPCCall, path: String) throws(RPCError) {
        let allows = matching(call).contains { rule in
            rule.paths.isEmpty || rule.paths.contains { path.utf8.starts(with: $0.utf8) }
        }
        guard allows else { throw Self.denied(call) }
    }

    private static func denied(_ call: RPCCall) -> RPCError {
        RPCError("this process may not call \(call.method) so: no rule of core.access allows it", status: 403)
    }

    private func matching(_ call: RPCCall) -> some Sequence<Rule> {
        guard case .unix(let processID, let userID, let groupID) = call.peer.address else {
            // Over TCP nobody is known; only rules without a condition on the caller can hold.
            return rules.filter { $0.isForAnyone && $0.allows(call.method) }
        }
        // Read once for a call, and only where a rule asks.
        var group: String?
        return rules.filter { rule in
            guard rule.allows(call.method), rule.users.isEmpty || rule.users.contains(userID),
                rule.groups.isEmpty || rule.groups.contains(groupID)
            else { return false }
            guard !rule.controlGroups.isEmpty else { return true }
            if group == nil { group = Self.controlGroup(of: processID) }
            return rule.controlGroups.contains { Self.isBelow(group ?? "", $0) }
        }
    }

    /// Whether a control group is another one or below it.
    private static func isBelow(_ group: String, _ parent: String) -> Bool {
        let parent = parent.split(separator: "/").map { "/" + $0 }.joined()
        return group == parent || group.utf8.starts(with: (parent + "/").utf8)
    }

    /// The caller's control group (version 2, or the first hierarchy of version 1); empty where the kernel does not say.
    ///
    /// The process is the one that connected. One that ends leaves its number to another, so that a group says less than
    /// user and group do; the connection must have been made by a process in it or by one of the same number.
    private static func controlGroup(of processID: Int32) -> String {
        guard processID > 0, let text = try? File.readText("/proc/\(processID)/cgroup", limit: 64 << 10) else {
            return ""
        }
        let lines = text.split(separator: "\n")
        let line = lines.first { $0.hasPrefix("0::") } ?? lines.first ?? ""
        return line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).last.map(String.init) ?? ""
    }
}

extension AccessRules.Rule {
    fileprivate var isForAnyone: Bool { users.isEmpty && groups.isEmpty && controlGroups.isEmpty }

    fileprivate func allows(_ method: String) -> Bool { methods.isEmpty || methods.contains(method) }
}
