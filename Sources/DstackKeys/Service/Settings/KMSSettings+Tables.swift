import DstackAttestation
import DstackAuthorization
import DstackConfiguration
import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackNetwork
import DstackSystem

extension KMSSettings.Limits {
    init(_ table: ConfigurationReader) {
        table.restrictsByAllKeys()
        maximumConnections = table.value("max_connections", .integer(in: 1...65_536), default: maximumConnections)
        maximumRequests = table.value("max_requests", .integer(in: 1...65_536), default: maximumRequests)
        maximumVerifications = table.value(
            "max_verifications", .integer(in: 1...65_536), default: maximumVerifications)
        requestTimeout = table.value("request_timeout", .positiveDuration, default: requestTimeout)
    }
}

extension ImageRules {
    init(_ table: ConfigurationReader, _ note: (ConfigurationProblem) -> Void) {
        self.init()
        table.restricting("verify")
        table.refuseNull("verify")
        verifies = table.value("verify", .boolean, default: verifies)
        cacheDirectory = table.value("cache_dir", .path, default: cacheDirectory).withoutSlash
        _ = table.optional("download_url", .imageURL)
        _ = table.optional("download_timeout", .durationOrNever)
        table.note(
            ["download_url", "download_timeout"],
            "has no effect: images are not downloaded, what verifies them comes with the request", to: note)
    }
}

extension KMSSettings.Admin {
    init(_ table: ConfigurationReader, _ environment: Environment) {
        table.restrictsByAllKeys()
        table.refuseNull("enabled", "address", "auth_token", "htpasswd_file", "insecure_no_auth")
        isEnabled = table.value("enabled", .boolean, default: isEnabled)
        (address, port) = table.address(address, port)
        token =
            SharedSecret(trimming: table.value("auth_token", .secretOrEmpty, default: "").utf8)
            ?? SharedSecret(firstOf: ["DSTACK_KMS_ADMIN_TOKEN", "ADMIN_API_TOKEN"], in: environment)
        let file = table.value("htpasswd_file", .string, default: "")
        passwordFile = file.isEmpty ? nil : file
        allowsEveryone = table.value("insecure_no_auth", .boolean, default: allowsEveryone)
    }
}

extension KMSSettings.Onboarding {
    init(
        _ table: ConfigurationReader, _ environment: Environment, _ note: (ConfigurationProblem) -> Void
    ) {
        table.restrictsByAllKeys()
        table.refuseNull("enabled", "address", "token", "token_file", "insecure_no_auth")
        isEnabled = table.value("enabled", .boolean, default: isEnabled)
        autoBootstrapDomain = table.value("auto_bootstrap_domain", .domainOrEmpty, default: autoBootstrapDomain)
        let (address, port) = table.address("0.0.0.0", 8000)
        listener.place = .tcp(host: address, port: port)
        listener.token = SharedSecret(trimming: table.value("token", .secretOrEmpty, default: "").utf8)
        tokenFile = table.optional("token_file", .path)
        if listener.token != nil, tokenFile != nil {
            table.reject("token_file", "excludes core.onboard.token: keep one of them")
        }
        listener.allowsEveryone = table.value("insecure_no_auth", .boolean, default: listener.allowsEveryone)
        _ = table.optional("quote_enabled", .boolean)
        table.note(["quote_enabled"], "has no effect: nobody gets keys without evidence", to: note)
    }

    /// Completes the token by its file, else by a variable.
    mutating func readToken(_ environment: Environment) throws(ConfigurationError) {
        if let tokenFile {
            func wrong(_ message: String) -> ConfigurationError {
                ConfigurationError([
                    ConfigurationProblem(origin: nil, path: "core.onboard.token_file", message: message)
                ])
            }
            do throws(SystemError) {
                var bytes = try File.readRegular(tokenFile, limit: 4096, followsLinks: true)
                listener.token = SharedSecret(trimming: bytes)
                bytes.withUnsafeMutableBytes { wipe($0) }
            } catch {
                throw wrong("\(error)")
            }
            // Who named a file that lost its content meant to let nobody in without a token.
            if listener.token == nil { throw wrong("\(tokenFile) has no token in it: write one, or leave the key out") }
        }
        listener.token = listener.token ?? SharedSecret(firstOf: ["DSTACK_KMS_ONBOARD_TOKEN"], in: environment)
    }
}

extension KMSSettings.Authorization {
    private enum Kind: String, CaseIterable {
        case webhook
        case dev
        case file
        case policy
        case ethereum
    }

    init(_ table: ConfigurationReader) {
        table.restrictsByAllKeys()
        table.refuseNull("type", "webhook", "dev", "file", "policy", "ethereum")
        let kind = table.value("type", .choice(standIn: Kind.webhook), default: .webhook)
        // All tables are read, so that what is wrong in one shows before it is chosen.
        let webhook = table.table("webhook") { KMSSettings.Webhook($0) }
        let gateway = table.table("dev") { dev in
            dev.restrictsByAllKeys()
            return dev.value("gateway_app_id", .string, default: "any")
        }
        let paths = [Kind.file, .policy].map { named in
            table.table(named.rawValue) { file -> String in
                file.restrictsByAllKeys()
                return named == kind ? file.value("path", .path) : file.optional("path", .path) ?? ""
            }
        }
        let ethereum = table.table("ethereum") { EthereumAuthorizer.Configuration($0, isChosen: kind == .ethereum) }
        self =
            switch kind {
            case .webhook: .webhook(webhook)
            case .dev: .development(gatewayAppID: gateway)
            case .file: .file(path: paths[0])
            case .policy: .policy(path: paths[1])
            case .ethereum: .ethereum(ethereum)
            }
    }
}

