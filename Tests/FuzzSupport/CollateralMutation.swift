import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE

// Changes to collateral: as JSON, by member, and in its PEM texts.

extension CaseMaker {
    // MARK: As JSON

    func collateralJSON(_ number: Int, _ random: inout FuzzRandom) -> FuzzCase {
        let index = pickSeed(&random)
        var exhibit = corpus.seeds[index].exhibit
        var text = exhibit.collateral.json
        let before = text
        var changes: [String] = []
        var expectation = Expectation.untrusted
        for _ in 0..<random.pick([1, 1, 2]) { changes.append(changeJSON(&text, &expectation, &random)) }
        if text == before { expectation = .sameAnswer }
        exhibit.collateralJSON = text
        return FuzzCase(
            .collateralJSON, number: number, seed: index, changes: changes, subject: .exhibit(exhibit),
            expectation: changes.count == 1 ? expectation : .untrusted)
    }

    /// - Parameter expectation: what must become of it if this is the only change.
    private func changeJSON(
        _ text: inout [UInt8], _ expectation: inout Expectation, _ random: inout FuzzRandom
    ) -> String {
        switch random.below(10) {
        case 0, 1: return ByteMutation.apply(to: &text, &random)
        case 2:
            var string = String(decoding: text, as: UTF8.self)
            let what = DocumentMutation.space(&string, &random)
            text = Array(string.utf8)
            expectation = .sameAnswer
            return what
        case 3:
            var string = String(decoding: text, as: UTF8.self)
            let what = DocumentMutation.escape(&string, &random)
            text = Array(string.utf8)
            return what
        case 4:
            let places = JSONPlaces.characters(text).filter { "abcdefABCDEF".utf8.contains(text[$0]) }
            guard !places.isEmpty else { return "nothing" }
            let place = random.pick(places)
            text[place] ^= 0x20
            return "case of character \(place)"
        case 5:
            text += Array(random.pick(["{}", "\n", " ", "\u{0}", "x"]).utf8)
            return "something appended"
        case 6:
            let depth = random.pick([3, 60, 70, 200, 5_000])
            let nest = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
            text.removeLast()
            text += Array(",\"more\":\(nest)}".utf8)
            return "a member nested \(depth) deep"
        default:
            guard var tree = MockJSON(parsing: String(decoding: text, as: UTF8.self)) else { return "nothing" }
            defer { text = Array(tree.text.utf8) }
            return changeMembers(&tree, &expectation, &random)
        }
    }

    private func changeMembers(
        _ tree: inout MockJSON, _ expectation: inout Expectation, _ random: inout FuzzRandom
    ) -> String {
        var what = ""
        tree.editMembers { members in
            guard !members.isEmpty else { return }
            let index = random.below(members.count)
            let name = members[index].name
            switch random.below(8) {
            case 0:
                members = random.shuffled(members)
                what = "members in another order"
                expectation = .sameAnswer
            case 1:
                members.insert(("unknown", .raw("[1,2]")), at: index)
                what = "an unknown member"
                expectation = .sameAnswer
            case 2:
                members.remove(at: index)
                what = "\(name) removed"
            case 3:
                members.append(random.pick(members))
                what = "\(members[members.count - 1].name) twice"
                expectation = .rejected
            case 4:
                members[index].name = name.uppercased()
                what = "\(name) renamed"
            case 5:
                members[index].value = random.pick([.raw("null"), .raw("0"), .array([]), .string(""), .object([])])
                what = "\(name): \(members[index].value.text)"
            case 6:
                if case .string(let text) = members[index].value {
                    members[index].value = .string(random.pick([text + "0", "0x" + text, " " + text, text + text]))
                }
                what = "\(name) longer"
            default:
                let other = random.below(members.count)
                (members[index].value, members[other].value) = (members[other].value, members[index].value)
                what = "\(name) and \(members[other].name) exchanged"
            }
        }
        return what
    }

    // MARK: By member

    func collateralMembers(_ number: Int, _ random: inout FuzzRandom) throws(FuzzFailure) -> FuzzCase {
        let index = pickSeed(&random)
        var exhibit = corpus.seeds[index].exhibit
        var changes: [String] = []
        for _ in 0..<random.pick([1, 1, 2]) {
            changes.append(changeMember(&exhibit, corpus.seeds[index], &random))
        }
        return FuzzCase(.collateralMembers, number: number, seed: index, changes: changes, subject: .exhibit(exhibit))
    }

