import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Testing

/// Attacks on the quote: its form, the quoting enclave and the attestation key.
@Suite("Attacks: quotes")
struct AttackQuoteTests {
    private static func quote(
        _ name: String, _ check: CheckID, _ code: FailureCode,
        _ edit: @escaping @Sendable (inout MockQuote) throws -> Void
    ) -> [Attack] {
        Attack.both(name, check, code) { $0.quote(edit) }
    }

    @Rows<Harmless> static var controlRows: [Harmless] {
        Harmless.both("nothing changed")
        Harmless.both("zeros behind the quote") {
            $0.quote { $0.tampering = { $0.trailing = [UInt8](repeating: 0, count: 3_000) } }
        }
        Harmless.both("the chain from the collateral, with an encrypted identifier of type 2") {
            $0.certification = .encryptedPPIDRSA2048
            $0.collateral { $0.includesPCKChain = true }
        }
        Harmless.both("the chain from the collateral, with an encrypted identifier of type 3") {
            $0.certification = .encryptedPPIDRSA3072
            $0.collateral { $0.includesPCKChain = true }
        }
        Harmless.both("a high s") {
            $0.quote {
                $0.tampering = { quote in
                    var raw = quote.signature.isvSignature.bytes
                    MockNumbers.negateS(&raw)
                    quote.signature.isvSignature = FixedBytes(raw) ?? FixedBytes()
                }
            }
        }
        Harmless.tdx("version 5 with a TDX 1.0 report") { $0.version = 5 }
        Harmless.tdx("a TDX 1.5 report") { $0.domain.reportForm = .td15 }
        Harmless.tdx("an extended TDX 1.5 report") { $0.domain.reportForm = .td15Extended }
        Harmless.both("attributes of the quoting enclave outside the mask") {
            $0.quote {
                $0.qeReport.attributes[0] |= 4
                $0.qeReport.attributes[8] = 0xE7
            }
        }
        Harmless.sgx("key separation and sharing, and CET, of the enclave") { evidence in
            for edit in laterBytes { evidence.enclave(edit) }
        }
        Harmless.both("a newer quoting enclave") { $0.quote { $0.qeReport.isvSvn = .max } }
    }

    @Test("unusual but correct quotes are accepted", arguments: controlRows)
    func controls(_ control: Harmless) throws { try control.run() }

    // MARK: The quoting enclave

    @Rows<Attack> static var enclaveRows: [Attack] {
        quote("another signer", .qeSigner, .mismatch) { $0.qeReport.mrSigner = FixedBytes(repeating: 1) }
        quote("a signer of zeros", .qeSigner, .mismatch) { $0.qeReport.mrSigner = FixedBytes() }
        quote("a signer that differs in the last bit", .qeSigner, .mismatch) { $0.qeReport.mrSigner[31] ^= 1 }
        quote("debug mode", .qeDebug, .notAcceptable) { $0.qeReport.attributes[0] |= 2 }
        quote("another product", .qeProduct, .mismatch) { $0.qeReport.isvProdId = 7 }
        quote("MISCSELECT", .qeMiscSelect, .mismatch) { $0.qeReport.miscSelect = 1 }
        quote("the highest bit of MISCSELECT", .qeMiscSelect, .mismatch) { $0.qeReport.miscSelect = 1 << 31 }
        quote("an attribute", .qeAttributes, .mismatch) { $0.qeReport.attributes[7] = 0x80 }
        quote("without the provisioning key", .qeAttributes, .mismatch) { $0.qeReport.attributes[0] &= ~0x10 }
        quote("too old", .qeTCBLevel, .noMatchingLevel) { $0.qeReport.isvSvn = 0 }
        Attack.both("no levels", .qeTCBLevel, .noMatchingLevel) { $0.collateral { $0.qeIdentity.levels = [] } }
        Attack.both("another signer in QE identity", .qeSigner, .mismatch) {
            $0.collateral { $0.qeIdentity.mrSigner = FixedBytes() }
        }
        Attack.both("a status that no enclave has", .qeTCBLevel, .unsupported) {
            $0.collateral { $0.qeIdentity.levels[0].status = .swHardeningNeeded }
        }
        Attack.tdx("the quoting enclave of SGX", .qeProduct, .mismatch) {
            let report = $0.platform.qeReport(for: .sgx)
            $0.quote { $0.qeReport = report }
        }
        Attack.both("an enclave of its own, in place of Intel's", .qeSigner, .mismatch) {
            let report = $0.platform.enclaveReport(reportData: FixedBytes())
            $0.quote { $0.qeReport = report }
        }
    }

