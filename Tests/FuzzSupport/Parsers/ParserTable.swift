import DstackAttestation
import DstackAuthorization
import DstackConfiguration
import DstackCrypto
import DstackEncoding
import DstackGuest
import DstackHTTP
import DstackHTTPServer
import DstackKeys
import DstackMeasurement
import DstackMockTEE
import DstackRPC
import DstackSystem
import DstackVerifierService

extension FuzzedParser {
    /// Every parser that reads what strangers, files or peers may have written.
    package static func all(_ corpus: Corpus) throws(FuzzFailure) -> [FuzzedParser] {
        do {
            let material = try Material(corpus)
            return try material.evidence + material.documents + material.authorization + material.certificates
                + material.encodings + material.services + KeyServiceParsers.all()
        } catch let failure as FuzzFailure {
            throw failure
        } catch {
            throw FuzzFailure("inputs of the parsers: \(error)")
        }
    }
}

/// What the seeds are made of.
private struct Material {
    let texts: SeedTexts
    let exhibits: [Exhibit]
    /// DER.
    let attestedCertificate: [UInt8]
    /// PKCS#10, DER.
    let request: [UInt8]
    let image: MockImage
    /// SubjectPublicKeyInfo.
    let key: [UInt8]

    init(_ corpus: Corpus) throws {
        texts = corpus.texts
        exhibits = corpus.simulated.map { corpus.seeds[$0].exhibit }
        image = try MockImage()
        guard let envelope = texts.envelopes.first, let log = texts.eventLogs.first, let exhibit = exhibits.first else {
            throw FuzzFailure("no evidence in the corpus")
        }
        let key = try FuzzKey(of: SHA256.hash(Array("certificates of the parsers".utf8)), label: "attested")
        self.key = key.spki
        func item(_ kind: RATLSExtension, _ content: [UInt8]) -> X509.Extension {
            X509.Extension(kind.identifier, value: RATLSExtension.value(for: content))
        }
        let subject = X509.Name(.commonName("app.example"))
        let names = X509.Extension.subjectAltName([.dns("app.example")])
        let builder = CertificateBuilder(
            subject: subject, publicKey: key.spki, notBefore: .seconds(157_766_400), notAfter: .seconds(2_000_000_000),
            serialNumber: [1],
            extensions: [
                names, .keyUsage(bits: [0x80], unusedBits: 7), .extendedKeyUsage([.serverAuth, .clientAuth]),
                item(.attestation, envelope), item(.quote, exhibit.quote), item(.eventLog, log),
                item(.appID, [UInt8](repeating: 7, count: 20)), item(.usage, Array("kms:rpc".utf8)),
            ])
        let algorithm = X509.Algorithm.ecdsaWithSHA256
        attestedCertificate = try builder.assembled(
            algorithm: algorithm, signature: key.derSignature(builder.tbs(algorithm: algorithm)))
        let wanted = DER.sequence(
            DER.objectIdentifier(ObjectIdentifier(1, 2, 840, 113549, 1, 9, 14)),
            DER.set(of: [DER.sequence(names.der)]))
        let info = DER.sequence(DER.integer(UInt(0)), subject.der, key.spki, DER.explicit(0, wanted))
        request = DER.sequence(info, algorithm.der, DER.bitString(key.derSignature(info)))
    }

    // MARK: Evidence

