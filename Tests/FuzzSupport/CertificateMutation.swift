import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE

// Certificates issued with other contents, by those who may or by others.

extension CaseMaker {
    func certificates(_ number: Int, _ random: inout FuzzRandom) throws(FuzzFailure) -> FuzzCase {
        let (index, seed, source) = pickSimulated(&random)
        var changes: [String] = []
        var expectation = Expectation.issued
        let authority = source.mint.platform.configuration.authority
        let mint = try source.mint.reissued { certificates in
            for _ in 0..<random.pick([1, 1, 1, 2]) {
                let which = random.below(7)
                switch which {
                case 0, 1, 2:
                    changes.append("PCK: " + change(&certificates.pck, source.mint, &expectation, &random))
                case 3:
                    if certificates.sgx != nil { changes.append("PCK: " + Self.changeSGX(&certificates.sgx, &random)) }
                case 4: changes.append("signer: " + change(&certificates.tcbSigner, source.mint, &expectation, &random))
                case 5 where authority == .platform:
                    changes.append(
                        "Platform CA: " + change(&certificates.platformCA, source.mint, &expectation, &random))
                case 5:
                    changes.append(
                        "Processor CA: " + change(&certificates.processorCA, source.mint, &expectation, &random))
                default:
                    changes.append("root: " + change(&certificates.root, source.mint, &expectation, &random))
                }
            }
        }
        var changed = source
        changed.mint = mint
        var exhibit = try changed.exhibit()
        let keepsRoot = random.chance(1, in: 12)
        if keepsRoot { exhibit.root = seed.exhibit.root }
        // One change may make another harmless.
        if keepsRoot || changes.count > 1 { expectation = .issued }
        return FuzzCase(
            .certificates, number: number, seed: index, changes: changes, subject: .exhibit(exhibit),
            expectation: expectation)
    }

    private func change(
        _ certificate: inout MockCertificate, _ mint: Mint, _ expectation: inout Expectation,
        _ random: inout FuzzRandom
    ) -> String {
        switch random.below(14) {
        case 0: return Self.changeValidity(&certificate, &random)
        case 1, 2, 3: return Self.changeExtensions(&certificate, &expectation, &random)
        case 4: return Self.changeBasicConstraints(&certificate, &random)
        case 5: return Self.changeKeyUsage(&certificate, &random)
        case 6: return Self.changeName(&certificate, &random)
        case 7: return Self.changeSerial(&certificate, &random)
        case 8: return Self.changeAlgorithm(&certificate, &random)
        case 9: return Self.changeKey(&certificate, mint, &random)
        case 10:
            // Right content, somebody else's signature.
            let (name, key) = wrongKey(mint, besides: Self.signer(of: certificate, mint), &random)
            certificate.signature = { key.derSignature($0) }
            expectation = .rejected
            return "signed by \(name)"
        case 11:
            let seed = random.next()
            let right = Self.signer(of: certificate, mint)
            // Changed blindly before it is signed: the parser sees what no honest authority issues.
            certificate.tampering = { der in
                guard let parts = SignedParts(der) else { return }
                var generator = FuzzRandom(seed: seed, purpose: "certificate")
                var message = parts.message
                _ = ByteMutation.apply(to: &message, &generator)
                der = parts.assembled(message: message, signature: right.derSignature(message))
            }
            return "changed blindly and signed"
        case 12:
            let seed = random.next()
            certificate.tampering = { der in
                var generator = FuzzRandom(seed: seed, purpose: "certificate")
                _ = ByteMutation.apply(to: &der, &generator)
            }
            return "changed blindly"
        default:
            certificate.builder.version = random.pick([1, 2, 4, 255])
            return "version \(certificate.builder.version)"
        }
    }

    private static func signer(of certificate: MockCertificate, _ mint: Mint) -> FuzzKey {
        certificate.builder.issuer.der == mint.platform.certificates.root.builder.subject.der
            ? mint.root : mint.pckAuthority
    }

    private static func changeValidity(_ certificate: inout MockCertificate, _ random: inout FuzzRandom) -> String {
        let now = Corpus.now
        let day: Int64 = 86_400
        let time: X509.Time = random.pick([
            .seconds(now), .seconds(now - 1), .seconds(now + 1), .seconds(now - 30 * day), .seconds(now + 30 * day),
            .utcTime("260921141320Z"), .utcTime("2609211413Z"), .utcTime("260921141320+0000"),
            .generalizedTime("20260921141320Z"), .generalizedTime("20260921141320.5Z"),
            .generalizedTime("99991231235959Z"), .generalizedTime("20490101000000Z"), .utcTime("491231235960Z"),
            .utcTime("500101000000Z"), .generalizedTime("20260229000000Z"), .der([]), .der(DER.null),
        ])
        if random.chance(1, in: 2) {
            certificate.builder.notBefore = time
            return "notBefore \(time)"
        }
        certificate.builder.notAfter = time
        return "notAfter \(time)"
    }