    @Test("a quoting enclave that QE identity does not describe is refused (V02)", arguments: enclaveRows)
    func enclaves(_ attack: Attack) throws { try attack.run() }

    @Test("a quoting enclave in debug mode is refused even where debug is allowed (V52)", arguments: TEEType.allCases)
    func debugQE(tee: TEEType) throws {
        var evidence = try MockEvidence(tee)
        evidence.policy.allowsDebug = true
        evidence.collateral { $0.qeIdentity.attributesMask = FixedBytes() }
        evidence.quote { $0.qeReport.attributes[0] |= 2 }
        try evidence.verified().expectRefused(.qeDebug, .notAcceptable)
    }

    // MARK: Keys and signatures

    @Rows<Attack> static var bindingRows: [Attack] {
        quote("the attestation key of another", .attestationKeyBinding, .mismatch) {
            let key = $0.attestationKey
            $0.qeReportData = MockQuote.binding(key.point, $0.qeAuthData)
            $0.attestationKey = MockKey()
        }
        quote("report data of zeros", .attestationKeyBinding, .mismatch) { $0.qeReportData = FixedBytes() }
        quote("other auth data", .attestationKeyBinding, .mismatch) {
            $0.qeReportData = MockQuote.binding($0.attestationKey.point, [UInt8](repeating: 0, count: 32))
        }
        quote("no auth data in the hash", .attestationKeyBinding, .mismatch) {
            $0.qeReportData = MockQuote.binding($0.attestationKey.point, [])
        }
        quote("the hash in the second half", .attestationKeyBinding, .mismatch) {
            let bytes = MockQuote.binding($0.attestationKey.point, $0.qeAuthData).bytes
            $0.qeReportData = FixedBytes(bytes.suffix(32) + bytes.prefix(32)) ?? FixedBytes()
        }
        quote("something in the second half", .attestationKeyBinding, .mismatch) {
            var data = MockQuote.binding($0.attestationKey.point, $0.qeAuthData)
            data[63] = 1
            $0.qeReportData = data
        }
        quote("a byte moved from the auth data into the key", .attestationKeyBinding, .mismatch) {
            let joined = $0.attestationKey.point.bytes + $0.qeAuthData
            $0.qeReportData = FixedBytes(
                SHA256.hash(Array(joined.dropLast())).bytes + [UInt8](repeating: 0, count: 32))
        }
        quote("the key changed afterwards", .attestationKeyBinding, .mismatch) {
            let other = MockKey()
            $0.tampering = { quote in
                quote.signature.attestationKey = other.point
                quote.signature.isvSignature = (try? other.sign(quote.signedBytes)) ?? FixedBytes()
            }
        }
    }

    @Test("an attestation key that the quoting enclave does not vouch for is refused (V45)", arguments: bindingRows)
    func bindings(_ attack: Attack) throws { try attack.run() }

    @Rows<Attack> static var reportSignatureRows: [Attack] {
        quote("by the attestation key", .qeReportSignature, .badSignature) { $0.qeReportSigner = $0.attestationKey }
        quote("by any key", .qeReportSignature, .badSignature) { $0.qeReportSigner = MockKey() }
        Attack.both("by the PCK CA", .qeReportSignature, .badSignature) {
            let key = $0.platform.keys.platformCA
            $0.quote { $0.qeReportSigner = key }
        }
        quote("changed afterwards", .qeReportSignature, .badSignature) {
            $0.tampering = { $0.signature.qeReport.cpuSvn[0] ^= 1 }
        }
        quote("a reserved byte changed afterwards", .qeReportSignature, .badSignature) {
            $0.tampering = { $0.signature.qeReport.reserved4[59] ^= 1 }
        }
        quote("that of the quote", .qeReportSignature, .badSignature) {
            $0.tampering = { $0.signature.qeReportSignature = $0.signature.isvSignature }
        }
        for (name, edit) in MockNumbers.invalidSignatures {
            quote(name, .qeReportSignature, .badSignature) {
                $0.tampering = { quote in
                    var raw = quote.signature.qeReportSignature.bytes
                    edit(&raw)
                    quote.signature.qeReportSignature = FixedBytes(raw) ?? FixedBytes()
                }
            }
        }
    }

    @Test("a QE report that the PCK did not sign is refused (V46, V48)", arguments: reportSignatureRows)
    func reportSignatures(_ attack: Attack) throws { try attack.run() }

