import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

/// Attacks on revocation lists and around them.
@Suite("Attacks: revocation")
struct AttackRevocationTests {
    enum List: String, CaseIterable {
        case root = "root CRL"
        case pck = "PCK CRL"

        var format: CheckID { self == .root ? .rootCRLFormat : .pckCRLFormat }
        var signature: CheckID { self == .root ? .rootCRLSignature : .pckCRLSignature }
        var validity: CheckID { self == .root ? .rootCRLValidity : .pckCRLValidity }

        func edit(_ collateral: inout MockCollateral, _ change: (inout MockRevocationList) -> Void) {
            switch self {
            case .root: change(&collateral.rootCRL)
            case .pck: change(&collateral.pckCRL)
            }
        }
    }

    private static func change(
        _ name: String, _ list: List, _ check: CheckID, _ code: FailureCode,
        _ edit: @escaping @Sendable (inout MockRevocationList) -> Void
    ) -> [Attack] {
        Attack.both("\(name), \(list.rawValue)", check, code) { $0.collateral { list.edit(&$0, edit) } }
    }

    @Rows<Harmless> static var controlsRows: [Harmless] {
        Harmless.both("nothing changed")
        Harmless.both("other certificates revoked") {
            $0.collateral { collateral in
                for list in List.allCases {
                    list.edit(&collateral) { list in
                        list.builder.revoked = (1...200).map {
                            .init(serialNumber: [$0], date: .seconds(MockEvidence.issued - 5))
                        }
                    }
                }
            }
        }
        Harmless.both("the PCK's serial number on the root's list") {
            let pck = $0.platform.certificates.pck
            $0.collateral { $0.rootCRL.revoke(pck) }
        }
        Harmless.both("a large CRL number and a reason") {
            $0.collateral {
                $0.pckCRL.builder.extensions = [.crlNumber(.max)]
                $0.pckCRL.builder.revoked = [
                    .init(serialNumber: [9], date: .seconds(1), extensions: [.revocationReason(1)])
                ]
            }
        }
    }

    @Test("unusual but correct lists are accepted", arguments: controlsRows)
    func controls(_ control: Harmless) throws { try control.run() }

    @Test("the CRL of the other PCK CA is refused (V10)", arguments: TEEType.allCases)
    func otherAuthority(tee: TEEType) throws {
        for authority in MockPlatform.Configuration.PCKAuthority.allCases {
            var configuration = MockPlatform.Configuration()
            configuration.authority = authority
            let honest = try MockEvidence(tee, configuration)
            let keys = honest.platform.keys
            let certificates = honest.platform.certificates
            let (key, name) =
                authority == .platform
                ? (keys.processorCA, certificates.processorCA.builder.subject)
                : (keys.platformCA, certificates.platformCA.builder.subject)
            var other = honest
            other.collateral {
                $0.pckCRL.builder.issuer = name
                $0.pckCRL.signer = key
            }
            try other.verified().expectRefused(.pckCRLSignature, .unknownIssuer)
            // With the right name it is a forgery by the wrong key.
            var forged = honest
            forged.collateral { $0.pckCRL.signer = key }
            try forged.verified().expectRefused(.pckCRLSignature, .badSignature)
        }
    }

    @Rows<Attack> static var absentRows: [Attack] {
        Attack.both("no root CRL", .rootCRLFormat, .malformed) {
            $0.collateral { $0.tampering = { $0.rootCACRL = [] } }
        }
        Attack.both("no PCK CRL", .pckCRLFormat, .malformed) {
            $0.collateral { $0.tampering = { $0.pckCRL = [] } }
        }
        Attack.both("no lists at all", .rootCRLFormat, .malformed) {
            $0.collateral {
                $0.tampering = {
                    $0.rootCACRL = []
                    $0.pckCRL = []
                }
            }
        }
        Attack.both("an empty structure for a root CRL", .rootCRLFormat, .malformed) {
            $0.collateral { $0.tampering = { $0.rootCACRL = [0x30, 0] } }
        }
        Attack.both("a certificate for a PCK CRL", .pckCRLFormat, .malformed) {
            let certificate = $0.platform.pckCertificate
            $0.collateral { $0.tampering = { $0.pckCRL = certificate } }
        }
        Attack.both("a PEM text for a PCK CRL", .pckCRLFormat, .malformed) {
            $0.collateral { $0.tampering = { $0.pckCRL = Array(PEM.encode("X509 CRL", $0.pckCRL).utf8) } }
        }
        for list in List.allCases {
            change("without an end", list, list.validity, .missing) { $0.builder.nextUpdate = nil }
        }
    }

