import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE

// Revocation lists issued with other contents, by those who may or by others.

extension CaseMaker {
    func revocationLists(_ number: Int, _ random: inout FuzzRandom) throws(FuzzFailure) -> FuzzCase {
        let (index, _, source) = pickSimulated(&random)
        var changes: [String] = []
        var expectation = Expectation.issued
        let isRoot = random.chance(1, in: 2)
        let exhibit = try source.exhibit(editCollateral: { draft in
            for _ in 0..<random.pick([1, 1, 1, 2]) {
                let what =
                    isRoot
                    ? change(&draft.rootCRL, isRoot: true, source.mint, &expectation, &random)
                    : change(&draft.pckCRL, isRoot: false, source.mint, &expectation, &random)
                changes.append((isRoot ? "root_ca_crl: " : "pck_crl: ") + what)
            }
        })
        if changes.count > 1 { expectation = .issued }
        return FuzzCase(
            .revocationLists, number: number, seed: index, changes: changes, subject: .exhibit(exhibit),
            expectation: expectation)
    }

    private func change(
        _ list: inout MockRevocationList, isRoot: Bool, _ mint: Mint, _ expectation: inout Expectation,
        _ random: inout FuzzRandom
    ) -> String {
        let right = isRoot ? mint.root : mint.pckAuthority
        switch random.below(12) {
        case 0, 1: return revoke(&list, isRoot: isRoot, mint, &expectation, &random)
        case 2: return Self.changeTimes(&list, &random)
        case 3, 4: return Self.changeListExtensions(&list, &expectation, &random)
        case 5: return Self.changeEntries(&list, &random)
        case 6:
            let (name, key) = wrongKey(mint, besides: right, &random)
            list.signature = { (message: [UInt8]) throws(CryptoFailure) in key.derSignature(message) }
            expectation = .rejected
            return "signed by \(name)"
        case 7:
            list.builder.issuer = MockCertificates.name(
                random.pick([
                    "Simulated SGX PCK Platform CA", "Simulated SGX PCK Processor CA", "x",
                    "Simulated TEE Root CA (not Intel)",
                ]))
            return "another issuer"
        case 8:
            let algorithm: X509.Algorithm = random.pick([
                .ecdsaWithSHA384, .ed25519, X509.Algorithm(.ecdsaWithSHA256, parameters: DER.null),
            ])
            if random.chance(1, in: 2) {
                list.builder.innerAlgorithm = algorithm
            } else {
                list.builder.outerAlgorithm = algorithm
            }
            expectation = .rejected
            return "another algorithm"
        case 9:
            list.builder.version = random.pick([1, 3, 0])
            return "version \(list.builder.version)"
        case 10:
            let seed = random.next()
            list.tampering = { der in
                guard let parts = SignedParts(der) else { return }
                var generator = FuzzRandom(seed: seed, purpose: "list")
                var message = parts.message
                _ = ByteMutation.apply(to: &message, &generator)
                der = parts.assembled(message: message, signature: right.derSignature(message))
            }
            return "changed blindly and signed"
        default:
            // One letter long or a whole kilobyte: thousands of entries are normal for a real list.
            for number in 0..<random.pick([1, 50, 400]) {
                list.builder.revoked.append(
                    RevocationListBuilder.Entry(
                        serialNumber: [1, UInt8(truncatingIfNeeded: number >> 8), UInt8(truncatingIfNeeded: number)],
                        date: .seconds(Corpus.now - 1_000)))
            }
            expectation = .sameAnswer
            return "more entries"
        }
    }

    private func revoke(
        _ list: inout MockRevocationList, isRoot: Bool, _ mint: Mint, _ expectation: inout Expectation,
        _ random: inout FuzzRandom
    ) -> String {
        let certificates = mint.platform.certificates
        let isPlatform = mint.platform.configuration.authority == .platform
        var all: [(String, MockCertificate, Bool)] = [
            ("the PCK", certificates.pck, !isRoot), ("the signer", certificates.tcbSigner, isRoot),
            ("the root", certificates.root, isRoot), ("the Platform CA", certificates.platformCA, isRoot && isPlatform),
            ("the Processor CA", certificates.processorCA, isRoot && !isPlatform),
        ]
        // Twice as likely: the one that this list is about.
        all.append(all[isRoot ? 1 : 0])
        let (name, certificate, matters) = random.pick(all)
        list.revoke(certificate)
        var entry = list.builder.revoked.removeLast()
        entry.extensions = random.pick([[], [.revocationReason(1)], [.revocationReason(6)]])
        list.builder.revoked.insert(entry, at: random.below(list.builder.revoked.count + 1))
        expectation = matters ? .rejected : .sameAnswer
        return "\(name) revoked"
    }

