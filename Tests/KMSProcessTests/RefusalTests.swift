import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackMockTEE
import DstackRPC
import Foundation
import TestKit
import Testing

/// Who gets nothing: each over a connection of its own, with a certificate that lies in one way.
@Suite("Whom a service refuses", .enabled(if: SimulatedHost.isThere, SimulatedHost.absence))
struct RefusalTests {
    private let host: SimulatedHost

    init() throws { host = try SimulatedHost.shared() }

    private struct Case {
        let name: String
        /// A part of the answer.
        let reason: String
        let identity: ClientIdentity?
        /// Whether somebody decided about it: then the log of the service has it.
        var isDecided = false
    }

    // MARK: Machines that are not what they have to be

    private static let otherCompose = Array(String(decoding: SimulatedHost.appCompose, as: UTF8.self).utf8) + [0x20]

    /// Another code that says it is the application that may boot.
    private func unlisted() throws -> MockBoot {
        try MockBoot(host.platform, appCompose: Self.otherCompose, appID: host.app.appID)
    }

    /// The application on a machine whose firmware is older than the newest that is known.
    private func outdated() throws -> MockBoot {
        var configuration = host.platform.configuration
        configuration.cpuSvn = FixedBytes(repeating: 1)
        let platform = try MockPlatform(seed: host.platform.seed, configuration)
        return try MockBoot(platform, appCompose: SimulatedHost.appCompose)
    }

    /// The application under a root that somebody made himself.
    private func foreign() throws -> MockBoot {
        try MockBoot(MockPlatform(seed: FixedBytes(repeating: 0x0F)), appCompose: SimulatedHost.appCompose)
    }

    /// The application in a domain that differs in what no event records.
    private func domain(
        _ reportData: ReportData, _ edit: (inout MockTrustDomain) -> Void
    ) throws -> Attestation {
        var domain = MockTrustDomain(on: host.platform)
        (domain.mrTd, domain.mrConfigId) = (host.app.domain.mrTd, host.app.domain.mrConfigId)
        edit(&domain)
        for event in host.app.eventLog.events {
            guard let digest = event.digest ?? event.runtimeEvent?.digest else { continue }
            try domain.extend(Int(event.register.rawValue), with: digest)
        }
        return try Attestation(
            quote: domain.quote(reportData: reportData.bytes), eventLog: host.app.eventLog,
            config: host.app.vmConfig)
    }

    /// Another application that calls itself by the id of the one that may boot.
    private func renamed(_ reportData: ReportData) throws -> Attestation {
        let other = try MockBoot(host.platform, appCompose: Self.otherCompose)
        var log = other.eventLog
        let place = try #require(log.events.firstIndex { $0.runtimeEvent?.name == "app-id" })
        log.events[place] = LoggedEvent(RuntimeEvent(name: "app-id", payload: host.app.appID.bytes.bytes))
        return try Attestation(
            quote: other.quote(reportData: reportData.bytes.bytes), eventLog: log, config: other.vmConfig)
    }

