import DstackAuthorization
import DstackEncoding
import DstackKMSService
import TestKit
import Testing

@Suite("KMS: what settings leave open")
struct AnnouncementTests {
    private func announced(_ toml: String, environment: [String: String] = [:]) throws -> [String] {
        try readSettings(toml, environment: environment).announcements.map(\.setting)
    }

    @Test(
        "what is insecure is announced, each by its key",
        arguments: [
            ("[core]\nenforce_self_authorization = false", ["core.enforce_self_authorization"]),
            ("[core]\nattest_rpc_cert = false", ["core.attest_rpc_cert"]),
            ("[core.image]\nverify = false", ["core.image.verify"]),
            (
                "[core.attestation]\ninsecure_allow_external_trust_anchors = true\nroot_ca.tdx = \"/r\"",
                ["core.attestation.root_ca.tdx"]
            ),
            ("[core.attestation]\ninsecure_allow_external_trust_anchors = true", []),
            (
                "[core.auth_api]\ntype = \"dev\"",
                ["core.auth_api.type", "core.auth_api.dev.gateway_app_id"]
            ),
            ("[core.auth_api]\ntype = \"dev\"\ndev.gateway_app_id = \"ab\"", ["core.auth_api.type"]),
            ("[core.admin]\nenabled = true\ninsecure_no_auth = true", ["core.admin.insecure_no_auth"]),
            ("[core.admin]\nenabled = true\nauth_token = \"x\"\ninsecure_no_auth = true", []),
            ("[core.admin]\ninsecure_no_auth = true", []),
            ("[core.admin]\nenabled = true\nauth_token = \"x\"\naddress = \"10.0.0.1\"", ["core.admin.address"]),
            ("[core.onboard]\ninsecure_no_auth = true", ["core.onboard.insecure_no_auth"]),
            ("[core.onboard]\ninsecure_no_auth = true\ntoken = \"x\"", []),
            (
                "[core.auth_api]\ntype = \"ethereum\"\n[core.auth_api.ethereum]\nrpc_urls = \"http://a\"\n"
                    + "contract = \"5fbdb2315678afecb367f032d93f642f64180aa3\"\nmax_block_age = \"never\"",
                ["core.auth_api.ethereum.chain_id", "core.auth_api.ethereum.max_block_age"]
            ),
        ])
    func insecure(toml: String, expected: [String]) throws { #expect(try announced(toml) == expected) }

    @Test("an announcement is one line that names its key")
    func lines() throws {
        let all = try readSettings(
            "[core]\nenforce_self_authorization = false\nattest_rpc_cert = false\nimage.verify = false\nauth_api.type = \"dev\""
        ).announcements
        #expect(all.count == 5)
        for announcement in all {
            #expect(!announcement.description.contains("\n"))
            #expect(announcement.description.hasPrefix(announcement.setting + ": "))
        }
    }
}

@Suite("KMS: authorizers by settings")
struct SettingsAuthorizerTests {
    private var machine: BootInfo {
        BootInfo(
            mrAggregated: FixedBytes(), osImageHash: nil, mrSystem: nil, appID: FixedBytes(), composeHash: FixedBytes(),
            instanceID: nil, deviceID: FixedBytes(),
            tcbStatus: "OutOfDate", advisoryIDs: [])
    }

    @Test("in development every machine may boot, with the gateway of the settings, and whoever asks is told so")
    func development() async throws {
        let authorizer = try readSettings("[core.auth_api]\ntype = \"dev\"\ndev.gateway_app_id = \"g\"").authorization
            .makeAuthorizer(userAgent: "dstack-kms/1")
        for subject in BootSubject.allCases {
            #expect(try await authorizer.decide(machine, as: subject) == .allowed(gatewayAppID: "g"))
        }
        let info = try await authorizer.info()
        #expect(info.status.hasPrefix("development") && info.gatewayAppID == "g")
        #expect(info.kmsContractAddress == AuthorizerInfo.noContract)
    }

    @Test("each type makes an authorizer of its kind")
    func kinds() throws {
        let folder = try ScratchDirectory()
        let policy = try folder.write(
            """
            [[rule]]
            name = "apps"
            for = "app"
            any_app = true
            any_compose_hash = true
            any_device = true
            os_images = ["\(String(repeating: "05", count: 32))"]
            """, "policy.toml")
        func make(_ toml: String) throws -> any BootAuthorizer {
            try readSettings(toml).authorization.makeAuthorizer(userAgent: "dstack-kms/1")
        }
        #expect(try make("[core]") is WebhookAuthorizer)
        #expect(try make("[core.auth_api]\ntype = \"file\"\nfile.path = \"/nowhere\"") is FileAuthorizer)
        #expect(
            try make("[core.auth_api]\ntype = \"policy\"\npolicy.path = \"\(policy)\"") is PolicyAuthorizer)
        #expect(
            try make(
                "[core.auth_api]\ntype = \"ethereum\"\n[core.auth_api.ethereum]\nrpc_urls = \"http://a\"\n"
                    + "contract = \"5fbdb2315678afecb367f032d93f642f64180aa3\"\nconfirmations = 2")
                is EthereumAuthorizer)
    }

    @Test("settings by which nothing could be decided are refused at the start")
    func refused() throws {
        let folder = try ScratchDirectory()
        let policy = try folder.write("[[rule]]\nname = 5\n", "policy.toml")
        for toml in [
            "[core.auth_api]\ntype = \"policy\"\npolicy.path = \"\(policy)\"",
            "[core.auth_api]\ntype = \"policy\"\npolicy.path = \"/nowhere\"",
            "[core.auth_api]\ntype = \"ethereum\"\n[core.auth_api.ethereum]\nrpc_urls = [\"http://a/1\", \"http://a/2\"]\n"
                + "agree = 2\ncontract = \"5fbdb2315678afecb367f032d93f642f64180aa3\"",
        ] {
            let authorization = try readSettings(toml).authorization
            #expect(throws: KMSServiceError(.invalidConfiguration, "", "")) {
                try authorization.makeAuthorizer(userAgent: "dstack-kms/1")
            }
        }
    }
}
