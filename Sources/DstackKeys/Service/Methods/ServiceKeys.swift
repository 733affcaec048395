import DstackCrypto
import DstackEncoding
package import DstackKMS
import DstackKeys
import DstackRPC

/// The keys that a running service has, and its certificates as they are handed out.
package final class ServiceKeys: Sendable {
    package let material: RootKeyMaterial
    package let domain: KMSDomainName
    /// The root CA, which issues.
    let root: CertificateAuthority
    /// PEM.
    package let rootCertificate: String
    let temporaryCertificate: String
    /// Of this service's own key; DER.
    let rpcCertificate: [UInt8]
    /// PKCS#8, PEM; given to anyone by design.
    let temporaryKey: RPCSecretText
    /// As ``RootKeyFile/bootstrapInfo`` has it; nil where the keys came from elsewhere.
    let bootstrapInfo: KMSRPC.BootstrapResponse?

    /// - Parameter certificates: those that hold now.
    package init(
        _ keys: consuming LoadedRootKeys, _ certificates: RootKeyCertificates, domain: KMSDomainName
    ) throws(KMSServiceError) {
        // What cannot be read of it is no reason not to serve: it is there for people.
        bootstrapInfo = keys.bootstrapInfo.flatMap { Self.bootstrapInfo($0) }
        material = keys.takeMaterial()
        self.domain = domain
        do throws(KeysError) {
            root = try CertificateAuthority(key: material.copyOfCAKey(), chain: [certificates.root])
        } catch {
            throw KMSServiceError(error)
        }
        rootCertificate = CertificatePEM.encode(certificates.root)
        rpcCertificate = certificates.rpc
        temporaryCertificate = CertificatePEM.encode(certificates.temporary)
        temporaryKey = RPCSecretText(utf8: RPCSecret(material.temporaryCAKey.pkcs8PEM))
    }

    private static func bootstrapInfo(_ text: [UInt8]) -> KMSRPC.BootstrapResponse? {
        guard let root = try? JSONDocument(parsing: text, subject: "bootstrap info").root else { return nil }
        return try? KMSRPC.BootstrapResponse(json: root)
    }

    /// SubjectPublicKeyInfo of the root CA, DER.
    package var caPublicKey: [UInt8] { material.roots.caPublicKey }
}