    /// Signs other bytes than header and body.
    private static func signing(
        _ name: String, _ bytes: @escaping @Sendable (Quote) -> [UInt8]
    ) -> [Attack] {
        quote(name, .quoteSignature, .badSignature) {
            let key = $0.attestationKey
            $0.tampering = { $0.signature.isvSignature = (try? key.sign(bytes($0))) ?? FixedBytes() }
        }
    }

    @Rows<Attack> static var signatureRows: [Attack] {
        signing("the body alone") { Array($0.signedBytes.dropFirst(48)) }
        signing("the header alone") { Array($0.signedBytes.prefix(48)) }
        signing("header, body and length") { $0.signedBytes + $0.encoded[$0.signedByteCount..<$0.signedByteCount + 4] }
        signing("the body without report data") { Array($0.signedBytes.dropLast(64)) }
        signing("the whole quote") { $0.encoded }
        signing("nothing") { _ in [] }
        signing("the hash of header and body") { SHA256.hash($0.signedBytes).bytes }
        quote("by the PCK", .quoteSignature, .badSignature) {
            let key = $0.qeReportSigner
            $0.tampering = { $0.signature.isvSignature = (try? key.sign($0.signedBytes)) ?? FixedBytes() }
        }
        quote("by any key", .quoteSignature, .badSignature) {
            $0.tampering = { $0.signature.isvSignature = (try? MockKey().sign($0.signedBytes)) ?? FixedBytes() }
        }
        quote("that of the QE report", .quoteSignature, .badSignature) {
            $0.tampering = { $0.signature.isvSignature = $0.signature.qeReportSignature }
        }
        quote("the header changed afterwards", .quoteSignature, .badSignature) {
            $0.tampering = { $0.header.userData[19] ^= 1 }
        }
        quote("report data changed afterwards", .quoteSignature, .badSignature) {
            // The end of both bodies.
            $0.tamperingBytes = { $0[48 + ($0[0] == 3 ? 384 : 584) - 1] ^= 1 }
        }
        Attack.tdx("the body descriptor left out", .quoteSignature, .badSignature) {
            $0.version = 5
            $0.quote {
                let key = $0.attestationKey
                $0.tampering = { quote in
                    let bytes = quote.signedBytes
                    quote.signature.isvSignature = (try? key.sign(Array(bytes[..<48] + bytes[54...]))) ?? FixedBytes()
                }
            }
        }
        for (name, edit) in MockNumbers.invalidSignatures {
            quote(name, .quoteSignature, .badSignature) {
                $0.tampering = { quote in
                    var raw = quote.signature.isvSignature.bytes
                    edit(&raw)
                    quote.signature.isvSignature = FixedBytes(raw) ?? FixedBytes()
                }
            }
        }
    }

    @Test(
        "a quote whose header and body the attestation key did not sign is refused (V47, V48)", arguments: signatureRows
    )
    func signatures(_ attack: Attack) throws { try attack.run() }

    private static let points: [(name: String, point: FixedBytes<64>)] = [
        ("zeros", FixedBytes()), ("ones", FixedBytes(repeating: 0xFF)),
        ("a point off the curve", FixedBytes(MockNumbers.one + MockNumbers.one) ?? FixedBytes()),
        ("coordinates of the order", FixedBytes(MockNumbers.order + MockNumbers.order) ?? FixedBytes()),
    ]

    @Rows<Attack> static var keyRows: [Attack] {
        for (name, point) in points {
            quote("\(name) as attestation key", .quoteSignature, .malformed) { $0.attestationPoint = point }
            quote("\(name) as attestation key, with a signature of zeros", .quoteSignature, .malformed) {
                $0.attestationPoint = point
                $0.tampering = { $0.signature.isvSignature = FixedBytes() }
            }
            Attack.both("\(name) as PCK", .pckChain, .unsupported) {
                try $0.certificates { $0.pck.builder.publicKey = p256SubjectPublicKeyInfoPrefix + point.bytes }
            }
            Attack.both("\(name) as the TCB signer's key", .tcbInfoSigner, .unsupported) {
                try $0.certificates { $0.tcbSigner.builder.publicKey = p256SubjectPublicKeyInfoPrefix + point.bytes }
            }
        }
    }

    @Test("keys that are no points of the curve are refused (V48)", arguments: keyRows)
    func keys(_ attack: Attack) throws { try attack.run() }

    // MARK: Form

