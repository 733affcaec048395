import DstackAuthorization
import DstackConfiguration
import DstackCrypto
import DstackEncoding
import TestKit
import Testing

@Suite("A policy of named rules")
struct BootPolicyTests {
    private static let defaults = """
        [defaults]
        os_images = ["0x\(digits(0x05, 32))"]
        devices = ["\(digits(0xD1, 32))", "\(digits(0xD2, 32))"]

        """
    private static let app = """
        [[rule]]
        name = "shop"
        for = "app"
        apps = ["\(digits(0xA1, 20))"]
        compose_hashes = ["\(digits(0xC0, 32))"]

        """
    private static let kms = """
        [[rule]]
        name = "nodes"
        for = "kms"
        mr_aggregated = ["\(digits(0x3A, 32))"]

        """

    private func policy(_ text: String) throws(ConfigurationError) -> BootPolicy {
        try BootPolicy(parsing: text, source: "policy.toml")
    }

    private func explain(
        _ text: String, _ info: BootInfo = .sample(), as subject: BootSubject = .app
    ) throws -> BootExplanation {
        try policy(text).explanation(for: info, as: subject)
    }

    private func problem(_ text: String) -> String {
        do throws(ConfigurationError) {
            _ = try policy(text)
            return ""
        } catch {
            return error.description
        }
    }

    @Test("whoever fulfils a rule for what it is may boot; everybody else may not")
    func rules() throws {
        let text = "gateway_app_id = \"\(digits(0x99, 20))\"\n" + Self.defaults + Self.app + Self.kms
        let gateway = "0x" + digits(0x99, 20)
        #expect(try explain(text).decision == .allowed(gatewayAppID: gateway))
        #expect(try explain(text).allowing?.name == "shop")
        #expect(try explain(text, as: .kms).allowing?.name == "nodes")
        // A rule for applications does not let a KMS boot, nor the other way round.
        let one = try explain(Self.defaults + Self.app, as: .kms)
        #expect(one.decision == .denied("no rule is for a KMS"))
        #expect(try explain(Self.defaults + Self.kms).decision == .denied("no rule is for an app"))
    }