    var evidence: [FuzzedParser] {
        [
            FuzzedParser("quote", exhibits.map(\.quote)) { input in
                let quote = try Quote(parsing: input)
                return try Quote(parsing: input) == quote
            },
            FuzzedParser("collateral", exhibits.map(\.collateralText)) { input in
                let collateral = try QuoteCollateral(parsingJSON: input)
                return try QuoteCollateral(parsingJSON: collateral.json) == collateral
            },
            FuzzedParser("event-log", texts.eventLogs) { input in
                let log = try EventLog(json: input)
                return try EventLog(json: log.json) == log
            },
            FuzzedParser("ccel", texts.ccel) { input in try TCGEventLog(parsing: input).encoded == input },
            FuzzedParser("envelope", texts.envelopes) { input in
                let attestation = try Attestation(decoding: input)
                return try Attestation(decoding: attestation.encoded.bytes) == attestation
            },
            FuzzedParser("runtime-events", [record]) { input in
                let events = try RuntimeEvent.parse(log: input)
                return try RuntimeEvent.parse(log: input) == events
            },
            // What is recognised is read as what it is, and everything else says what it is instead.
            FuzzedParser("evidence-file", files) { input in
                let file = EvidenceFile(recognising: input)
                let readers: [(EvidenceFile) throws -> Void] = [
                    { _ = try $0.quote() }, { _ = try $0.envelope() }, { _ = try $0.eventLog() },
                    { _ = try $0.configuration() },
                ]
                for reader in readers { try? reader(file) }
                return true
            },
        ]
    }

    private var record: [UInt8] {
        let lines = [
            #"{"event":"app-id","payload":"BwcHBwcHBwcHBwcHBwcHBwcHBwc="}"#,
            #"{"event":"system-ready","payload":"","version":2}"#,
        ]
        return Array((lines.joined(separator: "\n") + "\n").utf8)
    }

    private var files: [[UInt8]] {
        let quote = exhibits[0].quote
        return exhibits.map(\.quote) + texts.envelopes + texts.eventLogs + texts.ccel + texts.configurations
            + texts.composeFiles
            + [
                Array(Hex.encode(quote).utf8), Array("0x\(Hex.encode(quote))\n".utf8), answer,
                exhibits[0].collateralText, record,
            ]
    }

