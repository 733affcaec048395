import DstackAttestation
import DstackConfiguration
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKMSService
import DstackKeyProvider
import DstackKeys
import DstackSystem

/// What a key management service, its auditors and its operators read.
enum KeyServiceParsers {
    static func all() throws -> [FuzzedParser] { try [epochs()] + audit() + [sealingKey] + settings }

    // MARK: Of other services

    private static func epochs() throws -> FuzzedParser {
        let ids = (1...3).map { ReplicaID(FixedBytes(repeating: $0)) }
        var node = EpochNode(ids[0], EpochTable(replicas: [ids[0], ids[1]]), random: SystemRandom())
        let app = EpochScope.app(AppID(FixedBytes(repeating: 7)))
        settle(&node, try node.add(ids[2]))
        settle(&node, try node.advance(.all).effects)
        settle(&node, try node.forget(ids[1]))
        settle(&node, try node.forget(ids[2]))
        settle(&node, try node.retire(0, for: .all))
        settle(&node, try node.advance(app).effects)
        let messages = [
            EpochMessage(node.durable, isQuestion: true),
            EpochMessage(EpochTable(replicas: [ids[0]]), isQuestion: false),
        ]
        return FuzzedParser("epoch-message", messages.map(\.encoded)) { input in
            try EpochMessage(decoding: input).encoded == input
        }
    }

    private static func settle(_ node: inout EpochNode, _ following: [EpochNode.Effect]) {
        var effects = following
        while let effect = effects.popLast() {
            if case .store(let table) = effect { effects += node.stored(table) }
        }
    }

    private static var sealingKey: FuzzedParser {
        let response = SealingKeyResponse(encryptedKey: (0..<80).map { $0 }, providerQuote: [0, 9, 10, 99, 100, 255])
        return FuzzedParser("sealing-key-response", [response.json]) { input in
            let response = try SealingKeyResponse(json: input)
            return try SealingKeyResponse(json: response.json) == response
        }
    }

    // MARK: Audit logs

    private static func audit() throws -> [FuzzedParser] {
        let log = FixedBytes<16>(repeating: 1)
        let roots = KMSRootKeys()
        let key = roots.caKey.publicKey
        let first = try entry(1, behind: FixedBytes(), "started", #"{"version":"v1"}"#, log)
        let second = try entry(2, behind: first.hash, "stopped", #"{"reason":"asked to end"}"#, log)
        let head = try AuditKey(log, of: roots).sign(count: 2, hash: second.hash, time: 1_790_000_000_000)
        let lines = [first.line, second.line, Array(#"{"head":"#.utf8) + head.json + [UInt8(ascii: "}")]]
        let export = lines.flatMap { $0 + [UInt8(ascii: "\n")] }
        return [
            FuzzedParser("audit-entry", [first.line, second.line]) { input in
                try AuditEntry(line: input).line == input
            },
            FuzzedParser("audit-head", [head.json]) { input in try SignedAuditHead(json: input).json == input },
            // Whatever is changed in it is found: only an export that is byte for byte the genuine one is intact.
            FuzzedParser("audit-export", [export]) { input in
                guard AuditExport.check(input, root: key, known: [head]).isIntact else {
                    throw FuzzFailure("not intact")
                }
                return input == export
            },
        ]
    }

    private static func entry(
        _ number: Int, behind previous: FixedBytes<32>, _ event: String, _ facts: String, _ log: FixedBytes<16>
    ) throws -> AuditEntry {
        let text = """
            {"event":"\(event)","facts":\(facts),"log":"\(log.hex)","number":\(number),"previous":"\(previous.hex)",\
            "time":"2026-09-21T14:13:20.000Z"}
            """
        return try AuditEntry(line: Array(text.utf8))
    }

    // MARK: Settings

    private static var settings: [FuzzedParser] {
        let hash = "$2y$05$" + String(repeating: "C", count: 21) + ".E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
        let patterns = ["*", "app.example.org", "*.example.org", "10.0.0.0/8", "fd00::/8", "192.0.2.1"]
        return [
            FuzzedParser("password-file", [Array("# operators\nann:\(hash)\r\nbob:\(hash)\n".utf8)]) { input in
                try PasswordFile(parsing: input, name: "htpasswd").count > 0
            },
            FuzzedParser("name-pattern", patterns.map { Array($0.utf8) }) { input in
                guard let text = String(validating: input, as: UTF8.self) else { throw FuzzFailure("no UTF-8") }
                return try CertificateNamePattern(text).description == text
            },
            FuzzedParser("kms-settings", [Array(toml.utf8)]) { input in
                _ = try KMSSettings.read(
                    [.text(String(decoding: input, as: UTF8.self), source: "kms.toml")], environment: Environment([:])
                ) { _ in }
                return true
            },
        ]
    }

    private static let toml = """
        [rpc]
        address = "127.0.0.1"
        port = 8000
        [core]
        cert_dir = "/kms"
        image.verify = true
        attestation.urls.pccs = ["https://a.example", "https://b.example"]
        [core.auth_api]
        type = "ethereum"
        [core.auth_api.ethereum]
        rpc_urls = ["https://a.example", "https://b.example"]
        contract = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
        agree = 2
        max_block_age = "30m"
        [core.admin]
        enabled = true
        port = 8001
        auth_token = "secret"
        [core.certificates]
        names = ["*.example.org"]
        max_lifetime = "90d"
        [[core.certificates.apps]]
        id = "0202020202020202020202020202020202020202"
        names = ["10.0.0.0/8"]
        [core.replicas]
        urls = ["https://kms2.example:8000"]

        """
}
