import DstackAttestation
import DstackAuthorization
import DstackConfiguration
import DstackCrypto
import DstackEncoding
import DstackKMSService
import DstackKeys
import DstackNetwork
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("KMS: settings")
struct SettingsTests {
    private func text(_ secret: SharedSecret?) -> String? {
        secret.map { String(decoding: $0.copiedToUnprotectedMemory(), as: UTF8.self) }
    }

    private func check(upstreamPresets settings: KMSSettings) {
        #expect(settings.ident == "DStack KMS" && settings.siteName.isEmpty)
        #expect(settings.rpc.address == "0.0.0.0" && settings.rpc.port == 8000)
        #expect(!settings.rpc.requiresClientCertificates)
        #expect(settings.files.certificateDirectory == "/etc/kms/certs")
        #expect(settings.enforcesSelfAuthorization && settings.attestsRPCCertificate)
        #expect(settings.attestation.trustRoot == nil)
        #expect(settings.image.verifies && settings.image.cacheDirectory == "/usr/share/dstack/images")
        #expect(!settings.admin.isEnabled && settings.admin.address == "127.0.0.1" && settings.admin.port == 8001)
        #expect(settings.admin.token == nil && settings.admin.passwordFile == nil && !settings.admin.allowsEveryone)
        #expect(settings.metrics.isEnabled)
        guard case .webhook(let webhook) = settings.authorization else {
            Issue.record("the preset is not a webhook")
            return
        }
        #expect(webhook.url == "http://auth-api:8000" && !settings.authorization.isDevelopment)
        #expect(settings.onboarding.isEnabled && settings.onboarding.autoBootstrapDomain.isEmpty)
        #expect(settings.onboarding.listener.place == .tcp(host: "0.0.0.0", port: 8000))
    }

    @Test("without files, upstream's presets hold, and our own are the safe ones")
    func presets() throws {
        let settings = try KMSSettings.load(nil, standardPaths: [], environment: Environment([:])) { _ in }
        check(upstreamPresets: settings)
        #expect(settings.files.stateDirectory == "/etc/kms/certs/state")
        #expect(settings.collateralCacheDirectory == "/etc/kms/certs/state/collateral")
        #expect(settings.attestation == KMSSettings.Attestation())
        #expect(settings.onboarding.listener.token == nil && !settings.onboarding.listener.allowsEveryone)
        #expect(settings.certificates == IssuancePolicy() && settings.certificates.profile == .upstream)
        #expect(!settings.requiresSealedRootKeys)
        #expect(settings.replicas.urls.isEmpty && settings.limits == KMSSettings.Limits())
        #expect(settings.announcements.isEmpty)
    }

    /// Each value as upstream presets it, so that a file like this changes nothing.
    private static let everyUpstreamKey = """
        [default]
        workers = 8
        max_blocking = 64
        ident = "DStack KMS"
        temp_dir = "/tmp"
        keep_alive = 10
        log_level = "info"

        [rpc]
        address = "0.0.0.0"
        port = 8000
        [rpc.tls]
        key = "/etc/kms/certs/rpc.key"
        certs = "/etc/kms/certs/rpc.crt"
        [rpc.tls.mutual]
        ca_certs = "/etc/kms/certs/tmp-ca.crt"
        mandatory = false

        [core]
        cert_dir = "/etc/kms/certs"
        subject_postfix = ".dstack"
        site_name = ""
        enforce_self_authorization = true
        attest_rpc_cert = true
        sev_snp_key_release = false
        aws_nitro_tpm_key_release = false
        [core.attestation]
        insecure_allow_external_trust_anchors = false
        [core.attestation.urls]
        pccs = "https://pccs.phala.network"
        amd_kds = "https://kdsintf.amd.com/vcek/v1"
        [core.attestation.root_ca]
        [core.image]
        verify = true
        cache_dir = "/usr/share/dstack/images"
        download_url = "http://localhost:8000/{OS_IMAGE_HASH}.tar.gz"
        download_timeout = "2m"
        [core.admin]
        enabled = false
        address = "127.0.0.1"
        port = 8001
        auth_token = ""
        htpasswd_file = ""
        insecure_no_auth = false
        [core.metrics]
        enabled = true
        [core.auth_api]
        type = "webhook"
        [core.auth_api.webhook]
        url = "http://auth-api:8000"
        [core.auth_api.dev]
        gateway_app_id = "any"
        [core.onboard]
        enabled = true
        auto_bootstrap_domain = ""
        address = "0.0.0.0"
        port = 8000
        """

