import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

/// Attacks on what the PCK certificate says about the platform.
@Suite("Attacks: PCK extension")
struct AttackPlatformTests {
    private static func sgx(
        _ name: String, _ code: FailureCode, _ edit: @escaping @Sendable (inout MockSGXExtension) -> Void
    ) -> [Attack] {
        Attack.both(name, .pckExtension, code) {
            try $0.certificates { certificates in
                if var sgx = certificates.sgx {
                    edit(&sgx)
                    certificates.sgx = sgx
                }
            }
        }
    }

    private static func harmless(
        _ name: String, _ edit: @escaping @Sendable (inout MockSGXExtension) -> Void
    ) -> [Harmless] {
        Harmless.both(name) {
            try $0.certificates { certificates in
                if var sgx = certificates.sgx {
                    edit(&sgx)
                    certificates.sgx = sgx
                }
            }
        }
    }

    @Rows<Harmless> static var controlRows: [Harmless] {
        Harmless.both("nothing changed")
        harmless("entries in another order") { $0.others.reverse() }
        harmless("an unknown entry") {
            $0.additional = [MockSGXExtension.Entry(MockSGXExtension.arc(99), DER.null).der]
        }
        harmless("an entry of another owner") {
            $0.additional = [
                MockSGXExtension.Entry(ObjectIdentifier(1, 3, 6, 1, 4, 1, 99_999, 4), DER.octetString([1])).der
            ]
        }
        harmless("no configuration") { $0.configuration = [] }
        harmless("an unknown entry of deep nesting") {
            var element = DER.null
            for _ in 0..<2_000 { element = DER.sequence(element) }
            $0.additional = [MockSGXExtension.Entry(MockSGXExtension.arc(99), element).der]
        }
        Harmless.both("a PCESVN above 0x7FFF") {
            var configuration = MockPlatform.Configuration()
            configuration.pceSvn = 0x9C40
            $0 = try MockEvidence($0.tee, configuration)
        }
    }

    @Test("unusual but correct extensions are accepted", arguments: controlRows)
    func controls(_ control: Harmless) throws { try control.run() }

    @Rows<Attack> static var identifierRows: [Attack] {
        sgx("an unknown entry of two values", .malformed) {
            $0.additional = [MockSGXExtension.Entry(MockSGXExtension.arc(99), DER.null + DER.null).der]
        }
        sgx("an unknown entry without a value", .malformed) {
            $0.additional = [MockSGXExtension.Entry(MockSGXExtension.arc(99), []).der]
        }
        sgx("an unknown entry of the configuration with zeros behind it", .malformed) {
            $0.configuration.append(MockSGXExtension.Entry(MockSGXExtension.arc(7, 9), [0, 0, 0]))
        }
        Attack.both("no extension", .pckExtension, .missing) { try $0.certificates { $0.sgx = nil } }
        sgx("an identifier below the extension's", .missing) { $0.identifier = MockSGXExtension.arc(1) }
        sgx("an identifier beside the extension's", .missing) {
            $0.identifier = ObjectIdentifier(1, 2, 840, 113741, 1, 13, 2)
        }
        sgx("an identifier above the extension's", .missing) {
            $0.identifier = ObjectIdentifier(1, 2, 840, 113741, 1, 13)
        }
        sgx("an identifier whose last arc begins the same", .missing) {
            $0.identifier = ObjectIdentifier(1, 2, 840, 113741, 1, 13, 129)
        }
        Attack.both("a critical extension", .pckChain, .unsupported) {
            try $0.certificates { $0.sgx?.isCritical = true }
        }
        Attack.both("the extension's bytes inside another extension", .pckExtension, .missing) {
            try $0.certificates { certificates in
                guard let sgx = certificates.sgx else { return }
                certificates.pck.set(X509.Extension(ObjectIdentifier(1, 3, 6, 1, 4, 1, 99_999, 1), value: sgx.x509.der))
                certificates.sgx = nil
            }
        }
        Attack.both("the extension's bytes in the alternative name", .pckExtension, .missing) {
            try $0.certificates { certificates in
                guard let sgx = certificates.sgx else { return }
                certificates.pck.set(
                    .subjectAltName([
                        .der(DER.encode(.constructedContext(0), sgx.x509.der)), .dns("1.2.840.113741.1.13.1"),
                    ]))
                certificates.sgx = nil
            }
        }
        Attack.both("the extension's bytes in the subject", .pckExtension, .missing) {
            try $0.certificates { certificates in
                guard let sgx = certificates.sgx else { return }
                certificates.pck.builder.subject = X509.Name(
                    .commonName("Simulated SGX PCK Certificate"),
                    .init(ObjectIdentifier(1, 2, 840, 113741, 1, 13, 1), value: DER.octetString(sgx.x509.value)))
                certificates.sgx = nil
            }
        }
        Attack.both("the extension twice", .pckChain, .malformed) {
            try $0.certificates { certificates in
                guard let sgx = certificates.sgx else { return }
                certificates.pck.builder.extensions.append(sgx.x509)
            }
        }
        for (name, index) in [("PCE identity", 0), ("FMSPC", 1), ("SGX type", 2)] {
            sgx("\(name) under another owner's identifier", .malformed) {
                $0.others[index].identifier = ObjectIdentifier(1, 3, 6, 1, 4, 1, 99_999, UInt64(index + 3))
            }
            sgx("\(name) one level deeper", .malformed) {
                $0.others[index].identifier = MockSGXExtension.arc(UInt64(index + 3), 1)
            }
        }
    }

