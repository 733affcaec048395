import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import Foundation
import TestKit
import Testing

/// Reads key files from arrays; see `keyParent`.
func appKeys(_ text: String) throws -> AppKeys { try appKeys(Array(text.utf8)) }
func appKeys(_ text: [UInt8]) throws -> AppKeys { try AppKeys(decoding: text.span.bytes) }

extension AppKeys {
    borrowing func textForTest() -> String { String(decoding: encoded.copiedToUnprotectedMemory(), as: UTF8.self) }
    borrowing func diskKeyForTest() -> String { diskKey.hexForTest() }
}

@Suite("Key files")
struct AppKeysTests {
    private static let now = SimulatedGuest.now
    private let malformed = KeysError(.invalidKeyFile, subject: "", reason: "")

    private static func authority(_ template: CertificateTemplate) throws -> CertificateAuthority {
        try CertificateAuthority(selfSigned: template, key: P256.PrivateKey())
    }

    private static func keys(_ provider: consuming AppKeyProvider, environment: Bool = false) throws -> AppKeys {
        let certificates = provider.isKMS ? try authority(.kmsRoot(now: now)).chain : provider.authority.chain
        return AppKeys(
            diskKey: SecretBytes(random: 32), environmentKey: environment ? X25519.PrivateKey() : nil,
            rootKey: AppRootKey(key: Secp256k1.PrivateKey(), issuance: [1, 2, 3]), gatewayAppID: "a \"quoted\" \\ id",
            caCertificates: certificates, provider: provider)
    }

    private static func everyKind() throws -> [String] {
        var texts: [String] = []
        for (kind, id) in [(KeyProviderInfo.Kind.none, []), (.localSGX, [1, 2]), (.tpm, [3])] as [(_, [UInt8])] {
            let provider = AppKeyProvider(
                KeyProviderInfo(kind: kind, id: id), authority: try authority(.appRoot(evidence: [], now: now)))
            texts.append(try keys(provider).textForTest())
        }
        let kms = AppKeyProvider(
            kms: "https://kms.test:12001/prpc", publicKey: [4, 5],
            temporaryAuthority: try authority(.temporaryClientCA(now: now)))
        texts.append(try keys(kms, environment: true).textForTest())
        return texts
    }

    @Test("what is written is read again, for every kind of provider")
    func roundTrip() throws {
        let texts = try Self.everyKind()
        for (text, kind) in zip(texts, [KeyProviderInfo.Kind.none, .localSGX, .tpm, .kms]) {
            let keys = try appKeys(text)
            #expect(keys.textForTest() == text)
            #expect(keys.provider.info.kind == kind)
            #expect(keys.gatewayAppID == "a \"quoted\" \\ id")
            #expect(keys.rootKey.issuance == [1, 2, 3])
            let json = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            #expect(try json.text("disk_crypt_key") == keys.diskKeyForTest())
            #expect(json.count == 7)
        }
        let kms = try appKeys(texts[3])
        #expect(kms.provider.url == "https://kms.test:12001/prpc")
        #expect(kms.provider.info.id == [4, 5])
        let isKMS = kms.provider.isKMS
        #expect(isKMS)
    }

    @Test("files of upstream are read, and written with the same members", .needsVectors("keys/kdf.json"))
    func upstream() throws {
        for name in ["guest-agent/appkeys.json", "guest-agent/legacy-0.5.4/appkeys.json"] {
            let original = try Vectors.object(name)
            let keys = try AppKeys(contentsOf: Vectors.path(name))
            #expect(keys.provider.info.kind == .none && keys.provider.url == nil)
            #expect(keys.gatewayAppID == "any")
            #expect(try keys.rootKey.key.scalar.hexForTest() == original.text("k256_key"))
            #expect(try Hex.encode(keys.rootKey.issuance) == original.text("k256_signature"))
            let written = try JSONSerialization.jsonObject(with: Data(keys.textForTest().utf8)) as? NSDictionary
            #expect(written == original as NSDictionary)
        }
    }