    private static func changeExtensions(
        _ certificate: inout MockCertificate, _ expectation: inout Expectation, _ random: inout FuzzRandom
    ) -> String {
        let unknown = ObjectIdentifier(1, 3, 6, 1, 4, 1, 99_999, 1)
        var extensions = certificate.builder.extensions
        defer { certificate.builder.extensions = extensions }
        switch random.below(11) {
        case 0:
            extensions.append(X509.Extension(unknown, critical: true, value: DER.null))
            expectation = .rejected
            return "an unknown critical extension"
        case 1:
            extensions.append(X509.Extension(unknown, value: random.bytes(random.below(9))))
            return "an unknown extension"
        case 2:
            let constraint = X509.Extension.nameConstraints(
                permitted: [.directory(MockCertificates.name("x"))]
            ).marked(critical: random.chance(1, in: 2))
            extensions.append(constraint)
            expectation = .rejected
            return "name constraints"
        case 3:
            guard !extensions.isEmpty else { return "nothing" }
            return "extension \(extensions.remove(at: random.below(extensions.count)).identifier) removed"
        case 4:
            guard !extensions.isEmpty else { return "nothing" }
            extensions.append(random.pick(extensions))
            expectation = .rejected
            return "an extension twice"
        case 5:
            let index = random.below(extensions.count)
            guard extensions.indices.contains(index) else { return "nothing" }
            extensions[index].isCritical.toggle()
            return "extension \(index) \(extensions[index].isCritical ? "critical" : "not critical")"
        case 6:
            let purposes: [[ObjectIdentifier]] = [
                [.serverAuth], [ObjectIdentifier(1, 3, 6, 1, 5, 5, 7, 3, 2)], [ObjectIdentifier(2, 5, 29, 37, 0)],
                [ObjectIdentifier(1, 3, 6, 1, 5, 5, 7, 3, 2), .serverAuth], [],
            ]
            extensions.append(.extendedKeyUsage(random.pick(purposes)).marked(critical: random.chance(1, in: 2)))
            return "extended key usage"
        case 7:
            extensions.append(.subjectAltName([.dns("x.invalid")]).marked(critical: random.chance(1, in: 2)))
            return "a subject alternative name"
        case 8:
            extensions = random.shuffled(extensions)
            return "extensions in another order"
        case 9:
            extensions = []
            return "no extensions"
        default:
            let index = random.below(extensions.count)
            guard extensions.indices.contains(index) else { return "nothing" }
            return "extension \(index): " + ByteMutation.apply(to: &extensions[index].value, &random)
        }
    }

    private static func changeBasicConstraints(
        _ certificate: inout MockCertificate, _ random: inout FuzzRandom
    ) -> String {
        let isAuthority = random.chance(1, in: 2)
        let length: UInt? = random.pick([nil, 0, 1, 2, 200])
        certificate.set(.basicConstraints(isAuthority: isAuthority, pathLength: length))
        return "basic constraints: CA \(isAuthority), path length \(length.map { "\($0)" } ?? "none")"
    }

    private static func changeKeyUsage(_ certificate: inout MockCertificate, _ random: inout FuzzRandom) -> String {
        let usages = X509.KeyUsage.allCases.filter { _ in random.chance(1, in: 3) }
        if random.chance(1, in: 8) {
            certificate.set(.keyUsage(bits: random.bytes(random.below(4)), unusedBits: UInt8(random.below(9))))
            return "key usage of other bits"
        }
        certificate.set(.keyUsage(Set(usages)))
        return "key usage \(usages.map { "\($0)" }.joined(separator: "+"))"
    }

    private static func changeName(_ certificate: inout MockCertificate, _ random: inout FuzzRandom) -> String {
        let name = random.pick([
            "Simulated SGX TCB Signing", "Simulated SGX PCK Certificate", "Simulated SGX PCK Platform CA",
            "Simulated SGX PCK Processor CA", "Simulated TEE Root CA (not Intel)", "Intel SGX TCB Signing", "",
            "simulated sgx pck certificate", "x",
        ])
        if random.chance(1, in: 3) {
            certificate.builder.issuer = MockCertificates.name(name)
            return "issuer \(name)"
        }
        certificate.builder.subject = MockCertificates.name(name)
        return "subject \(name)"
    }