    @Test(
        "every single fact that differs denies, and the explanation names it with what was found and what is accepted")
    func facts() throws {
        let text =
            Self.defaults + Self.app + """
                tee_variants = ["dstack-tdx"]
                tcb_statuses = ["UpToDate", "SWHardeningNeeded"]
                advisories = ["INTEL-SA-1"]
                mr_aggregated = ["\(digits(0x3A, 32))"]
                mr_system = ["\(digits(0x35, 32))"]
                instances = ["\(digits(0x11, 20))"]
                key_providers = ["kms"]
                """
        let good = try explain(text)
        #expect(good.decision.isAllowed)
        #expect(good.rules[0].conditions.map(\.fact) == BootCondition.Fact.allCases)
        let changes: [(BootCondition.Fact, (inout BootInfo) -> Void)] = [
            (.teeVariant, { $0.teeVariant = "dstack-amd-sev-snp" }), (.teeVariant, { $0.teeVariant = nil }),
            (.tcbStatus, { $0.tcbStatus = "OutOfDate" }), (.tcbStatus, { $0.tcbStatus = "uptodate" }),
            (.tcbStatus, { $0.tcbStatus = "" }), (.advisories, { $0.advisoryIDs = ["INTEL-SA-2"] }),
            (.advisories, { $0.advisoryIDs = ["INTEL-SA-1", "INTEL-SA-2"] }),
            (.osImage, { $0.osImageHash = .init(repeating: 6) }), (.osImage, { $0.osImageHash = nil }),
            (.mrAggregated, { $0.mrAggregated = .init(repeating: 6) }),
            (.mrSystem, { $0.mrSystem = .init(repeating: 6) }), (.mrSystem, { $0.mrSystem = nil }),
            (.app, { $0.appID = .init(repeating: 6) }), (.composeHash, { $0.composeHash = .init(repeating: 6) }),
            (.instance, { $0.instanceID = .init(repeating: 6) }), (.instance, { $0.instanceID = nil }),
            (.device, { $0.deviceID = .init(repeating: 6) }), (.keyProvider, { $0.keyProviderInfo = [] }),
            (.keyProvider, { $0.keyProviderInfo = Array(#"{"name":"local-sgx","id":"00"}"#.utf8) }),
            (.keyProvider, { $0.keyProviderInfo = Array("kms".utf8) }),
            (.keyProvider, { $0.keyProviderInfo = Array(#"{"name":"kms:x","id":""}"#.utf8) }),
        ]
        for (fact, change) in changes {
            let explanation = try explain(text, BootInfo.sample().with(change))
            #expect(!explanation.decision.isAllowed)
            #expect(explanation.rules[0].failures.map(\.fact) == [fact])
            #expect(!(explanation.rules[0].failures.first?.expected.isEmpty ?? true))
            #expect(explanation.decision.reason.contains(fact.rawValue))
        }
        #expect(try explain(text, .sample().with { $0.advisoryIDs = ["INTEL-SA-1"] }).decision.isAllowed)
    }

    @Test("a denial tells the asker what it has, and not what would be accepted")
    func denial() throws {
        let reason = try explain(
            Self.defaults + Self.app, .sample().with { $0.composeHash = .init(repeating: 0xCC) }
        ).decision.reason
        #expect(reason.contains("\"shop\"") && reason.contains(digits(0xCC, 32)))
        #expect(!reason.contains(digits(0xC0, 32)))
    }

    @Test("without a word on them, only an up-to-date platform without advisories will do")
    func presets() throws {
        let text = Self.defaults + Self.app
        #expect(try !explain(text, .sample(status: "SWHardeningNeeded")).decision.isAllowed)
        #expect(try !explain(text, .sample().with { $0.advisoryIDs = ["INTEL-SA-1"] }).decision.isAllowed)
        let any = text + "any_advisory = true"
        #expect(try explain(any, .sample().with { $0.advisoryIDs = ["INTEL-SA-1"] }).decision.isAllowed)
        // A platform without a status is not up to date; who wants it says so.
        #expect(try !explain(text, .sample(status: "")).decision.isAllowed)
        #expect(try explain(text + "tcb_statuses = [\"none\"]", .sample(status: "")).decision.isAllowed)
    }

    @Test("what a rule says takes the place of the default, and does not add to it")
    func overrides() throws {
        let text = Self.defaults + Self.app + "devices = [\"\(digits(0xD3, 32))\"]"
        #expect(try !explain(text).decision.isAllowed)
        #expect(try explain(text, .sample(device: 0xD3)).decision.isAllowed)
        #expect(try explain(Self.defaults + Self.app + "any_device = true", .sample(device: 7)).decision.isAllowed)
    }

    @Test("key providers are accepted by name, or by name and identity")
    func keyProviders() throws {
        for (entry, isAllowed) in [
            ("kms", true), ("kms:3059", true), ("KMS", false), ("kms:305", false), ("none", false),
        ] {
            let text = Self.defaults + Self.app + "key_providers = [\"\(entry)\"]"
            #expect(try explain(text).decision.isAllowed == isAllowed, "\(entry)")
        }
        let none = Self.defaults + Self.app + "key_providers = [\"none\"]"
        #expect(try explain(none, .sample().with { $0.keyProviderInfo = [] }).decision.isAllowed)
    }

    @Test("an SNP chip may be listed as it is; what all Nitro enclaves share may not")
    func devices() throws {
        let chip = [UInt8](0..<64)
        let text = Self.defaults + Self.app + "devices = [\"\(Hex.encode(chip))\"]"
        #expect(try explain(text, .sample().with { $0.deviceID = SHA256.hash(chip) }).decision.isAllowed)
        let shared = Self.defaults + Self.app + "devices = [\"\(DeviceIdentifier.ofAllEnclaves.hex)\"]"
        #expect(problem(shared).contains("rule[0].devices[0]"))
    }

    @Test(
        "an empty list never means any",
        arguments: [
            "os_images", "devices", "apps", "compose_hashes", "mr_aggregated", "tcb_statuses", "key_providers",
            "tee_variants",
        ])
    func empty(_ key: String) {
        let own = "[[rule]]\nname = \"x\"\nfor = \"app\"\n\(key) = []\n"
        #expect(problem(Self.defaults + own).contains("rule[0].\(key)"), "\(problem(Self.defaults + own))")
        if ["os_images", "devices"].contains(key) {
            let defaults = "[defaults]\n\(key) = []\n"
            #expect(problem(defaults + Self.app).contains("defaults.\(key)"))
        }
    }

    @Test("what a rule must state and does not is a mistake, as is to state a thing twice")
    func missing() {
        let all = problem("[[rule]]\nname = \"x\"\nfor = \"app\"\n")
        for key in ["apps", "compose_hashes", "os_images", "devices"] {
            #expect(all.contains("rule.\(key)") || all.contains("rule[0].\(key)"), "\(all)")
        }
        let kms = problem("[[rule]]\nname = \"x\"\nfor = \"kms\"\n")
        for key in ["mr_aggregated", "os_images", "devices"] { #expect(kms.contains(key), "\(kms)") }
        #expect(!kms.contains("compose_hashes"))
        for (text, part) in [
            (Self.app + Self.defaults + "any_device = true", "excludes devices"),
            (Self.defaults + Self.app + "any_app = true", "excludes apps"),
            (Self.defaults + Self.app + "advisories = []\nany_advisory = true", "excludes advisories"),
            (Self.defaults + Self.app + Self.app, "there is a rule of that name"),
            (Self.defaults, "without any [[rule]]"), ("", "without any [[rule]]"),
            ("rule = []", "without any [[rule]]"),
            (Self.defaults + Self.app + "device = []", "did you mean devices?"),
            ("gatway_app_id = \"\"\n" + Self.defaults + Self.app, "did you mean gateway_app_id?"),
            ("gateway_app_id = \"any\"\n" + Self.defaults + Self.app, "expected 20 bytes"),
            (Self.defaults + Self.app.replacing("\"app\"", with: "\"apps\""), "expected one of"),
            (Self.defaults + Self.app.replacing(digits(0xC0, 32), with: "c0"), "expected 32 bytes"),
            (Self.defaults + Self.app.replacing("[\"\(digits(0xA1, 20))\"]", with: "\"any\""), "expected an array"),
            ("[defaults]\napps = [\"\(digits(0xA1, 20))\"]\n" + Self.app, "is not a known key"),
            ("[[rule]\n", "policy.toml:1"),
        ] {
            #expect(problem(text).contains(part), "\(part): \(problem(text))")
        }
    }

    @Test("a file that is damaged later denies everything until it is right, and says so once")
    func file() async throws {
        let directory = try ScratchDirectory()
        let log = TestLog()
        let path = try directory.write(Self.defaults + Self.app, "policy.toml")
        let authorizer = PolicyAuthorizer(path, log: log.log)
        #expect(try await authorizer.decide(.sample(), as: .app).isAllowed)
        for damaged in ["", Self.defaults + Self.app + "devices = []\n", Self.app] {
            try directory.write(damaged, "policy.toml")
            for _ in 0..<2 {
                #expect(try await authorizer.decide(.sample(), as: .app) == .denied("the policy cannot be used"))
            }
        }
        #expect(try await authorizer.info().status == "error")
        #expect(log.lines.filter { $0.contains("everything is denied") }.count == 3, "\(log.lines)")
        try directory.write(Self.defaults + Self.app, "policy.toml")
        #expect(try await authorizer.decide(.sample(), as: .app).isAllowed)
    }
}
