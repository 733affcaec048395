import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import TestKit
import Testing

@Suite("RA-TLS certificates")
struct RATLSCertificateTests {
    private static let vm = Result { try SimulatedVM() }

    /// Why a certificate with these extensions is refused; nil if it is not.
    private func refusal(_ extensions: [X509.Extension]) throws -> AttestationError? {
        var fixture = RATLSFixture()
        fixture.extensions += extensions
        let der = try fixture.der
        do {
            _ = try RATLSCertificate(parsing: der)
            return nil
        } catch {
            return error
        }
    }

    // MARK: Reading

    @Test("an envelope is found, and the key says what its report data must be")
    func envelope() throws {
        let vm = try Self.vm.get()
        for form in Attestation.WireForm.allCases {
            var fixture = RATLSFixture()
            let attestation = try vm.attestation(fixture.reportData)
            fixture.add(.attestation, try attestation.encoded(as: form))
            let certificate = try RATLSCertificate(parsing: fixture.der)
            #expect(certificate.attestation == attestation)
            #expect(certificate.evidenceForm == .envelope)
            #expect(certificate.publicKey == fixture.key.publicKey.spki)
            #expect(certificate.expectedReportData == fixture.reportData)
            #expect(certificate.appID == nil && certificate.usage == nil && certificate.appInfo == nil)
            #expect(certificate.commonName == "app.example")
        }
    }

    @Test("quote and event log of older certificates become an attestation")
    func quoteAndEventLog() throws {
        let vm = try Self.vm.get()
        var fixture = RATLSFixture()
        let quote = try vm.quote(fixture.reportData)
        fixture.add(.quote, quote)
        fixture.add(.eventLog, Array(vm.log.json.utf8))
        let certificate = try RATLSCertificate(parsing: fixture.der)
        #expect(certificate.evidenceForm == .quoteAndEventLog)
        let attestation = try #require(certificate.attestation)
        #expect(attestation.quote == quote)
        #expect(attestation.eventLog == vm.log)
        #expect(attestation.reportData == certificate.expectedReportData)
        #expect(attestation.runtimeEvents.map(\.name).first == "system-preparing")
    }

    @Test("where both forms are there the envelope counts")
    func both() throws {
        let vm = try Self.vm.get()
        var fixture = RATLSFixture()
        fixture.add(.quote, [1, 2, 3])
        fixture.add(.attestation, try vm.attestation(fixture.reportData).encoded(as: .v1))
        #expect(try RATLSCertificate(parsing: fixture.der).evidenceForm == .envelope)
    }

    @Test("what the issuer claims is read")
    func claims() throws {
        let vm = try Self.vm.get()
        let info = AppInfo(
            appID: vm.appID, composeHash: vm.composeHash, instanceID: vm.instanceID, deviceID: DeviceID(ppid: [1]),
            mrSystem: FixedBytes(repeating: 4), mrAggregated: FixedBytes(repeating: 5), osImageHash: vm.osImageHash,
            keyProviderInfo: Array("{}".utf8))
        var fixture = RATLSFixture()
        fixture.add(.appID, vm.appID.bytes.bytes)
        fixture.add(.usage, Array("app:custom".utf8))
        fixture.add(.appInfo, info.messagePack)
        let certificate = try RATLSCertificate(parsing: fixture.der)
        #expect(certificate.appID == vm.appID)
        #expect(certificate.usage == .appCustom)
        #expect(certificate.appInfo == info)
        #expect(certificate.attestation == nil && certificate.evidenceForm == nil)
    }

