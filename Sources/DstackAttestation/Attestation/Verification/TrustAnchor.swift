import DstackCrypto
public import DstackEncoding
import DstackSystem

/// The root that everything must lead back to: Intel's, unless a relying party says otherwise.
public struct TrustAnchor: Sendable {
    /// The self-signed root certificate.
    let certificate: Certificate
    let point: FixedBytes<64>

    /// Whether this is Intel's SGX Root CA, by its public key.
    public let isIntel: Bool

    /// The root certificate, DER.
    public var der: [UInt8] { certificate.der }
    /// SHA-256 of the root's SubjectPublicKeyInfo: what pins it.
    public var publicKeyDigest: FixedBytes<32> { SHA256.hash(Array(certificate.subjectPublicKeyInfo)) }
    /// SHA-384 of the root's uncompressed point, Intel's `root_key_id`.
    public var rootKeyID: FixedBytes<48> { SHA384.hash([4] + point.bytes) }
    /// The common name of the root.
    public var name: String { certificate.subjectCommonName }

    /// Whether this is the root of a simulated TEE: its name begins with "Simulated". Such a root proves nothing about
    /// hardware, and evidence that leads to it is called simulated (``VerificationReport/isSimulated``).
    public var isSimulated: Bool { !isIntel && SimulatedTEE.names(name) }

    /// A root of the relying party's choice, DER or PEM.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_trust_root` unless it is one self-signed CA certificate with a
    ///   P-256 key, without constraints that this library does not enforce.
    public init(certificate bytes: [UInt8]) throws(AttestationError) {
        func invalid(_ reason: String) -> AttestationError {
            AttestationError(.invalidTrustRoot, subject: "trust root", reason: reason)
        }
        do throws(DecodingFailure) {
            var der = bytes
            if bytes.first != DERTag.sequence.octet {
                let blocks = try PEM.decode(bytes, label: "CERTIFICATE")
                guard blocks.count == 1 else {
                    throw DecodingFailure(
                        .malformed, "trust root", "one certificate in DER or PEM expected, found \(blocks.count)")
                }
                der = blocks[0]
            }
            certificate = try Certificate(der: der)
        } catch {
            throw Self.misnomer(bytes, error)
        }
        guard let point = certificate.p256Point, let key = P256VerifyingKey(point: point),
            certificate.isSignedWithP256SHA256Algorithm
        else { throw invalid("a P-256 key and ecdsa-with-SHA256 expected") }
        guard certificate.subject == certificate.issuer, let signature = try? certificate.p256Signature(),
            key.isValid(signature, digest: certificate.digest)
        else { throw invalid("not self-signed") }
        if let issue = CertificateRules.issueAsAuthority(certificate, "trust root") { throw invalid(issue.message) }
        self.point = point
        isIntel = point == Self.intelPoint
    }

    /// What was given as a root and is something else, where that can be told; else what its reader says.
    private static func misnomer(_ bytes: [UInt8], _ failure: DecodingFailure) -> AttestationError {
        let file = EvidenceFile(recognising: bytes)
        let hint = "name one certificate, PEM or DER; a simulated TEE's is the root.pem beside its evidence"
        switch file.kind {
        case .certificate, .binary:
            let place = failure.offset.map { " at byte \($0)" } ?? ""
            return AttestationError(
                .invalidTrustRoot, subject: "trust root\(place)", reason: failure.reason, hint: hint)
        default:
            return AttestationError(
                .invalidTrustRoot, subject: "trust root",
                reason: "this is \(file.described); a root certificate is needed", hint: hint)
        }
    }

    /// A root of the relying party's choice from a file, DER or PEM.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_trust_root`, also for a file that cannot be read.
    public init(path: String) throws(AttestationError) {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try File.read(path, limit: 1 << 20)
        } catch {
            throw AttestationError(.invalidTrustRoot, subject: "trust root", reason: error.description)
        }
        do throws(AttestationError) {
            try self.init(certificate: bytes)
        } catch {
            throw AttestationError(.invalidTrustRoot, subject: path, reason: error.reason, hint: error.hint)
        }
    }

    /// X‖Y of Intel's SGX Root CA (attestation.trustedservices.intel.com; SHA-256 of its SubjectPublicKeyInfo is
    /// a0af0312…). The pin: a certificate of the same name with another key is not Intel's.
    static let intelPoint: FixedBytes<64> =
        FixedBytes(
            hex: """
                0ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5\
                67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394
                """) ?? FixedBytes()
}
