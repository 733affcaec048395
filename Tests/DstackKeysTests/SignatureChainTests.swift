import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import TestKit
import Testing

@Suite("Signature chains")
struct SignatureChainTests {
    private static let app = AppID(FixedBytes(repeating: 3))

    @Test("algorithms have the labels that requests use")
    func labels() {
        for label in ["", "secp256k1", "k256"] { #expect(KeyAlgorithm(label: label) == .secp256k1) }
        #expect(KeyAlgorithm(label: "ed25519") == .ed25519)
        for label in ["K256", "secp256k1_prehashed", "ed25519 ", "rsa", "k256\0"] {
            #expect(KeyAlgorithm(label: label) == nil)
        }
        #expect(MessageSignatureAlgorithm(label: "k256") == .secp256k1)
        #expect(MessageSignatureAlgorithm(label: "secp256k1") == .secp256k1)
        #expect(MessageSignatureAlgorithm(label: "secp256k1_prehashed") == .secp256k1Prehashed)
        #expect(MessageSignatureAlgorithm(label: "ed25519") == .ed25519)
        #expect(MessageSignatureAlgorithm(label: "") == nil)
    }

    @Test("a chain counts for its own purpose, key, application and KMS, and for no other")
    func bindings() throws {
        let root = KMSRootKeys()
        let key = try root.appRootKey(Self.app).derivedKey(path: "p", purpose: "x", algorithm: .ed25519)
        let framed = try root.appRootKey(Self.app).derivedKey(domain: "x", algorithm: .ed25519)
        let chain = try KeySignatureChain(links: key.signatureChain)
        let good = KeyStatement.derivedKey(purpose: "x", publicKey: key.publicKey)
        #expect(throws: Never.self) { try chain.verified(for: good, appID: Self.app.bytes, root: root.key.publicKey) }
        let other = FixedBytes<20>(repeating: 4)
        let wrong: [(KeyStatement, FixedBytes<20>)] = [
            (.derivedKey(purpose: "y", publicKey: key.publicKey), Self.app.bytes),
            (.derivedKey(purpose: "x", publicKey: framed.publicKey), Self.app.bytes),
            (.framedDerivedKey(algorithm: .ed25519, domain: "x", publicKey: key.publicKey), Self.app.bytes),
            (good, other),
        ]
        for (statement, app) in wrong {
            #expect(throws: CryptoFailure.self) {
                try chain.verified(for: statement, appID: app, root: root.key.publicKey)
            }
        }
        #expect(throws: CryptoFailure.self) {
            try chain.verified(for: good, appID: Self.app.bytes, root: Secp256k1.PrivateKey().publicKey)
        }
    }

    @Test("every changed bit of a chain makes it lead elsewhere")
    func damagedChains() throws {
        let root = KMSRootKeys()
        let key = try root.appRootKey(Self.app).derivedKey(path: "p", purpose: "x", algorithm: .secp256k1)
        let statement = KeyStatement.derivedKey(purpose: "x", publicKey: key.publicKey)
        let (links, publicKey) = (key.signatureChain, root.key.publicKey)
        for link in 0...1 {
            for bit in 0..<65 * 8 {
                var damaged = links
                damaged[link][bit / 8] ^= 1 << UInt8(bit % 8)
                #expect(throws: CryptoFailure.self, "link \(link), bit \(bit)") {
                    try KeySignatureChain(links: damaged).verified(
                        for: statement, appID: Self.app.bytes, root: publicKey)
                }
            }
        }
    }

    @Test("chains of other lengths are refused, and one without a KMS by name")
    func lengths() throws {
        let seeded = try appKeySeed([UInt8](repeating: 1, count: 32)).rootKey()
        let key = try seeded.derivedKey(path: "p", purpose: "x", algorithm: .secp256k1)
        let links = key.signatureChain
        #expect(links.count == 2 && links[1].isEmpty)
        for links in [[], [links[0]], links, links + links, [links[0], links[0].dropLast()]] as [[[UInt8]]] {
            #expect(throws: CryptoFailure.self) { try KeySignatureChain(links: links) }
            #expect(throws: CryptoFailure.self) { try KeySignatureChain(signatureLinks: links) }
        }
    }

    @Test("a signed environment key is too old, from the future, or in time")
    func environmentKeyTimes() throws {
        let root = KMSRootKeys()
        let time: UInt64 = 1_700_000_000
        let signed = try root.signedEnvironmentKey(Self.app, timestamp: time)
        for offset in [-60, 0, 1, 300] as [Int64] {
            #expect(try signed.signer(now: Int64(time) + offset) == root.key.publicKey)
        }
        for now in [Int64(time) - 61, Int64(time) + 301, .min, .max, 0, -1] {
            #expect(throws: CryptoFailure.self) { try signed.signer(now: now) }
        }
        let far = try root.signedEnvironmentKey(Self.app, timestamp: .max)
        #expect(throws: CryptoFailure.self) { try far.signer(now: .max) }
        // A legacy signature does not pass for one with a time, nor for another application or key.
        let legacy = try root.signedEnvironmentKey(Self.app, timestamp: nil)
        let relabelled = SignedEnvironmentKey(
            appID: Self.app.bytes, key: legacy.key, timestamp: time, signature: legacy.signature)
        #expect((try? relabelled.signer(now: Int64(time))) != root.key.publicKey)
    }

    @Test("messages are signed and verified with every algorithm")
    func messages() throws {
        let signer = try KMSRootKeys().appRootKey(Self.app).messageSigner()
        let message = Array("message".utf8)
        for algorithm in MessageSignatureAlgorithm.allCases {
            let data = algorithm == .secp256k1Prehashed ? SHA256.hash(message).bytes : message
            let signed = try signer.sign(data, algorithm: algorithm)
            #expect(signed.publicKey == signer.publicKey(algorithm.keyAlgorithm))
            func verdict(_ signature: [UInt8], _ data: [UInt8], _ key: [UInt8]) -> Bool? {
                try? MessageSigner.isValidSignature(signature, over: data, publicKey: key, algorithm: algorithm)
            }
            #expect(verdict(signed.signature, data, signed.publicKey) == true)
            #expect(verdict(signed.signature, data + [0], signed.publicKey) == false)
            #expect(verdict(signed.signature, [], signed.publicKey) == false)
            #expect(verdict(signed.signature + [0], data, signed.publicKey) == nil)
            #expect(verdict([], data, signed.publicKey) == nil)
            #expect(verdict(signed.signature, data, []) == nil)
            #expect(verdict(signed.signature, data, [UInt8](repeating: 0, count: signed.publicKey.count)) == nil)
        }
        for count in [0, 31, 33, 64] {
            #expect(throws: KeysError(.invalidRequest, subject: "", reason: "")) {
                try signer.sign([UInt8](repeating: 1, count: count), algorithm: .secp256k1Prehashed)
            }
        }
    }

    @Test("secp256k1 numbers out of range are malformed, an uncompressed key is as good as a compressed one")
    func ranges() throws {
        let signer = try KMSRootKeys().appRootKey(Self.app).messageSigner()
        let signed = try signer.sign([1], algorithm: .secp256k1)
        let point = try Secp256k1.PublicKey(sec1: signed.publicKey)
        func verdict(_ signature: [UInt8]) -> Bool? {
            try? MessageSigner.isValidSignature(
                signature, over: [1], publicKey: point.uncompressed.bytes, algorithm: .secp256k1)
        }
        #expect(verdict(signed.signature) == true)
        let order = hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
        let zero = [UInt8](repeating: 0, count: 32)
        let (r, s) = (Array(signed.signature[..<32]), Array(signed.signature[32...]))
        for wrong in [zero + s, r + zero, order + s, r + order, [UInt8](repeating: 255, count: 64)] {
            #expect(verdict(wrong) == nil)
        }
        // n - 1 is in range, and above n/2.
        #expect(verdict(r + order.dropLast() + [0x40]) == false)
    }

    @Test("root keys and seeds that are none are refused")
    func badKeys() {
        let order = hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
        let invalid = KeysError(.invalidKey, subject: "", reason: "")
        for bytes in [[], [1], [UInt8](repeating: 0, count: 32), order, [UInt8](repeating: 1, count: 33)] {
            #expect(throws: invalid) { _ = try appRootKey(bytes) }
        }
        for count in [0, 31, 33] {
            #expect(throws: invalid) { _ = try appKeySeed([UInt8](repeating: 1, count: count)) }
        }
        #expect(throws: invalid) { _ = try keyParent([1]).bytes(.empty, count: 255 * 32 + 1) }
        #expect(throws: invalid) { _ = try keyParent([1]).bytes(.empty, count: -1) }
    }

    @Test("a TLS key is read from the PEM text that it writes")
    func tlsKeys() throws {
        let key = TLSKey()
        let text = key.withUnsafePEM { Array($0) }
        let read = try TLSKey(pem: text.span.bytes)
        #expect(read.publicKey == key.publicKey)
        #expect(TLSKey().publicKey != key.publicKey)
        let nothing = Array("nothing".utf8)
        #expect(throws: KeysError(.invalidKey, subject: "", reason: "")) { _ = try TLSKey(pem: nothing.span.bytes) }
    }
}
