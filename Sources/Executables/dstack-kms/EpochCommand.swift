import DstackCommandLine
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackRPC
import DstackSystem

/// `epoch`: new keys for an application or for all, without losing the old ones.
enum EpochCommand {
    private static let number = Positional(
        required: .integer("EPOCH", in: 1...Int(1) << 52), "the epoch that gives no keys any more")
    private static let app = Option(
        "app-id", .hex("APP-ID", bytes: 20), "one application; all of them where it is left out")
    private static let newApp = Option("app-id", .hex("APP-ID", bytes: 20), "one application")
    private static let all = Flag("all", "every application, those of later as well")

    private static let consequence =
        "At its next boot an application whose guest names no epoch, as upstream's do, has other keys: its disk cannot be opened any "
        + "more unless what is on it was copied before, and its encrypted environment must be made anew. An epoch cannot be "
        + "taken back."

    static let command = Command(
        "epoch", "lists, begins and ends epochs of keys",
        examples: [
            "dstack-kms epoch list", "dstack-kms epoch advance --app-id 0123456789abcdef0123456789abcdef01234567",
        ],
        notes: [
            "An epoch begins when every replica has stored it. Keys of older ones are still given to who asks for them by number, until "
                + "they are retired.",
            AdminConnection.note,
        ],
        shared: AdminConnection.arguments, subcommands: [list, advance, retire, forget])

    private static let list = Command(
        "list", "shows all epochs, and the services that they wait for", examples: ["dstack-kms epoch list --json"],
        arguments: [Flag.json]
    ) { arguments, console in
        let list = try await AdminConnection(arguments).call(KMSRPC.Admin.listEpochs, RPCEmpty())
        if arguments[Flag.json] {
            console.print(String(decoding: list.json, as: UTF8.self))
            return .done
        }
        console.print("epoch 0: in force for all applications, compatible with upstream")
        for epoch in list.epochs {
            console.print("epoch \(epoch.epoch): \(epoch.words) for \(scope(epoch.appID))")
            for replica in epoch.missing { console.print("  not stored by \(Hex.encode(replica))") }
        }
        for one in list.retirements { console.print("epoch \(one.epoch): retired for \(scope(one.appID))") }
        for replica in list.replicas {
            console.print("replica \(Hex.encode(replica)), \(about(replica, list))")
        }
        if let reason = list.reasonOfSilence {
            console.print("this service (\(Hex.encode(list.replica))) \(reason), and gives no keys")
        }
        return .done
    }

    private static func about(_ replica: [UInt8], _ list: KMSRPC.EpochList) -> String {
        if replica == list.replica { return "this service" }
        guard let state = list.states.first(where: { $0.id == replica }), let heard = state.lastHeard else {
            return "not heard since this service started"
        }
        return "\(SafeText.line(state.address)), last heard \(RFC3339.format(Int64(clamping: heard)))"
    }

    private static let advance = Command(
        "advance", "begins a new epoch: new keys for one application, or for all, which cannot be undone",
        examples: [
            "dstack-kms epoch advance --app-id 0123456789abcdef0123456789abcdef01234567",
            "dstack-kms epoch advance --all",
        ], notes: [consequence], arguments: [newApp, all]
    ) { arguments, console in
        guard (arguments[newApp] != nil) != arguments[all] else {
            throw CommandFailure(
                .wrongRequest, "either --app-id or --all is needed: the new epoch changes keys of disks for good",
                hint: "name one application with --app-id, or every one with --all")
        }
        let answer = try await AdminConnection(arguments).call(
            KMSRPC.Admin.advanceEpoch, .with { $0.appID = arguments[newApp] ?? [] })
        console.print("epoch \(answer.epoch) is proposed for \(scope(arguments[newApp] ?? []))")
        console.note(consequence)
        console.note("it begins when every replica has stored it: `dstack-kms epoch list` shows that")
        return .done
    }

    private static let retire = Command(
        "retire", "ends an epoch: its keys are never given again",
        examples: ["dstack-kms epoch retire 3"], arguments: [number, app]
    ) { arguments, console in
        _ = try await AdminConnection(arguments).call(
            KMSRPC.Admin.retireEpoch,
            .with {
                $0.epoch = UInt64(arguments[number])
                $0.appID = arguments[app] ?? []
            })
        console.print("epoch \(arguments[number]) is retired for \(scope(arguments[app] ?? []))")
        return .done
    }

    private static let replica = Positional(
        required: .hex("REPLICA", bytes: 16), "as `dstack-kms epoch list` names it")

    private static let forget = Command(
        "forget-replica", "gives up a service that will not come back, so that epochs do not wait for it",
        examples: ["dstack-kms epoch forget-replica 0123456789abcdef0123456789abcdef"], arguments: [replica]
    ) { arguments, console in
        _ = try await AdminConnection(arguments).call(
            KMSRPC.Admin.forgetReplica, .with { $0.id = arguments[replica] })
        console.print("replica \(Hex.encode(arguments[replica])) is none any more")
        return .done
    }

    private static func scope(_ app: [UInt8]) -> String {
        app.isEmpty ? "all applications" : "application \(Hex.encode(app))"
    }
}

extension KMSRPC.EpochList {
    /// Why the service that answers gives no keys; nil where it does.
    fileprivate var reasonOfSilence: String? {
        switch silence {
        case "forgotten": "was given up by the others"
        case "copied": "has a double with a copy of its state"
        case "waiting": "has not heard from the others yet"
        default: replicas.contains(replica) ? nil : "has not heard from the others yet"
        }
    }
}

extension KMSRPC.EpochEntry {
    fileprivate var words: String {
        switch state {
        case "in_force": "in force"
        case "proposed": "proposed, not every replica has stored it,"
        default: state
        }
    }
}
