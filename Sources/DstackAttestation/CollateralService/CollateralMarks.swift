import DstackCrypto
import DstackEncoding

/// How new the parts of a set of collateral are: what tells an older one from a newer one.
struct CollateralMarks: Hashable, Sendable {
    /// What a number and a date belong to. Two of the same subject can be compared.
    struct Subject: Hashable, Sendable {
        /// Stable, for files.
        let name: String
        /// For people.
        let title: String

        static let clock = Subject(name: "clock", title: "the clock")

        init(name: String, title: String) {
            self.name = name
            self.title = title
        }
    }

    /// A number that only grows, then the date of issue.
    struct Mark: Hashable, Sendable, Comparable {
        /// Big-endian, without leading zeros: CRL number or TCB evaluation data number.
        let number: [UInt8]
        /// Unix seconds.
        let issued: Int64

        init(number: [UInt8], issued: Int64) {
            self.number = Array(number.drop { $0 == 0 })
            self.issued = issued
        }

        init(_ number: UInt32, issued: Int64) {
            self.init(number: (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) }, issued: issued)
        }

        /// A higher number is newer whatever its date: the data of a TCB recovery may have been issued before the last of
        /// what it replaces.
        static func < (left: Mark, right: Mark) -> Bool {
            if left.number.count != right.number.count { return left.number.count < right.number.count }
            if left.number != right.number { return left.number.lexicographicallyPrecedes(right.number) }
            return left.issued < right.issued
        }

        var description: String {
            let value =
                number.count > 8 ? "0x" + Hex.encode(number) : "\(number.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })"
            return "number \(value) of \(RFC3339.format(issued))"
        }
    }

    /// Root revocation list, PCK revocation list, TCB info, QE identity.
    let marks: [(subject: Subject, mark: Mark)]

    /// The newest date of issue: no clock that is right can be behind it. Unix seconds.
    var newest: Int64 { marks.map(\.mark.issued).max() ?? 0 }

    /// Of collateral whose parts can all be read; nil otherwise. Whether they are genuine is another question.
    init?(_ decoded: DecodedCollateral) {
        guard case .success(let rootCRL) = decoded.rootCRL, case .success(let pckCRL) = decoded.pckCRL,
            case .success(let tcbInfo) = decoded.tcbInfo, case .success(let identity) = decoded.qeIdentity
        else { return nil }
        self.init(rootCRL, pckCRL, tcbInfo, identity)
    }

    init(
        _ rootCRL: CertificateRevocationList, _ pckCRL: CertificateRevocationList, _ tcbInfo: TCBInfo,
        _ identity: QEIdentity
    ) {
        let issuer = SHA256.hash(Array(pckCRL.issuer)).hex
        let family = Hex.encodeUppercase(tcbInfo.fmspc.bytes)
        marks = [
            (
                Subject(name: "root_crl", title: "the root revocation list"),
                Mark(number: rootCRL.number ?? [], issued: rootCRL.thisUpdate)
            ),
            (
                Subject(name: "pck_crl \(issuer)", title: "the PCK revocation list"),
                Mark(number: pckCRL.number ?? [], issued: pckCRL.thisUpdate)
            ),
            (
                Subject(name: "tcb_info \(tcbInfo.id) \(family)", title: "TCB info for \(tcbInfo.id) on \(family)"),
                Mark(tcbInfo.evaluationDataNumber, issued: tcbInfo.issueDate)
            ),
            (
                Subject(name: "qe_identity \(identity.id)", title: "the identity of the enclave \(identity.id)"),
                Mark(identity.evaluationDataNumber, issued: identity.issueDate)
            ),
        ]
    }

    /// Of collateral that was found genuine under the trust anchor, all four parts of it; nil if any was not. Dates do not
    /// matter: what was signed was signed, also if it has expired or the clock is wrong.
    init?(verified collateral: CollateralEvaluation, _ platform: PlatformEvaluation?) {
        let ofCollateral: [CheckID] = [
            .rootCRLSignature, .rootRevocation, .tcbInfoSigner, .tcbInfoSignerRevocation, .tcbInfoSignature,
            .qeIdentitySigner, .qeIdentitySignerRevocation, .qeIdentitySignature,
        ]
        guard let platform, ofCollateral.allSatisfy(collateral.checks.hasPassed),
            [CheckID.pckChain, .pckCARevocation, .pckCRLSignature].allSatisfy(platform.checks.hasPassed)
        else { return nil }
        if let marks = collateral.marks { self = marks } else { self.init(collateral.decoded) }
    }

    static func == (left: CollateralMarks, right: CollateralMarks) -> Bool {
        left.marks.elementsEqual(right.marks) { $0 == $1 }
    }

    func hash(into hasher: inout Hasher) {
        for (subject, mark) in marks {
            hasher.combine(subject)
            hasher.combine(mark)
        }
    }
}
