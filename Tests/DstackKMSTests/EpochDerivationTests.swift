import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKeys
import TestKit
import Testing

@Suite("Keys of epochs")
struct EpochDerivationTests {
    /// What a key was derived for.
    private struct Use: Hashable {
        var purpose: KMSKeyPurpose
        var algorithm: String
        var epoch: KeyEpoch
        var app: AppID?
        var path: [UInt8]

        var context: KeyContext {
            .kmsKey(purpose: purpose, algorithm: algorithm, epoch: epoch, app: app, path: path)
        }
    }

    @Test("different applications, paths, purposes, algorithms and epochs give different keys")
    func distinct() throws {
        var generator = SeededGenerator(seed: 3)
        // Few values of each part, so that uses differ in one or two; parts that look like the ends of others among them.
        let algorithms = ["", "p256", "p256\0", "secp256k1", "x25519"]
        let epochs: [UInt64] = [0, 1, 2, 256, 1 << 32, .max]
        let paths: [[UInt8]] = [[], [0], [0, 0, 0, 0], Array("p256".utf8), [UInt8](repeating: 1, count: 20)]
        var uses: Set<Use> = []
        for _ in 0..<3_000 {
            uses.insert(
                Use(
                    purpose: KMSKeyPurpose.allCases.randomElement(using: &generator) ?? .appCA,
                    algorithm: algorithms.randomElement(using: &generator) ?? "",
                    epoch: KeyEpoch(epochs.randomElement(using: &generator) ?? 0),
                    app: [nil, app(0), app(1), app(0xFF)].randomElement(using: &generator) ?? nil,
                    path: paths.randomElement(using: &generator) ?? []))
        }
        #expect(uses.count > 1_500)
        #expect(Set(uses.map(\.context)).count == uses.count)
        let parent = KeyParent([UInt8](repeating: 9, count: 32).span.bytes, family: .kmsV2)
        let keys = try Set(uses.map { try parent.bytes($0.context).copiedToUnprotectedMemory() })
        #expect(keys.count == uses.count)
        // Not even the same context gives the same key in another family.
        let standard = KeyParent([UInt8](repeating: 9, count: 32).span.bytes)
        for use in uses.prefix(100) {
            #expect(try !keys.contains(standard.bytes(use.context).copiedToUnprotectedMemory()))
        }
    }

    @Test("an epoch has other keys of every kind, and the first has those without epoch")
    func kinds() throws {
        let roots = roots()
        let instance = InstanceID(FixedBytes(repeating: 7))
        var keys: [[UInt8]] = []
        for number: UInt64 in 0...3 {
            let epoch = KeyEpoch(number)
            keys.append(try roots.appCAKey(app(1), epoch: epoch).scalar.copiedToUnprotectedMemory())
            keys.append(try roots.diskKey(app(1), instance: instance, epoch: epoch).copiedToUnprotectedMemory())
            keys.append(try roots.diskKey(app(1), instance: nil, epoch: epoch).copiedToUnprotectedMemory())
            keys.append(try roots.environmentKey(app(1), epoch: epoch).publicKey.bytes.bytes)
            keys.append(try roots.appRootKey(app(1), epoch: epoch).publicKey.bytes)
        }
        #expect(Set(keys).count == keys.count)
        #expect(try keys[0] == roots.appCAKey(app(1)).scalar.copiedToUnprotectedMemory())
        #expect(try keys[4] == roots.appRootKey(app(1)).publicKey.bytes)
    }

    @Test("the root vouches for an application's root key of every epoch")
    func issued() throws {
        let roots = roots()
        let key = try roots.appRootKey(app(1), epoch: KeyEpoch(5))
        let statement = KeyStatement.issuedAppKey(appID: app(1).bytes, key: key.publicKey)
        let signature = try Secp256k1.Signature(key.issuance)
        #expect(try signature.signer(of: statement).compressed == roots.publicKey)
    }

    @Test("keys of later epochs are frozen: these were computed apart from this program")
    func pinned() throws {
        let ca = try P256.PrivateKey(scalar: SecretBytes(copying: [UInt8](repeating: 0x11, count: 32)))
        let key = try Secp256k1.PrivateKey(scalar: SecretBytes(copying: [UInt8](repeating: 0x22, count: 32)))
        let roots = KMSRootKeys(caKey: ca, key: key)
        let instance = InstanceID(FixedBytes(repeating: 0x44))
        func hex(_ secret: borrowing SecretBytes) -> String { Hex.encode(secret.copiedToUnprotectedMemory()) }
        #expect(
            try hex(roots.appCAKey(app(0x33), epoch: KeyEpoch(1)).scalar)
                == "fce6f01090a755898684b13c384fd2d9d7f8fb1a554a688e91c99a008fa9825f")
        #expect(
            try hex(roots.diskKey(app(0x33), instance: instance, epoch: KeyEpoch(1)))
                == "85fd9169a659527fae6c8465c4ad755e0b2b656b07e3e25467e36999ba1a57da")
        #expect(
            try hex(roots.diskKey(app(0x33), instance: nil, epoch: KeyEpoch(2)))
                == "8a9268c11483deb4abf0f2c75103676e26bb6a65fd2b9d687d333fab7075648c")
        #expect(
            try hex(roots.appRootKey(app(0x33), epoch: KeyEpoch(1)).key.scalar)
                == "f28c8e5932c9434d066ba5506e28d427214e98f47f706bf9e65526629f9a1ce4")
        #expect(
            try hex(roots.auditKey(log: FixedBytes(repeating: 0x55)).scalar)
                == "03db31edc1b2213bcc8e54e2ba8ffedefb6fbc3dc363d6277aa6041780ddaca8")
    }
}
