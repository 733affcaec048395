import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import TestKit
import Testing

/// Which requests lead to the same key, and which never do.
@Suite("Separation of keys")
struct KeySeparationTests {
    private static func app(_ byte: UInt8) -> AppID { AppID(FixedBytes(repeating: byte)) }

    /// Texts that lie close to each other, or to the labels of derivation, in one way or another. All differ in their bytes,
    /// two of them only in these.
    private static let paths: [String] = [
        "", "/", "//", "a", "a/", "/a", "a/b", "a//b", "ab", "A", "a\0", "\0", "a ", " a", "b", "vms ", "VMS",
        "app-key", "app-ca",
        "app-disk-crypt-key", "env-encrypt-key", "app-k256-key", "dstack-guest-v1-key", "secp256k1", "ed25519",
        "signing",
        "\u{E9}", "e\u{301}", "0", "00", String(repeating: "0", count: 40), String(repeating: "0", count: 64),
        String(repeating: "a", count: 4096), String(repeating: "a", count: 4097),
    ]

    private func generator() -> SeededGenerator { SeededGenerator(seed: 11) }

    /// A text of up to five characters out of few, so that parts of two often make the same when they are joined.
    private func shortText(_ random: inout SeededGenerator) -> String {
        String((0..<Int.random(in: 0...5, using: &random)).map { _ in "ab/\0".randomElement(using: &random) ?? "a" })
    }

    // MARK: What differs

    @Test("in the compatible form distinct applications and paths have distinct keys")
    func compatible() throws {
        let keys = KMSRootKeys()
        var random = generator()
        let texts = Self.paths + SeededGenerator.rounds(100).map { _ in shortText(&random) }
        let paths = Dictionary(texts.map { (Array($0.utf8), $0) }) { first, _ in first }
        // Swift takes the two spellings of é for equal; the keys do not.
        #expect(paths.count > Set(Self.paths).count)
        var found = Set<String>()
        for byte in UInt8(0)..<6 {
            let root = try keys.appRootKey(Self.app(byte))
            for path in paths.values {
                found.insert(try root.derivedKey(path: path, purpose: "", algorithm: .secp256k1).hexForTest())
            }
        }
        #expect(found.count == 6 * paths.count)
    }

    private struct Request: Hashable {
        let purpose: KMSKeyPurpose
        let algorithm: String
        let epoch: UInt64
        let app: UInt8?
        let path: [UInt8]

        var context: KeyContext {
            .kmsKey(
                purpose: purpose, algorithm: algorithm, epoch: KeyEpoch(epoch), app: app.map(KeySeparationTests.app),
                path: path)
        }
    }

    @Test("in the framed form of a KMS distinct (application, path, purpose, algorithm, epoch) have distinct keys")
    func framed() throws {
        var random = generator()
        var requests = Set<Request>()
        for _ in SeededGenerator.rounds(3000) {
            requests.insert(
                Request(
                    purpose: KMSKeyPurpose.allCases.randomElement(using: &random) ?? .appRoot,
                    algorithm: shortText(&random), epoch: UInt64.random(in: 1...3, using: &random),
                    app: [nil, 0, 1, 0x61].randomElement(using: &random) ?? nil, path: Array(shortText(&random).utf8)))
        }
        // The same bytes on either side of a border between parts.
        for cut in 0...4 {
            let text = "aaaa"
            let (algorithm, path) = (String(text.prefix(cut)), Array(text.utf8.dropFirst(cut)))
            requests.insert(Request(purpose: .appRoot, algorithm: algorithm, epoch: 1, app: 0x61, path: path))
            requests.insert(Request(purpose: .appRoot, algorithm: algorithm, epoch: 1, app: nil, path: path))
        }
        for epoch in [1, 0xFF, 0x100, 1 << 32, .max] as [UInt64] {
            requests.insert(Request(purpose: .appRoot, algorithm: "p256", epoch: epoch, app: 1, path: []))
        }
        #expect(requests.count > 1000)
        #expect(Set(requests.map(\.context)).count == requests.count)
        let parent = keyParent([UInt8](repeating: 3, count: 32))
        var keys = Set<String>()
        for request in requests { keys.insert(try parent.bytes(request.context).hexForTest()) }
        #expect(keys.count == requests.count)
    }

    @Test("in version 1 of the guest's interface distinct (application, domain, algorithm, epoch) have distinct keys")
    func guest() throws {
        let keys = KMSRootKeys()
        let domains = Dictionary(Self.paths.map { (Array($0.utf8), $0) }) { first, _ in first }.values
        var found = Set<String>()
        var count = 0
        for byte in UInt8(0)..<3 {
            for epoch in UInt64(0)..<3 {
                let root = try keys.appRootKey(Self.app(byte), epoch: KeyEpoch(epoch))
                for domain in domains {
                    for algorithm in [KeyAlgorithm.secp256k1, .ed25519] {
                        found.insert(try root.derivedKey(domain: domain, algorithm: algorithm).hexForTest())
                        count += 1
                    }
                }
            }
        }
        #expect(found.count == count)
    }