    @Test("DER and PEM are read, of a PEM chain the first certificate")
    func pem() throws {
        let first = RATLSFixture()
        let second = RATLSFixture()
        let der = try first.der
        let text = PEM.encode("CERTIFICATE", der) + PEM.encode("CERTIFICATE", try second.der)
        #expect(try RATLSCertificate(parsing: Array(text.utf8)).der == der)
        #expect(try RATLSCertificate(parsing: der).der == der)
        for other in ["", "-----BEGIN CERTIFICATE-----\n", PEM.encode("PRIVATE KEY", der)] {
            #expect(throws: AttestationError(.invalidCertificate, subject: "", reason: "")) {
                try RATLSCertificate(parsing: Array(other.utf8))
            }
        }
        #expect(throws: AttestationError.self) {
            try RATLSCertificate(parsing: [UInt8](repeating: 0x30, count: RATLSCertificate.maximumByteCount + 1))
        }
    }

    @Test(
        "the extensions of real certificates are encoded as here",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func encodings() throws {
        let vector = try Vectors.json("keys/certs.json")
        let pieces = try vector.member("pieces")
        let appID = try vector.member("common").member("app_id").hexBytes()
        for (name, kind, content) in [
            ("app_id_ext", RATLSExtension.appID, appID), ("usage_kms_rpc", .usage, Array("kms:rpc".utf8)),
            ("usage_app_ca", .usage, Array("app:ca".utf8)), ("usage_app_custom", .usage, Array("app:custom".utf8)),
        ] {
            let expected = try #require(pieces.member(named: name)).hexBytes()
            #expect(RATLSFixture.item(kind, content).der == expected, "\(name)")
        }
        let identifiers = try pieces.member("oids")
        for kind in RATLSExtension.allCases {
            let entry = try #require(identifiers.member(named: "\(kind.rawValue)"))
            #expect("\(kind.identifier)" == (try entry.member("dotted").string()))
            #expect(DER.objectIdentifier(kind.identifier) == (try entry.member("der").hexBytes()))
        }
    }

    @Test(
        "certificates that a KMS issues are read, with what it claims in them",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func issued() throws {
        let vector = try Vectors.json("keys/certs.json")
        let known = try vector.member("upstream_known_answer").member("certificate_der").hexBytes()
        let root = try RATLSCertificate(parsing: known)
        #expect(root.attestation == nil && root.usage == nil)
        // The other vectors are what is signed, without a signature; one of nobody's is as good for reading.
        var usages: [String: RATLSCertificate.Usage?] = [:]
        for entry in try vector.member("tbs").array() {
            let what = try entry.member("what").string()
            let der = DER.sequence(
                try entry.member("tbs_der").hexBytes(), ecdsaWithSHA256Algorithm, DER.bitString([0x30, 0]))
            do {
                usages[what] = try RATLSCertificate(parsing: der).usage
            } catch {
                // Their attestations are bytes of no meaning.
                #expect(error.code == .invalidEnvelope, "\(what): \(error)")
            }
        }
        #expect(usages["root CA"] == .some(nil))
        #expect(usages.values.contains(.appCA))
    }

    // MARK: Refusals

    @Test("the content must be in exactly one inner OCTET STRING")
    func innerOctetString() throws {
        let id = [UInt8](repeating: 7, count: 20)
        func appID(_ value: [UInt8]) -> [X509.Extension] {
            [X509.Extension(RATLSExtension.appID.identifier, value: value)]
        }
        #expect(try refusal(appID(DER.octetString(id))) == nil)
        for wrong in [
            id, [], DER.octetString(id) + [0], DER.octetString(id) + DER.octetString(id), DER.bitString(id),
            DER.sequence(DER.octetString(id)), DER.octetString(id).dropLast(), DER.octetString(DER.octetString(id)),
            [0x24] + DER.octetString(DER.octetString(id)).dropFirst(), [0x04, 0x81, 0x14] + id,
        ].map({ Array($0) }) {
            #expect(try refusal(appID(wrong))?.code == .invalidCertificate, "\(Hex.encode(wrong))")
        }
    }

    @Test("an extension twice, or marked critical, is refused")
    func duplicatesAndCriticality() throws {
        for kind in RATLSExtension.allCases {
            let item = RATLSFixture.item(kind, [UInt8](repeating: 7, count: 20))
            #expect(try refusal([item, item])?.code == .invalidCertificate)
            let error = try refusal([item.marked(critical: true)])
            #expect(error?.code == .invalidCertificate && error?.reason.contains("critical") == true)
        }
    }

    @Test("malformed content makes no certificate without evidence, but none at all")
    func malformedContent() throws {
        let quote = try Self.vm.get().quote(ReportData(FixedBytes()))
        let cases: [(AttestationError.Code, [X509.Extension])] = [
            (.invalidEnvelope, [RATLSFixture.item(.attestation, [])]),
            (.invalidEnvelope, [RATLSFixture.item(.attestation, [0x80])]),
            (.invalidQuote, [RATLSFixture.item(.quote, [4, 0]), RATLSFixture.item(.eventLog, Array("[]".utf8))]),
            (.invalidCertificate, [RATLSFixture.item(.quote, quote)]),
            (.invalidEventLog, [RATLSFixture.item(.quote, quote), RATLSFixture.item(.eventLog, Array("{}".utf8))]),
            (.invalidCertificate, [RATLSFixture.item(.appID, [1, 2])]),
            (.invalidCertificate, [RATLSFixture.item(.usage, [0xFF])]),
            (.invalidIdentity, [RATLSFixture.item(.appInfo, [0x90])]),
        ]
        for (code, extensions) in cases { #expect(try refusal(extensions)?.code == code) }
        #expect(try refusal([RATLSFixture.item(.quote, quote)])?.reason == "TDX event log missing")
    }

    // MARK: Compressed event logs

    @Test("a compressed event log is read up to 16 KiB of content")
    func compressed() throws {
        let quote = try Self.vm.get().quote(ReportData(FixedBytes()))
        func error(_ gzip: String, mark: String = "ELGZv1") throws -> AttestationError? {
            try refusal([
                RATLSFixture.item(.quote, quote), RATLSFixture.item(.eventLog, Array(mark.utf8) + hex(gzip)),
            ])
        }
        // "[]"
        let empty = "1f8b08000000000002038b8e050029bb4c0d02000000"
        #expect(try error(empty) == nil)
        // Spaces alone are no log; that is said by the log's reader, so they were decompressed.
        let most = """
            1f8b0800000000000203edc13101000000c2a02aeb9fd2183e40010000000000000000000000000000006f03d155f0d6004000\
            00
            """
        #expect(try error(most)?.reason.contains("JSON") == true)
        let more = """
            1f8b0800000000000203edc13101000000c2a02aeb9fd2183e4001000000000000000000000000000000770352dd6e18014000\
            00
            """
        #expect(try error(more)?.reason == "more than 16384 bytes after decompression")
        #expect(try error(empty + "00")?.reason == "bytes after the gzip data")
        #expect(try error(empty + empty)?.reason == "bytes after the gzip data")
        #expect(try error(String(empty.dropLast(2)))?.reason == "the gzip data ends too early")
        #expect(try error("")?.reason == "the gzip data ends too early")
        #expect(try error(empty.replacing("29bb4c0d", with: "29bb4c0c"))?.reason.contains("checksum") == true)
        #expect(try error("789c8b8e05000148006d")?.reason.contains("not gzip") == true)
        #expect(try error(empty, mark: "ELGZv2")?.code == .invalidEventLog)
    }

    @Test("every truncation and every flipped bit of compressed data ends in an error or in the same content")
    func mutatedGzip() throws {
        let original = hex("1f8b08000000000002038b8e050029bb4c0d02000000")
        for count in 0..<original.count {
            #expect(throws: DecodingFailure.self) {
                try Gzip.decompress(Array(original.prefix(count)), limit: 64, subject: "test")
            }
        }
        for bit in 0..<original.count * 8 {
            var bytes = original
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            // Time, operating system and the like in the header carry no content.
            if let content = try? Gzip.decompress(bytes, limit: 64, subject: "test") {
                #expect(content == [0x5B, 0x5D])
            }
        }
    }

    // MARK: Hostile input

    @Test("every truncation is refused")
    func truncations() throws {
        let vm = try Self.vm.get()
        var fixture = RATLSFixture()
        fixture.add(.attestation, try vm.attestation(fixture.reportData).stripped().encoded(as: .v1))
        let der = try fixture.der
        for count in stride(from: 0, to: der.count, by: 7) {
            #expect(throws: AttestationError.self) { try RATLSCertificate(parsing: Array(der.prefix(count))) }
        }
    }

    @Test("mutated certificates never trap, and none verifies with another key than the attested one")
    func mutations() throws {
        let vm = try Self.vm.get()
        let prepared = try vm.verifier().prepare(vm.collateral())
        var fixture = RATLSFixture()
        fixture.add(.quote, try vm.quote(fixture.reportData))
        fixture.add(.eventLog, Array(vm.log.json.utf8))
        fixture.add(.usage, Array("app:custom".utf8))
        let der = try fixture.der
        let key = fixture.key.publicKey.spki
        #expect(try prepared.verify(RATLSCertificate(parsing: der), at: SimulatedVM.now).verdict == .accepted)
        var random = SeededGenerator(seed: 0x8A71)
        var parsed = 0
        for _ in SeededGenerator.rounds(1500) {
            guard let certificate = try? RATLSCertificate(parsing: random.mutated(der)) else { continue }
            parsed += 1
            guard let report = try? prepared.verify(certificate, at: SimulatedVM.now) else { continue }
            if report.verdict == .accepted { #expect(certificate.publicKey == key) }
        }
        #expect(parsed > 0)
    }
}