    @Test("keys follow from a seed, with a CA whose certificate has evidence")
    func seeded() async throws {
        let guest = try SimulatedGuest()
        let seed = try appKeySeed([UInt8](repeating: 9, count: 32))
        let provider = KeyProviderInfo(kind: .localSGX, id: [7])
        let keys = try await AppKeys(seed: seed, provider: provider, at: Self.now) { try guest.attestation($0) }
        #expect(try keys.diskKeyForTest() == seed.diskKey().hexForTest())
        #expect(try keys.rootKey.publicKey == seed.rootKey().publicKey)
        #expect(try keys.provider.authority.publicKey == seed.caKey().publicKey.spki)
        let certificate = try Certificate(der: keys.caCertificates[0])
        #expect(certificate.subjectCommonName == "App Root Cert")
        #expect(certificate.value(of: RATLSExtension.attestation.identifier) != nil)
        #expect(try appKeys(keys.textForTest()).textForTest() == keys.textForTest())
        await #expect(throws: KeysError(.invalidKey, subject: "", reason: "")) {
            let kms = KeyProviderInfo(kind: .kms, id: [])
            _ = try await AppKeys(seed: seed, provider: kms, at: Self.now) { try guest.attestation($0) }
        }
    }

    @Test("a file is written for its owner alone")
    func files() throws {
        let directory = try ScratchDirectory()
        let keys = try appKeys(Self.everyKind()[0])
        try keys.write(to: directory.path("keys.json"))
        let attributes = try FileManager.default.attributesOfItem(atPath: directory.path("keys.json"))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(try AppKeys(contentsOf: directory.path("keys.json")).textForTest() == keys.textForTest())
        let storage = KeysError(.storage, subject: "", reason: "")
        #expect(throws: storage) { _ = try AppKeys(contentsOf: directory.path("missing.json")) }
        #expect(throws: storage) { _ = try AppKeys(contentsOf: directory.url.path) }
        #expect(throws: storage) { try keys.write(to: directory.path("no/such/directory")) }
        let spaces = String(repeating: " ", count: AppKeys.maximumByteCount)
        let path = try directory.write(spaces + "x", "large.json")
        #expect(throws: storage) { _ = try AppKeys(contentsOf: path) }
        let exact = try directory.write(spaces, "exact.json")
        #expect(throws: malformed) { _ = try AppKeys(contentsOf: exact) }
    }

    @Test("members that are missing, wrong or twice are refused")
    func wrongMembers() throws {
        let text = try Self.everyKind()[1]
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        func with(_ name: String, _ value: Any?) throws -> [UInt8] {
            var changed = object
            changed[name] = value
            return [UInt8](try JSONSerialization.data(withJSONObject: changed))
        }
        let zero = String(repeating: "00", count: 32)
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        let wrong: [(String, Any?)] = [
            ("disk_crypt_key", nil), ("disk_crypt_key", ""), ("disk_crypt_key", "00"), ("disk_crypt_key", 1),
            ("disk_crypt_key", zero.dropLast() + "g"), ("env_crypt_key", "00"), ("env_crypt_key", [zero]),
            ("k256_key", nil), ("k256_key", zero), ("k256_key", order), ("k256_signature", nil),
            ("k256_signature", "0"), ("gateway_app_id", nil), ("gateway_app_id", 1), ("key_provider", nil),
            ("key_provider", "None"), ("key_provider", [String: Any]()), ("key_provider", ["Other": [String: Any]()]),
            ("key_provider", ["None": [String: Any](), "Tpm": [String: Any]()]),
            ("key_provider", ["None": ["key": ""]]),
            ("key_provider", ["Kms": ["url": ""]]),
        ]
        for (name, value) in wrong {
            #expect(throws: malformed, "\(name): \(value ?? "missing")") { _ = try appKeys(with(name, value)) }
        }
        for (name, value) in [
            ("ca_cert", "" as Any?), ("ca_cert", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
        ] {
            #expect(throws: KeysError(.invalidCertificate, subject: "", reason: "")) {
                _ = try appKeys(with(name, value))
            }
        }
        #expect(throws: malformed) { _ = try appKeys("{\"k256_key\":\"\",\"k256_key\":\"\"}") }
        #expect(throws: malformed) { _ = try appKeys(text + "x") }
        #expect(throws: malformed) { _ = try appKeys("[]") }
        #expect(throws: malformed) { _ = try appKeys("") }
        // Absent and null mean that there is none; members that nobody knows are left alone.
        for value in [nil, NSNull(), ""] as [Any?] {
            let keys = try appKeys(with("env_crypt_key", value))
            #expect(keys.textForTest().contains("\"env_crypt_key\":\"\""))
        }
        #expect(throws: Never.self) { _ = try appKeys(with("newer_member", ["x": 1])) }
    }

    @Test("a CA certificate for another key is refused")
    func foreignCertificate() throws {
        let texts = try (Self.everyKind(), Self.everyKind())
        func object(_ text: String) throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        }
        for index in [0, 1, 2] {
            var mixed = try object(texts.0[index])
            mixed["ca_cert"] = try object(texts.1[index])["ca_cert"]
            let bytes = [UInt8](try JSONSerialization.data(withJSONObject: mixed))
            #expect(throws: KeysError(.invalidCertificate, subject: "", reason: "")) { _ = try appKeys(bytes) }
        }
    }

    @Test("escapes in texts are resolved, and digits of either case taken")
    func escapes() throws {
        let text = try Self.everyKind()[0]
        let keys = try appKeys(text)
        let escaped = text.replacingOccurrences(of: "\\n", with: "\\u000a").replacingOccurrences(
            of: "BEGIN", with: "\\u0042EGIN"
        )
        .replacingOccurrences(of: "CERTIFICATE-----\\u000a", with: "CERTIFICATE-----\\r\\n")
        #expect(escaped != text)
        #expect(try appKeys(escaped).textForTest() == text)
        let digits = keys.diskKeyForTest()
        #expect(try appKeys(text.replacingOccurrences(of: digits, with: digits.uppercased())).textForTest() == text)
        // No block begins like this.
        #expect(throws: KeysError.self) {
            _ = try appKeys(text.replacingOccurrences(of: "BEGIN", with: "\\u00e9BEGIN"))
        }
        #expect(throws: malformed) {
            _ = try appKeys(text.replacingOccurrences(of: digits, with: "\\u0030" + digits.dropFirst()))
        }
    }

    @Test("damaged files are refused without showing a part of a secret")
    func mutations() throws {
        var random = SeededGenerator(seed: 97)
        let texts = try Self.everyKind()
        var refused = 0
        for index in SeededGenerator.rounds(2000) {
            let text = texts[index % texts.count]
            let damaged = random.mutated(Array(text.utf8))
            do {
                // What is still read is written as a file that is read.
                let keys = try appKeys(damaged)
                let written = keys.textForTest()
                #expect(try appKeys(written).textForTest() == written)
            } catch {
                refused += 1
                let message = "\(error)"
                let secrets = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
                for name in ["disk_crypt_key", "k256_key"] {
                    let digits = try secrets.text(name)
                    for start in stride(from: 0, to: 56, by: 4) {
                        #expect(!message.contains(digits.dropFirst(start).prefix(8)), "\(message)")
                    }
                }
                #expect(!message.contains("MIGH") && message.utf8.count < 400, "\(message)")
            }
        }
        #expect(refused > 500)
    }

    @Test("every kind of truncation is refused")
    func truncations() throws {
        let text = Array(try Self.everyKind()[3].utf8)
        for count in stride(from: 0, to: text.count, by: 7) {
            #expect(throws: KeysError.self) { _ = try appKeys(Array(text.prefix(count))) }
        }
    }

    @Test(
        "nothing of a key file stays in memory when its keys are gone",
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/python3"), "needs /usr/bin/python3"))
    func wiped() async throws {
        let directory = try ScratchDirectory()
        let (path, template) = (directory.path("keys.json"), try directory.write(Self.everyKind()[0], "template"))
        // Made by another process, so that no secret ever was in this one: random keys in the file, and beside it, masked,
        // what to look for. The last is the key of a path, HKDF written out.
        let script = """
            import hashlib, hmac, json, os, sys
            disk, root = os.urandom(32), os.urandom(32)
            keys = json.load(open(sys.argv[2]))
            keys["disk_crypt_key"], keys["k256_key"] = disk.hex(), root.hex()
            json.dump(keys, open(sys.argv[1], "w"))
            extracted = hmac.new(b"RATLS", root, hashlib.sha256).digest()
            derived = hmac.new(extracted, b"wiped\\x01", hashlib.sha256).digest()
            secrets = [disk, root, extracted, derived, disk.hex().encode(), root.hex().encode()]
            for number, secret in enumerate(secrets):
                open(f"{sys.argv[1]}.{number}", "wb").write(bytes(byte ^ 0x5A for byte in secret))
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = ["-c", script, path, template]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        // In a process of its own: where other tests map and give back memory, a search of all of it misses some.
        await #expect(processExitsWith: .success) { [path = path as String] in
            let masked = try (0..<6).map { [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(path).\($0)"))) }

            func use() throws -> [Int] {
                let keys = try AppKeys(contentsOf: path)
                let text = keys.encoded
                let derived = try keys.rootKey.derivedKey(path: "wiped", purpose: "x", algorithm: .secp256k1)
                _ = try keys.rootKey.derivedKey(path: "wiped", purpose: "x", algorithm: .ed25519)
                _ = try keys.rootKey.tlsKey(path: "wiped")
                _ = try keys.rootKey.messageSigner().sign([1], algorithm: .secp256k1)
                return try withExtendedLifetime(keys) {
                    try withExtendedLifetime(text) {
                        try withExtendedLifetime(derived) {
                            try masked.map { try MemoryScan.occurrences(ofMasked: $0) }
                        }
                    }
                }
            }
            // The search finds what is there, and nothing is there twice.
            let found = try use()
            #expect(found == [1, 1, 1, 1, 1, 1])
            let left = try masked.map { try MemoryScan.occurrences(ofMasked: $0) }
            #expect(left == [0, 0, 0, 0, 0, 0])
        }
    }
}
