import DstackHTTPServer
import DstackRPC
import DstackRPCServer
import DstackSystem

/// Who may call what on the Unix sockets, by what the kernel says of the process that connected.
///
/// With rules, what no rule allows is refused. Without, every process that reaches a socket may have every key, as
/// upstream; so it takes these to keep an application's containers apart.
package struct AccessRules: Sendable {
    /// One grant. A list that is empty does not restrict, except that a rule with ``Rule/paths`` and without
    /// ``Rule/methods`` is for the methods that derive keys from paths.
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
    /// Methods that derive a key from a path or a domain.
    fileprivate static let derivations: Set<String> = ["GetKey", "DeriveKey", "DeriveK256Key"]

    /// Whether a rule asks for the caller's control group.
    var readControlGroups: Bool { rules.contains { !$0.controlGroups.isEmpty } }

    /// The rules as they are asked about every call. The control group is looked up in the call's task, once for each
    /// connection.
    var admission: RPCRouter.Admission {
        RPCRouter.Admission(
            isReady: { call in !readControlGroups || call.peer.process?.isLookedUp ?? true },
            prepare: { call in _ = call.peer.process?.controlGroup },
            check: { try check($0) })
    }

    /// Whether a call may be made, before its message is known.
    func check(_ call: RPCCall) throws(RPCError) {
        guard !Self.harmless.contains(call.method), !allow(call.method, call) else { return }
        throw Self.denied(call)
    }

    /// Whether some rule allows a method to the caller of this one.
    func allow(_ method: String, _ call: RPCCall) -> Bool { !matching(call, method).isEmpty }

    /// Whether a key may be had.
    func check(_ call: RPCCall, path: String) throws(RPCError) {
        let allows = matching(call, call.method).contains { rule in
            rule.paths.isEmpty || rule.paths.contains { path.utf8.starts(with: $0.utf8) }
        }
        guard allows else { throw Self.denied(call) }
    }

    private static func denied(_ call: RPCCall) -> RPCError {
        RPCError("this process may not call \(call.method) so: no rule of core.access allows it", status: 403)
    }

    private func matching(_ call: RPCCall, _ method: String) -> [Rule] {
        guard case .unix(_, let userID, let groupID) = call.peer.address else {
            // Over TCP nobody is known; only rules without a condition on the caller can hold.
            return rules.filter { $0.isForAnyone && $0.allows(method) }
        }
        return rules.filter { rule in
            guard rule.allows(method), rule.users.isEmpty || rule.users.contains(userID),
                rule.groups.isEmpty || rule.groups.contains(groupID)
            else { return false }
            guard !rule.controlGroups.isEmpty else { return true }
            // What is not known by now is in no group.
            guard let process = call.peer.process, process.isLookedUp, let group = process.controlGroup else {
                return false
            }
            return rule.controlGroups.contains { Self.isBelow(group, $0) }
        }
    }

    /// Whether a control group is another one or below it.
    private static func isBelow(_ group: String, _ parent: String) -> Bool {
        let parent = parent.split(separator: "/").map { "/" + $0 }.joined()
        return group == parent || group.utf8.starts(with: (parent + "/").utf8)
    }
}

extension AccessRules.Rule {
    fileprivate var isForAnyone: Bool { users.isEmpty && groups.isEmpty && controlGroups.isEmpty }

    fileprivate func allows(_ method: String) -> Bool {
        guard methods.isEmpty else { return methods.contains(method) }
        return paths.isEmpty || AccessRules.derivations.contains(method)
    }
}
