import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackMockTEE
import Testing

/// All secrets of an application, to be compared.
struct AppKeyBytes: Hashable {
    let disk: [UInt8]
    let environment: [UInt8]
    let root: [UInt8]
    let issuance: [UInt8]

    init(_ keys: borrowing AppKeys) {
        disk = keys.diskKey.copiedToUnprotectedMemory()
        switch keys.environmentKey {
        case .some(let key): environment = key.secret.copiedToUnprotectedMemory()
        case .none: environment = []
        }
        root = keys.rootKey.key.scalar.copiedToUnprotectedMemory()
        issuance = keys.rootKey.issuance
    }

    /// What follows from root keys, by the library alone.
    init(from roots: borrowing KMSRootKeys, _ app: MockBoot, epoch: UInt64 = 0) throws {
        let epoch = KeyEpoch(epoch)
        disk = try roots.diskKey(app.appID, instance: app.instanceID, epoch: epoch).copiedToUnprotectedMemory()
        environment = try roots.environmentKey(app.appID, epoch: epoch).secret.copiedToUnprotectedMemory()
        let key = try roots.appRootKey(app.appID, epoch: epoch)
        root = key.key.scalar.copiedToUnprotectedMemory()
        issuance = key.issuance
    }

    /// As a client in JSON reads an answer.
    init(answer: [String: Any]) throws {
        func bytes(_ name: String) throws -> [UInt8] {
            try Hex.decode(#require(answer[name] as? String), prefix: .none, subject: name)
        }
        disk = try bytes("disk_crypt_key")
        environment = try bytes("env_crypt_key")
        root = try bytes("k256_key")
        issuance = try bytes("k256_signature")
    }
}
