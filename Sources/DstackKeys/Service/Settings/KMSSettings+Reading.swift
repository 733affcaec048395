import DstackAttestation
package import DstackConfiguration
import DstackCrypto
package import DstackSystem

extension KMSSettings {
    /// Upstream's places of settings; later ones win.
    package static let standardPaths = ["/etc/kms/kms.toml", "/etc/kms/kms.json", "./kms.toml", "./kms.json"]

    /// Reads the standard files that are there, then the given one, which must be.
    ///
    /// A name that ends in `.toml` is read as TOML, any other as JSON, as upstream does. Keys without effect, and those that
    /// nobody knows, do not keep a service from starting, because files are written for other versions; they are reported.
    /// But unknown ones that may be meant as a restriction are refused: without it, somebody might have keys who must not.
    ///
    /// - Parameters:
    ///   - path: nil for the standard files alone.
    ///   - environment: has tokens where no file has any.
    ///   - warn: told of each key without effect, and where it stands.
    package static func load(
        _ path: String?, standardPaths: [String] = Self.standardPaths, environment: Environment = .process,
        warn: @escaping @Sendable (ConfigurationProblem) -> Void
    ) throws(ConfigurationError) -> KMSSettings {
        var layers: [ConfigurationLayer] = []
        for path in standardPaths { layers.append(.file(path, ifPresent: true, format: format(of: path))) }
        if let path { layers.append(.file(path, format: format(of: path))) }
        var settings = try read(layers, environment: environment, warn: warn)
        try settings.onboarding.readToken(environment)
        return settings
    }

    /// The same for layers as they are. A token that has a file of its own is not read.
    package static func read(
        _ layers: [ConfigurationLayer], environment: Environment,
        warn: @escaping @Sendable (ConfigurationProblem) -> Void
    ) throws(ConfigurationError) -> KMSSettings {
        var idle: [ConfigurationProblem] = []
        let settings = try Configuration(layers).read(unknownKeys: .reported(to: warn)) { reader in
            KMSSettings(reader, environment) { idle.append($0) }
        }
        idle.forEach(warn)
        return settings
    }

    static func isEveryAddress(_ address: String) -> Bool { address == "0.0.0.0" || address == "::" }

    private static func format(of path: String) -> ConfigurationLayer.Format {
        path.hasSuffix(".toml") ? .toml : .json
    }

    private init(
        _ reader: ConfigurationReader, _ environment: Environment, _ note: (ConfigurationProblem) -> Void
    ) {
        reader.restricting("rpc", "core")
        reader.refuseNull("rpc", "core")
        reader.restrictingAnywhere(
            "auth_api", "webhook", "policy", "ethereum", "attestation", "root_ca", "mandatory",
            "enforce_self_authorization", "attest_rpc_cert", "require_sealed_root_keys",
            "verify",
            "auth_token", "htpasswd_file", "max_lifetime", "agree", "token", "allowed_mr", "boot_authority")
        reader.table("default") { table in
            ident = table.optional("ident", .headerValue) ?? ident
            table.noteFrameworkKeys(to: note)
        }
        reader.table("rpc") { listener in
            listener.restrictsByAllKeys()
            listener.refuseNull("address", "port", "tls")
            listener.noteFrameworkKeys(to: note)
            listener.note(["ident"], "has no effect: it stands in the table `default`", to: note)
            (rpc.address, rpc.port) = listener.address(rpc.address, rpc.port)
            reader.table("core") { readCore($0, environment, note) }
            readTLS(listener, note)
        }
    }

    /// Files are where the directory of keys is, which is read before.
    private mutating func readTLS(_ table: ConfigurationReader, _ note: (ConfigurationProblem) -> Void) {
        let directory = files.certificateDirectory
        table.table("tls") { tls in
            tls.restrictsByAllKeys()
            tls.refuseNull("mutual")
            tls.notePath("key", directory + "/rpc.key", to: note)
            tls.notePath("certs", directory + "/rpc.crt", to: note)
            tls.note(["ciphers", "prefer_server_cipher_order"], "has no effect: OpenSSL's are in force", to: note)
            tls.table("mutual") { mutual in
                mutual.restrictsByAllKeys()
                mutual.refuseNull("mandatory")
                mutual.notePath("ca_certs", directory + "/tmp-ca.crt", to: note)
                rpc.requiresClientCertificates = mutual.value("mandatory", .boolean, default: false)
            }
        }
    }