    @Rows<Attack> static var headerRows: [Attack] {
        quote("another vendor", .qeVendor, .mismatch) { $0.header.qeVendorId = FixedBytes(repeating: 1) }
        quote("no vendor", .qeVendor, .mismatch) { $0.header.qeVendorId = FixedBytes() }
        quote("ECDSA with P-384", .attestationKeyType, .unsupported) { $0.header.attestationKeyType = 3 }
        quote("EPID", .attestationKeyType, .unsupported) { $0.header.attestationKeyType = 0 }
        for version in [0, 1, 2, 6, 0x0300, 0x0400] as [UInt16] {
            quote("version \(version)", .quoteFormat, .malformed) { $0.header.version = version }
        }
        Attack.sgx("SGX in version 4", .quoteVersion, .unsupported) { $0.version = 4 }
        Attack.sgx("SGX in version 5", .quoteVersion, .unsupported) { $0.version = 5 }
        Attack.tdx("TDX in version 3", .quoteVersion, .unsupported) { $0.version = 3 }
        Attack.tdx("a TD report said to be of SGX", .quoteVersion, .unsupported) {
            $0.version = 5
            $0.quote { $0.header.teeTypeValue = 0 }
        }
        Attack.tdx("a TD report of an unknown TEE", .quoteVersion, .unsupported) {
            $0.version = 5
            $0.quote { $0.header.teeTypeValue = 0x82 }
        }
        Attack.tdx("an enclave's report said to be of TDX", .quoteVersion, .unsupported) {
            $0.version = 5
            let report = $0.platform.enclaveReport(reportData: FixedBytes())
            $0.quote { $0.body = .sgxEnclave(report) }
        }
        Attack.tdx("an unknown TEE", .quoteFormat, .malformed) { $0.quote { $0.header.teeTypeValue = 0x82 } }
        for (type, size) in [(0, 584), (1, 584), (2, 583), (2, 585), (2, 648), (3, 584), (5, 584), (2, 0)]
            as [(UInt16, UInt32)]
        {
            Attack.tdx("body type \(type) of \(size) bytes", .quoteFormat, .malformed) {
                $0.version = 5
                $0.quote {
                    $0.tamperingBytes = { bytes in
                        var writer = ByteWriter()
                        writer.littleEndian(type)
                        writer.littleEndian(size)
                        bytes.replaceSubrange(48..<54, with: writer.bytes)
                    }
                }
            }
        }
        Attack.tdx("a TDX 1.0 report in place of a TDX 1.5 one", .quoteFormat, .malformed) {
            // Another reader of the same bytes must not see another body.
            $0.domain.reportForm = .td15
            $0.quote {
                $0.tamperingBytes = { bytes in
                    bytes[48] = 2
                    bytes[50] = 0x48
                    bytes[51] = 0x02
                }
            }
        }
    }

    @Test("headers and bodies that do not belong together are refused (V49, V50)", arguments: headerRows)
    func headers(_ attack: Attack) throws { try attack.run() }

    /// Ends of the stretches in an enclave's report that have no meaning.
    private static let reservedBytes: [(String, @Sendable (inout EnclaveReport) -> Void)] = [
        ("reserved byte 21", { $0.reserved1[1] = 1 }), ("reserved byte 31", { $0.reserved1[11] = 1 }),
        ("reserved byte 96", { $0.reserved2[0] = 1 }), ("reserved byte 127", { $0.reserved2[31] = 1 }),
        ("reserved byte 160", { $0.reserved3[0] = 1 }), ("reserved byte 191", { $0.reserved3[31] = 1 }),
        ("reserved byte 262", { $0.reserved4[2] = 1 }), ("reserved byte 303", { $0.reserved4[43] = 1 }),
    ]

    /// Ends of the stretches to which later processors gave one.
    private static let laterBytes: [@Sendable (inout EnclaveReport) -> Void] = [
        { $0.reserved1[0] = 1 }, { $0.reserved1[12] = 1 }, { $0.reserved1[27] = 1 }, { $0.reserved3[32] = 1 },
        { $0.reserved3[95] = 1 }, { $0.reserved4[0] = 1 }, { $0.reserved4[1] = 1 }, { $0.reserved4[44] = 1 },
        { $0.reserved4[59] = 1 },
    ]

