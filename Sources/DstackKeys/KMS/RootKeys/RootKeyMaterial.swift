package import DstackCrypto
import DstackEncoding
package import DstackKeys

/// The secrets of a KMS: those that all services of the same root share, and the key of this one's server.
package struct RootKeyMaterial: ~Copyable, Sendable {
    package let roots: KMSRootKeys
    /// The key of the CA for certificates by which guests introduce themselves; given to anyone by design.
    package let temporaryCAKey: P256.PrivateKey
    /// This service's own.
    package let rpcKey: TLSKey

    /// New secrets, for a service that is set up.
    package init(random: some RandomBytes = SystemRandom()) {
        roots = KMSRootKeys(random: random)
        temporaryCAKey = P256.PrivateKey(random: random)
        rpcKey = TLSKey(random: random)
    }

    /// Another service's secrets, with a new key for this one's server.
    package init(
        roots: consuming KMSRootKeys, temporaryCAKey: consuming P256.PrivateKey,
        rpcKey: consuming TLSKey = TLSKey()
    ) {
        self.roots = roots
        self.temporaryCAKey = temporaryCAKey
        self.rpcKey = rpcKey
    }

    /// The certificates that belong to them.
    ///
    /// - Parameters:
    ///   - domain: the service's host name.
    ///   - evidence: about the RPC key; none in development.
    ///   - profile: the form of those that are new.
    ///   - now: Unix seconds.
    ///   - root: the root CA's certificate, DER; nil for a new one.
    ///   - temporary: the temporary CA's certificate, DER; nil for a new one.
    package borrowing func certificates(
        domain: KMSDomainName, evidence: [CertificateTemplate.EvidenceExtension],
        _ profile: CertificateProfile = .upstream, at now: Int64, root: [UInt8]? = nil, temporary: [UInt8]? = nil
    ) throws(KMSStateError) -> RootKeyCertificates {
        do throws(KeysError) {
            let rootDER: [UInt8]
            if let root {
                rootDER = root
            } else {
                rootDER = try CertificateTemplate.kmsRoot(profile, now: now).selfSigned(by: roots.caKey)
            }
            let temporaryDER: [UInt8]
            if let temporary {
                temporaryDER = temporary
            } else {
                temporaryDER = try CertificateTemplate.temporaryClientCA(profile, now: now)
                    .selfSigned(by: temporaryCAKey)
            }
            let authority = try CertificateAuthority(key: Self.copy(roots.caKey), chain: [rootDER])
            let server = CertificateTemplate.kmsServer(profile, domain: domain.name, evidence: evidence, now: now)
            guard let rpc = try authority.issue(server, for: rpcKey.key.publicKey).first else {
                throw KeysError(.invalidCertificate, subject: "RPC certificate", reason: "none was issued")
            }
            return RootKeyCertificates(root: rootDER, temporary: temporaryDER, rpc: rpc)
        } catch {
            throw KMSStateError(.invalidKey, error)
        }
    }

    /// The root CA's key once more, for who issues certificates by it.
    package borrowing func copyOfCAKey() throws(KeysError) -> P256.PrivateKey { try Self.copy(roots.caKey) }

    static func copy(_ key: borrowing P256.PrivateKey) throws(KeysError) -> P256.PrivateKey {
        do {
            return try P256.PrivateKey(scalar: key.scalar.duplicate())
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }
}

/// Certificates of a KMS, DER.
package struct RootKeyCertificates: Sendable, Hashable {
    package let root: [UInt8]
    package let temporary: [UInt8]
    package let rpc: [UInt8]
}

/// The host name of a KMS, as bootstrap and onboarding take it.
package struct KMSDomainName: Sendable, Hashable {
    package let name: String

    /// - Throws: ``KMSStateError/Code/malformed`` in upstream's words.
    package init(_ name: String) throws(KMSStateError) {
        let bytes = Array(name.utf8)
        guard (1...253).contains(bytes.count), bytes.allSatisfy({ $0 < 0x80 }) else {
            throw KMSStateError(.malformed, "domain", "domain must be a non-empty ASCII DNS name of at most 253 bytes")
        }
        let hyphen = UInt8(ascii: "-")
        for label in bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            let isValid =
                (1...63).contains(label.count) && label.first != hyphen && label.last != hyphen
                && label.allSatisfy { byte in
                    byte == hyphen || (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
                }
            guard isValid else { throw KMSStateError(.malformed, "domain", "domain contains an invalid DNS label") }
        }
        self.name = name
    }
}