    private mutating func readCore(
        _ core: ConfigurationReader, _ environment: Environment, _ note: (ConfigurationProblem) -> Void
    ) {
        core.restricting(
            "enforce_self_authorization", "attest_rpc_cert", "require_sealed_root_keys", "attestation", "image",
            "admin", "auth_api", "onboard", "certificates", "replicas", "limits", "cert_dir", "state_dir")
        core.refuseNull(
            "enforce_self_authorization", "attest_rpc_cert", "require_sealed_root_keys", "attestation", "image",
            "admin", "auth_api", "onboard", "certificates")
        files.certificateDirectory = core.value("cert_dir", .path, default: files.certificateDirectory).withoutSlash
        files.ownStateDirectory = core.optional("state_dir", .path)?.withoutSlash
        siteName = core.value("site_name", .string, default: siteName)
        enforcesSelfAuthorization = core.value(
            "enforce_self_authorization", .boolean, default: enforcesSelfAuthorization)
        attestsRPCCertificate = core.value("attest_rpc_cert", .boolean, default: attestsRPCCertificate)
        requiresSealedRootKeys = core.value("require_sealed_root_keys", .boolean, default: requiresSealedRootKeys)
        core.refuseFormerRestrictions(but: ["require_sealed_root_keys"])
        core.note(["subject_postfix"], "has no effect, nor had it ever one", to: note)
        core.note(
            ["admin_token_hash"], "has no effect: administration has a listener of its own, see core.admin", to: note)
        for platform in ["sev_snp_key_release", "aws_nitro_tpm_key_release"]
        where core.value(platform, .boolean, default: false) {
            core.note([platform], "has no effect: evidence of that platform is not accepted here", to: note)
        }
        core.table("limits") { limits = Limits($0) }
        core.table("attestation") { readAttestation($0, note) }
        readFormerService(core, note)
        core.table("image") { image = ImageRules($0, note) }
        core.table("admin") { table in
            admin = Admin(table, environment)
            if admin.isEnabled, admin.port != 0, admin.port == rpc.port,
                admin.address == rpc.address || [admin.address, rpc.address].contains(where: Self.isEveryAddress)
            {
                table.reject("port", "is the same as rpc.port: give each one of its own")
            }
        }
        core.table("metrics") { metrics.isEnabled = $0.value("enabled", .boolean, default: true) }
        core.table("auth_api") { authorization = Authorization($0) }
        core.table("onboard") { onboarding = Onboarding($0, environment, note) }
        core.table("certificates") { certificates = IssuancePolicy($0) }
        core.table("replicas") { table in
            table.restrictsByAllKeys()
            replicas.urls = table.addresses(
                "urls", schemes: ["https"], "https URLs such as https://kms2.example.org:8000")
        }
    }

    private mutating func readAttestation(_ table: ConfigurationReader, _ note: (ConfigurationProblem) -> Void) {
        table.restrictsByAllKeys()
        table.refuseNull("insecure_allow_external_trust_anchors", "root_ca")
        let isExternalAllowed = table.value("insecure_allow_external_trust_anchors", .boolean, default: false)
        attestation.offlineCollateral = table.optional("collateral_dir", .path)
        attestation.collateralCacheDirectory = table.optional("cache_dir", .path)?.withoutSlash
        attestation.tlsAuthorities = table.optional("tls_authorities", .path)
        table.table("urls") { urls in
            urls.restrictsByAllKeys()
            // Who is named is asked alone: the preset ones would learn which machines boot here.
            if urls.has("pccs") { attestation.services = urls.oneOrMore("pccs", .collateralServices).flatMap { $0 } }
            _ = urls.optional("amd_kds", .nonEmptyString)
            urls.note(["amd_kds"], "has no effect: evidence of that platform is not accepted here", to: note)
        }
        attestation.trustRoot = table.table("root_ca") { roots in
            roots.restrictsByAllKeys()
            let others = [
                "gcp_tpm", "aws_nitro_enclave", "aws_nitro_tpm", "sev_snp_milan", "sev_snp_genoa", "sev_snp_turin",
            ]
            for name in others {
                _ = roots.optional(name, .path)
                roots.note([name], "has no effect: evidence of that platform is not accepted here", to: note)
            }
            // Whoever can place a root decides what is genuine; a second key keeps it from happening in passing.
            for name in ["tdx"] + others where roots.has(name) && !isExternalAllowed {
                roots.reject(
                    name, "another trust anchor needs core.attestation.insecure_allow_external_trust_anchors = true")
            }
            return roots.optional("tdx", .path)
        }
        if attestation.offlineCollateral != nil, attestation.services != nil {
            table.reject("collateral_dir", "excludes core.attestation.urls.pccs: keep one of them")
        }
    }

    /// `core.pccs_url` of releases before 0.6.
    private mutating func readFormerService(_ core: ConfigurationReader, _ note: (ConfigurationProblem) -> Void) {
        guard let services = core.optional("pccs_url", .collateralServices) else { return }
        if attestation.services == nil, attestation.offlineCollateral == nil {
            attestation.services = services
            core.note(["pccs_url"], "is an old name: call it core.attestation.urls.pccs", to: note)
        } else {
            core.note(["pccs_url"], "has no effect beside the settings in core.attestation", to: note)
        }
    }
}
