import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE

// Cases of TCB info and QE identity: changed after they were signed, signed by somebody else, signed again.

extension CaseMaker {
    func documents(_ number: Int, _ random: inout FuzzRandom) throws(FuzzFailure) -> FuzzCase {
        if random.chance(1, in: 3) { return changedDocument(number, &random) }
        let (index, seed, source) = pickSimulated(&random)
        let mint = source.mint
        var exhibit = seed.exhibit
        var effects: [DocumentMutation.Effect] = []
        var changes: [String] = []
        let isTCBInfo = random.chance(1, in: 2)
        var text = isTCBInfo ? exhibit.collateral.tcbInfo : exhibit.collateral.qeIdentity
        let before = text
        for _ in 0..<random.pick([1, 1, 1, 2, 3]) {
            let (what, effect) = DocumentMutation.apply(to: &text, &random)
            changes.append("\(isTCBInfo ? "tcb_info" : "qe_identity"): \(what)")
            effects.append(effect)
        }
        var expectation = expectation(of: effects)
        if text == before { expectation = .sameAnswer }
        var signature = mint.tcbSigner.sign(Array(text.utf8)).bytes
        var chain: String?
        if random.chance(1, in: 4) {
            let (name, key) = wrongKey(mint, besides: mint.tcbSigner, &random)
            signature = key.sign(Array(text.utf8)).bytes
            chain = random.chance(1, in: 2) ? chainOfForger(mint, key, &random) : nil
            changes.append("signed by \(name)" + (chain == nil ? "" : " with its chain"))
            expectation = .rejected
        } else {
            changes.append("signed")
        }
        if isTCBInfo {
            exhibit.collateral.tcbInfo = text
            exhibit.collateral.tcbInfoSignature = signature
            if let chain { exhibit.collateral.tcbInfoIssuerChain = chain }
        } else {
            exhibit.collateral.qeIdentity = text
            exhibit.collateral.qeIdentitySignature = signature
            if let chain { exhibit.collateral.qeIdentityIssuerChain = chain }
        }
        return FuzzCase(
            .documents, number: number, seed: index, changes: changes, subject: .exhibit(exhibit),
            expectation: expectation)
    }

    private func expectation(of effects: [DocumentMutation.Effect]) -> Expectation {
        var result = Expectation.sameAnswer
        for effect in effects {
            switch effect {
            case .none: break
            case .some: result = .issued
            // A later change may undo what an earlier one broke.
            case .breaks: result = effects.count == 1 ? .rejected : .issued
            }
            if case .issued = result { break }
        }
        return result
    }

    /// Certificates whose first has this key, if there are any; else the honest ones of somebody else.
    private func chainOfForger(_ mint: Mint, _ key: FuzzKey, _ random: inout FuzzRandom) -> String {
        let stranger = random.pick(corpus.strangers)
        for platform in [mint.platform, stranger.platform] {
            for chain in [
                platform.tcbSigningChain, platform.pckChain,
                [platform.platformCACertificate, platform.rootCertificate],
                [platform.processorCACertificate, platform.rootCertificate], [platform.rootCertificate],
            ] {
                if let leaf = try? Certificate(der: chain[0]), leaf.p256Point == key.point {
                    return MockPlatform.pem(chain)
                }
            }
        }
        return MockPlatform.pem(stranger.platform.tcbSigningChain)
    }

    /// A document changed after it was signed.
    private func changedDocument(_ number: Int, _ random: inout FuzzRandom) -> FuzzCase {
        let index = pickSeed(&random)
        var exhibit = corpus.seeds[index].exhibit
        var changes: [String] = []
        if random.chance(1, in: 2) {
            changes.append("tcb_info: " + DocumentMutation.apply(to: &exhibit.collateral.tcbInfo, &random).what)
        } else {
            changes.append("qe_identity: " + DocumentMutation.apply(to: &exhibit.collateral.qeIdentity, &random).what)
        }
        return FuzzCase(.documents, number: number, seed: index, changes: changes, subject: .exhibit(exhibit))
    }
}
