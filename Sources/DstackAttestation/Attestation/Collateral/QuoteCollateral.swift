import DstackEncoding

/// Everything a relying party needs beside a quote to verify it offline: Intel's statements about platforms and quoting
/// enclaves, and the revocation lists, in the JSON form that DCAP tools exchange (`QuoteCollateralV3`).
///
/// A value of this type is *unverified*: it says what somebody sent. Members keep the exact bytes that were signed.
public struct QuoteCollateral: Hashable, Sendable {
    /// PEM chain of the issuer of the PCK revocation list. Not used: the list is checked under the CA that issued the PCK.
    public var pckCRLIssuerChain: String
    /// DER of the root CA's revocation list.
    public var rootCACRL: [UInt8]
    /// DER of the PCK CA's revocation list.
    public var pckCRL: [UInt8]
    /// PEM chain of the TCB info's signer, leaf first.
    public var tcbInfoIssuerChain: String
    /// The TCB info, exactly the text that was signed.
    public var tcbInfo: String
    /// r‖s over ``tcbInfo``, 64 bytes.
    public var tcbInfoSignature: [UInt8]
    /// PEM chain of the QE identity's signer, leaf first.
    public var qeIdentityIssuerChain: String
    /// The QE identity, exactly the text that was signed.
    public var qeIdentity: String
    /// r‖s over ``qeIdentity``, 64 bytes.
    public var qeIdentitySignature: [UInt8]
    /// PEM chain of the PCK certificate, leaf first; replaces the one in the quote. Needed where a quote has only an
    /// encrypted platform identifier.
    public var pckCertificateChain: String?

    /// The most bytes of JSON that are read: a hundred times what Intel serves.
    public static let maximumByteCount = 4 << 20

    /// Collateral from its parts.
    public init(
        pckCRLIssuerChain: String, rootCACRL: [UInt8], pckCRL: [UInt8], tcbInfoIssuerChain: String, tcbInfo: String,
        tcbInfoSignature: [UInt8], qeIdentityIssuerChain: String, qeIdentity: String, qeIdentitySignature: [UInt8],
        pckCertificateChain: String? = nil
    ) {
        self.pckCRLIssuerChain = pckCRLIssuerChain
        self.rootCACRL = rootCACRL
        self.pckCRL = pckCRL
        self.tcbInfoIssuerChain = tcbInfoIssuerChain
        self.tcbInfo = tcbInfo
        self.tcbInfoSignature = tcbInfoSignature
        self.qeIdentityIssuerChain = qeIdentityIssuerChain
        self.qeIdentity = qeIdentity
        self.qeIdentitySignature = qeIdentitySignature
        self.pckCertificateChain = pckCertificateChain
    }

    /// Reads the JSON form. Unknown members are ignored, as in every tool that exchanges it.
    ///
    /// Tools differ in how they write what is not signed as text: revocation lists are taken as hexadecimal or base64, of DER
    /// or of PEM, as PEM or as an array of numbers; issuer chains also percent-encoded, as HTTP headers have them; the object
    /// within another one's `collateral`, as a JSON string, or behind a byte-order mark. The signed texts `tcb_info` and
    /// `qe_identity` are taken as strings alone, because their bytes count; or a string has Intel's whole answer, of which the
    /// document's own bytes count.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_collateral` naming the member that is missing or mistyped.
    public init(parsingJSON bytes: [UInt8]) throws(AttestationError) {
        do throws(DecodingFailure) {
            guard bytes.count <= Self.maximumByteCount else {
                throw DecodingFailure(
                    .tooLarge, "collateral", "\(bytes.count) bytes, at most \(Self.maximumByteCount) are read")
            }
            let root = try CollateralForms.root(bytes)
            pckCRLIssuerChain = try CollateralForms.chain(root.member("pck_crl_issuer_chain"))
            rootCACRL = try CollateralForms.revocationList(root.member("root_ca_crl"))
            pckCRL = try CollateralForms.revocationList(root.member("pck_crl"))
            tcbInfoIssuerChain = try CollateralForms.chain(root.member("tcb_info_issuer_chain"))
            (tcbInfo, tcbInfoSignature) = try CollateralForms.signedDocument(
                root, "tcb_info", "tcb_info_signature", in: "tcbInfo")
            qeIdentityIssuerChain = try CollateralForms.chain(root.member("qe_identity_issuer_chain"))
            (qeIdentity, qeIdentitySignature) = try CollateralForms.signedDocument(
                root, "qe_identity", "qe_identity_signature", in: "enclaveIdentity")
            pckCertificateChain = try root.optionalMember("pck_certificate_chain").map {
                node throws(DecodingFailure) in try CollateralForms.chain(node)
            }
        } catch {
            throw AttestationError(
                .invalidCollateral, error,
                hint: "collateral is the JSON object that `dstack-verifier fetch-collateral` writes")
        }
    }

    /// The JSON form, members in the order of the format; the optional member only if present.
    public var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { object in
            object.member("pck_crl_issuer_chain", pckCRLIssuerChain)
            object.member("root_ca_crl", Hex.encode(rootCACRL))
            object.member("pck_crl", Hex.encode(pckCRL))
            object.member("tcb_info_issuer_chain", tcbInfoIssuerChain)
            object.member("tcb_info", tcbInfo)
            object.member("tcb_info_signature", Hex.encode(tcbInfoSignature))
            object.member("qe_identity_issuer_chain", qeIdentityIssuerChain)
            object.member("qe_identity", qeIdentity)
            object.member("qe_identity_signature", Hex.encode(qeIdentitySignature))
            if let pckCertificateChain { object.member("pck_certificate_chain", pckCertificateChain) }
        }
        return writer.bytes
    }
}
