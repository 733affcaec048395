import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE

/// Makes cases from a corpus: the same case for the same seed, kind and number, whoever asks and in whatever order.
package struct CaseMaker: Sendable {
    package let corpus: Corpus
    package let seed: UInt64
    /// Certificates of all sorts, for chains that should not have them.
    let certificates: [[UInt8]]

    package init(corpus: Corpus, seed: UInt64) {
        self.corpus = corpus
        self.seed = seed
        var certificates: [[UInt8]] = []
        for mint in corpus.simulated.compactMap({ corpus.seeds[$0].source?.mint }) + corpus.strangers {
            let platform = mint.platform
            for der in [
                platform.rootCertificate, platform.platformCACertificate, platform.processorCACertificate,
                platform.pckCertificate, platform.tcbSigningCertificate,
            ] where !certificates.contains(der) { certificates.append(der) }
        }
        for seed in corpus.seeds where seed.source == nil {
            for pem in [seed.exhibit.collateral.tcbInfoIssuerChain, seed.exhibit.collateral.pckCRLIssuerChain] {
                for der in (try? PEM.decode(Array(pem.utf8), label: "CERTIFICATE")) ?? []
                where !certificates.contains(der) { certificates.append(der) }
            }
        }
        self.certificates = certificates
    }

    /// The kind of the case with a number, when all kinds of quotes and collateral are wanted.
    package static func kind(ofNumber number: Int) -> FuzzKind { FuzzKind.schedule[number % FuzzKind.schedule.count] }

    /// The kind of the case with a number, when two verifiers are compared: what is signed rightly tells them apart more
    /// often than what is not signed at all.
    static func comparedKind(ofNumber number: Int) -> FuzzKind {
        FuzzKind.comparison[number % FuzzKind.comparison.count]
    }

    /// The case of a kind and a number.
    package func make(_ kind: FuzzKind, _ number: Int) throws(FuzzFailure) -> FuzzCase {
        var random = FuzzRandom(seed: seed, purpose: kind.rawValue, number: number)
        var draft: FuzzCase
        switch kind {
        case .quoteBytes: draft = quoteBytes(number, &random)
        case .quoteFields: draft = try quoteFields(number, &random)
        case .collateralJSON: draft = collateralJSON(number, &random)
        case .collateralMembers: draft = try collateralMembers(number, &random)
        case .chains: draft = chains(number, &random)
        case .documents: draft = try documents(number, &random)
        case .certificates: draft = try certificates(number, &random)
        case .revocationLists: draft = try revocationLists(number, &random)
        case .levels: draft = try levels(number, &random)
        case .time: draft = try time(number, &random)
        case .evidence, .eventLog, .ccel, .envelope, .appCompose, .policy, .configuration:
            draft = texts(kind, number, &random)
        }
        // Now and then at another time: what is wrong with a case must not hide behind a date, nor the other way round.
        if kind.isOfQuotes, kind != .time, case .untrusted = draft.expectation, random.chance(1, in: 12),
            case .exhibit(var exhibit) = draft.subject
        {
            exhibit.time = otherTime(exhibit.time, &random)
            draft.subject = .exhibit(exhibit)
            draft.changes.append("verified at \(exhibit.time)")
        }
        return draft
    }

    private func otherTime(_ time: Int64, _ random: inout FuzzRandom) -> Int64 {
        let day: Int64 = 86_400
        return time
            &+ random.pick([-1, 1, -day, day, 25 * day, 40 * day, -40 * day, 400 * day, -3_000 * day, 10_000 * day])
    }

    // MARK: Seeds

    func pickSeed(_ random: inout FuzzRandom) -> Int { random.below(corpus.seeds.count) }

    func pickSimulated(_ random: inout FuzzRandom) -> (index: Int, seed: Seed, source: Seed.Source) {
        while true {
            let index = random.pick(corpus.simulated)
            let seed = corpus.seeds[index]
            if let source = seed.source { return (index, seed, source) }
        }
    }

    /// A key that may sign what it is asked to sign here as little as a stranger.
    func wrongKey(_ mint: Mint, besides right: FuzzKey, _ random: inout FuzzRandom) -> (name: String, key: FuzzKey) {
        let stranger = random.pick(corpus.strangers)
        let keys: [(String, FuzzKey)] = [
            ("the root", mint.root), ("the Platform CA", mint.platformCA), ("the Processor CA", mint.processorCA),
            ("the TCB signer", mint.tcbSigner), ("the PCK", mint.pck), ("the attestation key", mint.attestation),
            ("a strange root", stranger.root), ("a strange PCK", stranger.pck),
            ("a strange TCB signer", stranger.tcbSigner), ("a strange attestation key", stranger.attestation),
        ]
        let candidates = keys.filter { $0.1.point != right.point }
        return random.pick(candidates)
    }

    // MARK: Blind changes to quotes

    private func quoteBytes(_ number: Int, _ random: inout FuzzRandom) -> FuzzCase {
        let index = pickSeed(&random)
        var exhibit = corpus.seeds[index].exhibit
        var changes: [String] = []
        for _ in 0..<random.pick([1, 1, 1, 1, 2, 3]) {
            changes.append(ByteMutation.apply(to: &exhibit.quote, &random, donors: corpus.donorQuotes))
        }
        return FuzzCase(.quoteBytes, number: number, seed: index, changes: changes, subject: .exhibit(exhibit))
    }
}
