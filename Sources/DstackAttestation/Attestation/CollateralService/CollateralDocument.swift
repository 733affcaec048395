import DstackCrypto
import DstackEncoding

/// A document of collateral that is no single platform's: every platform under the same authority, or of the same TEE, is
/// judged by it, so that the newest one that is known can stand in for an older one whoever brought it.
enum CollateralDocument: Hashable, Sendable {
    /// DER.
    case rootCRL([UInt8])
    /// DER, and the PEM chain of who issued it.
    case pckCRL([UInt8], issuerChain: String)
    /// The signed text, r‖s over it, and the PEM chain of who signed it.
    case qeIdentity(String, signature: [UInt8], issuerChain: String)

    /// Takes the place of the one that collateral has.
    func replace(in collateral: inout QuoteCollateral) {
        switch self {
        case .rootCRL(let der): collateral.rootCACRL = der
        case .pckCRL(let der, let chain):
            collateral.pckCRL = der
            collateral.pckCRLIssuerChain = chain
        case .qeIdentity(let text, let signature, let chain):
            collateral.qeIdentity = text
            collateral.qeIdentitySignature = signature
            collateral.qeIdentityIssuerChain = chain
        }
    }

    /// The member of a report's `collateral` that it stands in.
    var reportName: String {
        switch self {
        case .rootCRL: "root_ca_crl"
        case .pckCRL: "pck_crl"
        case .qeIdentity: "qe_identity"
        }
    }

    /// What it is about and how new it is, by itself.
    func item() throws(DecodingFailure) -> CollateralMarks.Item {
        switch self {
        case .rootCRL(let der): .init(rootCRL: try CertificateRevocationList(der: der))
        case .pckCRL(let der, let chain): .init(pckCRL: try CertificateRevocationList(der: der), issuerChain: chain)
        case .qeIdentity(let text, let signature, let chain):
            .init(try QEIdentity(parsing: Array(text.utf8)), signature: signature, issuerChain: chain)
        }
    }

    // MARK: The form in files

    func write(to object: inout JSONWriter.Object) {
        switch self {
        case .rootCRL(let der): object.member("root_ca_crl", Hex.encode(der))
        case .pckCRL(let der, let chain):
            object.member("pck_crl", Hex.encode(der))
            object.member("pck_crl_issuer_chain", chain)
        case .qeIdentity(let text, let signature, let chain):
            object.member("qe_identity", text)
            object.member("qe_identity_signature", Hex.encode(signature))
            object.member("qe_identity_issuer_chain", chain)
        }
    }

    init(_ node: JSONNode) throws(DecodingFailure) {
        if let list = node["root_ca_crl"] {
            self = .rootCRL(try list.hexBytes())
        } else if let list = node["pck_crl"] {
            self = .pckCRL(try list.hexBytes(), issuerChain: try node.member("pck_crl_issuer_chain").string())
        } else {
            self = .qeIdentity(
                try node.member("qe_identity").string(),
                signature: try node.member("qe_identity_signature").hexBytes(),
                issuerChain: try node.member("qe_identity_issuer_chain").string())
        }
    }
}

/// A document in whose place a newer one was used, which had been verified before (``CollateralFloors``).
public struct ReplacedDocument: Hashable, Sendable, CustomStringConvertible {
    /// Which, as a report's `collateral` calls it: `root_ca_crl`, `pck_crl` or `qe_identity`.
    public let name: String
    /// What it is, for people.
    public let title: String
    /// Number and date of the one that the collateral has.
    public let given: String
    /// Number and date of the one that was used.
    public let used: String

    /// `the root revocation list: number 7 of … was used, which was verified before, in place of number 6 of …`
    public var description: String {
        "\(title): \(used) was used, which was verified before, in place of \(given)"
    }
}
