import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackGuest
import DstackKeys
import Foundation
import Synchronization
import TestKit
import Testing

@Suite("Guest agent: certificates")
struct AgentCertificateTests {
    private static func settings(
        _ change: (inout GuestSettings.Certificates) -> Void = { _ in }
    ) -> GuestSettings {
        var settings = AgentFixture.settings
        settings.certificates.makesDemoCertificate = false
        change(&settings.certificates)
        return settings
    }

    private func leaf(_ answer: AgentFixture.Answer) throws -> Certificate {
        let chain = try answer.json.texts("certificate_chain")
        return try Certificate(der: PEM.decode(try #require(chain.first)))
    }

    @Test("without evidence asked for, none is made, and each call has a key of its own")
    func plain() async throws {
        let bench = try await BenchAgent(Self.settings())
        #expect(try await eventually { bench.attester.quotes == 1 })
        let first = try await bench.post("dstack", "/GetTlsKey", #"{"subject":"a"}"#).json
        let second = try await bench.post("dstack", "/GetTlsKey", #"{"subject":"a"}"#).json
        #expect(try first.text("key") != second.text("key"))
        #expect(bench.attester.quotes == 1)
        let certificate = try RATLSCertificate(parsing: PEM.decode(try first.texts("certificate_chain")[0]))
        #expect(certificate.attestation == nil)
        let attested = try await bench.post("dstack", "/v1/IssueCert", #"{"subject":"a","usage_ra_tls":true}"#).json
        let evidence = try RATLSCertificate(parsing: PEM.decode(try attested.texts("certificate_chain")[0]))
        #expect(evidence.attestation?.reportData == ReportData(raTLSKey: evidence.publicKey))
    }

    @Test("the older form of evidence stands beside the newer where that is configured")
    func legacy() async throws {
        for isOn in [false, true] {
            let bench = try await BenchAgent(Self.settings { $0.includesLegacyEvidence = isOn })
            let answer = try await bench.post("dstack", "/GetTlsKey", #"{"usage_ra_tls":true}"#)
            let certificate = try leaf(answer)
            for (kind, expected) in [(RATLSExtension.quote, isOn), (.eventLog, isOn), (.attestation, true)] {
                let found = certificate.extensions.contains { $0.identifier == kind.identifier }
                #expect(found == expected, "\(kind)")
            }
        }
    }

    @Test(
        "evidence that makes a certificate large goes without digests, and where TLS would not carry it it is refused")
    func large() async throws {
        func events(_ count: Int) -> [RuntimeEvent] {
            (0..<count).map { RuntimeEvent(name: "event \($0)", payload: [UInt8](repeating: 7, count: 100)) }
        }
        for (socket, path) in [
            ("dstack", "/GetTlsKey"), ("tappd", "/prpc/Tappd.DeriveKey"), ("dstack", "/v1/IssueCert"),
        ] {
            let bench = try await BenchAgent(Self.settings())
            for (count, keepsDigests) in [(100, true), (250, false)] {
                bench.attester.set { $0.foreignEvents = events(count) }
                let answer = try await bench.post(socket, path, #"{"usage_ra_tls":true}"#)
                let leaf = try RATLSCertificate(parsing: PEM.decode(try answer.json.texts("certificate_chain")[0]))
                let log = try #require(leaf.attestation?.eventLog)
                let runtime = log.events.filter { $0.type == .runtime }
                #expect(
                    runtime.count > count && runtime.allSatisfy { ($0.digest != nil) == keepsDigests },
                    "\(path) \(count)")
            }
            bench.attester.set { $0.foreignEvents = events(600) }
            let refused = try await bench.post(socket, path, #"{"usage_ra_tls":true}"#)
            #expect(refused.status == 400)
            let reason = try #require(refused.error)
            #expect(reason.contains("of which TLS libraries take 102400: the measured events have "), "\(reason)")
            #expect(try await bench.post(socket, path, "{}").status == 200)
        }
    }

    @Test("no certificate outlives the configured maximum")
    func maximumValidity() async throws {
        let bench = try await BenchAgent(Self.settings { $0.maximumValidity = .seconds(3_600) })
        let now = Int64(Date().timeIntervalSince1970)
        let certificate = try leaf(try await bench.post("dstack", "/GetTlsKey"))
        #expect((now...now + 3_700).contains(certificate.notAfter))
        let derived = try leaf(try await bench.post("tappd", "/prpc/Tappd.DeriveKey"))
        #expect((now...now + 3_700).contains(derived.notAfter))
        let shorter = try leaf(try await bench.post("dstack", "/GetTlsKey", #"{"not_after":\#(now + 60)}"#))
        #expect(shorter.notAfter == now + 60)
        let longer = try await bench.post("dstack", "/GetTlsKey", #"{"not_after":\#(now + 7_200)}"#)
        #expect(longer.status == 400 && longer.error?.contains("3600 s from now at most") == true)
    }

    @Test("a caller can bring a key where that is configured, and proves it with a request")
    func callerKeys() async throws {
        let bench = try await BenchAgent(Self.settings { $0.acceptsCallerKeys = true })
        let key = TLSKey()
        let csr = try CertificateRequestBuilder(subject: X509.Name(.commonName("ignored"))).signed(by: key.key)
        let pem = Array(PEM.encode("CERTIFICATE REQUEST", csr).utf8)
        for field in [
            #""csr":"\#(Hex.encode(csr))""#, #""csr":"\#(Hex.encode(pem))""#,
            #""public_key":"\#(Hex.encode(key.publicKey))""#,
        ] {
            let answer = try await bench.post(
                "dstack", "/GetTlsKey", #"{"subject":"mine","usage_ra_tls":true,\#(field)}"#)
            #expect(try answer.json.text("key") == "")
            let certificate = try RATLSCertificate(
                parsing: PEM.decode(try answer.json.texts("certificate_chain")[0]))
            #expect(certificate.publicKey == key.publicKey)
            #expect(certificate.attestation?.reportData == key.reportData)
        }
        var forged = csr
        forged[forged.count - 1] ^= 1
        for field in [
            #""csr":"\#(Hex.encode(forged))""#, #""csr":"00""#, #""public_key":"00""#,
            #""csr":"\#(Hex.encode(csr))","public_key":"\#(Hex.encode(key.publicKey))""#,
        ] {
            let answer = try await bench.post("dstack", "/GetTlsKey", "{\(field)}")
            #expect(answer.status == 400, "\(answer.text)")
        }
        let off = try await BenchAgent(Self.settings())
        let refused = try await off.post("dstack", "/GetTlsKey", #"{"csr":"\#(Hex.encode(csr))"}"#)
        #expect(refused.status == 400 && refused.error?.contains("accept_caller_keys") == true)
    }

    @Test("Info has a demonstration certificate, made once in the background")
    func demo() async throws {
        let bench = try await BenchAgent()
        #expect(
            try await eventually {
                try await bench.post("dstack", "/Info").json.text("app_cert").contains("BEGIN CERTIFICATE")
            })
        let quotes = bench.attester.quotes
        let text = try await bench.post("dstack", "/Info").json.text("app_cert")
        let certificate = try RATLSCertificate(parsing: PEM.decode(text))
        #expect(certificate.attestation != nil)
        #expect(text.components(separatedBy: "-----END CERTIFICATE-----\n\n-----BEGIN").count == 2)
        for _ in 0..<5 { #expect(try await bench.external("/prpc/Info").json.text("app_cert") == text) }
        #expect(bench.attester.quotes == quotes && quotes == 2)
    }
}

@Suite("Guest agent: certificates from a KMS")
struct AgentKMSTests {
    private static var settings: GuestSettings {
        var settings = AgentFixture.settings
        settings.certificates.makesDemoCertificate = false
        settings.certificates.kmsTimeout = .seconds(10)
        settings.certificates.kmsTotalTimeout = .seconds(20)
        return settings
    }

    @Test("the KMS issues over mutual TLS, for evidence over the new key, and the chain ends in its root")
    func issued() async throws {
        let kms = try await TestKMS()
        let bench = try await BenchAgent(Self.settings, files: { try kms.files($0) })
        let answer = try await bench.post(
            "dstack", "/GetTlsKey",
            #"{"subject":"web","alt_names":["a.example"],"usage_ra_tls":true,"with_app_info":false}"#)
        let chain = try answer.json.texts("certificate_chain")
        #expect(chain.count == 3 && chain.last == kms.rootPEM)
        let certificate = try RATLSCertificate(parsing: PEM.decode(chain[0]))
        #expect(certificate.appID == kms.appID)
        #expect(certificate.attestation?.reportData == ReportData(raTLSKey: certificate.publicKey))
        let key = try TLSKey(pem: Array(answer.json.text("key").utf8).span.bytes)
        #expect(key.publicKey == certificate.publicKey)
        let call = try #require(kms.calls.withLock { $0.first })
        #expect(call.request.version == .v2 && call.vmConfig == "{\"cpu\":1}")
        #expect(call.introduction != nil)
        // The next one needs no new introduction.
        let quotes = bench.attester.quotes
        _ = try await bench.post("tappd", "/prpc/Tappd.DeriveKey", #"{"path":"a"}"#)
        #expect(bench.attester.quotes == quotes + 1)
        let csr = try await bench.post("dstack", "/GetTlsKey", #"{"public_key":"00"}"#)
        #expect(csr.status == 400)
    }

    @Test("addresses that do not answer are passed over, and the one that did is asked first from then on")
    func retries() async throws {
        let kms = try await TestKMS()
        let dead = "https://127.0.0.1:9"
        let bench = try await BenchAgent(
            Self.settings, files: { try kms.files($0, first: dead, others: [dead, "\(kms.address)/prpc"]) })
        for _ in 0..<2 { #expect(try await bench.post("dstack", "/GetTlsKey").status == 200) }
        #expect(kms.calls.withLock { $0.count } == 2)
    }

    @Test("without a KMS the agent starts and hands out keys; certificates fail with every address's reason")
    func absent() async throws {
        let kms = try await TestKMS()
        let dead = ["https://127.0.0.1:9", "https://127.0.0.1:10"]
        let bench = try await BenchAgent(
            Self.settings, files: { try kms.files($0, first: dead[0], others: dead) })
        #expect(try await bench.post("dstack", "/GetKey").status == 200)
        #expect(try await bench.post("dstack", "/Info").status == 200)
        let answer = try await bench.post("dstack", "/GetTlsKey")
        #expect(answer.status == 503)
        let error = try #require(answer.error)
        #expect(error.hasPrefix("Failed to sign the CSR: ") && dead.allSatisfy { error.contains($0) }, "\(error)")
    }

    @Test("a KMS that refuses is not asked again elsewhere, one that hangs is given up in time")
    func refusing() async throws {
        let kms = try await TestKMS(.refusing)
        var settings = Self.settings
        settings.certificates.kmsTimeout = .seconds(3)
        settings.certificates.kmsTotalTimeout = .seconds(4)
        let bench = try await BenchAgent(settings, files: { try kms.files($0, others: ["https://127.0.0.1:9"]) })
        let refused = try #require(try await bench.post("dstack", "/GetTlsKey").error)
        #expect(refused.contains("the operator says no") && !refused.contains("127.0.0.1:9/"))
        kms.mode.withLock { $0 = .hanging }
        let late = try await bench.post("dstack", "/GetTlsKey")
        #expect(late.status == 503 && late.error?.hasPrefix("Failed to sign the CSR: ") == true)
        kms.mode.withLock { $0 = .issuing }
    }

    @Test("another KMS at the same address is not believed")
    func impostor() async throws {
        let (kms, impostor) = (try await TestKMS(), try await TestKMS())
        let bench = try await BenchAgent(Self.settings, files: { try kms.files($0, first: impostor.address) })
        let answer = try await bench.post("dstack", "/GetTlsKey")
        #expect(answer.status == 503)
        #expect(impostor.calls.withLock { $0.isEmpty })
    }

    @Test("an application under the same KMS that has a certificate for its name is not taken for it")
    func application() async throws {
        let impostor = try await TestKMS(isApplication: true)
        let bench = try await BenchAgent(Self.settings, files: { try impostor.files($0) })
        let answer = try await bench.post("dstack", "/GetTlsKey")
        #expect(answer.status == 503 && answer.error?.contains("kms:rpc") == true, "\(answer.text)")
        #expect(impostor.calls.withLock { $0.isEmpty })
    }

    @Test("a certificate for another key than the one asked for is not passed on")
    func substituted() async throws {
        let kms = try await TestKMS(.substituting)
        let bench = try await BenchAgent(Self.settings, files: { try kms.files($0) })
        let answer = try await bench.post("dstack", "/GetTlsKey")
        #expect(answer.status == 503 && answer.error?.contains("another key") == true, "\(answer.text)")
    }
}
