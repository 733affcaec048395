import DstackAttestation
import DstackConfiguration
import DstackKMSService
import TestKit
import Testing

@Suite("KMS: mistakes in settings")
struct SettingsMistakeTests {
    @Test(
        "what makes no sense is refused with its place",
        arguments: [
            ("[rpc]\naddress = \"example.org\"", "kms.toml:2:1: rpc.address: expected an IP address"),
            ("[rpc]\nport = 65536", "kms.toml:2:1: rpc.port: expected an integer from 0 to 65535"),
            ("[rpc]\nport = \"8000\"", "rpc.port: expected an integer"),
            ("[core]\ncert_dir = \"\"", "core.cert_dir: expected a path"),
            ("[core]\nattest_rpc_cert = 1", "core.attest_rpc_cert: expected true or false"),
            ("[core.image]\nverify = \"no\"", "core.image.verify: expected true or false"),
            ("[core.image]\ndownload_timeout = 120", "kms.toml:2:1: core.image.download_timeout: expected a duration"),
            ("[core.image]\ndownload_timeout = \"2 minutes\"", "expected a duration such as 30s"),
            ("[core.image]\ndownload_url = \"ftp://x/{OS_IMAGE_HASH}\"", "expected an http or https URL"),
            ("[core.image]\ndownload_url = \"https://x/image\"", "with {OS_IMAGE_HASH} in it"),
            ("[core.auth_api]\ntype = \"webhok\"", "expected one of \"webhook\", \"dev\", \"file\", \"policy\""),
            ("[core.auth_api.webhook]\nurl = \"auth-api:8000\"", "core.auth_api.webhook.url: expected an http"),
            ("[core.auth_api.webhook]\nurl = \"http://a/?x=1\"", "without user, query and fragment"),
            ("[core.auth_api.webhook]\nurl = \"ftp://a\"", "core.auth_api.webhook.url: expected an http"),
            ("[core.auth_api.webhook]\nurl = []", "an empty list names nothing"),
            ("[core.auth_api.webhook]\nurl = [\"http://a\", \"http://b\"]", "one URL alone"),
            ("[core.auth_api.webhook]\ntimeout = \"0s\"", "a duration of more than nothing"),
            ("[core.auth_api]\ntype = \"file\"", "core.auth_api.file.path: is missing"),
            ("[core.auth_api]\ntype = \"policy\"", "core.auth_api.policy.path: is missing"),
            ("[core.auth_api]\ntype = \"ethereum\"", "core.auth_api.ethereum.rpc_urls: is missing"),
            ("[core.auth_api]\ntype = \"ethereum\"", "core.auth_api.ethereum.contract: is missing"),
            ("[core.auth_api.ethereum]\ncontract = \"0x12\"", "expected 20 bytes in hexadecimal"),
            ("[core.auth_api.ethereum]\ncontract = \"0x\(String(repeating: "0", count: 40))\"", "is zero"),
            ("[core.auth_api.ethereum]\nrpc_urls = \"http://a\"\nagree = 2", "2 cannot agree where there are 1"),
            ("[core.auth_api.ethereum]\nblock = \"pending\"", "expected one of \"latest\""),
            ("[core.auth_api.ethereum]\nblock = \"safe\"\nconfirmations = 3", "confirmations: excludes block"),
            ("[core.auth_api.ethereum]\nchain_id = 0", "expected an integer from 1"),
            ("[core.onboard]\nauto_bootstrap_domain = \"a..b\"", "expected the DNS name of a host"),
            ("[core.onboard]\nauto_bootstrap_domain = \"a.\"", "expected the DNS name of a host"),
            ("[core.onboard]\nauto_bootstrap_domain = \"-a\"", "expected the DNS name of a host"),
            ("[core.onboard]\nauto_bootstrap_domain = \"a_b\"", "expected the DNS name of a host"),
            ("[core.certificates]\nnames = []", "an empty list restricts nothing"),
            ("[core.certificates]\nnames = [\"a b\"]", "kms.toml:2:10: core.certificates.names[0]: expected a pattern"),
            ("[core.certificates]\nreserved_names = [\"a\", \"10.0.0.1/8\"]", "reserved_names[1]: expected a pattern"),
            (
                "[[core.certificates.apps]]\nid = \"\(String(repeating: "02", count: 20))\"\nnames = [\"*.a.*\"]",
                "kms.toml:3:10: core.certificates.apps[0].names[0]: expected a pattern"
            ),
            ("[core.certificates]\nmax_lifetime = \"0d\"", "a duration of more than nothing"),
            ("[core.certificates]\nprofile = \"strict\"", "expected one of \"upstream\", \"identified\""),
            (
                "[core.certificates]\ndefault_lifetime = \"2d\"\nmax_lifetime = \"1d\"",
                "is longer than core.certificates.max"
            ),
            ("[[core.certificates.apps]]\nid = \"0102\"\nnames = [\"a\"]", "expected 20 bytes in hexadecimal"),
            ("[[core.certificates.apps]]\nid = \"\(String(repeating: "02", count: 20))\"", "apps[0].names: is missing"),
            ("[core.replicas]\nurls = \"http://a\"", "expected https URLs"),
            ("[core.limits]\nmax_requests = 0", "expected an integer from 1"),
            ("[core.attestation.urls]\npccs = \"pccs\"", "expected an http or https URL"),
            ("[core.attestation.urls]\npccs = []", "an empty list names nothing"),
            ("[core.admin]\nenabled = true\nport = 8000", "core.admin.port: is the same as rpc.port"),
            ("[core]\npccs_url = \"\"", "core.pccs_url: expected an http or https URL"),
        ])
    func refused(toml: String, reason: String) {
        let problem = problem(toml)
        #expect(problem.contains(reason), "\(problem)")
    }