    @Test("evidence without revocation lists is refused (V12)", arguments: absentRows)
    func absent(_ attack: Attack) throws { try attack.run() }

    @Test("collateral without a revocation list cannot be read (V12)", arguments: ["root_ca_crl", "pck_crl"])
    func absentMember(name: String) throws {
        let json = String(decoding: try MockEvidence(.tdx).collateralValue().json, as: UTF8.self)
        _ = try QuoteCollateral(parsingJSON: Array(json.utf8))
        for other in [
            json.replacing("\"\(name)\"", with: "\"other\""),
            json.replacing("\"\(name)\":\"", with: "\"\(name)\":null,\"x\":\""),
        ] {
            #expect(other != json)
            let failure = #expect(throws: AttestationError.self) { try QuoteCollateral(parsingJSON: Array(other.utf8)) }
            #expect(failure?.code == .invalidCollateral)
        }
    }

    @Rows<Attack> static var signatureRows: [Attack] {
        for list in List.allCases {
            change("by another key", list, list.signature, .badSignature) { $0.signer = MockKey() }
            change("a changed byte", list, list.signature, .badSignature) {
                $0.tampering = { der in if !der.isEmpty { der[der.count - 1] ^= 1 } }
            }
            change("zeros for its signature", list, list.signature, .badSignature) {
                $0.signature = { _ in DER.sequence(DER.integer(UInt8(0)), DER.integer(UInt8(0))) }
            }
            change("no signature", list, list.signature, .unsupported) { $0.signature = { _ in [] } }
            change("two algorithms", list, list.signature, .unsupported) {
                $0.builder.innerAlgorithm = .ecdsaWithSHA384
            }
            change("SHA-1", list, list.signature, .unsupported) {
                $0.builder.innerAlgorithm = .ecdsaWithSHA1
                $0.builder.outerAlgorithm = .ecdsaWithSHA1
            }
            change("bytes behind it", list, list.format, .malformed) { $0.tampering = { $0.append(0) } }
        }
    }

    @Test("a revocation list that its issuer did not sign is refused (V13, V18)", arguments: signatureRows)
    func signatures(_ attack: Attack) throws { try attack.run() }

    @Rows<Attack> static var otherIssuerRows: [Attack] {
        Attack.both("the root CRL as PCK CRL", .pckCRLSignature, .unknownIssuer) {
            $0.collateral { $0.tampering = { $0.pckCRL = $0.rootCACRL } }
        }
        Attack.both("the PCK CRL as root CRL", .rootCRLSignature, .unknownIssuer) {
            $0.collateral { $0.tampering = { $0.rootCACRL = $0.pckCRL } }
        }
        Attack.both("both lists exchanged", .rootCRLSignature, .unknownIssuer) {
            $0.collateral { $0.tampering = { swap(&$0.pckCRL, &$0.rootCACRL) } }
        }
        for list in List.allCases {
            change("in another name", list, list.signature, .unknownIssuer) {
                $0.builder.issuer = MockCertificates.name("Simulated Other CA")
            }
            change("its issuer spelled otherwise", list, list.signature, .unknownIssuer) {
                // The same text as PrintableString is another name: names are compared by their bytes.
                let text = DistinguishedName.commonName(ArraySlice($0.builder.issuer.der))
                $0.builder.issuer = X509.Name(
                    .commonName(text, .printable), .organization("Simulated TEE"), .country("XX"))
            }
        }
    }

    @Test("a revocation list of another issuer is refused (V14)", arguments: otherIssuerRows)
    func otherIssuer(_ attack: Attack) throws { try attack.run() }

