import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackMockTEE
import TestKit
import Testing

extension CertificateConfiguration {
    init(vector row: [String: Any]) throws {
        self.init(
            commonName: try row.text("subject"), organization: row.optionalText("org_name"),
            alternativeNames: try row.texts("subject_alt_names"), isForServers: try row.flag("usage_server_auth"),
            isForClients: try row.flag("usage_client_auth"), includesEvidence: try row.flag("ext_quote"),
            includesAppInfo: try row.flag("ext_app_info"), notBefore: row.optionalNumber("not_before"),
            notAfter: row.optionalNumber("not_after"))
    }

    /// As version 1 has it.
    var withoutNewerChoices: Self {
        var copy = self
        (copy.includesAppInfo, copy.notBefore, copy.notAfter) = (false, nil, nil)
        return copy
    }
}

@Suite("Vectors of signing requests", .needsVectors("keys/kdf.json"))
struct SigningRequestVectorTests {
    private func file() throws -> [String: Any] { try Vectors.object("keys/csr.json") }

    private func attestation(_ row: [String: Any]) throws -> Attestation {
        if row["attestation_v0"] is String { return try Attestation(decoding: row.bytes("attestation_v0")) }
        // The long case gives its parts.
        let evidence = Attestation.TDXEvidence(quote: try row.bytes("quote"), eventLog: EventLog())
        return Attestation(
            platform: .tdx(evidence), runtimeEvents: [], reportData: ReportData(try row.fixed("report_data")),
            config: try row.text("vm_config"))
    }

    @Test("requests of both versions are written and read byte for byte")
    func bothVersions() throws {
        for row in try file().rows("cases") {
            let configuration = try CertificateConfiguration(vector: row.row("config"))
            let spki = try row.bytes("spki_der")
            #expect(try SHA256.hash(attestation(row).encoded(as: .v0)).hex == row.text("attestation_sha256"))
            let key = TLSKey(try p256Key(row.text("key_scalar")))
            let older = SigningRequest.Evidence.quote(
                try row.bytes("quote"), eventLog: Array(try row.text("event_log_v1_utf8").utf8))
            for (version, configuration, evidence) in [
                (SigningRequest.Version.v1, configuration.withoutNewerChoices, older),
                (.v2, configuration, .attestation(try attestation(row))),
            ] {
                let written = try SigningRequest(publicKey: spki, configuration: configuration, evidence: evidence)
                let name = "csr_v\(version.rawValue)"
                #expect(try SHA256.hash(written.bytes).hex == row.text("\(name)_sha256"))
                if row[name] is String { #expect(try Hex.encode(written.bytes) == row.text(name)) }
                let read = try SigningRequest(decoding: written.bytes, version: version)
                #expect(read == written)
                #expect(read.version == version)
                #expect(read.configuration == configuration)
                let verified = try read.verified(signature: row.bytes("signature_v\(version.rawValue)"))
                #expect(verified.publicKey.spki == spki)
                #expect(throws: Never.self) {
                    try read.verified(signature: written.signed(by: key).signature)
                }
            }
            let request = try SigningRequest(
                publicKey: spki, configuration: configuration, evidence: .attestation(attestation(row)))
            let verified = try request.verified(signature: row.bytes("signature_v2"))
            #expect(try verified.attestation().reportData.hex == row.text("report_data"))
        }
    }

    @Test("upstream's published encodings are read and written")
    func knownAnswers() throws {
        for row in try file().rows("upstream_known_answers") {
            let bytes = try row.bytes("csr_v2")
            let request = try SigningRequest(decoding: bytes, version: .v2)
            #expect(try request.configuration == CertificateConfiguration(vector: row.row("config")))
            #expect(try request.publicKey == row.bytes("pubkey"))
            guard case .attestation(let attestation) = request.evidence else {
                Issue.record("no attestation")
                continue
            }
            #expect(try attestation.quote == row.bytes("quote"))
            // The rest is nothing at all.
            let evidence = Attestation(
                platform: .tdx(Attestation.TDXEvidence(quote: try row.bytes("quote"), eventLog: EventLog())),
                runtimeEvents: [], reportData: ReportData(FixedBytes()), config: "")
            let made = try SigningRequest(
                publicKey: row.bytes("pubkey"), configuration: CertificateConfiguration(vector: row.row("config")),
                evidence: .attestation(evidence))
            #expect(made.bytes == bytes)
            let written = try SigningRequest(
                publicKey: request.publicKey, configuration: request.configuration, evidence: request.evidence)
            #expect(written.bytes == bytes)
        }
    }