    @Test(
        "keys of different purposes, applications, instances and epochs have nothing in common, upstream's among them")
    func hierarchy() throws {
        let keys = KMSRootKeys()
        var found: [String: String] = [:]
        func insert(_ secret: String, _ name: String) {
            #expect(found.updateValue(name, forKey: secret) == nil, "\(name) and another have the same key")
        }
        insert(keys.caKey.scalar.hexForTest(), "root CA")
        insert(keys.key.scalar.hexForTest(), "root key")
        for log in UInt8(0)..<2 {
            insert(try keys.auditKey(log: FixedBytes(repeating: log)).scalar.hexForTest(), "audit log \(log)")
        }
        for byte in UInt8(0)..<3 {
            let app = Self.app(byte)
            for number in UInt64(0)..<4 {
                let epoch = KeyEpoch(number)
                let name = "application \(byte), epoch \(number)"
                insert(try keys.appCAKey(app, epoch: epoch).scalar.hexForTest(), "CA of \(name)")
                insert(try keys.environmentKey(app, epoch: epoch).secret.hexForTest(), "environment of \(name)")
                insert(try keys.diskKey(app, instance: nil, epoch: epoch).hexForTest(), "disk of \(name)")
                for instance in UInt8(0)..<2 {
                    let id = InstanceID(FixedBytes(repeating: instance))
                    insert(
                        try keys.diskKey(app, instance: id, epoch: epoch).hexForTest(), "disk \(instance) of \(name)")
                }
                let root = try keys.appRootKey(app, epoch: epoch)
                insert(root.key.scalar.hexForTest(), "root of \(name)")
                for path in ["", "a", "vms"] {
                    let key = try root.derivedKey(path: path, purpose: "", algorithm: .secp256k1)
                    insert(key.hexForTest(), "path \(path) of \(name)")
                    let framed = try root.derivedKey(domain: path, algorithm: .secp256k1)
                    insert(framed.hexForTest(), "domain \(path) of \(name)")
                }
            }
        }
    }

    // MARK: What is the same by design

    /// docs/kms-state.md lists these for users.
    @Test("of a path, purposes, algorithms and the old TLS key share their bytes", arguments: [UInt64(0), 1])
    func sharedByPath(epoch: UInt64) throws {
        let root = try KMSRootKeys().appRootKey(Self.app(1), epoch: KeyEpoch(epoch))
        let key = try root.derivedKey(path: "a", purpose: "", algorithm: .secp256k1).hexForTest()
        for purpose in ["", "signing", "a"] {
            for algorithm in [KeyAlgorithm.secp256k1, .ed25519] {
                let other = try root.derivedKey(path: "a", purpose: purpose, algorithm: algorithm)
                #expect(other.hexForTest() == key)
            }
        }
        #expect(try root.tlsKey(path: "a").key.scalar.hexForTest() == key)
    }

    @Test("the path \"vms\" is the key that signs messages")
    func messageSigner() throws {
        let root = try KMSRootKeys().appRootKey(Self.app(1))
        let signer = try root.messageSigner()
        let key = try root.derivedKey(path: "vms", purpose: "", algorithm: .secp256k1)
        let message = Array("message".utf8)
        #expect(try signer.sign(message, algorithm: .secp256k1).publicKey == key.publicKey)
        let edwards = try root.derivedKey(path: "vms", purpose: "", algorithm: .ed25519)
        #expect(try signer.sign(message, algorithm: .ed25519).publicKey == edwards.publicKey)
    }

    @Test("parts of a context are joined without borders, where their lengths are not fixed")
    func unframed() throws {
        #expect(KeyContext([[1, 2], [3]]) == KeyContext([[1], [2, 3]]))
        let parent = keyParent([UInt8](repeating: 3, count: 32))
        #expect(
            try parent.bytes(KeyContext([[1, 2], [3]])).hexForTest()
                == parent.bytes(KeyContext([[], [1, 2, 3]])).hexForTest())
        // What upstream derives for a KMS has identifiers of fixed length in front, so that no two contexts of these meet.
        let (app, instance) = (Self.app(1), InstanceID(FixedBytes(repeating: 1)))
        let contexts: [KeyContext] = [
            .appCA(app), .disk(app, nil), .disk(app, instance), .environment(app), .appRoot(app),
        ]
        #expect(Set(contexts.map(\.info.count)).count == contexts.count)
    }

    @Test("instances without an identifier share one disk key, in every epoch", arguments: [UInt64(0), 1])
    func sharedDisk(epoch: UInt64) throws {
        let keys = KMSRootKeys()
        let first = try keys.diskKey(Self.app(1), instance: nil, epoch: KeyEpoch(epoch)).hexForTest()
        let second = try keys.diskKey(Self.app(1), instance: nil, epoch: KeyEpoch(epoch)).hexForTest()
        #expect(first == second)
    }

    @Test("services of one root share every key but their own")
    func sharedRoots() throws {
        let random = P256.PrivateKey()
        let scalar = random.scalar.hexForTest()
        func service() throws -> KMSRootKeys {
            try KMSRootKeys(caKey: p256Key(scalar), key: secp256k1Key(String(repeating: "22", count: 32)))
        }
        let first = try service()
        let second = try service()
        for epoch in [KeyEpoch(0), KeyEpoch(5)] {
            let keys = try first.appRootKey(Self.app(1), epoch: epoch).key.scalar.hexForTest()
            #expect(try second.appRootKey(Self.app(1), epoch: epoch).key.scalar.hexForTest() == keys)
        }
    }
}