    @Test("values that stand elsewhere than in their own extension are not read (V40, V44)", arguments: identifierRows)
    func identifiers(_ attack: Attack) throws { try attack.run() }

    @Rows<Attack> static var nestingRows: [Attack] {
        for depth in [1, 100, 20_000] {
            sgx("sequences in sequences, \(depth) deep, for the TCB", .malformed) {
                var element = [UInt8]()
                for _ in 0..<depth { element = DER.sequence(element) }
                $0.tcb = []
                $0.additional = [MockSGXExtension.Entry(MockSGXExtension.arc(2), element).der]
            }
            sgx("sequences in sequences, \(depth) deep, for an entry", .malformed) {
                var element = [UInt8]()
                for _ in 0..<depth { element = DER.sequence(element) }
                $0.additional = [element]
            }
        }
        sgx("a length beyond the end", .malformed) { $0.additional = [[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]] }
        sgx("an indefinite length", .malformed) { $0.additional = [[0x30, 0x80, 0, 0]] }
    }

    @Test("nesting and lengths lead nowhere (V41)", arguments: nestingRows)
    func nesting(_ attack: Attack) throws { try attack.run() }

    @Rows<Attack> static var valueRows: [Attack] {
        for (index, name) in ["PCE identity", "FMSPC", "SGX type"].enumerated() {
            sgx("no \(name)", .malformed) { $0.others.remove(at: index) }
            sgx("\(name) twice", .malformed) { $0.others.append($0.others[index]) }
            sgx("\(name) as another type", .malformed) { $0.others[index].value = DER.null }
            sgx("\(name) with something behind it", .malformed) { $0.others[index].value += DER.null }
        }
        sgx("no PPID", .malformed) { $0.ppid.identifier = MockSGXExtension.arc(98) }
        sgx("PPID twice", .malformed) { $0.others.append($0.ppid) }
        for (name, count) in [("PPID", 15), ("PPID", 17), ("PPID", 0)] {
            sgx("\(name) of \(count) bytes", .malformed) {
                $0.ppid.value = DER.octetString([UInt8](repeating: 1, count: count))
            }
        }
        for count in [0, 1, 3] {
            sgx("PCE identity of \(count) bytes", .malformed) {
                $0.others[0].value = DER.octetString([UInt8](repeating: 0, count: count))
            }
        }
        for count in [0, 5, 7] {
            sgx("FMSPC of \(count) bytes", .malformed) {
                $0.others[1].value = DER.octetString([UInt8](repeating: 0, count: count))
            }
        }
        sgx("no TCB", .malformed) { $0.tcb = [] }
        sgx("two TCBs", .malformed) { sgx in
            sgx.additional = [
                MockSGXExtension.Entry(MockSGXExtension.arc(2), DER.sequence(of: sgx.tcb.map(\.der))).der
            ]
        }
        sgx("no PCESVN", .malformed) { $0.tcb.remove(at: 16) }
        sgx("PCESVN twice", .malformed) { $0.tcb.append($0.tcb[16]) }
        sgx("no CPUSVN", .malformed) { $0.tcb.remove(at: 17) }
        sgx("CPUSVN twice", .malformed) { $0.tcb.append($0.tcb[17]) }
        sgx("a component twice", .malformed) { $0.tcb.append($0.tcb[0]) }
        for count in [0, 15, 17] {
            sgx("CPUSVN of \(count) bytes", .malformed) {
                $0.tcb[17].value = DER.octetString([UInt8](repeating: 0xFF, count: count))
            }
        }
        for (name, element) in [
            ("negative", [0x02, 0x01, 0xFF]), ("negative, of two bytes", [0x02, 0x02, 0x9C, 0x40]),
            ("padded", [0x02, 0x02, 0x00, 0x0D]), ("of 17 bits", [0x02, 0x03, 0x01, 0x00, 0x00]),
            ("of nine bytes", [0x02, 0x09, 0x01, 0, 0, 0, 0, 0, 0, 0, 0]), ("empty", [0x02, 0x00]),
            ("an octet string", [0x04, 0x02, 0x00, 0x0D]), ("an enumeration", [0x0A, 0x01, 0x0D]),
        ] as [(String, [UInt8])] {
            sgx("PCESVN \(name)", .malformed) { $0.tcb[16].value = element }
            sgx("a component \(name)", .malformed) { $0.tcb[3].value = element }
        }
        sgx("a component of 256", .malformed) { $0.tcb[3].value = DER.integer(UInt16(256)) }
        sgx("SGX type of 256", .malformed) { $0.others[2].value = [0x0A, 0x02, 0x01, 0x00] }
        sgx("SGX type as an integer", .malformed) { $0.others[2].value = DER.integer(UInt8(1)) }
        sgx("a flag of the configuration that is no boolean", .malformed) {
            $0.configuration[0].value = DER.integer(UInt8(0))
        }
        sgx("a flag of the configuration that is neither true nor false", .malformed) {
            $0.configuration[0].value = [0x01, 0x01, 0x01]
        }
        sgx("a flag of the configuration twice", .malformed) { $0.configuration.append($0.configuration[0]) }
    }

