import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackMockTEE
import DstackNetwork
import Foundation

/// A client's certificate and key, each of which may be a lie.
struct ClientIdentity {
    /// Leaf first, DER.
    var chain: [[UInt8]]
    /// PKCS#8 or SEC 1, PEM.
    var key: [UInt8]

    /// What stands in a certificate in place of evidence that its key is the machine's.
    enum Evidence {
        case good
        case none
        /// Somebody else's: about another key.
        case ofAnotherKey
        /// Good, but for what is changed in it.
        case changed((inout Attestation) throws -> Void)
        /// Another machine's, or one in another state.
        case made((ReportData) throws -> Attestation)
    }

    /// A certificate that signs itself.
    ///
    /// - Parameter edit: of the certificate, before it is signed.
    init(
        _ boot: MockBoot, _ evidence: Evidence = .good, edit: (inout CertificateTemplate) -> Void = { _ in }
    ) throws {
        try self.init(boot, evidence, edit) { template, key in [try template.selfSigned(by: key.key)] }
    }

    /// One of the temporary CA.
    init(_ boot: MockBoot, issuedBy authority: borrowing CertificateAuthority) throws {
        try self.init(boot, .good, { _ in }) { template, key in
            try authority.issue(template, for: key.key.publicKey)
        }
    }

    private init(
        _ boot: MockBoot, _ evidence: Evidence, _ edit: (inout CertificateTemplate) -> Void,
        issue: (CertificateTemplate, borrowing TLSKey) throws -> [[UInt8]]
    ) throws {
        let key = TLSKey()
        let about = if case .ofAnotherKey = evidence { TLSKey().reportData } else { key.reportData }
        var attestation: Attestation?
        switch evidence {
        case .good, .ofAnotherKey: attestation = try boot.attestation(reportData: about)
        case .none: break
        case .changed(let change):
            var changed = try boot.attestation(reportData: about)
            try change(&changed)
            attestation = changed
        case .made(let make): attestation = try make(about)
        }
        var template = CertificateTemplate.temporaryClient(
            evidence: try attestation.map { try EvidenceEncoding.standard.extensions(for: $0) } ?? [],
            now: Int64(Date().timeIntervalSince1970))
        edit(&template)
        chain = try issue(template, key)
        self.key = key.withUnsafePEM { Array($0) }
    }

    /// This one's certificate, with a key that only says that it belongs to it: its public half is right, its private half
    /// is somebody else's. Programs that hold such a pair notice nothing.
    func stolen() throws -> ClientIdentity {
        let publicKey = try P256.PublicKey(spki: Array(Certificate(der: chain[0]).subjectPublicKeyInfo))
        let own = P256.PrivateKey()
        let forged = P256.sec1Prefix + own.scalar.copiedToUnprotectedMemory() + P256.sec1Middle + publicKey.uncompressed
        var stolen = self
        stolen.key = Array(PEM.encode("EC PRIVATE KEY", forged).utf8)
        return stolen
    }

    var chainPEM: String { chain.map { CertificatePEM.encode($0) }.joined() }

    var credentials: TLSCredentials { TLSCredentials(certificateChain: Array(chainPEM.utf8), privateKey: key) }
}