    private func changeMember(_ exhibit: inout Exhibit, _ seed: Seed, _ random: inout FuzzRandom) -> String {
        switch random.below(9) {
        case 0...2: return takeOver(&exhibit.collateral, &random)
        case 3: return exchange(&exhibit.collateral, &random)
        case 4: return changeSignature(&exhibit.collateral, &random)
        case 5:
            return random.chance(1, in: 2)
                ? "root_ca_crl: " + changeList(&exhibit.collateral.rootCACRL, &random)
                : "pck_crl: " + changeList(&exhibit.collateral.pckCRL, &random)
        case 6:
            if let chain = QuoteBytes(exhibit.quote)?["certification data"], random.chance(1, in: 2) {
                exhibit.collateral.pckCertificateChain = String(decoding: chain, as: UTF8.self)
                return "pck_certificate_chain: the quote's"
            }
            exhibit.collateral.pckCertificateChain = random.pick([
                nil, "", "x", exhibit.collateral.tcbInfoIssuerChain, exhibit.collateral.pckCRLIssuerChain,
                PEM.encode("CERTIFICATE", random.pick(certificates)), chainOfAnother(&random),
            ])
            return "pck_certificate_chain: another"
        case 7:
            exhibit.collateral = random.pick(corpus.donorCollateral)
            return "collateral of another"
        default:
            exhibit.quote = random.pick(corpus.donorQuotes)
            return "quote of another"
        }
    }

    private func chainOfAnother(_ random: inout FuzzRandom) -> String? {
        QuoteBytes(random.pick(corpus.donorQuotes))?["certification data"].map { String(decoding: $0, as: UTF8.self) }
    }

    /// One or several members of other genuine collateral.
    private func takeOver(_ collateral: inout QuoteCollateral, _ random: inout FuzzRandom) -> String {
        let donor = random.pick(corpus.donorCollateral)
        switch random.below(10) {
        case 0:
            collateral.rootCACRL = donor.rootCACRL
            return "root_ca_crl of another"
        case 1:
            collateral.pckCRL = donor.pckCRL
            return "pck_crl of another"
        case 2:
            collateral.tcbInfo = donor.tcbInfo
            return "tcb_info of another, signature not"
        case 3:
            collateral.tcbInfo = donor.tcbInfo
            collateral.tcbInfoSignature = donor.tcbInfoSignature
            return "tcb_info of another"
        case 4:
            collateral.tcbInfo = donor.tcbInfo
            collateral.tcbInfoSignature = donor.tcbInfoSignature
            collateral.tcbInfoIssuerChain = donor.tcbInfoIssuerChain
            return "tcb_info and chain of another"
        case 5:
            collateral.qeIdentity = donor.qeIdentity
            collateral.qeIdentitySignature = donor.qeIdentitySignature
            return "qe_identity of another"
        case 6:
            collateral.qeIdentity = donor.qeIdentity
            collateral.qeIdentitySignature = donor.qeIdentitySignature
            collateral.qeIdentityIssuerChain = donor.qeIdentityIssuerChain
            return "qe_identity and chain of another"
        case 7:
            collateral.tcbInfoIssuerChain = donor.tcbInfoIssuerChain
            return "tcb_info_issuer_chain of another"
        case 8:
            collateral.qeIdentityIssuerChain = donor.pckCRLIssuerChain
            return "qe_identity_issuer_chain: pck_crl_issuer_chain of another"
        default:
            collateral.rootCACRL = donor.rootCACRL
            collateral.pckCRL = donor.pckCRL
            collateral.pckCRLIssuerChain = donor.pckCRLIssuerChain
            return "revocation lists of another"
        }
    }

