import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

/// Attacks on the certificates between the trust anchor and what they sign.
@Suite("Attacks: certificate chains")
struct AttackChainTests {
    private static let unknownCritical = X509.Extension(
        ObjectIdentifier(1, 3, 6, 1, 4, 1, 99_999, 7), critical: true, value: DER.null)

    @Rows<Harmless> static var controlsRows: [Harmless] {
        Harmless.both("nothing changed")
        Harmless.both("issued again unchanged") { try $0.certificates { _ in } }
        Harmless.both("the processor CA") {
            var configuration = MockPlatform.Configuration()
            configuration.authority = .processor
            $0 = try MockEvidence($0.tee, configuration)
        }
        Harmless.both("root before CA") {
            let chain = $0.platform.pckChain
            $0.chain([chain[0], chain[2], chain[1]])
        }
        Harmless.both("without the root") { $0.chain(Array($0.platform.pckChain.prefix(2))) }
        Harmless.both("the CA twice") {
            let chain = $0.platform.pckChain
            $0.chain([chain[0], chain[1], chain[1], chain[2]])
        }
        Harmless.both("CRLF and a NUL at the end") {
            $0.chain(text: MockPlatform.pem($0.platform.pckChain).replacing("\n", with: "\r\n") + "\u{0}")
        }
        Harmless.both("the documents' signer alone") {
            $0.collateral { collateral in
                collateral.tcbInfoSigning.chain.removeLast()
                collateral.qeIdentitySigning.chain.removeLast()
            }
        }
        Harmless.both("no key identifiers") {
            try $0.certificates { certificates in
                for role in Role.allCases {
                    role.edit(&certificates) {
                        $0.edit(.authorityKeyIdentifier) { $0 = nil }
                        $0.edit(.subjectKeyIdentifier) { $0 = nil }
                    }
                }
            }
            $0.anchor = $0.platform.rootCertificate
        }
        Harmless.both("an unknown extension that is not critical") {
            try $0.certificates { certificates in
                for role in Role.allCases {
                    role.edit(&certificates) { $0.set(Self.unknownCritical.marked(critical: false)) }
                }
            }
            $0.anchor = $0.platform.rootCertificate
        }
        Harmless.both("valid until 2050, written as GeneralizedTime") {
            try $0.certificates { $0.pck.builder.notAfter = .generalizedTime("20500101000000Z") }
        }
    }

    @Test("unusual but correct chains are accepted", arguments: controlsRows)
    func controls(_ control: Harmless) throws { try control.run() }

    /// A certificate of the hierarchy.
    enum Role: String, CaseIterable {
        case root, authority = "PCK CA", pck = "PCK", signer = "TCB signer"

        /// The check that such a certificate fails first.
        var check: CheckID {
            switch self {
            case .root: .trustAnchor
            case .authority, .pck: .pckChain
            case .signer: .tcbInfoSigner
            }
        }

        var validityCheck: CheckID {
            switch self {
            case .root: .trustAnchor
            case .authority, .pck: .pckChainValidity
            case .signer: .tcbInfoSignerValidity
            }
        }

        func edit(_ certificates: inout MockCertificates, _ change: (inout MockCertificate) -> Void) {
            switch self {
            case .root: change(&certificates.root)
            case .authority: change(&certificates.platformCA)
            case .pck: change(&certificates.pck)
            case .signer: change(&certificates.tcbSigner)
            }
        }
    }

    private static func change(
        _ name: String, _ role: Role, _ code: FailureCode, _ edit: @escaping @Sendable (inout MockCertificate) -> Void
    ) -> [Attack] {
        Attack.both("\(name), \(role.rawValue)", role.check, code) {
            try $0.certificates { role.edit(&$0, edit) }
        }
    }

    // MARK: Anchors

