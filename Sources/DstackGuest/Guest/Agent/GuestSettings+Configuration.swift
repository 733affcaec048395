package import DstackConfiguration
import DstackNetwork
import DstackSystem

extension GuestSettings {
    /// Upstream's defaults for where an agent is configured; later ones win.
    package static let standardPaths = [
        "/etc/dstack/dstack.toml", "/etc/dstack/dstack.json", "./dstack.toml", "./dstack.json",
    ]

    /// Reads the standard files that are there, then the given one, which must be.
    ///
    /// A name that ends in `.toml` is read as TOML, any other as JSON, as upstream does. Keys that nobody knows do not
    /// keep an agent from starting, because files are written by programs of other versions; they are reported. But those
    /// that may be meant as a restriction are refused: without it, everybody might have every key.
    ///
    /// - Parameters:
    ///   - path: nil for the standard files alone.
    ///   - base: what holds where nothing is configured.
    ///   - isSimulation: whether it is for a simulation in a directory, which has its sockets and files there.
    ///   - warn: told of each key without effect, and where it stands.
    package static func load(
        _ path: String?, standardPaths: [String] = Self.standardPaths, over base: GuestSettings = .init(),
        isSimulation: Bool = false, warn: @escaping @Sendable (ConfigurationProblem) -> Void
    ) throws(ConfigurationError) -> GuestSettings {
        var layers: [ConfigurationLayer] = []
        for path in standardPaths { layers.append(.file(path, ifPresent: true, format: format(of: path))) }
        if let path { layers.append(.file(path, format: format(of: path))) }
        var overruled: [ConfigurationProblem] = []
        let settings = try Configuration(layers).read(unknownKeys: .reported(to: warn)) { reader in
            GuestSettings(reader, over: base, overruled: isSimulation ? { overruled.append($0) } : nil)
        }
        overruled.forEach(warn)
        return settings
    }

    /// What a simulation has in its directory, whatever is configured.
    private static let simulationSettings: (listener: Set<String>, core: Set<String>) = (
        ["address", "port", "reuse", "socket_mode", "peers"],
        ["keys_file", "compose_file", "sys_config_file", "simulator"]
    )

    private static func report(
        _ keys: Set<String>, of table: ConfigurationReader, to overruled: ((ConfigurationProblem) -> Void)?
    ) {
        guard let overruled else { return }
        for (key, problem) in table.presentKeys where keys.contains(key) {
            overruled(problem("has no effect in a simulation: sockets and files are those of its directory"))
        }
    }

    private static func format(of path: String) -> ConfigurationLayer.Format {
        path.hasSuffix(".toml") ? .toml : .json
    }

    /// Top-level tables are profiles: `default` holds for everything, one for each listener for its address.
    private init(
        _ reader: ConfigurationReader, over base: GuestSettings, overruled: ((ConfigurationProblem) -> Void)?
    ) {
        self = base
        reader.restricting("guest-api")
        reader.restrictingAnywhere(
            "access", "rules", "uids", "gids", "cgroups", "methods", "paths", "require_context", "max_validity",
            "accept_events", "accept_caller_keys", "public_quotes_per_minute", "audit", "socket_mode", "peers")
        reader.table("default") { table in
            // Whatever stands here holds for every listener.
            table.restrictsByAllKeys()
            ident = table.value("ident", .headerValue, default: base.ident)
            table.refuseNull("socket_mode", "reuse", "core")
            table.ignoreFrameworkKeys()
            // What a profile does not say, this one says for it.
            func listener(_ profile: String, _ preset: Listener) -> Listener {
                reader.table(profile) { profile in
                    Self.report(Self.simulationSettings.listener, of: profile, to: overruled)
                    return Listener(profile, table, preset)
                }
            }
            Self.report(Self.simulationSettings.listener, of: table, to: overruled)
            listeners.main = listener("internal", base.listeners.main)
            listeners.tappd = listener("internal-v0", base.listeners.tappd)
            listeners.external = listener("external", base.listeners.external)
            (listeners.guestAPI, listeners.hostPeers) = reader.table("guest-api") { profile in
                Self.report(Self.simulationSettings.listener, of: profile, to: overruled)
                let peers = profile.restriction("peers", .hostPeer)
                // Who may end the machine is not said by what holds for the application's sockets.
                let listener = Listener(profile, table, base.listeners.guestAPI, sharesMode: false)
                return (listener, peers.isEmpty ? base.listeners.hostPeers : HostPeers(peers))
            }
            table.table("core") { core in
                Self.report(Self.simulationSettings.core, of: core, to: overruled)
                readCore(core)
            }
        }
    }