    private func cases() throws -> [Case] {
        let app = host.app
        let good = try ClientIdentity(app)
        let now = Int64(Date().timeIntervalSince1970)
        let stranger = try MockBoot(host.platform, appCompose: Self.otherCompose)
        return [
            Case(name: "no certificate", reason: "No attestation provided", identity: nil),
            Case(
                name: "a certificate without evidence", reason: "No attestation provided",
                identity: try ClientIdentity(app, .none)),
            Case(
                name: "evidence about somebody else's key", reason: "report_data",
                identity: try ClientIdentity(app, .ofAnotherKey)),
            Case(
                name: "an expired certificate", reason: "validity period",
                identity: try ClientIdentity(app) { ($0.notBefore, $0.notAfter) = (now - 90_000, now - 3_600) }),
            Case(
                name: "evidence under another root", reason: "not signed by Simulated TEE Root CA",
                identity: try ClientIdentity(foreign())),
            Case(
                name: "a domain that can be debugged", reason: "debug",
                identity: try ClientIdentity(
                    app, .made { reportData in try domain(reportData) { $0.attributes.insert(.debug) } })),
            Case(
                name: "another firmware than the image's", reason: "mrtd",
                identity: try ClientIdentity(
                    app, .made { reportData in try domain(reportData) { $0.mrTd = FixedBytes(repeating: 0xEE) } })),
            Case(
                name: "an app id that was not measured", reason: "RTMR3 mismatch",
                identity: try ClientIdentity(app, .made(renamed))),
            Case(
                name: "a code that is not listed", reason: "compose hash not allowed",
                identity: try ClientIdentity(unlisted()), isDecided: true),
            Case(
                name: "an application that nobody registered", reason: "app not registered",
                identity: try ClientIdentity(stranger), isDecided: true),
            Case(
                name: "an outdated platform", reason: "TCB status is not allowed",
                identity: try ClientIdentity(outdated()), isDecided: true),
            Case(
                name: "evidence that was changed on its way", reason: "quote_signature",
                identity: try ClientIdentity(
                    app,
                    .changed { attestation in
                        var quote = try #require(attestation.quote)
                        quote[200] ^= 1
                        attestation = try Attestation(
                            quote: quote, eventLog: #require(attestation.eventLog), config: attestation.config)
                    })),
            Case(
                name: "another's certificate with the temporary CA's name on it", reason: "report_data",
                identity: try withOwnKey(good)),
        ]
    }

    /// The extensions of another's certificate in one for a key of one's own.
    private func withOwnKey(_ victim: ClientIdentity) throws -> ClientIdentity {
        let evidence = try #require(try RATLSCertificate(parsing: victim.chain[0]).attestation)
        return try ClientIdentity(host.app, .made { _ in evidence })
    }

    // MARK: Asking

    @Test("for keys: no evidence, wrong evidence, or evidence of what may not boot, and each is told why")
    func keys() async throws {
        let service = try await KMSProcess().start()
        let material = try KeyMaterial(of: service)
        let vmConfig = String(decoding: try JSONEncoder().encode(host.app.vmConfig), as: UTF8.self)
        for one in try cases() {
            for (method, body) in [
                ("GetAppKey", #"{"api_version":1,"vm_config":\#(vmConfig)}"#),
                ("GetKmsKey", #"{"vm_config":\#(vmConfig)}"#),
            ] where method == "GetAppKey" || !one.isDecided {
                let answer = try await service.call(method, body, one.identity?.credentials)
                #expect(answer.status == 400, "\(one.name): \(answer)")
                #expect(
                    answer.text.lowercased().contains(one.reason.lowercased()), "\(one.name) to \(method): \(answer)")
                material.expectAbsent(in: one.name, answer.text)
                #expect(!answer.text.contains("_key\""), "\(one.name): \(answer)")
            }
        }
        // An application asks for what is for services alone.
        let root = try await service.call(
            "GetKmsKey", #"{"vm_config":\#(vmConfig)}"#, ClientIdentity(host.app).credentials)
        #expect(root.status == 400 && root.text.contains("aggregated MR not allowed"), "\(root)")

        let log = try await service.audit()
        let denials = log.facts("boot_decided").compactMap { $0["reason"] as? String }
        for one in try cases() where one.isDecided {
            #expect(denials.filter { $0.contains(one.reason) }.count == 1, "\(one.name): \(denials)")
        }
        #expect(denials.count == 4 && log.facts("keys_released").isEmpty, "\(denials)")
        try material.expectAbsent(fromAllOf: service)
        // All the time it would have given keys to who may have them.
        #expect(AppKeyBytes(try await service.appKeys()) == (try AppKeyBytes(from: service.roots(), host.app)))
    }

    @Test("one application's refusals hold up no other one of the machine, and fill no disk")
    func manyRefusals() async throws {
        let service = try await KMSProcess().start()
        let vmConfig = String(decoding: try JSONEncoder().encode(host.app.vmConfig), as: UTF8.self)
        let body = #"{"api_version":1,"vm_config":\#(vmConfig)}"#
        let refused = try ClientIdentity(unlisted())
        for _ in 0..<40 {
            let answer = try await service.call("GetAppKey", body, refused.credentials)
            #expect(answer.status == 400 && answer.text.contains("compose hash not allowed"), "\(answer)")
        }
        #expect(AppKeyBytes(try await service.appKeys()) == (try AppKeyBytes(from: service.roots(), host.app)))
        let other = try await service.call(
            "GetAppKey", body, ClientIdentity(MockBoot(host.platform, appCompose: Self.otherCompose)).credentials)
        #expect(other.status == 400 && other.text.contains("app not registered"), "\(other)")
        let denials = try await service.audit().facts("boot_decided").filter { $0["allowed"] as? Bool == false }
        #expect(denials.count == 6, "\(denials)")
        #expect(denials.compactMap { $0["left_out"] as? Int } == [35], "\(denials)")
        let written = service.written
        #expect(written.contains("a caller was refused") && written.contains("compose hash not allowed"))
    }

    @Test("a certificate that was seen somewhere is of no use without its key: the handshake fails")
    func replayed() async throws {
        let service = try await KMSProcess().start()
        let victim = try ClientIdentity(host.app)
        let client = try PlainClient(service)
        let body = #"{"api_version":1}"#
        let own = try await client.call("GetAppKey", body, victim)
        #expect(own.status == 200)
        let stolen = try await client.call("GetAppKey", body, victim.stolen())
        // The alert, or the end of the connection where that came first.
        #expect(stolen.status == 0 && stolen.text.contains(/SSL|Connection/), "\(stolen)")
        #expect(try await service.audit().facts("keys_released").count == 1)
    }

    @Test("for certificates: signed by another key, evidence about another, names that are the service's own")
    func certificates() async throws {
        let service = try await KMSProcess().start()
        let material = try KeyMaterial(of: service)
        let app = host.app
        var names = CertificateConfiguration(
            commonName: "app", alternativeNames: ["app.example"], isForServers: true)

        func request(
            _ attest: (ReportData) throws -> Attestation, about other: Bool = false, signedBy signer: String = "own"
        ) throws -> KMSRPC.SignCertRequest {
            let key = TLSKey()
            let another = TLSKey()
            let evidence = try attest(other ? another.reportData : key.reportData)
            let csr = try SigningRequest(
                publicKey: key.publicKey, configuration: names, evidence: .attestation(evidence))
            let signature =
                try signer == "own" ? key.key.signature(for: csr.bytes) : another.key.signature(for: csr.bytes)
            return .with {
                $0.apiVersion = 2
                $0.csr = csr.bytes
                $0.signature = signature.der
                $0.vmConfig = app.vmConfig
            }
        }
        func ask(_ request: KMSRPC.SignCertRequest) async throws -> KMSProcess.Answer {
            try await service.call("SignCert", String(decoding: request.json, as: UTF8.self))
        }

        let good = try await ask(request { try app.attestation(reportData: $0) })
        #expect(try good.status == 200 && (good.object()["certificate_chain"] as? [String])?.count == 3, "\(good)")

        var wrong: [(name: String, reason: String, request: KMSRPC.SignCertRequest)] = [
            (
                "signed by another key", "signature is not one of its key",
                try request({ try app.attestation(reportData: $0) }, signedBy: "another")
            ),
            (
                "evidence about another key", "report data is not that of the key",
                try request({ try app.attestation(reportData: $0) }, about: true)
            ),
            ("an app id that was not measured", "RTMR3 mismatch", try request(renamed)),
            (
                "a code that is not listed", "compose hash not allowed",
                try request { try unlisted().attestation(reportData: $0) }
            ),
            (
                "an outdated platform", "TCB status is not allowed",
                try request { try outdated().attestation(reportData: $0) }
            ),
            (
                "evidence under another root", "not signed by Simulated TEE Root CA",
                try request { try foreign().attestation(reportData: $0) }
            ),
            (
                "a domain that can be debugged", "debug",
                try request { reportData in try domain(reportData) { $0.attributes.insert(.debug) } }
            ),
        ]
        for own in ["localhost", "LOCALHOST", "localhost.", "*"] {
            names.alternativeNames = ["app.example", own]
            wrong.append(("the name \(own)", "certificate name", try request { try app.attestation(reportData: $0) }))
        }
        names.alternativeNames = []
        for own in ["localhost", "Dstack KMS CA", "dstack app ca"] {
            names.commonName = own
            wrong.append(
                ("the subject \(own)", "certificate name", try request { try app.attestation(reportData: $0) }))
        }
        for (name, reason, request) in wrong {
            let answer = try await ask(request)
            #expect(answer.status == 400 && answer.text.contains(reason), "\(name): \(answer)")
            #expect(!answer.text.contains("BEGIN"), "\(name): \(answer)")
            material.expectAbsent(in: name, answer.text)
        }
        let issued = try await service.audit().facts("certificate_issued")
        #expect(issued.count == 1 && issued[0]["common_name"] as? String == "app", "\(issued)")
        try material.expectAbsent(fromAllOf: service)
    }
}
