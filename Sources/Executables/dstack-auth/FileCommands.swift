import DstackAuthorization
import DstackCommandLine
import DstackConfiguration
import DstackSystem

/// `simple`: upstream's auth-simple.
enum SimpleCommand {
    private static let config = Option(
        "config", .watchedFile, short: "c", environment: "AUTH_CONFIG_PATH", default: "./auth-config.json",
        "the rules, JSON; in force as soon as they are written")
    // As auth-simple does, for containers beside it.
    private static let serving = Serving(host: "0.0.0.0", port: 3000)

    static let command = Command(
        "simple", "answers by a file with auth-simple's rules",
        examples: ["dstack-auth simple --config auth-config.json", "PORT=3000 dstack-auth simple"],
        notes: [
            "A file that is missing or damaged denies everything, and the log says why. An empty device list allows no device, "
                + "unless the file has \"emptyDevicesMeanAny\": true."
        ] + Serving.notes,
        arguments: [config] + serving.declarations
    ) { arguments, console in
        let authorizer = FileAuthorizer(arguments[config])
        // Has the log say at once what there is to say about the file.
        _ = try await authorizer.info()
        return try await serving.run(authorizer, arguments, console)
    }
}

/// `policy`: rules that say more.
enum PolicyCommand {
    private static let config = Option(
        required: "config", .watchedFile, short: "c", environment: "AUTH_CONFIG_PATH",
        "the policy, TOML; in force as soon as it is written")
    private static let serving = Serving(host: "127.0.0.1", port: 3000)

    static let command = Command(
        "policy", "answers by a policy file of named rules",
        examples: ["dstack-auth policy --config policy.toml --port 3000"],
        notes: [
            "A policy that is wrong is refused at the start with all its mistakes; one that becomes wrong later denies "
                + "everything until it is right. docs/authorization.md describes it."
        ] + Serving.notes,
        arguments: [config] + serving.declarations
    ) { arguments, console in
        let path = arguments[config]
        _ = try BootPolicy(parsing: File.read(path, limit: 4 << 20), source: path)
        let authorizer = PolicyAuthorizer(path)
        _ = try await authorizer.info()
        return try await serving.run(authorizer, arguments, console)
    }
}