    private mutating func readCore(_ core: ConfigurationReader) {
        core.restricting("access", "audit", "signing", "evidence", "certificates")
        core.refuseNull("access", "audit", "signing", "evidence", "certificates", "container_project", "data_disks")
        files.keys = core.value("keys_file", .path, default: files.keys)
        files.compose = core.value("compose_file", .path, default: files.compose)
        files.system = core.value("sys_config_file", .path, default: files.system)
        if core.has("data_disks") { dataDisks = core.values("data_disks", .nonEmptyString) }
        containers.engine = core.optional("container_engine", .choice(standIn: .docker)) ?? containers.engine
        containers.project = core.optional("container_project", .nonEmptyString) ?? containers.project
        containers.namespace = core.value("container_namespace", .containerNamespace, default: containers.namespace)
        if let url = core.optional("app_url", .nonEmptyString) { pages.address = .url(url) }
        simulator = core.optionalTable("simulator") { Simulator($0) }.flatMap { $0 } ?? simulator
        core.table("evidence") { table in
            table.restrictsByAllKeys()
            table.refuseNull("accept_events", "max_waiting", "public_quotes_per_minute", "timeout")
            evidence.acceptsEvents = table.optional("accept_events", .boolean) ?? evidence.acceptsEvents
            evidence.timeout = table.value("timeout", .duration, default: evidence.timeout)
            evidence.maximumWaiting = table.value(
                "max_waiting", .integer(in: 1...4_096), default: evidence.maximumWaiting)
            evidence.maximumAge = table.value("max_age", .duration, default: evidence.maximumAge)
            evidence.publicQuotesPerMinute = table.value(
                "public_quotes_per_minute", .integer(in: 1...6_000), default: evidence.publicQuotesPerMinute)
        }
        core.table("certificates") { table in
            table.restrictsByAllKeys()
            table.refuseNull("max_validity", "accept_caller_keys")
            certificates.maximumValidity = table.optional("max_validity", .duration) ?? certificates.maximumValidity
            certificates.includesLegacyEvidence = table.value(
                "legacy_evidence", .boolean, default: certificates.includesLegacyEvidence)
            certificates.acceptsCallerKeys = table.value(
                "accept_caller_keys", .boolean, default: certificates.acceptsCallerKeys)
            certificates.kmsTimeout = table.value("kms_timeout", .duration, default: certificates.kmsTimeout)
            certificates.kmsTotalTimeout = table.value(
                "kms_total_timeout", .duration, default: certificates.kmsTotalTimeout)
            certificates.makesDemoCertificate = table.value(
                "demo_certificate", .boolean, default: certificates.makesDemoCertificate)
        }
        core.table("keys") { table in
            keys.cachedAnswers = table.value("cached_answers", .integer(in: 0...65_536), default: keys.cachedAnswers)
        }
        core.table("signing") { table in
            table.restrictsByAllKeys()
            table.refuseNull("require_context")
            signing.requiresContext = table.value(
                "require_context", .boolean, default: signing.requiresContext)
        }
        audit = core.value("audit", .choice(standIn: .off), default: audit)
        access =
            core.optionalTable("access") { table in
                table.restrictsByAllKeys()
                table.refuseNull("rules")
                return AccessRules(table.tables("rules") { AccessRules.Rule($0) })
            } ?? access
    }
}

extension ConfigurationReader {
    /// Threads, timers and levels of upstream's web framework: there are none such here. Not its `tls`, which may ask for
    /// clients' certificates.
    fileprivate func ignoreFrameworkKeys() {
        ignore(
            "workers", "max_blocking", "temp_dir", "keep_alive", "log_level", "limits", "cli_colors", "shutdown",
            "ip_header", "proxy_proto_header", "secret_key", "http_versions")
    }
}