    @Rows<Attack> static var dataRows: [Attack] {
        for type in [0, 1, 2, 3, 4, 6, 7, 8, 0xFFFF] as [UInt16] {
            quote("a chain under type \(type)", .pckCertificateSource, .missing) { $0.certificationData.type = type }
        }
        Attack.both("an encrypted identifier without a chain (type 2)", .pckCertificateSource, .missing) {
            $0.certification = .encryptedPPIDRSA2048
        }
        Attack.both("an encrypted identifier without a chain (type 3)", .pckCertificateSource, .missing) {
            $0.certification = .encryptedPPIDRSA3072
        }
        quote("nothing", .pckChain, .malformed) { $0.certificationData.data = [] }
        for type in [0, 1, 5, 7, 0xFFFF] as [UInt16] {
            Attack.tdx("outer type \(type)", .quoteLayout, .malformed) { $0.quote { $0.outerType = type } }
        }
        Attack.tdx("bytes inside the outer data", .quoteLayout, .malformed) {
            $0.quote { $0.tampering = { $0.signature.certificationTrailing = [0] } }
        }
        quote("bytes inside the signature data", .quoteLayout, .malformed) {
            $0.tampering = { $0.signature.trailing = [0] }
        }
        quote("a byte behind the quote", .quoteLayout, .malformed) { $0.tampering = { $0.trailing = [1] } }
        quote("a byte behind zeros behind the quote", .quoteLayout, .malformed) {
            $0.tampering = { $0.trailing = [UInt8](repeating: 0, count: 1_000) + [1] }
        }
        for (name, edit) in reservedBytes {
            quote("\(name) of the QE report", .quoteLayout, .malformed) { edit(&$0.qeReport) }
            Attack.sgx("\(name) of the enclave's report", .quoteLayout, .malformed) { $0.enclave(edit) }
        }
        for count in [0, 31, 33, 64, 65_535] {
            quote("\(count) bytes of auth data", .quoteLayout, .malformed) {
                $0.qeAuthData = [UInt8](repeating: 7, count: count)
            }
        }
        Attack.tdx("a QE report nested in a QE report", .pckCertificateSource, .missing) {
            $0.quote { quote in
                let inner = quote.certificationData
                for _ in 0..<50 {
                    var writer = ByteWriter()
                    writer.append(quote.qeReport.encoded)
                    writer.zeros(64)
                    writer.littleEndian(UInt16(0))
                    writer.littleEndian(quote.certificationData.type)
                    writer.littleEndian(UInt32(quote.certificationData.data.count))
                    writer.append(quote.certificationData.data)
                    quote.certificationData = CertificationData(type: 6, data: writer.bytes)
                }
                #expect(quote.certificationData != inner)
            }
        }
    }

    @Test("certification data of other kinds, and bytes that nothing explains, are refused (V51)", arguments: dataRows)
    func data(_ attack: Attack) throws { try attack.run() }

    @Test("lengths that are larger than what is there are refused (V51)", arguments: TEEType.allCases)
    func lengths(tee: TEEType) throws {
        let bytes = try MockEvidence(tee).quoteBytes()
        let quote = try Quote(parsing: bytes)
        let start = quote.signedByteCount
        // Where lengths stand: of the signature data, of the outer data (not in version 3), of auth and inner data.
        let inner = start + 4 + 128 + (tee == .sgx ? 0 : 6)
        let positions =
            [(start, 4), (inner + 448, 2), (inner + 448 + 2 + 32 + 2, 4)] + (tee == .sgx ? [] : [(inner - 4, 4)])
        for (position, size) in positions {
            for value in [0xFFFF_FFFF, 0x7FFF_FFFF, 0x10_0001, 0x10_0000, 0xFFFF, UInt32(bytes.count), 0] as [UInt32] {
                var changed = bytes
                for index in 0..<size {
                    changed[position + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index))
                }
                guard changed != bytes else { continue }
                var evidence = try MockEvidence(tee)
                let wrong = changed
                evidence.quote { $0.tamperingBytes = { $0 = wrong } }
                let report = try evidence.verified()
                #expect(report.verdict == .rejected, "\(value) at \(position)")
                #expect([.quoteFormat, .quoteLayout, .pckChain].contains(report.failure?.check))
            }
        }
    }

    @Test("a quote in which any single bit was changed is refused", arguments: TEEType.allCases)
    func bits(tee: TEEType) throws {
        let evidence = try MockEvidence(tee)
        let bytes = try evidence.quoteBytes()
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: evidence.anchor))
        let prepared = verifier.prepare(try evidence.collateralValue())
        prepared.verify(bytes, at: evidence.now).expectAccepted()
        // Up to the certificates every bit counts; in PEM some do not (white space, letters of comments).
        let quote = try Quote(parsing: bytes)
        let end = bytes.count - quote.signature.certificationData.data.count
        for index in 0..<end {
            var changed = bytes
            changed[index] ^= 1 << UInt8(index % 8)
            let report = prepared.verify(changed, at: evidence.now)
            #expect(report.verdict == .rejected, "bit \(index % 8) of byte \(index)")
        }
    }
}
