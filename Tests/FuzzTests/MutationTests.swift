import DstackAttestation
import DstackCrypto
import DstackEncoding
import Foundation
import FuzzSupport
import TestKit
import Testing

/// The short form of `make fuzz`: the same cases in the same way, some thousands of them. With DSTACK_FUZZ=10 ten times as
/// many.
@Suite("Mutations of quotes, collateral and evidence")
struct MutationTests {
    private static let run = Result {
        try FuzzRun(Corpus(vectors: Vectors.areAvailable ? Vectors.directory.path : nil), seed: 20_261_121)
    }

    private static func count(_ kind: FuzzKind) -> Int {
        let scale = ProcessInfo.processInfo.environment["DSTACK_FUZZ"].flatMap { Int($0) } ?? 1
        return (kind.isOfQuotes ? 250 : 150) * scale
    }

    @Test("nothing is accepted that nobody entitled has signed", arguments: FuzzKind.allCases)
    func mutations(kind: FuzzKind) throws {
        let run = try Self.run.get()
        for number in 0..<Self.count(kind) { run.run(kind, number) }
        for finding in run.findings where finding.fuzzCase.kind == kind {
            Issue.record("dstack-fuzz \(finding.description)")
        }
        let tally = try #require(run.tallies[kind])
        #expect(tally.cases == Self.count(kind))
        // A kind of which all is refused, or nothing, would show nothing.
        #expect(tally.rejected > 0)
        #expect(tally.neutral + tally.expected > 0)
    }

    @Test("a case is the same for the same seed, kind and number")
    func reproducibility() throws {
        let run = try Self.run.get()
        let corpus = try Corpus(vectors: Vectors.areAvailable ? Vectors.directory.path : nil)
        let again = CaseMaker(corpus: corpus, seed: run.maker.seed)
        let other = CaseMaker(corpus: corpus, seed: run.maker.seed + 1)
        for kind in FuzzKind.allCases {
            var differs = false
            for number in 0..<4 {
                let first = try run.maker.make(kind, number)
                let second = try again.make(kind, number)
                #expect(first.summary == second.summary)
                #expect(Self.bytes(first) == Self.bytes(second), "\(kind) \(number)")
                let foreign = Self.bytes(try other.make(kind, number))
                differs = differs || Self.bytes(first) != foreign
            }
            #expect(differs, "\(kind): another seed makes other cases")
        }
    }

    private static func bytes(_ fuzzCase: FuzzCase) -> [UInt8] {
        switch fuzzCase.subject {
        case .exhibit(let exhibit):
            exhibit.quote + exhibit.collateralText + exhibit.root + Array("\(exhibit.time)".utf8)
        case .evidence(let subject):
            subject.quote + (subject.eventLog ?? []) + Array(subject.configuration.utf8) + (subject.appCompose ?? [])
                + (subject.envelope ?? [])
        case .bytes(let bytes): bytes
        }
    }

    @Test("signatures of the simulated authorities are valid and always the same")
    func signatures() throws {
        for number in UInt8(1)...40 {
            let key = try #require(FuzzKey(scalar: SHA256.hash([number])))
            let message = [UInt8](repeating: number, count: Int(number))
            let signature = key.sign(message)
            #expect(signature == key.sign(message))
            let verifier = try #require(P256VerifyingKey(point: key.point))
            let digest = SHA256.hash(message)
            #expect(verifier.isValid(P256Signature(raw: signature), digest: digest))
            // The other form of the same signature, for which no secret is needed.
            let other = FuzzKey.malleated(signature)
            #expect(other != signature)
            #expect(verifier.isValid(P256Signature(raw: other), digest: digest))
            #expect(FuzzKey.normalized(other) == FuzzKey.normalized(signature))
            #expect(!verifier.isValid(P256Signature(raw: signature), digest: SHA256.hash([])))
        }
    }

    /// The judge is judged: what it lets pass as genuine must be that.
    @Test("whatever is changed in an exhibit is not taken for genuine")
    func provenance() throws {
        let corpus = try Self.run.get().maker.corpus
        let provenance = Provenance(corpus)
        func isGenuine(_ exhibit: Exhibit) -> Bool {
            switch provenance.genuineTwin(of: exhibit, exhibit.collateral) {
            case .success: true
            case .failure: false
            }
        }
        for (index, seed) in corpus.seeds.enumerated() {
            #expect(isGenuine(seed.exhibit), "\(seed.name)")
            var random = FuzzRandom(seed: 1, purpose: "provenance", number: index)
            // Everything in front of the certification data, except for the sizes, is signed by somebody.
            for _ in 0..<50 {
                var changed = seed.exhibit
                changed.quote[random.below(1_000)] ^= 1 << UInt8(random.below(8))
                #expect(!isGenuine(changed), "\(seed.name)")
            }
            for edit in Self.edits {
                var changed = seed.exhibit.collateral
                edit(&changed)
                var exhibit = seed.exhibit
                exhibit.collateral = changed
                #expect(!isGenuine(exhibit), "\(seed.name)")
            }
            // Genuine, but for something else.
            for other in corpus.seeds where other.tee != seed.tee {
                var exhibit = seed.exhibit
                exhibit.collateral = other.exhibit.collateral
                #expect(!isGenuine(exhibit), "\(seed.name), collateral of \(other.name)")
            }
        }
    }

    private static let edits: [@Sendable (inout QuoteCollateral) -> Void] = [
        { $0.tcbInfo += " " }, { $0.qeIdentity += " " }, { $0.tcbInfoSignature[5] ^= 1 },
        { $0.qeIdentitySignature[40] ^= 1 }, { $0.rootCACRL[20] ^= 1 }, { $0.pckCRL[$0.pckCRL.count - 1] ^= 1 },
        { $0.tcbInfoIssuerChain = $0.pckCRLIssuerChain }, { $0.qeIdentityIssuerChain = "" }, { $0.rootCACRL += [0] },
    ]
}