    @Test(
        "a revocation list holds from its first second to the last before its end (V15)", arguments: TEEType.allCases,
        List.allCases)
    func validity(tee: TEEType, list: List) throws {
        let now = MockEvidence.issued
        func report(_ first: Int64, _ next: Int64) throws -> VerificationReport {
            var evidence = try MockEvidence(tee)
            evidence.collateral {
                list.edit(&$0) {
                    $0.builder.thisUpdate = .seconds(first)
                    $0.builder.nextUpdate = .seconds(next)
                }
            }
            return try evidence.verified()
        }
        try report(now, now + 1).expectAccepted()
        try report(now - 9, now).expectRefused(list.validity, .expired)
        try report(now - 9, now - 1).expectRefused(list.validity, .expired)
        try report(now + 1, now + 9).expectRefused(list.validity, .notYetValid)
    }

    @Rows<Attack> static var revokedRows: [Attack] {
        Attack.both("the PCK", .pckRevocation, .revoked) { $0.collateral { $0.revokePCK() } }
        Attack.both("the PCK CA", .pckCARevocation, .revoked) { $0.collateral { $0.revokePCKAuthorities() } }
        Attack.both("the TCB signer", .tcbInfoSignerRevocation, .revoked) {
            $0.collateral { $0.revokeTCBSigner() }
        }
        Attack.both("the root", .rootRevocation, .revoked) {
            let root = $0.platform.certificates.root
            $0.collateral { $0.rootCRL.revoke(root) }
        }
        Attack.both("the signer of QE identity alone", .qeIdentitySignerRevocation, .revoked) {
            let key = MockKey()
            var signer = $0.platform.certificates.tcbSigner
            signer.builder.publicKey = key.spki
            signer.builder.serialNumber = DER.integer(UInt32(77))
            let der = try signer.issued()
            $0.collateral {
                $0.qeIdentitySigning.signer = key
                $0.qeIdentitySigning.chain = [der]
                $0.rootCRL.revoke(signer)
            }
        }
        Attack.both("the PCK among many, with a date in the future", .pckRevocation, .revoked) {
            let pck = $0.platform.certificates.pck
            $0.collateral {
                $0.pckCRL.builder.thisUpdate = .seconds(MockEvidence.issued)
                for number in 1...100 as ClosedRange<UInt8> {
                    $0.pckCRL.builder.revoked.append(.init(serialNumber: [number], date: .seconds(1)))
                }
                $0.pckCRL.revoke(pck)
                $0.pckCRL.builder.revoked[100].date = .seconds(MockEvidence.issued + 1_000)
            }
        }
    }

    @Test("a revoked certificate is refused wherever it stands (V16)", arguments: revokedRows)
    func revoked(_ attack: Attack) throws { try attack.run() }

    @Test(
        "serial numbers are compared as numbers (V17)",
        arguments: [
            [0x80], [0xFF, 0x00], [0x7F, 0xFF], [1], [0], [UInt8](repeating: 0xFF, count: 20), [0x00, 0x01, 0x00],
        ] as [[UInt8]])
    func serialNumbers(serial: [UInt8]) throws {
        for tee in TEEType.allCases {
            var evidence = try MockEvidence(tee)
            try evidence.certificates { $0.pck.builder.serialNumber = DER.integer(magnitude: serial) }
            try evidence.verified().expectAccepted()
            evidence.collateral {
                $0.pckCRL.builder.revoked = [.init(serialNumber: serial, date: .seconds(1))]
            }
            try evidence.verified().expectRefused(.pckRevocation, .revoked)
        }
    }

    @Test(
        "serial numbers that are no positive DER integers are refused (V17)",
        arguments: [
            ("negative", [0x02, 0x01, 0x80]), ("padded", [0x02, 0x02, 0x00, 0x01]), ("empty", [0x02, 0x00]),
            ("22 bytes", [0x02, 22, 1] + [UInt8](repeating: 0, count: 21)),
        ] as [(String, [UInt8])])
    func malformedSerialNumbers(name: String, element: [UInt8]) throws {
        for tee in TEEType.allCases {
            var evidence = try MockEvidence(tee)
            try evidence.certificates { $0.pck.builder.serialNumber = element }
            try evidence.verified().expectRefused(.pckChain, .malformed)
        }
    }