    private static func changeTimes(_ list: inout MockRevocationList, _ random: inout FuzzRandom) -> String {
        let now = Corpus.now
        let time: X509.Time = random.pick([
            .seconds(now), .seconds(now - 1), .seconds(now + 1), .seconds(now - 86_400), .seconds(now + 86_400),
            .generalizedTime("20260921141320Z"), .generalizedTime("20260921141320.1Z"), .utcTime("2609211413Z"),
            .utcTime("260931000000Z"), .der(DER.null), .utcTime("260921141321+0000"),
        ])
        switch random.below(5) {
        case 0, 1:
            list.builder.thisUpdate = time
            return "thisUpdate \(time)"
        case 2, 3:
            list.builder.nextUpdate = time
            return "nextUpdate \(time)"
        default:
            list.builder.nextUpdate = nil
            return "no nextUpdate"
        }
    }

    private static func changeListExtensions(
        _ list: inout MockRevocationList, _ expectation: inout Expectation, _ random: inout FuzzRandom
    ) -> String {
        let unknown = ObjectIdentifier(1, 3, 6, 1, 4, 1, 99_999, 2)
        switch random.below(10) {
        case 0:
            list.builder.extensions = []
            return "no extensions"
        case 1:
            list.builder.extensions.append(.deltaCRLIndicator(base: 1))
            expectation = .rejected
            return "a delta list"
        case 2:
            list.builder.extensions.append(.issuingDistributionPoint(onlyUserCertificates: true))
            return "for user certificates only"
        case 3:
            list.builder.extensions.append(.issuingDistributionPoint(isIndirect: true))
            expectation = .rejected
            return "an indirect list"
        case 4:
            let name = X509.GeneralName.uri("https://simulated.invalid/other.crl").der
            list.builder.extensions.append(
                X509.Extension(
                    .issuingDistributionPoint, critical: true,
                    value: DER.sequence(DER.explicit(0, DER.explicit(0, name)))))
            return "of a distribution point"
        case 5:
            list.builder.extensions.append(X509.Extension(unknown, critical: true, value: DER.null))
            expectation = .rejected
            return "an unknown critical extension"
        case 6:
            list.builder.extensions.append(X509.Extension(unknown, value: random.bytes(random.below(5))))
            return "an unknown extension"
        case 7:
            list.builder.extensions.append(.crlNumber(2))
            return "a number twice"
        case 8:
            list.builder.extensions = [
                X509.Extension(
                    .crlNumber, value: random.pick([DER.null, [2, 1, 0xFF], [2, 0], DER.integer(UInt(0))]))
            ]
            return "another number"
        default:
            let index = random.below(list.builder.extensions.count)
            guard list.builder.extensions.indices.contains(index) else { return "nothing" }
            return "extension \(index): " + ByteMutation.apply(to: &list.builder.extensions[index].value, &random)
        }
    }

    private static func changeEntries(_ list: inout MockRevocationList, _ random: inout FuzzRandom) -> String {
        guard !list.builder.revoked.isEmpty else { return "nothing" }
        let index = random.below(list.builder.revoked.count)
        let unknown = ObjectIdentifier(1, 3, 6, 1, 4, 1, 99_999, 3)
        switch random.below(8) {
        case 0:
            list.builder.revoked[index].extensions = [.revocationReason(8)]
            return "an entry removed from the list"
        case 1:
            list.builder.revoked[index].extensions = [X509.Extension(unknown, critical: true, value: DER.null)]
            return "an entry with an unknown critical extension"
        case 2:
            list.builder.revoked[index].extensions = [X509.Extension(unknown, value: DER.null)]
            return "an entry with an unknown extension"
        case 3:
            list.builder.revoked[index].serialNumber = random.pick([
                [2, 1, 0xFF], [2, 2, 0, 1], [2, 0], [4, 1, 1], [2, 22] + [UInt8](repeating: 1, count: 22),
            ])
            return "an entry of another number"
        case 4:
            list.builder.revoked[index].date = random.pick([.utcTime("999999999999Z"), .der([]), .seconds(0)])
            return "an entry of another date"
        case 5:
            list.builder.revoked[index].extensions = [.revocationReason(UInt8(random.below(20)))]
            return "an entry with another reason"
        case 6:
            list.builder.revoked[index].extensions = [
                X509.Extension(ObjectIdentifier(2, 5, 29, 29), critical: true, value: DER.sequence([]))
            ]
            return "an entry of another issuer"
        default:
            list.builder.revoked.removeAll()
            return "no entries"
        }
    }
}
