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
        /// The name of a subject that had this one among others when ``CollateralFloors`` were written before.
        var formerName: String?

        static let clock = Subject(name: "clock", title: "the clock")
    }

    /// A number that only grows, then the date of issue, then how much is revoked.
    struct Mark: Hashable, Sendable, Comparable {
        /// Big-endian, without leading zeros: CRL number or TCB evaluation data number.
        let number: [UInt8]
        /// Unix seconds.
        let issued: Int64
        /// How many certificates a list revokes; nil for what is no list.
        let revoked: Int?

        init(number: [UInt8], issued: Int64, revoked: Int? = nil) {
            self.number = Array(number.drop { $0 == 0 })
            self.issued = issued
            self.revoked = revoked
        }

        init(_ number: UInt32, issued: Int64) {
            self.init(number: (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) }, issued: issued)
        }

        init(_ list: CertificateRevocationList) {
            self.init(number: list.number ?? [], issued: list.thisUpdate, revoked: list.revokedCount)
        }

        /// A higher number is newer whatever its date: the data of a TCB recovery may have been issued before the last of
        /// what it replaces. Of two lists of the same number and second the one that revokes more is the newer one, since
        /// what was revoked stays so.
        static func < (left: Mark, right: Mark) -> Bool {
            if left.number != right.number { return left.isBefore(right) }
            if left.issued != right.issued { return left.issued < right.issued }
            return left.revoked ?? 0 < right.revoked ?? 0
        }

        /// Whether the number is lower.
        func isBefore(_ other: Mark) -> Bool {
            number.count == other.number.count
                ? number.lexicographicallyPrecedes(other.number) : number.count < other.number.count
        }

        var description: String {
            let value =
                number.count > 8 ? "0x" + Hex.encode(number) : "\(number.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })"
            let revoking = revoked.map { " that revokes \($0)" } ?? ""
            return "number \(value) of \(RFC3339.format(issued))\(revoking)"
        }
    }

    /// One document.
    struct Item: Hashable, Sendable {
        let subject: Subject
        let mark: Mark
        /// Whether the number is an evaluation data number, of which several are current at a time.
        var isTCBData = false
        /// For TCB data: whether it is of the generation that `update=standard` gives, by its own signed dates.
        var isStandard = false
        /// The document, where it can stand in for an older one of the same subject; nil for TCB info.
        var document: CollateralDocument?

        init(rootCRL list: CertificateRevocationList) {
            subject = Subject(name: "root_crl", title: "the root revocation list")
            mark = Mark(list)
            document = .rootCRL(list.der)
        }

        /// Of an authority's list. An authority is a name with a key: one that gets another key goes on with a list of its
        /// own, which says nothing about the other one's.
        init(pckCRL list: CertificateRevocationList, issuerChain: String) {
            let issuer = "pck_crl \(SHA256.hash(Array(list.issuer)).hex)"
            let key = list.authorityKeyIdentifier.map { " \(SHA256.hash(Array($0)).hex)" }
            subject = Subject(
                name: issuer + (key ?? ""), title: "the PCK revocation list", formerName: key == nil ? nil : issuer)
            mark = Mark(list)
            document = .pckCRL(list.der, issuerChain: issuerChain)
        }

        init(_ info: TCBInfo) {
            let family = Hex.encodeUppercase(info.fmspc.bytes)
            subject = Subject(name: "tcb_info \(info.id) \(family)", title: "TCB info for \(info.id) on \(family)")
            mark = Mark(info.evaluationDataNumber, issued: info.issueDate)
            isTCBData = true
            isStandard = Self.isStandard(issued: info.issueDate, levels: info.levels.map(\.date))
        }

        init(_ identity: QEIdentity, signature: [UInt8], issuerChain: String) {
            subject = Subject(name: "qe_identity \(identity.id)", title: "the identity of the enclave \(identity.id)")
            mark = Mark(identity.evaluationDataNumber, issued: identity.issueDate)
            isTCBData = true
            isStandard = Self.isStandard(issued: identity.issueDate, levels: identity.levels.map(\.date))
            document = .qeIdentity(
                String(decoding: identity.text, as: UTF8.self), signature: signature, issuerChain: issuerChain)
        }

        /// Whether a document of TCB data is what Intel gives as standard data, as of when it was issued.
        ///
        /// After a recovery Intel gives the new data as `early` at once and as `standard` a year later: standard is the
        /// highest number whose recovery is at least twelve months past. No document says for which of the two it was asked;
        /// but the newest date among its levels is the recovery's, to the day, and both dates are under Intel's signature. So
        /// whoever serves early data in answer to a request for standard data cannot make it look like standard data.
        private static func isStandard(issued: Int64, levels: [Int64]) -> Bool {
            guard let recovery = levels.max() else { return false }
            let (grace, overflow) = recovery.addingReportingOverflow(secondsOfGrace)
            return !overflow && issued >= grace
        }

        private static let secondsOfGrace: Int64 = 365 * 86_400
    }

    /// Root revocation list, PCK revocation list, TCB info, QE identity: those that can be read.
    let items: [Item]

    /// Of collateral, as far as it can be read. Whether it is genuine is another question.
    init(_ decoded: DecodedCollateral) { self.init(decoded) { _ in true } }

    /// What a document rests on beside its own form.
    private enum Part { case rootCRL, pckCRL, tcbInfo, qeIdentity }

    private init(_ decoded: DecodedCollateral, where isIncluded: (Part) -> Bool) {
        let source = decoded.source
        var items: [Item] = []
        if isIncluded(.rootCRL), case .success(let list) = decoded.rootCRL { items.append(Item(rootCRL: list)) }
        if isIncluded(.pckCRL), case .success(let list) = decoded.pckCRL {
            items.append(Item(pckCRL: list, issuerChain: source.pckCRLIssuerChain))
        }
        if isIncluded(.tcbInfo), case .success(let info) = decoded.tcbInfo { items.append(Item(info)) }
        if isIncluded(.qeIdentity), case .success(let identity) = decoded.qeIdentity {
            items.append(
                Item(identity, signature: source.qeIdentitySignature, issuerChain: source.qeIdentityIssuerChain))
        }
        self.items = items
    }

    /// Those that were found genuine under the trust anchor, each with what it rests on itself: the root's list is under the
    /// root's signature; another authority's list, and the signer of a document, must not be revoked by the root's list.
    /// What is wrong with another document of the same set says nothing about them: a list that revokes the signer of the TCB
    /// info beside it is what has to be remembered. Dates do not matter either: what was signed was signed, also if it has
    /// expired or the clock is wrong.
    init(verified collateral: CollateralEvaluation, _ platform: PlatformEvaluation?) {
        let checks = collateral.checks
        self.init(collateral.decoded) { part in
            switch part {
            case .rootCRL: checks.hasPassed(.rootCRLSignature)
            case .pckCRL:
                [CheckID.pckChain, .pckCARevocation, .pckCRLSignature].allSatisfy {
                    platform?.checks.hasPassed($0) ?? false
                }
            case .tcbInfo:
                [CheckID.tcbInfoSigner, .tcbInfoSignerRevocation, .tcbInfoSignature].allSatisfy(checks.hasPassed)
            case .qeIdentity:
                [CheckID.qeIdentitySigner, .qeIdentitySignerRevocation, .qeIdentitySignature].allSatisfy(
                    checks.hasPassed)
            }
        }
    }

    /// The newest date of issue: no clock that is right can be behind it. Unix seconds; nil where there is nothing.
    var newest: Int64? { items.map(\.mark.issued).max() }
}
