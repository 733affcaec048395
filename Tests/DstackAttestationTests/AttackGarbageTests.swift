import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import TestKit
import Testing

/// Random changes to what is then signed by the right keys: parsers behind a good signature meet bytes that no honest
/// issuer wrote.
@Suite("Attacks: signed garbage")
struct AttackGarbageTests {
    enum Target: String, CaseIterable {
        case tcbInfo, qeIdentity, rootCRL, pckCRL, pck, authority, tcbSigner, sgxExtension, quoteBody, qeReport

        /// Changes something at random before it is signed.
        func mutate(_ evidence: inout MockEvidence, _ random: SeededGenerator) throws {
            let change: @Sendable (inout [UInt8]) -> Void = { bytes in
                var random = random
                bytes = random.mutated(bytes)
            }
            let changeText: (inout String) -> Void = { text in
                var bytes = Array(text.utf8)
                change(&bytes)
                text = String(decoding: bytes, as: UTF8.self)
            }
            switch self {
            case .tcbInfo: evidence.collateral { $0.tcbInfoSigning.editText = changeText }
            case .qeIdentity: evidence.collateral { $0.qeIdentitySigning.editText = changeText }
            case .rootCRL: evidence.collateral { $0.rootCRL.editMessage = change }
            case .pckCRL: evidence.collateral { $0.pckCRL.editMessage = change }
            case .pck: try evidence.certificates { $0.pck.editMessage = change }
            case .authority: try evidence.certificates { $0.platformCA.editMessage = change }
            case .tcbSigner: try evidence.certificates { $0.tcbSigner.editMessage = change }
            case .sgxExtension:
                try evidence.certificates { certificates in
                    guard var item = certificates.sgx?.x509 else { return }
                    change(&item.value)
                    certificates.sgx = nil
                    certificates.pck.builder.extensions.append(item)
                }
            case .quoteBody:
                evidence.quote { quote in
                    // The quote of other bytes, as far as they still are one.
                    let key = quote.attestationKey
                    quote.tamperingBytes = { bytes in
                        guard let parsed = try? Quote(parsing: bytes) else { return }
                        var signed = parsed.signedBytes
                        change(&signed)
                        guard signed.count == parsed.signedByteCount, let signature = try? key.sign(signed) else {
                            return
                        }
                        bytes.replaceSubrange(0..<signed.count, with: signed)
                        bytes.replaceSubrange(signed.count + 4..<signed.count + 68, with: signature.bytes)
                    }
                }
            case .qeReport:
                evidence.quote { quote in
                    var random = random
                    quote.qeReport.isvSvn = random.next() % 3 == 0 ? UInt16(truncatingIfNeeded: random.next()) : 8
                    quote.qeReport.miscSelect = random.next() % 3 == 0 ? UInt32(truncatingIfNeeded: random.next()) : 0
                    let index = Int(random.next() % 16)
                    quote.qeReport.attributes[index] = UInt8(truncatingIfNeeded: random.next())
                    quote.qeAuthData = random.mutated(quote.qeAuthData)
                }
            }
        }
    }

    @Test(
        "whatever was signed, verification ends in a report, the same on every way to it", arguments: TEEType.allCases,
        Target.allCases)
    func garbage(tee: TEEType, target: Target) throws {
        var refused = 0
        let rounds = SeededGenerator.rounds(20)
        for round in rounds {
            var evidence = try MockEvidence(tee)
            let seed = UInt64(round) << 8 | UInt64(target.hashSeed)
            try target.mutate(&evidence, SeededGenerator(seed: seed))
            let report = try evidence.verified()
            switch report.verdict {
            case .accepted: #expect(report.status != nil && report.status != .revoked, "seed \(seed)")
            case .rejected:
                refused += 1
                #expect(report.failure?.code != .notChecked, "seed \(seed): \(report.failure?.check.name ?? "")")
            }
        }
        // Most changes matter; in what is attested any value may be honest.
        if target != .quoteBody { #expect(refused * 2 > rounds.count, "\(refused) of \(rounds.count)") }
    }
}

extension AttackGarbageTests.Target {
    /// A number that stays the same over runs.
    fileprivate var hashSeed: UInt8 { rawValue.utf8.reduce(0, &+) }
}