extension GuestSettings.Listener {
    /// - Parameter fallback: the profile of everything.
    fileprivate init(
        _ profile: ConfigurationReader, _ fallback: ConfigurationReader, _ preset: GuestSettings.Listener,
        sharesMode: Bool = true
    ) {
        self = preset
        // `mode`, `tls`, `allow`: whoever writes what nobody knows means to close something.
        profile.restrictsByAllKeys()
        profile.ignoreFrameworkKeys()
        profile.refuseNull("socket_mode", "reuse")
        func either<Value>(_ key: String, _ type: ConfigurationType<Value>) -> Value? {
            profile.optional(key, type) ?? fallback.optional(key, type)
        }
        let port = either("port", .integer(in: 0...Int(UInt32.max)))
        let text = either("address", .nonEmptyString)
        replacesStale = either("reuse", .boolean) ?? preset.replacesStale
        mode =
            (sharesMode ? either("socket_mode", .fileMode) : profile.optional("socket_mode", .fileMode)) ?? preset.mode
        guard text != nil || port != nil else { return }
        let presetPort: UInt32? =
            switch preset.address {
            case .tcp(_, let port): UInt32(port)
            case .vsock(_, let port): port
            case .unix: nil
            }
        let presetText: String =
            switch preset.address {
            case .tcp(let host, _): host
            case .vsock(let cid, _): "vsock:\(cid)"
            case .unix(let path): "unix:\(path)"
            }
        guard let address = SocketAddress(text ?? presetText, port: port.map { UInt32(clamping: $0) } ?? presetPort)
        else {
            profile.reject(
                "address",
                "expected unix:PATH, tcp:IP:PORT, or an IP address or vsock:CID with a port beside it")
            return
        }
        self.address = address
    }
}

extension GuestSettings.Simulator {
    /// Nil where `enabled`, of older releases, is false.
    fileprivate init?(_ table: ConfigurationReader) {
        let isEnabled = table.value("enabled", .boolean, default: true)
        attestationFile = table.optional("attestation_file", .path)
        quoteFile = table.optional("quote_file", .path)
        eventLogFile = table.optional("event_log_file", .path)
        patchesReportData = table.value("patch_report_data", .boolean, default: true)
        seed = table.optional("mock_attestation_seed", .hex(bytes: 32))
        if quoteFile != nil, eventLogFile == nil {
            table.reject("event_log_file", "is missing: quote_file needs the event log beside it")
        }
        if attestationFile == nil, quoteFile == nil { attestationFile = "attestation.bin" }
        guard isEnabled else { return nil }
    }
}

extension AccessRules.Rule {
    fileprivate init(_ table: ConfigurationReader) {
        table.restrictsByAllKeys()
        users = table.restriction("uids", .integer(in: 0...Int(UInt32.max))).map { UInt32(clamping: $0) }
        groups = table.restriction("gids", .integer(in: 0...Int(UInt32.max))).map { UInt32(clamping: $0) }
        controlGroups = table.restriction("cgroups", .controlGroup)
        methods = table.restriction("methods", .nonEmptyString)
        paths = table.restriction("paths", .nonEmptyString)
        if table.presentKeys.isEmpty {
            table.reject("methods", "a rule that names nothing allows everybody everything: say who may do what")
        }
    }
}

extension ConfigurationType<UInt32> {
    /// Permission bits as people write them.
    fileprivate static var fileMode: ConfigurationType {
        .text(expecting: "permissions in octal such as \"0660\"", standIn: 0) { text in
            UInt32(text, radix: 8).flatMap { $0 <= 0o777 ? $0 : nil }
        }
    }
}

extension ConfigurationType<HostPeers.Peer> {
    fileprivate static var hostPeer: ConfigurationType {
        .text(expecting: "vsock:CID or an IP address", standIn: .vsock(2)) { HostPeers.Peer($0) }
    }
}

extension ConfigurationType<String> {
    /// A control group's path as `/proc/PID/cgroup` has it.
    fileprivate static var controlGroup: ConfigurationType {
        .text(expecting: "a control group's path such as \"/web.slice\"", standIn: "/") { text in
            text.hasPrefix("/") ? text : nil
        }
    }

    /// What containerd takes for one: it becomes a program's argument.
    fileprivate static var containerNamespace: ConfigurationType {
        .text(expecting: "letters, digits, `-`, `_` and `.`, with a letter or digit first", standIn: "") { text in
            ContainerName(text)?.text
        }
    }

    /// What can be sent as a header's value.
    fileprivate static var headerValue: ConfigurationType {
        .text(expecting: "a line of ASCII text", standIn: "") { text in
            text.utf8.allSatisfy { (0x20...0x7E).contains($0) } && !text.isEmpty ? text : nil
        }
    }
}