    @Test("upstream's own file is read whole, and what of it has no effect is named, once each and with its place")
    func upstreamFile() throws {
        let warnings = Warnings()
        let settings = try readSettings(Self.everyUpstreamKey, warnings)
        check(upstreamPresets: settings)
        #expect(settings.attestation.services?.map(\.baseURL) == ["https://pccs.phala.network"])
        #expect(settings.announcements.isEmpty)
        let idle = [
            "2:1: default.workers", "3:1: default.max_blocking", "5:1: default.temp_dir",
            "6:1: default.keep_alive", "7:1: default.log_level", "core.subject_postfix",
            "core.attestation.urls.amd_kds", "core.image.download_url", "core.image.download_timeout",
        ]
        #expect(warnings.all.count == idle.count, "\(warnings.all)")
        for key in idle { #expect(warnings.all.count { $0.contains("\(key): has no effect") } == 1, "\(key)") }
    }

    @Test("every key of upstream's changes what it is for")
    func everyKey() throws {
        let warnings = Warnings()
        let settings = try readSettings(
            """
            [default]
            ident = "mine"
            [rpc]
            address = "::1"
            port = 1
            [rpc.tls.mutual]
            mandatory = true
            [core]
            cert_dir = "/keys/"
            site_name = "here"
            enforce_self_authorization = false
            attest_rpc_cert = false
            sev_snp_key_release = true
            aws_nitro_tpm_key_release = true
            [core.attestation]
            insecure_allow_external_trust_anchors = true
            [core.attestation.urls]
            pccs = "https://a.example/"
            [core.attestation.root_ca]
            tdx = "/root.pem"
            gcp_tpm = "/a"
            aws_nitro_enclave = "/b"
            aws_nitro_tpm = "/c"
            sev_snp_milan = "/d"
            sev_snp_genoa = "/e"
            sev_snp_turin = "/f"
            [core.image]
            verify = false
            cache_dir = "/images"
            download_url = "https://x.example/mr_{OS_IMAGE_HASH}.tar.gz"
            download_timeout = "never"
            [core.admin]
            enabled = true
            address = "0.0.0.0"
            port = 2
            auth_token = " secret\\n"
            htpasswd_file = "/passwords"
            insecure_no_auth = true
            [core.metrics]
            enabled = false
            [core.auth_api]
            type = "dev"
            [core.auth_api.dev]
            gateway_app_id = "0123"
            [core.onboard]
            enabled = false
            auto_bootstrap_domain = "kms.example.org"
            address = "127.0.0.1"
            port = 3
            """, warnings, environment: ["DSTACK_KMS_ADMIN_TOKEN": "not this one"])
        #expect(settings.ident == "mine" && settings.siteName == "here")
        #expect(settings.rpc.address == "::1" && settings.rpc.port == 1 && settings.rpc.requiresClientCertificates)
        #expect(settings.files.certificateDirectory == "/keys" && settings.files.stateDirectory == "/keys/state")
        #expect(!settings.enforcesSelfAuthorization && !settings.attestsRPCCertificate)
        #expect(settings.attestation.services?.map(\.baseURL) == ["https://a.example"])
        #expect(settings.attestation.trustRoot == "/root.pem")
        #expect(!settings.image.verifies && settings.image.cacheDirectory == "/images")
        #expect(settings.admin.isEnabled && settings.admin.address == "0.0.0.0" && settings.admin.port == 2)
        #expect(text(settings.admin.token) == "secret" && settings.admin.passwordFile == "/passwords")
        #expect(settings.admin.allowsEveryone && !settings.metrics.isEnabled)
        #expect(settings.authorization == .development(gatewayAppID: "0123") && settings.authorization.isDevelopment)
        #expect(!settings.onboarding.isEnabled && settings.onboarding.autoBootstrapDomain == "kms.example.org")
        #expect(settings.onboarding.listener.place == .tcp(host: "127.0.0.1", port: 3))
        let platforms = [
            "gcp_tpm", "aws_nitro_enclave", "aws_nitro_tpm", "sev_snp_milan", "sev_snp_genoa", "sev_snp_turin",
            "core.sev_snp_key_release", "core.aws_nitro_tpm_key_release",
        ]
        for key in platforms {
            #expect(warnings.all.contains { $0.contains("\(key): has no effect: evidence of that platform") }, "\(key)")
        }
    }

    @Test("all settings of our own are read")
    func own() throws {
        let warnings = Warnings()
        let settings = try readSettings(
            """
            [core]
            state_dir = "/state"
            require_sealed_root_keys = true
            [core.limits]
            max_connections = 10
            max_requests = 5
            max_verifications = 4
            request_timeout = "1s"
            [core.attestation]
            cache_dir = "/cache"
            tls_authorities = "/ca.pem"
            urls.pccs = ["https://a.example", "https://b.example/sgx/certification/v4"]
            [core.auth_api]
            type = "ethereum"
            webhook.timeout = "3s"
            [core.auth_api.ethereum]
            rpc_urls = ["https://a.example/key", "https://b.example/key"]
            contract = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
            chain_id = 1
            agree = 2
            block = "finalized"
            max_block_age = "never"
            [core.onboard]
            token = "once"
            insecure_no_auth = true
            [core.certificates]
            profile = "identified"
            legacy_evidence = true
            names = ["*.example.org", "app.test"]
            reserved_names = ["*.internal"]
            max_names = 9
            wildcards = false
            addresses = false
            servers = false
            clients = false
            default_lifetime = "30d"
            max_lifetime = "90d"
            [[core.certificates.apps]]
            id = "0x0202020202020202020202020202020202020202"
            names = ["db.internal"]
            [core.replicas]
            urls = ["https://kms2.example.org:8000"]
            """, warnings)
        #expect(settings.files.stateDirectory == "/state" && settings.collateralCacheDirectory == "/cache")
        #expect(settings.requiresSealedRootKeys)
        #expect(settings.limits.maximumConnections == 10 && settings.limits.maximumRequests == 5)
        #expect(settings.limits.maximumVerifications == 4 && settings.limits.requestTimeout == .seconds(1))
        #expect(settings.attestation.tlsAuthorities == "/ca.pem")
        #expect(settings.attestation.services?.map(\.baseURL) == ["https://a.example", "https://b.example"])
        guard case .ethereum(let chain) = settings.authorization else {
            Issue.record("no contract is asked")
            return
        }
        #expect(chain.nodes == ["https://a.example/key", "https://b.example/key"])
        #expect(chain.contract.bytes == hex("5fbdb2315678afecb367f032d93f642f64180aa3"))
        #expect(chain.chainID == 1 && chain.agree == 2 && chain.block == .finalized)
        #expect(chain.maximumBlockAge == nil)
        #expect(text(settings.onboarding.listener.token) == "once" && settings.onboarding.listener.allowsEveryone)
        let certificates = settings.certificates
        #expect(certificates.profile == .identified && certificates.evidence.includesLegacyForm)
        #expect(certificates.names.map(\.description) == ["*.example.org", "app.test"])
        #expect(certificates.reservedNames.map(\.description) == ["*.internal"])
        #expect(
            certificates.namesByApp == [AppID(FixedBytes(repeating: 2)): [try CertificateNamePattern("db.internal")]])
        #expect(certificates.maximumNames == 9 && !certificates.allowsWildcards && !certificates.allowsAddresses)
        #expect(!certificates.allowsServers && !certificates.allowsClients)
        #expect(certificates.defaultLifetime == 30 * 86_400)
        #expect(certificates.maximumLifetime == 90 * 86_400)
        #expect(settings.replicas.urls == ["https://kms2.example.org:8000"])
        #expect(warnings.all.isEmpty, "\(warnings.all)")
    }