    private static let distributionPoint: X509.Extension = {
        let name = X509.GeneralName.uri("https://simulated.invalid/another.crl").der
        return X509.Extension(
            .issuingDistributionPoint, critical: true, value: DER.sequence(DER.explicit(0, DER.explicit(0, name))))
    }()

    @Rows<Attack> static var formRows: [Attack] {
        for list in List.allCases {
            change("indirect", list, list.format, .unsupported) {
                $0.builder.extensions.append(.issuingDistributionPoint(isIndirect: true))
            }
            change("of user certificates only", list, list.format, .unsupported) {
                $0.builder.extensions.append(.issuingDistributionPoint(onlyUserCertificates: true))
            }
            change("of one distribution point", list, list.format, .unsupported) {
                $0.builder.extensions.append(distributionPoint)
            }
            change("of one distribution point, not marked critical", list, list.format, .unsupported) {
                $0.builder.extensions.append(distributionPoint.marked(critical: false))
            }
            change("no number", list, list.format, .malformed) {
                $0.builder.extensions = [.authorityKeyIdentifier([1])]
            }
            change("no extensions", list, list.format, .malformed) { $0.builder.extensions = [] }
            change("delta", list, list.format, .unsupported) {
                $0.builder.extensions.append(.deltaCRLIndicator(base: 1))
            }
            change("delta, not marked critical", list, list.format, .unsupported) {
                $0.builder.extensions.append(.deltaCRLIndicator(base: 1).marked(critical: false))
            }
            change("an unknown critical extension", list, list.format, .unsupported) {
                $0.builder.extensions.append(
                    X509.Extension(ObjectIdentifier(1, 3, 6, 1, 4, 1, 99_999, 7), critical: true, value: DER.null))
            }
            change("an extension twice", list, list.format, .malformed) {
                $0.builder.extensions = [.crlNumber(1), .crlNumber(2)]
            }
            change("an entry taken back", list, list.format, .unsupported) {
                $0.builder.revoked = [.init(serialNumber: [5], date: .seconds(1), extensions: [.revocationReason(8)])]
            }
            change("an entry of another issuer", list, list.format, .unsupported) {
                let issuer = X509.Extension(
                    ObjectIdentifier(2, 5, 29, 29), critical: true,
                    value: DER.sequence(X509.GeneralName.directory(MockCertificates.name("Other")).der))
                $0.builder.revoked = [.init(serialNumber: [5], date: .seconds(1), extensions: [issuer])]
            }
            change("an entry of another issuer, not marked critical", list, list.format, .unsupported) {
                let issuer = X509.Extension(ObjectIdentifier(2, 5, 29, 29), value: DER.enumerated(1))
                $0.builder.revoked = [.init(serialNumber: [5], date: .seconds(1), extensions: [issuer])]
            }
            change("version 1", list, list.format, .malformed) {
                $0.builder.version = 1
                $0.builder.extensions = []
            }
            change("version 3", list, list.format, .unsupported) { $0.builder.version = 3 }
            change("a negative number", list, list.format, .malformed) {
                $0.builder.extensions = [X509.Extension(.crlNumber, value: [0x02, 0x01, 0xFF])]
            }
        }
    }

    @Test("lists that do not cover everything, or in unknown ways, are refused (V19)", arguments: formRows)
    func forms(_ attack: Attack) throws { try attack.run() }

    @Test(
        "lists older than the policy allows are refused though they are still valid", arguments: TEEType.allCases,
        List.allCases)
    func age(tee: TEEType, list: List) throws {
        var evidence = try MockEvidence(tee)
        evidence.policy.maximumCollateralAge = 86_400
        try evidence.verified().expectAccepted()
        evidence.collateral {
            list.edit(&$0) { $0.builder.thisUpdate = .seconds(MockEvidence.issued - 86_401) }
        }
        try evidence.verified().expectRefused(.policyCollateralAge, .notAcceptable)
        evidence.policy.maximumCollateralAge = 86_401
        try evidence.verified().expectAccepted()
    }
}
