package import DstackAttestation
package import DstackEncoding

/// What the agent itself takes from the application's compose file; the rest of it is other programs' business.
package struct ComposeFile: Sendable {
    /// The file's exact text: its hash is measured, so that it is never written anew.
    let text: String
    package let composeHash: ComposeHash
    let name: String
    let visibility: GuestVisibility
    /// Whether the application says how it fares.
    let checksHealth: Bool
    /// A file in which the application says so itself; nil for the health checks of its containers.
    let healthStatusFile: String?

    /// How events are hashed in a boot that has not measured any yet.
    let eventVersion: RuntimeEvent.Version
    /// The Compose project that the application's containers belong to.
    let projectName: String
    /// What the application's runner runs them with.
    let engine: GuestSettings.Containers.Engine

    /// The largest file that is read. It is in every Info answer.
    static let maximumByteCount = AppCompose.maximumByteCount

    /// - Throws: ``GuestError/Code/invalidFile`` naming the member that is missing or not of its type.
    init(contentsOf path: String) throws(GuestError) {
        self = try GuestFileReading.read(
            path, limit: Self.maximumByteCount, what: "compose file", setting: "core.compose_file"
        ) { (bytes) throws(DecodingFailure) in try ComposeFile(parsing: bytes) }
    }

    /// Reads the text as upstream does: the members that it knows by their types. Unknown ones are ignored, but not under
    /// `requirements`: there a demand that nobody understands is one that nobody meets. Whether those that are known are
    /// met, the boot has judged before.
    package init(parsing bytes: [UInt8]) throws(DecodingFailure) {
        let document = try JSONDocument(parsing: bytes, subject: "app-compose.json", maximumValues: 1 << 18)
        let root = document.root
        guard root.kind == .object else { throw root.failure("an object expected, found \(root.kindName)") }
        text = String(decoding: bytes, as: UTF8.self)
        composeHash = ComposeHash(ofFile: bytes)
        try Self.checkVersion(try root.member("manifest_version"))
        name = try root.member("name").string()
        engine = try root.member("runner").string() == "nerdctl-compose" ? .nerdctl : .docker
        func flag(_ name: StaticString, _ preset: Bool) throws(DecodingFailure) -> Bool {
            // Null is no flag, to upstream neither: it would show what somebody may have meant to hide.
            try root[name]?.bool() ?? preset
        }
        visibility = GuestVisibility(
            showsLogs: try flag("public_logs", false), showsSystem: try flag("public_sysinfo", false),
            showsTCBInfo: try flag("public_tcbinfo", true))
        let version = try root.optionalMember("event_log_version")
        guard let known = RuntimeEvent.Version(rawValue: try version?.integer() ?? 1) else {
            throw (version ?? root).failure("events have version 1 or 2", .unsupported)
        }
        eventVersion = known
        projectName = Self.projectName(try root.optionalMember("docker_compose_file")?.string() ?? "")
        let requirements = try root.optionalMember("requirements")
        try requirements.map { node throws(DecodingFailure) in try Self.checkRequirements(node) }
        checksHealth = try requirements?.optionalMember("health_check")?.bool() ?? false
        healthStatusFile = try requirements?.optionalMember("health_status_file")?.string()
    }

    private static func checkRequirements(_ node: JSONNode) throws(DecodingFailure) {
        try node.expectOnlyMembers([
            "os_version", "platforms", "tdx_measure_acpi_tables", "launch_token_hash", "gpu_policy", "health_check",
            "health_status_file",
        ])
        for (name, value) in node.members where !["health_check", "health_status_file"].contains(name) {
            try checkDemand(value)
        }
        _ = try node.optionalMember("os_version")?.string()
        if let platforms = try node.optionalMember("platforms") {
            for platform in try platforms.array() { _ = try platform.string() }
        }
        _ = try node.optionalMember("tdx_measure_acpi_tables")?.bool()
        _ = try node.optionalMember("launch_token_hash")?.fixedHex(FixedBytes<32>.self, prefix: .none)
        guard let policy = try node.optionalMember("gpu_policy") else { return }
        try policy.expectOnlyMembers(["attest_gpu", "rego", "allow_devtools", "allow_debug", "allow_insecure_boot"])
        for (_, value) in policy.members { try checkDemand(value) }
        _ = try policy.optionalMember("rego")?.string()
        for name in ["attest_gpu", "allow_devtools", "allow_debug", "allow_insecure_boot"] as [StaticString] {
            _ = try policy.optionalMember(name)?.bool()
        }
    }

    /// A demand has a value: null and an empty text would look like one and demand nothing.
    private static func checkDemand(_ value: JSONNode) throws(DecodingFailure) {
        guard !value.isNull, !value.equals("") else {
            throw value.failure("this demands nothing; leave the member out, or give a value")
        }
    }

    /// What the Compose file calls its project at the top level; else `dstack`, for the directory where it lies.
    private static func projectName(_ yaml: String) -> String {
        let key = "name:"
        guard let line = yaml.split(separator: "\n").first(where: { $0.hasPrefix(key) }) else { return "dstack" }
        let name = line.dropFirst(key.count).prefix { $0 != "#" }.filter { !" \t\r\"'".contains($0) }
        return name.isEmpty ? "dstack" : name
    }

    /// The boot decides which versions it runs; here they are only told from nonsense.
    private static func checkVersion(_ node: JSONNode) throws(DecodingFailure) {
        let number = node.kind == .string ? Int(try node.string()) : try node.integer(Int.self)
        guard let number, (1...3).contains(number) else {
            throw node.failure("manifest versions 1 to 3 are known", .unsupported)
        }
    }
}