extension KMSSettings.Webhook {
    fileprivate init(_ table: ConfigurationReader) {
        table.restrictsByAllKeys()
        table.refuseNull("url")
        let urls = table.addresses("url", schemes: ["http", "https"], "an http or https URL such as \(url)")
        if urls.count > 1 { table.reject("url", "expected one URL alone") }
        url = urls.first ?? url
        timeout = table.value("timeout", .positiveDuration, default: timeout)
    }
}

extension EthereumAuthorizer.Configuration {
    private enum Block: String, CaseIterable {
        case latest
        case safe
        case finalized

        var choice: EthereumBlock.Choice {
            switch self {
            case .latest: .latest
            case .safe: .safe
            case .finalized: .finalized
            }
        }
    }

    fileprivate init(_ table: ConfigurationReader, isChosen: Bool) {
        table.restrictsByAllKeys()
        table.refuseNull("rpc_urls", "contract", "chain_id", "agree", "block", "confirmations", "max_block_age")
        let nodes = table.addresses(
            "rpc_urls", schemes: ["http", "https"], "http or https URLs such as http://localhost:8545")
        if isChosen, nodes.isEmpty, !table.has("rpc_urls") {
            table.reject("rpc_urls", "is missing: expected the URLs of nodes to ask")
        }
        let address = isChosen ? table.value("contract", .hex(bytes: 20)) : table.optional("contract", .hex(bytes: 20))
        if table.has("contract"), address?.allSatisfy({ $0 == 0 }) == true {
            table.reject("contract", "is zero: give the address of the contract")
        }
        self.init(nodes: nodes, contract: address.flatMap { FixedBytes($0) } ?? FixedBytes())
        chainID = table.optional("chain_id", .integer(in: 1...Int.max)).map { UInt64(clamping: $0) }
        agree = table.value("agree", .integer(in: 1...64), default: agree)
        if agree > nodes.count, !nodes.isEmpty {
            table.reject("agree", "\(agree) cannot agree where there are \(nodes.count)")
        }
        block = table.value("block", .choice(standIn: Block.latest), default: .latest).choice
        let confirmations = table.optional("confirmations", .integer(in: 0...1_000_000))
        if confirmations != nil, table.has("block") {
            table.reject("confirmations", "excludes block: keep one of them")
        }
        if let confirmations, confirmations > 0 { block = .confirmations(UInt64(confirmations)) }
        maximumBlockAge = table.value("max_block_age", .durationOrNever, default: maximumBlockAge)
    }
}

extension IssuancePolicy {
    init(_ table: ConfigurationReader) {
        self.init()
        table.restrictsByAllKeys()
        table.refuseNull(
            "profile", "names", "apps", "reserved_names", "max_names", "wildcards", "addresses", "servers", "clients",
            "default_lifetime", "max_lifetime")
        profile = table.value("profile", .choice(standIn: CertificateProfile.upstream), default: profile)
        evidence.includesLegacyForm = table.value(
            "legacy_evidence", .boolean, default: evidence.includesLegacyForm)
        let given = table.restriction("names", .namePattern)
        if !given.isEmpty { names = given }
        let applications = table.tables("apps") { app in
            app.restrictsByAllKeys()
            app.refuseNull("id", "names")
            let id = AppID(FixedBytes(app.value("id", .hex(bytes: 20))) ?? FixedBytes())
            let names = app.restriction("names", .namePattern)
            if !app.has("names") { app.reject("names", "is missing: expected patterns of names") }
            return (id, names)
        }
        namesByApp = Dictionary(applications, uniquingKeysWith: +)
        if namesByApp.count < applications.count {
            table.reject("apps", "names an application twice: keep one of its tables")
        }
        reservedNames = table.restriction("reserved_names", .namePattern)
        maximumNames = table.value("max_names", .integer(in: 0...1_000), default: maximumNames)
        allowsWildcards = table.value("wildcards", .boolean, default: allowsWildcards)
        allowsAddresses = table.value("addresses", .boolean, default: allowsAddresses)
        allowsServers = table.value("servers", .boolean, default: allowsServers)
        allowsClients = table.value("clients", .boolean, default: allowsClients)
        readLifetimes(table)
    }

    private mutating func readLifetimes(_ table: ConfigurationReader) {
        func seconds(_ key: String) -> UInt64? {
            table.optional(key, .positiveDuration).map { UInt64(clamping: $0.components.seconds) }
        }
        let (usual, longest) = (seconds("default_lifetime"), seconds("max_lifetime"))
        if let usual, let longest, usual > longest {
            table.reject("default_lifetime", "is longer than core.certificates.max_lifetime")
        }
        maximumLifetime = longest ?? maximumLifetime
        defaultLifetime = min(usual ?? defaultLifetime, maximumLifetime)
    }
}

extension SharedSecret {
    /// Nil for a text without anything but white space.
    fileprivate convenience init?(trimming text: some BidirectionalCollection<UInt8>) {
        let trimmed = text.drop(while: Self.isSpace)
        guard let last = trimmed.lastIndex(where: { !Self.isSpace($0) }) else { return nil }
        var bytes = Array(trimmed[...last])
        self.init(absorbing: &bytes)
    }

    /// Nil where none of the variables has anything but white space.
    fileprivate convenience init?(firstOf names: [String], in environment: Environment) {
        for name in names {
            if let text = environment[name], let secret = SharedSecret(trimming: text.utf8) {
                self.init(secret.duplicate())
                return
            }
        }
        return nil
    }

    private static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0B, 0x0C, 0x0D].contains(byte) }
}