    @Test("missing, repeated and misshapen values are refused (V42, V43)", arguments: valueRows)
    func values(_ attack: Attack) throws { try attack.run() }

    @Test("a platform that the policy does not name, or does not want, is refused")
    func platforms() throws {
        for tee in TEEType.allCases {
            var evidence = try MockEvidence(tee)
            evidence.policy.acceptedPlatforms = [FixedBytes(repeating: 1), evidence.platform.ppid]
            try evidence.verified().expectAccepted()
            evidence.policy.acceptedPlatforms = [FixedBytes(repeating: 1)]
            try evidence.verified().expectRefused(.policyPlatforms, .notAcceptable)
            evidence.policy.acceptedPlatforms = []
            try evidence.verified().expectRefused(.policyPlatforms, .notAcceptable)
            evidence.policy = .standard
            evidence.policy.acceptedSGXTypes = []
            try evidence.verified().expectRefused(.policySGXType, .notAcceptable)
            evidence.policy.acceptedSGXTypes = [0, 2]
            try evidence.verified().expectRefused(.policySGXType, .notAcceptable)
            evidence.policy.acceptedSGXTypes = [1]
            try evidence.verified().expectAccepted()
            evidence.policy = .strict
            try evidence.verified().expectRefused(.policySMT, .notAcceptable)
        }
        for (check, edit) in [
            (.policyDynamicPlatform, { $0.dynamicPlatform = true }), (.policyCachedKeys, { $0.cachedKeys = true }),
        ] as [(CheckID, (inout MockPlatform.Configuration) -> Void)] {
            var configuration = MockPlatform.Configuration()
            configuration.smtEnabled = false
            edit(&configuration)
            var evidence = try MockEvidence(.tdx, configuration)
            try evidence.verified().expectAccepted()
            evidence.policy = .strict
            try evidence.verified().expectRefused(check, .notAcceptable)
        }
    }
}