    @Test("requests that break a rule are refused")
    func mustFail() throws {
        for row in try file().rows("must_fail") {
            #expect(throws: KeysError.self, "\(row["why"] ?? "")") {
                try SigningRequest(decoding: row.bytes("csr_v2"), version: .v2).verified(
                    signature: row.bytes("signature"))
            }
        }
    }

    @Test("a request cut off anywhere, or with a byte more, is refused")
    func truncated() throws {
        let rows = try file().rows("cases")
        for version in [SigningRequest.Version.v1, .v2] {
            let bytes = try rows[2].bytes("csr_v\(version.rawValue)")
            for count in 0..<bytes.count {
                #expect(throws: KeysError(.invalidRequest, subject: "", reason: ""), "\(count)") {
                    try SigningRequest(decoding: Array(bytes.prefix(count)), version: version)
                }
            }
            #expect(throws: KeysError(.invalidRequest, subject: "", reason: "")) {
                try SigningRequest(decoding: bytes + [0], version: version)
            }
        }
    }

    @Test("damaged requests are refused or read as what they say, and none is taken for signed")
    func mutations() throws {
        var random = SeededGenerator(seed: 41)
        let row = try file().rows("cases")[2]
        for version in [SigningRequest.Version.v1, .v2] {
            let bytes = try row.bytes("csr_v\(version.rawValue)")
            let signature = try row.bytes("signature_v\(version.rawValue)")
            var read = 0
            for _ in SeededGenerator.rounds(3000) {
                let damaged = random.mutated(bytes)
                guard damaged != bytes, let request = try? SigningRequest(decoding: damaged, version: version) else {
                    continue
                }
                read += 1
                #expect(request.bytes == damaged)
                #expect(throws: KeysError.self) { try request.verified(signature: signature) }
            }
            #expect(read > 100)
        }
    }
}

@Suite("Signing requests")
struct SigningRequestTests {
    private let refused = KeysError(.invalidRequest, subject: "", reason: "")

    private func request(_ key: borrowing TLSKey, _ reportData: ReportData? = nil) throws -> SigningRequest {
        let attestation = Attestation(
            platform: .nitroEnclave(document: []), runtimeEvents: [], reportData: reportData ?? key.reportData,
            config: "")
        return try SigningRequest(
            publicKey: key.publicKey, configuration: CertificateConfiguration(commonName: "x"),
            evidence: .attestation(attestation))
    }

    @Test("a request is signed by its own key only")
    func foreignKey() throws {
        let request = try request(TLSKey())
        #expect(throws: refused) { try request.signed(by: TLSKey()) }
        let signature = try P256.PrivateKey().signature(for: request.bytes).der
        #expect(throws: KeysError(.notAuthentic, subject: "", reason: "")) {
            try request.verified(signature: signature)
        }
    }

    @Test("signatures in any other form than DER are refused")
    func signatureForms() throws {
        let key = TLSKey()
        let request = try request(key)
        let signature = try request.signed(by: key).signature
        #expect(throws: Never.self) { try request.verified(signature: signature) }
        for wrong in [[], signature + [0], Array(signature.dropLast()), try P256.Signature(der: signature).raw] {
            #expect(throws: KeysError(.notAuthentic, subject: "", reason: "")) {
                try request.verified(signature: wrong)
            }
        }
    }

    @Test("a compressed public key is refused, because the certificate would have another form of it")
    func compressed() throws {
        let key = TLSKey()
        let spki = P256.compressedPrefix + key.key.publicKey.compressed
        let request = try SigningRequest(
            publicKey: spki, configuration: CertificateConfiguration(commonName: "x"),
            evidence: .quote([], eventLog: []))
        let signature = try key.key.signature(for: request.bytes).der
        #expect(throws: refused) { try request.verified(signature: signature) }
    }

    @Test("version 1 has no place for newer choices")
    func notRepresentable() throws {
        for configuration in [
            CertificateConfiguration(commonName: "x", includesAppInfo: true),
            CertificateConfiguration(commonName: "x", notBefore: 1),
            CertificateConfiguration(commonName: "x", notAfter: 1),
        ] {
            #expect(throws: refused) {
                try SigningRequest(publicKey: [], configuration: configuration, evidence: .quote([], eventLog: []))
            }
        }
    }

    @Test("evidence about another key is found out")
    func foreignEvidence() throws {
        let key = TLSKey()
        let signed = try request(key, TLSKey().reportData).signed(by: key)
        let verified = try signed.request.verified(signature: signed.signature)
        #expect(throws: KeysError(.notAuthentic, subject: "", reason: "")) { try verified.attestation() }
    }

    @Test("the evidence of version 1 must be a quote and a log that can be read")
    func olderEvidence() throws {
        let guest = try SimulatedGuest()
        let key = TLSKey()
        let attestation = try guest.attestation(key.reportData)
        let quote = try #require(attestation.quote)
        let log = Array(guest.boot.eventLog.json.utf8)
        func evidence(_ quote: [UInt8], _ log: [UInt8]) throws -> Attestation {
            let signed = try SigningRequest(
                publicKey: key.publicKey, configuration: CertificateConfiguration(commonName: "x"),
                evidence: .quote(quote, eventLog: log)
            ).signed(by: key)
            return try signed.request.verified(signature: signed.signature).attestation()
        }
        #expect(try evidence(quote, log) == attestation)
        #expect(throws: refused) { try evidence([1], log) }
        #expect(throws: refused) { try evidence(quote, [1]) }
    }

    @Test("lengths that are not there cost nothing")
    func announcedLengths() throws {
        // A compact length of 2³⁰ - 1 in front of nothing.
        let long: [UInt8] = [0xFE, 0xFF, 0xFF, 0xFF]
        for prefix in [[], [0x00], [0x00, 0x00, 0x00, 0x00]] as [[UInt8]] {
            #expect(throws: refused) { try SigningRequest(decoding: prefix + long, version: .v1) }
        }
    }
}