    /// Members in each other's place.
    private func exchange(_ collateral: inout QuoteCollateral, _ random: inout FuzzRandom) -> String {
        switch random.below(6) {
        case 0:
            (collateral.rootCACRL, collateral.pckCRL) = (collateral.pckCRL, collateral.rootCACRL)
            return "revocation lists exchanged"
        case 1:
            (collateral.tcbInfo, collateral.qeIdentity) = (collateral.qeIdentity, collateral.tcbInfo)
            (collateral.tcbInfoSignature, collateral.qeIdentitySignature) = (
                collateral.qeIdentitySignature, collateral.tcbInfoSignature
            )
            return "documents exchanged"
        case 2:
            collateral.tcbInfoSignature = collateral.qeIdentitySignature
            return "tcb_info_signature: qe_identity's"
        case 3:
            collateral.pckCRL = collateral.rootCACRL
            return "pck_crl: the root's"
        case 4:
            collateral.tcbInfoIssuerChain = collateral.pckCRLIssuerChain
            return "tcb_info_issuer_chain: the PCK CA's"
        default:
            collateral.pckCRLIssuerChain = random.pick(["", "x", collateral.tcbInfo, collateral.tcbInfoIssuerChain])
            return "pck_crl_issuer_chain: something else"
        }
    }

    private func changeSignature(_ collateral: inout QuoteCollateral, _ random: inout FuzzRandom) -> String {
        let isTCBInfo = random.chance(1, in: 2)
        var raw = isTCBInfo ? collateral.tcbInfoSignature : collateral.qeIdentitySignature
        defer {
            if isTCBInfo { collateral.tcbInfoSignature = raw } else { collateral.qeIdentitySignature = raw }
        }
        let name = isTCBInfo ? "tcb_info_signature" : "qe_identity_signature"
        guard let fixed = FixedBytes<64>(raw) else { return name + ": nothing" }
        switch random.below(7) {
        case 0:
            raw = FuzzKey.malleated(fixed).bytes
            return name + ": (r, n − s)"
        case 1:
            raw = FuzzKey.der(fixed)
            return name + ": in DER"
        case 2:
            raw = []
            return name + ": empty"
        case 3:
            raw = [UInt8](repeating: 0, count: 64)
            return name + ": zeros"
        case 4:
            raw = Array(raw[..<32]) + P256Scalar.orderBytes
            return name + ": s is the order"
        default: return name + ": " + ByteMutation.apply(to: &raw, &random)
        }
    }

    private func changeList(_ der: inout [UInt8], _ random: inout FuzzRandom) -> String {
        switch random.below(5) {
        case 0:
            der = ChainMutation.otherSignature(der)
            return "(r, n − s)"
        case 1:
            der = random.pick([[], [0x30, 0x00], random.pick(certificates)])
            return "no list"
        default: return ByteMutation.apply(to: &der, &random, donors: corpus.donorCollateral.map(\.pckCRL))
        }
    }

    // MARK: PEM texts

    func chains(_ number: Int, _ random: inout FuzzRandom) -> FuzzCase {
        let index = pickSeed(&random)
        var exhibit = corpus.seeds[index].exhibit
        var changes: [String] = []
        for _ in 0..<random.pick([1, 1, 1, 2]) {
            switch random.below(5) {
            case 0: changes.append("tcb_info " + changeChain(&exhibit.collateral.tcbInfoIssuerChain, &random))
            case 1: changes.append("qe_identity " + changeChain(&exhibit.collateral.qeIdentityIssuerChain, &random))
            case 2:
                if var chain = exhibit.collateral.pckCertificateChain {
                    changes.append("collateral's PCK " + changeChain(&chain, &random))
                    exhibit.collateral.pckCertificateChain = chain
                } else {
                    changes.append("pck_crl " + changeChain(&exhibit.collateral.pckCRLIssuerChain, &random))
                }
            default:
                guard var quote = QuoteBytes(exhibit.quote), var chain = quote["certification data"] else { continue }
                changes.append("quote's PCK " + ChainMutation.apply(to: &chain, pool: certificates, &random))
                quote.replace("certification data", with: chain)
                exhibit.quote = quote.bytes
            }
        }
        return FuzzCase(.chains, number: number, seed: index, changes: changes, subject: .exhibit(exhibit))
    }

    private func changeChain(_ text: inout String, _ random: inout FuzzRandom) -> String {
        var bytes = Array(text.utf8)
        let what = ChainMutation.apply(to: &bytes, pool: certificates, &random)
        text = String(decoding: bytes, as: UTF8.self)
        return what
    }
}