    @Test("collateral comes from a directory or from services, and one service needs no array")
    func collateral() throws {
        let offline = try readSettings("[core.attestation]\ncollateral_dir = \"/collateral\"")
        #expect(offline.attestation.offlineCollateral == "/collateral" && offline.attestation.services == nil)
        let listed = try readSettings("[core.attestation.urls]\npccs = \"https://a.example, https://b.example\"")
        #expect(listed.attestation.services?.count == 2)
        #expect(
            problem("[core.attestation]\ncollateral_dir = \"/c\"\nurls.pccs = \"https://a.example\"")
                .contains("kms.toml:2:1: core.attestation.collateral_dir: excludes"))
    }

    @Test("files and policies decide where settings say so")
    func authorizers() throws {
        for type in ["file", "policy"] {
            let settings = try readSettings(
                "[core.auth_api]\ntype = \"\(type)\"\nfile.path = \"/f\"\npolicy.path = \"/p\"")
            #expect(settings.authorization == (type == "file" ? .file(path: "/f") : .policy(path: "/p")))
        }
    }

    @Test("later files win, key by key, whether TOML or JSON")
    func layers() throws {
        let settings = try readSettings([
            ("a.toml", "[core]\nsite_name = \"a\"\nattest_rpc_cert = false\n[rpc]\nport = 1"),
            ("b.json", #"{"core":{"site_name":"b","admin":{"port":7}},"rpc":{"address":"::1"}}"#),
            ("c.conf", #"{"core":{"admin":{"address":"::1"}},"rpc":{"port":3}}"#),
        ])
        #expect(settings.siteName == "b" && !settings.attestsRPCCertificate)
        #expect(settings.rpc.address == "::1" && settings.rpc.port == 3)
        #expect(settings.admin.address == "::1" && settings.admin.port == 7)
        #expect(
            KMSSettings.standardPaths == ["/etc/kms/kms.toml", "/etc/kms/kms.json", "./kms.toml", "./kms.json"])
        #expect(throws: ConfigurationError.self) {
            try KMSSettings.load("/nowhere/kms.toml", standardPaths: []) { _ in }
        }
    }

    @Test("tokens come from settings, else from variables, without the white space around them")
    func tokens() throws {
        let both = [
            "DSTACK_KMS_ADMIN_TOKEN": " one\n", "ADMIN_API_TOKEN": "two", "DSTACK_KMS_ONBOARD_TOKEN": "\tthree ",
        ]
        let settings = try readSettings("[core]", environment: both)
        #expect(text(settings.admin.token) == "one" && text(settings.onboarding.listener.token) == "three")
        let second = try readSettings("[core]", environment: ["DSTACK_KMS_ADMIN_TOKEN": " ", "ADMIN_API_TOKEN": "two"])
        #expect(text(second.admin.token) == "two" && second.onboarding.listener.token == nil)
        let none = try readSettings("[core]", environment: ["DSTACK_KMS_ADMIN_TOKEN": "", "ADMIN_API_TOKEN": " \n"])
        #expect(none.admin.token == nil)
    }

    @Test("the token of onboarding is read from its file, which must have one")
    func tokenFile() throws {
        let folder = try ScratchDirectory()
        let path = try folder.write("from a file\n", "token")
        let file = "[core.onboard]\ntoken_file = \"\(path)\""
        let variable = ["DSTACK_KMS_ONBOARD_TOKEN": "not this one"]
        #expect(text(try readSettings(file, environment: variable).onboarding.listener.token) == "from a file")
        #expect(problem(file + "\ntoken = \"x\"").contains("excludes core.onboard.token"))
        try folder.write(" \n", "token")
        #expect(problem(file, environment: variable).contains("has no token in it"))
        try folder.write(String(repeating: "x", count: 4097), "token")
        #expect(problem(file, environment: variable).contains(path))
        try folder.remove("token")
        #expect(problem(file, environment: variable).contains("core.onboard.token_file: "))
    }

    @Test("the guide names every key that is read, and its example is read without a warning")
    func guide() throws {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let page = try String(contentsOf: root.appendingPathComponent("docs/kms.md"), encoding: .utf8)
        let example = try #require(page.components(separatedBy: "```toml\n").dropFirst().first)
        let folder = try ScratchDirectory()
        let toml = try #require(example.components(separatedBy: "```").first).replacing(
            "/kms/onboard-token", with: try folder.write("token", "token"))
        let warnings = Warnings()
        let settings = try readSettings(toml, warnings)
        #expect(warnings.all.isEmpty && settings.announcements.isEmpty)
        // Whatever a table knows is listed where it has a key that it does not know.
        for table in [
            "core.limits", "core.admin", "core.onboard", "core.attestation", "core.attestation.urls",
            "core.attestation.root_ca", "core.auth_api.webhook", "core.auth_api.dev", "core.auth_api.file",
            "core.auth_api.policy", "core.auth_api.ethereum", "core.certificates", "core.replicas", "rpc.tls",
            "rpc.tls.mutual",
        ] {
            let problem = problem("[\(table)]\nqqqqqqqqqqqqqqqq = 1")
            let listed = try #require(problem.components(separatedBy: "expected one of ").last)
            for key in listed.components(separatedBy: ", ") {
                let isNamed =
                    page.contains("`\(table).\(key)`") || page.contains("`.\(key)`") || page.contains("`\(key)`")
                #expect(isNamed || page.contains("`\(table).\(key)."), "\(table).\(key)")
            }
        }
    }
}