    @Test(
        "a signature is checked whatever the key identifiers say (V03)",
        arguments: ["of the issuer", "of another key", "none", "empty"])
    func keyIdentifiers(kind: String) throws {
        for tee in TEEType.allCases {
            var evidence = try MockEvidence(tee)
            let stranger = try evidence.stranger()
            try evidence.certificates { certificates in
                certificates.pck.signer = stranger.keys.platformCA
                switch kind {
                case "of another key":
                    certificates.pck.set(.authorityKeyIdentifier([UInt8](repeating: 7, count: 20)))
                case "none": certificates.pck.edit(.authorityKeyIdentifier) { $0 = nil }
                case "empty":
                    certificates.pck.set(.authorityKeyIdentifier([]))
                    certificates.platformCA.set(.subjectKeyIdentifier([]))
                default: break
                }
            }
            try evidence.verified().expectRefused(.pckChain, .badSignature)
        }
    }

    @Test("a root is recognised by its key, not by its name (V04)", arguments: TEEType.allCases)
    func impostor(tee: TEEType) throws {
        var evidence = try MockEvidence(tee)
        // Everything anew under a root of the same name.
        evidence.platform = try evidence.stranger()
        try evidence.verified().expectRefused(.rootCRLSignature, .badSignature)
        // The platform alone is the impostor's; the collateral is honest.
        var mixed = try MockEvidence(tee)
        let stranger = try mixed.stranger()
        let quote = try stranger.quote(MockTrustDomain(on: stranger).report(reportData: FixedBytes()))
        if tee == .tdx {
            let report = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: mixed.anchor))
                .verify(quote, collateral: try mixed.collateralValue(), at: mixed.now)
            report.expectRefused(.pckChain, .badSignature)
        }
        mixed.chain(stranger.pckChain)
        mixed.quote { $0.qeReportSigner = stranger.keys.pck }
        try mixed.verified().expectRefused(.pckChain, .badSignature)
    }

    @Test("a self-signed root with Intel's name proves nothing under Intel's root (V04)", arguments: TEEType.allCases)
    func intelByName(tee: TEEType) throws {
        let intel = TrustAnchor.intel
        let name = X509.Name(der: Array(try Certificate(der: intel.der).subject))
        var evidence = try MockEvidence(tee)
        try evidence.certificates { certificates in
            certificates.root.builder.subject = name
            certificates.root.builder.issuer = name
            certificates.platformCA.builder.issuer = name
            certificates.tcbSigner.builder.issuer = name
        }
        evidence.anchor = evidence.platform.rootCertificate
        try evidence.verified().expectAccepted()
        let forged = try TrustAnchor(certificate: evidence.platform.rootCertificate)
        #expect(!forged.isIntel && forged.name == "Intel SGX Root CA")
        evidence.anchor = intel.der
        try evidence.verified().expectRefused(.rootCRLSignature, .badSignature)
    }

    @Test("evidence of a simulated platform proves nothing under Intel's root", arguments: TEEType.allCases)
    func simulated(tee: TEEType) throws {
        var evidence = try MockEvidence(tee)
        #expect(try evidence.verified().verifiedQuote?.isSimulated == true)
        evidence.anchor = TrustAnchor.intel.der
        try evidence.verified().expectRefused(.rootCRLSignature, .unknownIssuer)
    }

    @Rows<Attack> static var foreignRootsRows: [Attack] {
        Attack.both("a second root in the quote, over a second CA", .pckChain, .badSignature) {
            let stranger = try $0.stranger()
            let chain = $0.platform.pckChain
            $0.chain(
                [stranger.pckCertificate, stranger.pckAuthorityCertificate, stranger.rootCertificate] + chain[1...])
            $0.quote { $0.qeReportSigner = stranger.keys.pck }
        }
        Attack.both("a second root in the collateral", .tcbInfoSigner, .badSignature) {
            let stranger = try $0.stranger()
            let root = $0.platform.rootCertificate
            $0.collateral {
                $0.tcbInfoSigning.signer = stranger.keys.tcbSigner
                $0.tcbInfoSigning.chain = stranger.tcbSigningChain + [root]
            }
        }
        Attack.both("the chain of another root in place of the quote's", .pckChain, .badSignature) {
            let stranger = try $0.stranger()
            $0.quote { $0.qeReportSigner = stranger.keys.pck }
            $0.collateral {
                $0.includesPCKChain = true
                $0.pckChain = stranger.pckChain
            }
        }
        Attack.both("the root itself as the signer of TCB info", .tcbInfoSigner, .wrongUsage) {
            let platform = $0.platform
            $0.collateral {
                $0.tcbInfoSigning.signer = platform.keys.root
                $0.tcbInfoSigning.chain = [platform.rootCertificate]
            }
        }
    }

    @Test("roots that come with the evidence are not believed (V05)", arguments: foreignRootsRows)
    func foreignRoots(_ attack: Attack) throws { try attack.run() }

    @Test("a trust root is one self-signed P-256 CA certificate without surprises (V05, V08)")
    func trustRoots() throws {
        let evidence = try MockEvidence(.tdx)
        let stranger = try evidence.stranger()
        func anchor(_ edit: (inout MockCertificate) -> Void) throws -> TrustAnchor {
            try TrustAnchor(certificate: evidence.platform.reissued { edit(&$0.root) }.rootCertificate)
        }
        #expect(try anchor { _ in }.isSimulated)
        let two = evidence.platform.rootCertificatePEM + stranger.rootCertificatePEM
        let tests: [(String, () throws -> TrustAnchor)] = [
            ("two roots", { try TrustAnchor(certificate: Array(two.utf8)) }),
            ("bytes behind it", { try TrustAnchor(certificate: evidence.platform.rootCertificate + [0]) }),
            ("signed by another key", { try anchor { $0.signer = stranger.keys.root } }),
            ("another issuer", { try anchor { $0.builder.issuer = MockCertificates.name("Another") } }),
            ("not a CA", { try anchor { $0.set(.basicConstraints(isAuthority: false)) } }),
            ("no basic constraints", { try anchor { $0.edit(.basicConstraints) { $0 = nil } } }),
            ("may not sign certificates", { try anchor { $0.set(.keyUsage([.cRLSign])) } }),
            ("unknown critical extension", { try anchor { $0.set(Self.unknownCritical) } }),
            ("name constraints", { try anchor { $0.set(.nameConstraints(permitted: [.dns("example.com")])) } }),
            ("a leaf", { try TrustAnchor(certificate: evidence.platform.pckCertificate) }),
            ("an intermediate", { try TrustAnchor(certificate: evidence.platform.pckAuthorityCertificate) }),
            ("nothing", { try TrustAnchor(certificate: []) }),
        ]
        for (name, make) in tests {
            let failure = #expect(throws: AttestationError.self, "\(name)") { try make() }
            #expect(failure?.code == .invalidTrustRoot, "\(name)")
        }
    }

    // MARK: Roles

    @Rows<Attack> static var rolesRows: [Attack] {
        Attack.both("the TCB signer as a PCK", .pckChain, .wrongUsage) {
            let platform = $0.platform
            $0.chain(platform.tcbSigningChain)
            $0.quote { $0.qeReportSigner = platform.keys.tcbSigner }
        }
        Attack.both("the TCB signer as a PCK, with the PCK's issuers", .pckChain, .wrongUsage) {
            let platform = $0.platform
            $0.chain([platform.tcbSigningCertificate] + platform.pckChain.dropFirst())
            $0.quote { $0.qeReportSigner = platform.keys.tcbSigner }
        }
        Attack.both("the CA as a PCK", .pckChain, .wrongUsage) {
            let platform = $0.platform
            $0.chain([platform.pckAuthorityCertificate, platform.rootCertificate])
            $0.quote { $0.qeReportSigner = platform.pckAuthorityKey }
        }
        Attack.both("a leaf of another name", .pckChain, .wrongUsage) {
            try $0.certificates { $0.pck.builder.subject = MockCertificates.name("Simulated SGX Certificate") }
        }
        Attack.both("a leaf with two common names", .pckChain, .wrongUsage) {
            try $0.certificates {
                $0.pck.builder.subject = X509.Name(
                    .commonName("Simulated SGX PCK Certificate"), .commonName("something else"))
            }
        }
        Attack.both("a leaf with the phrase in its organisation", .pckChain, .wrongUsage) {
            try $0.certificates {
                $0.pck.builder.subject = X509.Name(
                    .organization("SGX PCK Certificate"), .commonName("something else"))
            }
        }
        Attack.both("an issuer that is no PCK CA", .pckChain, .wrongUsage) {
            try $0.certificates {
                $0.platformCA.builder.subject = MockCertificates.name("Simulated Other CA")
                $0.pck.builder.issuer = $0.platformCA.builder.subject
            }
        }
        Attack.both("an issuer whose name has only a part of a PCK CA's", .pckChain, .wrongUsage) {
            try $0.certificates {
                $0.platformCA.builder.subject = MockCertificates.name("Simulated SGX Platform CA")
                $0.pck.builder.issuer = $0.platformCA.builder.subject
            }
        }
        Attack.both("the PCK as the signer of TCB info", .tcbInfoSigner, .wrongUsage) {
            let platform = $0.platform
            $0.collateral {
                $0.tcbInfoSigning.signer = platform.keys.pck
                $0.tcbInfoSigning.chain = platform.pckChain
            }
        }
        Attack.both("the PCK as the signer of QE identity", .qeIdentitySigner, .wrongUsage) {
            let platform = $0.platform
            $0.collateral {
                $0.qeIdentitySigning.signer = platform.keys.pck
                $0.qeIdentitySigning.chain = platform.pckChain
            }
        }
        Attack.both("the CA as the signer of TCB info", .tcbInfoSigner, .wrongUsage) {
            let platform = $0.platform
            $0.collateral {
                $0.tcbInfoSigning.signer = platform.pckAuthorityKey
                $0.tcbInfoSigning.chain = [platform.pckAuthorityCertificate, platform.rootCertificate]
            }
        }
        Attack.both("another leaf under the root as the signer of TCB info", .tcbInfoSigner, .wrongUsage) {
            let leaf = try Self.otherLeaf($0.platform, "Simulated SGX Quote Signing")
            $0.collateral {
                $0.tcbInfoSigning.signer = leaf.key
                $0.tcbInfoSigning.chain = [leaf.certificate]
            }
        }
        Attack.both("another leaf under the root as the signer of QE identity", .qeIdentitySigner, .wrongUsage) {
            let leaf = try Self.otherLeaf($0.platform, "Simulated SGX Quote Signing")
            $0.collateral {
                $0.qeIdentitySigning.signer = leaf.key
                $0.qeIdentitySigning.chain = [leaf.certificate]
            }
        }
        Attack.both("a signer of TCB info below the PCK CA", .tcbInfoSigner, .unknownIssuer) {
            let platform = $0.platform
            let key = MockKey()
            var leaf = platform.certificates.tcbSigner
            leaf.builder.publicKey = key.spki
            leaf.builder.issuer = platform.pckAuthorityName
            leaf.signer = platform.pckAuthorityKey
            let der = try leaf.issued()
            $0.collateral {
                $0.tcbInfoSigning.signer = key
                $0.tcbInfoSigning.chain = [der, platform.pckAuthorityCertificate, platform.rootCertificate]
            }
        }
    }

    @Test("a certificate is used for nothing but what it was issued for (V06)", arguments: rolesRows)
    func roles(_ attack: Attack) throws { try attack.run() }

    private static func otherLeaf(
        _ platform: MockPlatform, _ name: String
    ) throws -> (key: MockKey, certificate: [UInt8]) {
        let key = MockKey()
        var leaf = platform.certificates.tcbSigner
        leaf.builder.publicKey = key.spki
        leaf.builder.subject = MockCertificates.name(name)
        return (key, try leaf.issued())
    }

    @Rows<Attack> static var orderRows: [Attack] {
        Attack.both("CA first", .pckChain, .wrongUsage) {
            let chain = $0.platform.pckChain
            $0.chain([chain[1], chain[0], chain[2]])
        }
        Attack.both("root first", .pckChain, .wrongUsage) { $0.chain($0.platform.pckChain.reversed()) }
        Attack.both("the PCK alone", .pckChain, .unknownIssuer) { $0.chain([$0.platform.pckCertificate]) }
        Attack.both("without the CA", .pckChain, .unknownIssuer) {
            $0.chain([$0.platform.pckCertificate, $0.platform.rootCertificate])
        }
        Attack.both("the PCK in place of its CA", .pckChain, .unknownIssuer) {
            $0.chain([$0.platform.pckCertificate, $0.platform.pckCertificate, $0.platform.rootCertificate])
        }
        Attack.both("the CA of another name", .pckChain, .unknownIssuer) {
            let platform = $0.platform
            $0.chain([platform.pckCertificate, platform.processorCACertificate, platform.rootCertificate])
        }
        Attack.both("six certificates", .pckChain, .malformed) {
            let chain = $0.platform.pckChain
            $0.chain(chain + [chain[1], chain[1], chain[1]])
        }
        Attack.both("no certificate", .pckChain, .malformed) { $0.chain([]) }
        Attack.both("no certificate in the collateral", .pckChain, .malformed) {
            $0.collateral { $0.tampering = { $0.pckCertificateChain = "" } }
        }
        Attack.both("a PEM block of another kind", .pckChain, .malformed) {
            $0.chain(text: MockPlatform.pem($0.platform.pckChain).replacing("CERTIFICATE", with: "X509 CRL"))
        }
        Attack.both("a byte behind the PCK certificate", .pckChain, .malformed) {
            let chain = $0.platform.pckChain
            $0.chain([chain[0] + [0], chain[1], chain[2]])
        }
        Attack.both("a CA below the CA", .pckChain, .unknownIssuer) {
            // A PCK CA certifies a second one of its own name's kind, which certifies the PCK.
            let platform = $0.platform
            let key = MockKey()
            var lower = platform.certificates.platformCA
            lower.builder.issuer = lower.builder.subject
            lower.builder.subject = MockCertificates.name("Simulated SGX PCK Platform CA 2")
            lower.builder.publicKey = key.spki
            lower.signer = platform.keys.platformCA
            let subject = lower.builder.subject
            let der = try lower.issued()
            try $0.certificates {
                $0.pck.builder.issuer = subject
                $0.pck.signer = key
            }
            $0.chain([$0.platform.pckCertificate, der, platform.platformCACertificate, platform.rootCertificate])
        }
        Attack.both("no signer of TCB info", .tcbInfoSigner, .malformed) {
            $0.collateral { $0.tcbInfoSigning.chain = [] }
        }
        Attack.both("no signer of QE identity", .qeIdentitySigner, .malformed) {
            $0.collateral { $0.qeIdentitySigning.chain = [] }
        }
        Attack.both("the signer of TCB info behind the root", .tcbInfoSigner, .wrongUsage) {
            $0.collateral { $0.tcbInfoSigning.chain.reverse() }
        }
    }

    @Test("a chain that does not lead from the PCK through its CA to the root is refused (V07)", arguments: orderRows)
    func order(_ attack: Attack) throws { try attack.run() }

    // MARK: Constraints

    @Rows<Attack> static var constraintRows: [Attack] {
        for role in [Role.pck, .authority, .signer] {
            change("an unknown critical extension", role, .unsupported) { $0.set(unknownCritical) }
            change("a critical certificate policy", role, .unsupported) {
                let policy = DER.sequence(DER.objectIdentifier(ObjectIdentifier(2, 5, 29, 32, 0)))
                $0.set(X509.Extension(ObjectIdentifier(2, 5, 29, 32), critical: true, value: DER.sequence(policy)))
            }
            change("name constraints", role, .unsupported) {
                $0.set(.nameConstraints(permitted: [.directory(MockCertificates.name("Simulated"))]))
            }
            change("name constraints that are not critical", role, .unsupported) {
                $0.set(.nameConstraints(excluded: [.dns("example.com")]).marked(critical: false))
            }
            change("an extension twice", role, .malformed) { $0.builder.extensions.append(.subjectKeyIdentifier([1])) }
            change("version 1", role, .malformed) { $0.builder.version = 1 }
            change("a key usage with bits behind its end", role, .malformed) {
                $0.set(.keyUsage(bits: [0x86, 0x81], unusedBits: 1))
            }
            change("a key usage with more unused bits than there are", role, .malformed) {
                $0.set(.keyUsage(bits: [0x86], unusedBits: 8))
            }
        }
        for role in [Role.pck, .signer] {
            change("a CA as a leaf", role, .wrongUsage) { $0.set(.basicConstraints(isAuthority: true)) }
            change("may not sign data", role, .wrongUsage) { $0.set(.keyUsage([.keyEncipherment])) }
            change("for TLS clients only", role, .wrongUsage) { $0.set(.extendedKeyUsage([.clientAuth])) }
        }
        change("no basic constraints", .authority, .wrongUsage) { $0.edit(.basicConstraints) { $0 = nil } }
        change("not a CA", .authority, .wrongUsage) { $0.set(.basicConstraints(isAuthority: false)) }
        change("may not sign certificates", .authority, .wrongUsage) { $0.set(.keyUsage([.cRLSign])) }
        change("may not sign revocation lists", .authority, .wrongUsage) { $0.set(.keyUsage([.keyCertSign])) }
        Attack.both("a root that allows no CA below it", .pckChain, .wrongUsage) {
            try $0.certificates { $0.root.set(.basicConstraints(isAuthority: true, pathLength: 0)) }
            $0.anchor = $0.platform.rootCertificate
        }
    }

    @Test("certificates whose constraints are broken or unknown are refused (V08)", arguments: constraintRows)
    func constraints(_ attack: Attack) throws { try attack.run() }

    // MARK: Validity

    @Test(
        "certificates are valid from their first to their last second and no longer (V09)",
        arguments: TEEType.allCases, Role.allCases)
    func validity(tee: TEEType, role: Role) throws {
        let now = MockEvidence.issued
        func report(_ first: Int64, _ last: Int64) throws -> VerificationReport {
            var evidence = try MockEvidence(tee)
            try evidence.certificates {
                role.edit(&$0) {
                    $0.builder.notBefore = .seconds(first)
                    $0.builder.notAfter = .seconds(last)
                }
            }
            evidence.anchor = evidence.platform.rootCertificate
            return try evidence.verified()
        }
        try report(now, now).expectAccepted()
        try report(now + 1, now + 9).expectRefused(role.validityCheck, .notYetValid)
        try report(now - 9, now - 1).expectRefused(role.validityCheck, .expired)
    }

    private static let wrongTimes: [(String, X509.Time)] = [
        ("without Z", .utcTime("491231235959")), ("with an offset", .utcTime("491231235959+0000")),
        ("without seconds", .utcTime("4912312359Z")), ("of month 13", .utcTime("491331235959Z")),
        ("of 30 February", .utcTime("440230000000Z")), ("of hour 24", .utcTime("491231240000Z")),
        ("with blanks", .utcTime("4912 1235959Z")),
        ("before 2050 as GeneralizedTime", .generalizedTime("20491231235959Z")),
        ("with a fraction", .generalizedTime("20510101000000.5Z")),
        ("of a year of five digits", .generalizedTime("120510101000000Z")),
        ("as another type", .der(DER.integer(UInt32(1)))),
    ]

    @Rows<Attack> static var timeRows: [Attack] {
        for (name, time) in wrongTimes {
            change("a date \(name)", .pck, .malformed) { $0.builder.notAfter = time }
        }
        change("an end before the beginning", .pck, .malformed) {
            $0.builder.notBefore = .seconds(2_000_000_000)
            $0.builder.notAfter = .seconds(1_000_000_000)
        }
    }

    @Test("dates that are none are refused (V09)", arguments: timeRows)
    func times(_ attack: Attack) throws { try attack.run() }

    // MARK: Algorithms

    private static let explicitCurve: [UInt8] = {
        // SubjectPublicKeyInfo with the curve's numbers in place of its name (CVE-2020-0601 put the attacker's there).
        let field = DER.sequence(
            DER.objectIdentifier(ObjectIdentifier(1, 2, 840, 10045, 1, 1)),
            DER.integer(magnitude: [UInt8](repeating: 0xFF, count: 32)))
        let coefficient = DER.octetString([UInt8](repeating: 1, count: 32))
        let parameters = DER.sequence(
            DER.integer(UInt8(1)), field, DER.sequence(coefficient, coefficient),
            DER.octetString([4] + [UInt8](repeating: 2, count: 64)),
            DER.integer(magnitude: [UInt8](repeating: 0xFF, count: 32)))
        let algorithm = DER.sequence(DER.objectIdentifier(.ecPublicKey), parameters)
        return DER.sequence(algorithm, DER.bitString([4] + MockKey().point.bytes))
    }()

    @Rows<Attack> static var algorithmRows: [Attack] {
        for role in [Role.pck, .authority, .signer] {
            change("SHA-384 inside and SHA-256 outside", role, .unsupported) {
                $0.builder.innerAlgorithm = .ecdsaWithSHA384
            }
            change("SHA-256 inside and SHA-384 outside", role, .unsupported) {
                $0.builder.outerAlgorithm = .ecdsaWithSHA384
            }
            change("SHA-1", role, .unsupported) {
                $0.builder.innerAlgorithm = .ecdsaWithSHA1
                $0.builder.outerAlgorithm = .ecdsaWithSHA1
            }
            change("parameters of the signature algorithm", role, .unsupported) {
                let algorithm = X509.Algorithm(.ecdsaWithSHA256, parameters: DER.null)
                $0.builder.innerAlgorithm = algorithm
                $0.builder.outerAlgorithm = algorithm
            }
            change("a P-384 key", role, .unsupported) { $0.builder.publicKey = P384.PrivateKey().publicKey.spki }
            change("a curve given by its numbers", role, .unsupported) { $0.builder.publicKey = explicitCurve }
            change("a compressed key", role, .unsupported) {
                let algorithm = DER.sequence(DER.objectIdentifier(.ecPublicKey), DER.objectIdentifier(.prime256v1))
                $0.builder.publicKey = DER.sequence(algorithm, DER.bitString([2] + MockKey().point.bytes.prefix(32)))
            }
            change("a key of zeros", role, .unsupported) {
                $0.builder.publicKey = p256SubjectPublicKeyInfoPrefix + [UInt8](repeating: 0, count: 64)
            }
            change("a signature of zeros", role, .badSignature) {
                $0.signature = { _ in DER.sequence(DER.integer(UInt8(0)), DER.integer(UInt8(0))) }
            }
            change("a signature as r and s without DER", role, .malformed) {
                let key = $0.signer
                $0.signature = { message throws(CryptoFailure) in try key.privateKey.signature(for: message).raw }
            }
            change("a signature with a byte behind it", role, .malformed) {
                let key = $0.signer
                $0.signature = { message throws(CryptoFailure) in
                    try key.privateKey.certificateSignature(over: message) + [0]
                }
            }
            change("no signature", role, .malformed) { $0.signature = { _ in [] } }
            change("a changed byte", role, .badSignature) {
                // The last byte of s.
                $0.tampering = { der in if !der.isEmpty { der[der.count - 1] ^= 1 } }
            }
        }
    }

    @Test("no other algorithm, curve or encoding passes (V11)", arguments: algorithmRows)
    func algorithms(_ attack: Attack) throws { try attack.run() }
}