    private var answer: [UInt8] {
        Array(#"{"quote":"\#(Hex.encode(exhibits[0].quote))","event_log":"[]","vm_config":""}"#.utf8)
    }

    // MARK: Documents

    var documents: [FuzzedParser] {
        let digest = String(repeating: "04", count: 32)
        let mrConfig = """
            {"version":3,"compose_hash":"\(digest)","key_provider":"kms","init_script_hashes":["\(digest)"]}
            """
        return [
            FuzzedParser("app-compose", texts.composeFiles) { input in
                let text = try AppCompose(parsing: input).canonicalText(isNormalized: false)
                let again = try AppCompose(parsing: Array(text.utf8)).canonicalText(isNormalized: false)
                return again.utf8.elementsEqual(text.utf8)
            },
            FuzzedParser("policy", texts.policies) { input in
                _ = try VerificationPolicy(parsingJSON: input)
                return true
            },
            FuzzedParser("vm-config", texts.configurations + [Array(image.vmConfig.utf8)]) { input in
                _ = try VMConfiguration(decoding: input)
                return true
            },
            FuzzedParser("mr-config", [Array(mrConfig.utf8)]) { input in
                guard let text = String(validating: input, as: UTF8.self) else { throw FuzzFailure("no UTF-8") }
                _ = try MRConfigDocument(parsing: text)
                return true
            },
            FuzzedParser("verifier-request", [answer]) { input in
                _ = try VerifierRequest(parsingJSON: input)
                return true
            },
            FuzzedParser("app-info", [appInfo]) { input in
                _ = try AppInfo(messagePack: input)
                return true
            },
        ]
    }

    private var appInfo: [UInt8] {
        AppInfo(
            appID: AppID(FixedBytes(repeating: 1)), composeHash: ComposeHash(FixedBytes(repeating: 2)),
            instanceID: InstanceID(FixedBytes(repeating: 3)), deviceID: DeviceID(FixedBytes(repeating: 4)),
            mrSystem: FixedBytes(repeating: 5), mrAggregated: FixedBytes(repeating: 6),
            osImageHash: FixedBytes(repeating: 7), keyProviderInfo: Array("{}".utf8),
            initScriptHashes: [FixedBytes(repeating: 8)]
        ).messagePack
    }

    // MARK: Authorization

    var authorization: [FuzzedParser] {
        let hash = String(repeating: "5a", count: 32)
        let info = BootInfo(
            teeVariant: "dstack-tdx", mrAggregated: .init(repeating: 1), osImageHash: .init(repeating: 2),
            mrSystem: .init(repeating: 3), appID: .init(repeating: 4), composeHash: .init(repeating: 5),
            instanceID: .init(repeating: 6), deviceID: .init(repeating: 7), keyProviderInfo: Array("{}".utf8),
            tcbStatus: "UpToDate", advisoryIDs: ["INTEL-SA-00615"])
        let rules = """
            {"osImages": ["0x\(hash)"], "kms": {"mrAggregated": ["\(hash)"], "devices": [], "allowAnyDevice": true},
             "apps": {"0x\(hash.prefix(40))": {"composeHashes": ["\(hash)"], "devices": ["\(hash)"]}}}
            """
        let policy = """
            [[rule]]
            name = "x"
            for = "kms"
            mr_aggregated = ["\(hash)"]
            os_images = ["\(hash)"]
            any_device = true

            """
        // Allowed, without a reason; denied with one.
        let words = [1, 64, 0].map { [UInt8](repeating: 0, count: 31) + [UInt8($0)] }
        let reason = [UInt8](repeating: 0x61, count: 32)
        let denial = [0, 64, 32].map { [UInt8](repeating: 0, count: 31) + [UInt8($0)] }.flatMap { $0 } + reason
        return [
            FuzzedParser("boot-info", [info.json]) { input in
                let info = try BootInfo(parsingJSON: input)
                return try BootInfo(parsingJSON: info.json) == info
            },
            FuzzedParser("boot-decision", [BootDecision.denied("why", gatewayAppID: "0x01").json]) { input in
                let decision = try BootDecision(parsingJSON: input)
                return try BootDecision(parsingJSON: decision.json) == decision
            },
            FuzzedParser("auth-config", [Array(rules.utf8)]) { input in
                _ = try FilePolicy(parsingJSON: input, subject: "auth-config.json")
                return true
            },
            FuzzedParser("boot-policy", [Array(policy.utf8)]) { input in
                _ = try BootPolicy(parsing: input, source: "policy.toml")
                return true
            },
            FuzzedParser("contract-decision", [words.flatMap { $0 }, denial]) { input in
                _ = try KMSContract.decision(input)
                return true
            },
        ]
    }

    // MARK: Certificates

    var certificates: [FuzzedParser] {
        let chains = exhibits.map { Array($0.collateral.tcbInfoIssuerChain.utf8) }
        let members = chains.compactMap { try? PEM.decode($0, label: "CERTIFICATE") }.flatMap { $0 }
        return [
            FuzzedParser("certificate", members + [attestedCertificate]) { input in
                try Certificate(der: input).der == input
            },
            FuzzedParser("attested-certificate", [attestedCertificate]) { input in
                try RATLSCertificate(parsing: input).der.count <= input.count
            },
            FuzzedParser("revocation-list", exhibits.map(\.collateral.pckCRL)) { input in
                _ = try CertificateRevocationList(der: input)
                return true
            },
            FuzzedParser("certificate-request", [request]) { input in try CertificateRequest(der: input).der == input },
            FuzzedParser("signing-request", [signingRequest].compactMap { $0 }) { input in
                try SigningRequest(decoding: input, version: .v2).bytes == input
            },
            FuzzedParser("pem", chains) { input in
                _ = try PEM.decode(input)
                return true
            },
        ]
    }

    private var signingRequest: [UInt8]? {
        guard let envelope = texts.envelopes.last, let attestation = try? Attestation(decoding: envelope) else {
            return nil
        }
        return try? SigningRequest(
            publicKey: key, configuration: CertificateConfiguration(commonName: "app.example"),
            evidence: .attestation(attestation)
        ).bytes
    }

    // MARK: Encodings

    var encodings: [FuzzedParser] {
        let toml = "[core]\nname = \"\u{E9}\"\nlist = [1, 0x2, -3.5, true]\n[a.b]\nc = 'x'\nd = 1979-05-27\n"
        return [
            FuzzedParser("json", [exhibits[0].collateralText] + texts.composeFiles + texts.configurations) { input in
                _ = try JSONDocument(parsing: input, subject: "input")
                return true
            },
            FuzzedParser("cbor", measurements) { input in
                let item = try CBORDecoder.decode(input, subject: "input")
                return try CBORDecoder.decode(item.encoded(), subject: "input") == item
            },
            FuzzedParser("image-measurement", measurements) { input in
                let measurement = try TDXImageMeasurement(decoding: input)
                return try TDXImageMeasurement(decoding: measurement.encoded()) == measurement
            },
            FuzzedParser("toml", [Array(toml.utf8)]) { input in
                _ = try Configuration(.text(String(decoding: input, as: UTF8.self), source: "input"))
                return true
            },
            FuzzedParser("protobuf", [message.protobuf]) { input in
                let message = try AgentRPC.GetTlsKeyArgs(protobuf: input)
                return try AgentRPC.GetTlsKeyArgs(protobuf: message.protobuf).protobuf == message.protobuf
            },
            FuzzedParser("message-json", [message.json]) { input in
                let message = try AgentRPC.GetTlsKeyArgs(json: input)
                return try AgentRPC.GetTlsKeyArgs(json: message.json).json == message.json
            },
        ]
    }

    private var message: AgentRPC.GetTlsKeyArgs {
        .with {
            $0.subject = "app"
            $0.altNames = ["a.example", "10.0.0.1"]
            $0.usageRATLS = true
            $0.notAfter = 1_900_000_000
            $0.csr = [1, 2, 3]
        }
    }

    private var measurements: [[UInt8]] {
        guard let configuration = try? VMConfiguration(decoding: Array(image.vmConfig.utf8)),
            let document = configuration.tdxMeasurement
        else { return [] }
        return [document.measurement]
    }

    // MARK: Services

    var services: [FuzzedParser] {
        let requests = [
            "GET /prpc/Tappd.Info?json HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
            "POST /GetKey HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n{  }GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: v\r\n\r\n",
        ].map { Array($0.utf8) }
        let frames: [UInt8] =
            [1, 0, 0, 0, 0, 0, 0, 3, 0x61, 0x62, 0x0A] + [2, 0, 0, 0, 0, 0, 0, 1, 0x78] + [3, 0, 0, 0, 0, 0, 0, 0]
        return [
            // However the bytes are cut, a stream is read the same way.
            FuzzedParser("http-request", requests) { input in
                let whole = RequestTrace(of: input, inPiecesOf: input.count)
                guard RequestTrace(of: input, inPiecesOf: 1) == whole, RequestTrace(of: input, inPiecesOf: 7) == whole
                else { return false }
                if whole.isRefused { throw FuzzFailure("refused") }
                return true
            },
            FuzzedParser("container-log", [frames]) { input in
                var parser = LogFrameParser()
                parser.append(input)
                while try parser.next() != nil {}
                try parser.expectEnd()
                return true
            },
        ]
    }
}

/// What a parser of requests says about a stream.
private struct RequestTrace: Equatable {
    private var heads: [String] = []
    private var bodies: [[UInt8]] = []
    private(set) var isRefused = false

    init(of input: [UInt8], inPiecesOf size: Int) {
        var parser = HTTPRequestParser(limits: .init(headerBytes: 4096, headerCount: 20, bodyBytes: 4096))
        var body: [UInt8] = []
        var pending: [UInt8] = []
        var rest = input[...]
        while true {
            let (consumed, event) = parser.advance(pending.span)
            switch event {
            case .needsMore:
                guard !rest.isEmpty else { return }
                pending.removeFirst(consumed)
                pending += rest.prefix(max(1, size))
                rest = rest.dropFirst(max(1, size))
                continue
            case .head(let head): heads.append("\(head.method) \(head.path) \(head.query ?? "") \(head.headers)")
            case .body(let range): body += pending[range]
            case .end:
                bodies.append(body)
                body = []
            case .refused:
                isRefused = true
                return
            }
            pending.removeFirst(consumed)
        }
    }
}