    @Test("all mistakes of a file are named at once")
    func together() {
        let problem = problem(
            "[rpc]\nport = -1\n[core]\ncert_dir = 5\n[core.image]\nverify = 2\n[core.admin]\nenable = true")
        for place in ["kms.toml:2:1: rpc.port", "kms.toml:4:1: core.cert_dir", "kms.toml:6:1: core.image.verify"] {
            #expect(problem.contains(place), "\(problem)")
        }
        #expect(problem.contains("core.admin.enable: is not a known key: did you mean enabled?"))
        #expect(problem.hasPrefix("the configuration has 4 problems:"))
    }

    @Test(
        "a trust anchor does not come in by one key alone",
        arguments: [
            "tdx", "gcp_tpm", "aws_nitro_enclave", "aws_nitro_tpm", "sev_snp_milan", "sev_snp_genoa", "sev_snp_turin",
        ])
    func anchors(name: String) {
        let problem = problem("[core.attestation.root_ca]\n\(name) = \"/root.pem\"")
        #expect(problem.contains("core.attestation.root_ca.\(name): another trust anchor needs"))
    }

    @Test(
        "no mistyped restriction is passed over",
        arguments: [
            "[core.attestation]\ninsecure_allow_external_trust_anchor = false",
            "[core.attestation.root_ca]\ntdxx = \"a\"",
            "[core.image]\nverfy = true", "[core]\nattest_rpc_certs = true",
            "[core]\nenforce_self_authorisation = true",
            "[core.onboard]\nrequire_sealed_root_keys = true",
            "[core.onboard]\ntokn = \"x\"", "[core.admin]\nauth_tokn = \"x\"", "[core.certificates]\nname = [\"a\"]",
            "[core.auth_api]\ntipe = \"policy\"", "[core.auth_api.policy]\nfile = \"p\"",
            "[rpc]\nallow = [\"10.0.0.0/8\"]",
            "[rpc.tls.mutual]\nmandatry = true", "[core.auth]\ntype = \"policy\"\npolicy.path = \"/p\"",
            "[rcp]\naddress = \"127.0.0.1\"",
            "[kms.tls.mutual]\nmandatory = true", "[core.limit]\nmax_requests = 1",
            "[core.auth_api.ethereum]\nagreement = 2", "[core.cert]\nmax_lifetime = \"1d\"",
        ])
    func unknownRestrictions(toml: String) { #expect(problem(toml).contains("is not a known key")) }

    @Test(
        "what said in other releases who gets keys is not passed over",
        arguments: [
            "[core.allowed_mr]\nallow_all = false\nmrtd = [\"aa\"]", "[core.boot_authority]\ntype = \"policy\"",
            "[core]\nallow_any_upgrade = false", "[core]\ndenied_devices = [\"aa\"]",
            "[core]\nrequire_up_to_date = true", "[core]\nrequire_sealed_root_key = true",
            "[core]\nupgrade_registry_dir = \"/upgrades\"",
        ])
    func formerRestrictions(toml: String) {
        let problem = problem(toml)
        #expect(problem.contains("who may boot is decided by core.auth_api alone"), "\(problem)")
    }

    @Test(
        "null is no restriction",
        arguments: [
            #"{"core":null}"#, #"{"rpc":null}"#, #"{"rpc":{"tls":{"mutual":{"mandatory":null}}}}"#,
            #"{"core":{"auth_api":null}}"#, #"{"core":{"auth_api":{"type":null}}}"#,
            #"{"core":{"certificates":{"names":null}}}"#, #"{"core":{"certificates":{"max_lifetime":null}}}"#,
            #"{"core":{"onboard":{"token":null}}}"#, #"{"core":{"admin":{"auth_token":null}}}"#,
            #"{"core":{"require_sealed_root_keys":null}}"#, #"{"core":{"image":{"verify":null}}}"#,
            #"{"core":{"auth_api":{"ethereum":{"agree":null}}}}"#,
        ])
    func null(json: String) { #expect(problem(json, name: "kms.json").contains("null restricts nothing")) }

    @Test("a key that nobody knows and that restricts nothing is reported, and the service starts")
    func unknown() throws {
        let warnings = Warnings()
        _ = try readSettings("[core]\nsite_nam = \"x\"\n[core.metrics]\npath = \"/m\"\n[future]\na = 1", warnings)
        #expect(warnings.all.count == 3, "\(warnings.all)")
        #expect(warnings.all.contains { $0.contains("core.site_nam: is not a known key: did you mean site_name?") })
    }

    @Test("files of older releases load: what became of their keys is said")
    func olderReleases() throws {
        let warnings = Warnings()
        let old = try readSettings(
            """
            [rpc]
            workers = 4
            [core]
            pccs_url = "https://old.example/sgx/certification/v4"
            admin_token_hash = "00"
            [core.onboard]
            quote_enabled = false
            """, warnings)
        #expect(old.attestation.services?.map(\.baseURL) == ["https://old.example"])
        for text in [
            "rpc.workers: has no effect", "core.pccs_url: is an old name: call it core.attestation.urls.pccs",
            "core.admin_token_hash: has no effect", "core.onboard.quote_enabled: has no effect: nobody gets keys",
        ] { #expect(warnings.all.count { $0.contains(text) } == 1, "\(text)") }
        #expect(warnings.all.count == 4, "\(warnings.all)")
        let both = try readSettings(
            "[core]\npccs_url = \"https://old.example\"\n[core.attestation.urls]\npccs = \"https://new.example\"",
            warnings)
        #expect(both.attestation.services?.map(\.baseURL) == ["https://new.example"])
        #expect(warnings.all.contains { $0.contains("core.pccs_url: has no effect beside") })
    }

    @Test("paths of TLS files beside the directory of keys are told, those in it are not")
    func tlsPaths() throws {
        let warnings = Warnings()
        _ = try readSettings(
            """
            [core]
            cert_dir = "/kms/certs"
            [rpc.tls]
            key = "/etc/kms/certs/rpc.key"
            certs = "/kms/certs/rpc.crt"
            [rpc.tls.mutual]
            ca_certs = "/elsewhere/tmp-ca.crt"
            """, warnings)
        #expect(warnings.all.count == 2, "\(warnings.all)")
        #expect(
            warnings.all.contains {
                $0.contains("kms.toml:4:1: rpc.tls.key: has no effect: the file is /kms/certs/rpc.key")
            })
        #expect(
            warnings.all.contains {
                $0.contains("rpc.tls.mutual.ca_certs: has no effect: the file is /kms/certs/tmp-ca.crt")
            })
    }

    @Test("no message repeats a secret")
    func secrets() {
        let secret = "c0ffee"
        for toml in [
            "[core.admin]\nauth_token = [\"\(secret)\"]", "[core.onboard]\ntoken = { a = \"\(secret)\" }",
            "[core.admin]\nauth_token = 314159", "[core.auth_api.webhook]\nurl = \"ftp://a/\(secret)\"",
            "[core.auth_api.ethereum]\nrpc_urls = [\"ftp://a/\(secret)\", 314159]",
            "[core.replicas]\nurls = [\"http://u:\(secret)@a\"]",
        ] {
            let problem = problem(toml)
            #expect(!problem.isEmpty && !problem.contains(secret) && !problem.contains("314159"), "\(problem)")
        }
    }
}