    private static func changeSerial(_ certificate: inout MockCertificate, _ random: inout FuzzRandom) -> String {
        certificate.builder.serialNumber = random.pick([
            [2, 1, 0], [2, 1, 0xFF], [2, 2, 0, 1], [2, 0], [2, 1, 1], [2, 2, 0x11, 0x22],
            [2, 21] + [0] + [UInt8](repeating: 0xFF, count: 20), [2, 21] + [UInt8](repeating: 0x11, count: 21),
            [2, 20] + [UInt8](repeating: 0xFE, count: 20), [4, 1, 1],
        ])
        return "serial number \(Hex.encode(certificate.builder.serialNumber))"
    }

    private static func changeAlgorithm(_ certificate: inout MockCertificate, _ random: inout FuzzRandom) -> String {
        let algorithm: X509.Algorithm = random.pick([
            .ecdsaWithSHA384, .ecdsaWithSHA1, .ed25519, .sha256WithRSA,
            X509.Algorithm(.ecdsaWithSHA256, parameters: DER.null), X509.Algorithm(der: DER.sequence([])),
        ])
        let place = random.below(3)
        if place != 1 { certificate.builder.innerAlgorithm = algorithm }
        if place != 0 { certificate.builder.outerAlgorithm = algorithm }
        return "algorithm \(["inside", "outside", "on both sides"][place])"
    }

    private static func changeKey(
        _ certificate: inout MockCertificate, _ mint: Mint, _ random: inout FuzzRandom
    ) -> String {
        var spki = certificate.builder.publicKey
        switch random.below(6) {
        case 0: spki = mint.attestation.spki
        case 1: spki = mint.root.spki
        case 2:
            // Compressed.
            let x = spki.suffix(64).prefix(32)
            spki = P256.compressedPrefix + [2] + x
        case 3: spki = P384.uncompressedPrefix + [4] + random.bytes(96)
        case 4: spki = spki.dropLast(64) + random.bytes(64)
        default: _ = ByteMutation.apply(to: &spki, &random)
        }
        certificate.builder.publicKey = spki
        return "another key"
    }

    // MARK: The platform's description

    private static func changeSGX(_ sgx: inout MockSGXExtension?, _ random: inout FuzzRandom) -> String {
        guard var value = sgx else { return "nothing" }
        defer { sgx = value }
        switch random.below(12) {
        case 0:
            value.isCritical = true
            return "SGX extension critical"
        case 1:
            value.identifier = ObjectIdentifier(1, 2, 840, 113741, 1, 13, UInt64(random.below(4)))
            return "SGX extension under \(value.identifier)"
        case 2:
            let index = random.below(value.others.count)
            value.others.remove(at: index)
            return "entry \(index + 3) removed"
        case 3:
            value.tcb.remove(at: random.below(value.tcb.count))
            return "a TCB entry removed"
        case 4:
            value.tcb.append(random.pick(value.tcb))
            return "a TCB entry twice"
        case 5:
            value.additional = [random.pick([value.ppid.der, random.pick(value.others).der, DER.null, [0x30, 0]])]
            return "an entry more"
        case 6:
            let index = random.below(value.tcb.count)
            value.tcb[index].value = random.pick([
                DER.integer(UInt16(random.below(65_536))), DER.integer(UInt8(random.below(256))), [2, 1, 0xFF],
                [2, 2, 0, 1], [2, 0], [2, 2, 0xFF, 0xFF], [2, 3, 0, 0x9C, 0x40], DER.octetString(random.bytes(16)),
                DER.octetString(random.bytes(15)), DER.boolean(true),
            ])
            return "TCB entry \(index + 1): \(Hex.encode(value.tcb[index].value))"
        case 7:
            value.ppid.value = DER.octetString(random.bytes(random.pick([0, 15, 16, 16, 17])))
            return "PPID of \(value.ppid.value.count - 2) bytes"
        case 8:
            let index = random.below(value.others.count)
            value.others[index].value = random.pick([
                DER.octetString(random.bytes(6)), DER.octetString(random.bytes(2)), DER.octetString(random.bytes(16)),
                DER.enumerated(UInt8(random.below(5))), DER.enumerated(200), DER.null, DER.integer(UInt8(0)),
            ])
            return "entry \(index + 3): \(Hex.encode(value.others[index].value))"
        case 9:
            guard !value.configuration.isEmpty else { return "nothing" }
            let index = random.below(value.configuration.count)
            value.configuration[index].value = random.pick([
                DER.boolean(true), DER.boolean(false), [1, 1, 1], [1, 0], [1, 2, 0xFF, 0xFF], DER.integer(UInt8(1)),
            ])
            return "configuration \(index + 1): \(Hex.encode(value.configuration[index].value))"
        case 10:
            let index = random.below(value.tcb.count)
            value.tcb[index].identifier = MockSGXExtension.arc(2, UInt64(random.below(300)))
            return "TCB entry \(index + 1) under \(value.tcb[index].identifier)"
        default:
            sgx = nil
            return "no SGX extension"
        }
    }
}
