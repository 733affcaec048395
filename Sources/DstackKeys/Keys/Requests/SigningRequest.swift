public import DstackAttestation
package import DstackCrypto
import DstackEncoding

/// A guest's request for a certificate: dstack's own form, not PKCS#10. It names a key, says what the certificate is to
/// have, and carries evidence about the key.
///
/// Parsed is not verified: ``verified(signature:)`` says whether the key's holder made it.
public struct SigningRequest: Sendable, Hashable {
    /// The two versions of the form; the raw value is the version of the interface.
    public enum Version: UInt32, Sendable, Hashable {
        /// Quote and event log; no choice of validity and of app info.
        case v1 = 1
        /// An attestation envelope.
        case v2 = 2
    }

    /// Evidence about the key.
    public enum Evidence: Sendable, Hashable {
        /// Version 1: a TDX quote and its event log as JSON.
        case quote([UInt8], eventLog: [UInt8])
        /// Version 2.
        case attestation(Attestation)
    }

    /// SubjectPublicKeyInfo of the key, DER.
    public let publicKey: [UInt8]
    /// What the certificate is to have.
    public let configuration: CertificateConfiguration
    /// Evidence about the key.
    public let evidence: Evidence
    /// The request as it is signed and sent.
    public let bytes: [UInt8]
    /// What stands where the text that is signed has its purpose; anything but ``purpose`` is not verified.
    private let confirmation: String

    /// Keeps a request apart from anything else that the key signs.
    static let purpose = "please sign cert:"

    /// The largest request that is read: an attestation's limit, and 1 MiB for the rest.
    public static let maximumByteCount = Attestation.maximumByteCount + 1 << 20

    /// Which version of the form it has.
    public var version: Version {
        switch evidence {
        case .quote: .v1
        case .attestation: .v2
        }
    }

    /// A request for a key, to be signed by it.
    ///
    /// - Throws: ``KeysError/Code/invalidRequest`` where version 1 has no place for a part of the configuration.
    public init(
        publicKey: [UInt8], configuration: CertificateConfiguration, evidence: Evidence
    ) throws(KeysError) {
        if case .quote = evidence {
            let isRepresentable =
                !configuration.includesAppInfo && configuration.notBefore == nil && configuration.notAfter == nil
            guard isRepresentable else {
                throw KeysError(
                    .invalidRequest, subject: "signing request",
                    reason: "version 1 has no place for app info and validity; use version 2")
            }
        }
        self.publicKey = publicKey
        self.configuration = configuration
        self.evidence = evidence
        confirmation = Self.purpose
        bytes = Self.encode(publicKey, configuration, evidence)
    }

    /// Reads a request.
    ///
    /// - Throws: ``KeysError/Code/invalidRequest`` saying what is wrong at which byte; also for bytes after the request,
    ///   which the signature would cover and nobody would look at.
    public init(decoding bytes: [UInt8], version: Version) throws(KeysError) {
        guard bytes.count <= Self.maximumByteCount else {
            throw KeysError(
                .invalidRequest, subject: "signing request",
                reason: "\(bytes.count) bytes, at most \(Self.maximumByteCount) are read")
        }
        let (fields, envelope) = try KeysError.decoding(.invalidRequest) { () throws(DecodingFailure) in
            try SigningRequestFields.read(bytes, version)
        }
        confirmation = fields.confirmation
        publicKey = fields.publicKey
        configuration = fields.configuration
        self.bytes = bytes
        if let envelope {
            do {
                evidence = .attestation(try Attestation(decoding: envelope))
            } catch {
                throw KeysError(.invalidRequest, error)
            }
        } else {
            evidence = .quote(fields.quote, eventLog: fields.eventLog)
        }
    }

    /// Checks that the key's holder signed the request, as a request, in this order: key, signature, purpose.
    ///
    /// - Parameter signature: ECDSA, DER.
    /// - Throws: ``KeysError/Code/invalidRequest`` for a key that is not P-256 by name and uncompressed, or for another
    ///   purpose; ``KeysError/Code/notAuthentic`` for a signature that is not the key's.
    public func verified(signature: [UInt8]) throws(KeysError) -> VerifiedSigningRequest {
        let key: P256.PublicKey
        do {
            key = try P256.PublicKey(spki: publicKey)
        } catch {
            throw KeysError(.invalidRequest, error)
        }
        // The evidence is about these bytes and the certificate will have the key's own: both must be the same.
        guard key.spki == publicKey else {
            throw KeysError(
                .invalidRequest, subject: "P-256 public key",
                reason: "it is compressed; the uncompressed form is needed")
        }
        guard let read = try? P256.Signature(der: signature), key.isValidSignature(read, for: bytes) else {
            throw KeysError(
                .notAuthentic, subject: "signing request", reason: "the signature is not one of its key over its bytes")
        }
        guard confirmation.utf8.elementsEqual(Self.purpose.utf8) else {
            throw KeysError(.invalidRequest, subject: "signing request", reason: "invalid confirm word")
        }
        return VerifiedSigningRequest(self, key)
    }

    /// Signs the request with its key.
    ///
    /// - Throws: ``KeysError/Code/invalidRequest`` for another key.
    public func signed(by key: borrowing TLSKey) throws(KeysError) -> SignedSigningRequest {
        guard key.publicKey == publicKey else {
            throw KeysError(.invalidRequest, subject: "signing request", reason: "it is for another key")
        }
        do {
            return SignedSigningRequest(request: self, signature: try key.key.signature(for: bytes).der)
        } catch {
            throw KeysError(.cryptography, error)
        }
    }
}

/// A request and its key's signature, ready to be sent.
public struct SignedSigningRequest: Sendable, Hashable {
    /// The request.
    public let request: SigningRequest
    /// ECDSA over its bytes, DER.
    public let signature: [UInt8]
}

/// A request that the holder of its key made. Only ``SigningRequest/verified(signature:)`` makes one.
///
/// Nothing in it is true for that: the requester chose the names, and the evidence has yet to be verified.
public struct VerifiedSigningRequest: Sendable, Hashable {
    /// The request.
    public let request: SigningRequest
    /// Its key.
    package let publicKey: P256.PublicKey

    fileprivate init(_ request: SigningRequest, _ publicKey: P256.PublicKey) {
        self.request = request
        self.publicKey = publicKey
    }

    /// The evidence, which says that it is about the request's key. To be verified under the condition that its quote has
    /// the same report data.
    ///
    /// - Throws: ``KeysError/Code/invalidRequest`` for a quote or a log of version 1 that cannot be read,
    ///   ``KeysError/Code/notAuthentic`` for evidence about something else.
    public func attestation() throws(KeysError) -> Attestation {
        let attestation: Attestation
        switch request.evidence {
        case .attestation(let given): attestation = given
        case .quote(let quote, let eventLog):
            do {
                attestation = try Attestation(quote: quote, eventLog: EventLog(json: eventLog))
            } catch {
                throw KeysError(.invalidRequest, error)
            }
        }
        guard attestation.reportData == ReportData(raTLSKey: request.publicKey) else {
            throw KeysError(
                .notAuthentic, subject: "evidence of the signing request",
                reason: "its report data is not that of the key")
        }
        return attestation
    }
}
