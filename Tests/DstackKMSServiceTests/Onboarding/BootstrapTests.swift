import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKMSClient
import DstackKMSService
import DstackKeys
import DstackMockTEE
import DstackRPC
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("Bootstrap", .timeLimit(.minutes(2)))
struct BootstrapTests {
    private func answer(_ result: OnboardingResult?) throws -> KMSRPC.BootstrapResponse {
        guard case .bootstrapped(let answer, _)? = result else { throw CancellationError() }
        return answer
    }

    @Test("a new service has a whole set of keys, and evidence that they were made here")
    func bootstrap() async throws {
        let kms = try NewKMS()
        let result = try await kms.onboarding().bootstrap(domain: "kms.example")
        let answer = try answer(result)
        let loaded = try kms.files.load()
        #expect(loaded.missing.isEmpty)
        #expect(loaded.domain?.name == "kms.example")
        let (ca, k256) = (loaded.material.roots.caPublicKey, loaded.material.roots.publicKey)
        #expect(answer.caPublicKey == ca)
        #expect(answer.k256PublicKey == k256.bytes)
        let attestation = try Attestation(decoding: answer.attestation)
        let reportData = KMSRootKeys.bootstrapReportData(caPublicKey: ca, publicKey: k256)
        #expect(try attestation.parsedQuote().body.reportData == reportData.bytes)
        // What GetMeta shows later.
        let info = loaded.bootstrapInfo ?? []
        #expect(try KMSRPC.BootstrapResponse(json: info) == answer)
        let pem = try kms.files.read("rpc.crt")
        let certificate = try RATLSCertificate(parsing: pem)
        #expect(certificate.usage == .kmsRPC)
        #expect(try certificate.attestation?.parsedQuote().body.reportData == certificate.expectedReportData.bytes)
        #expect(result.auditEvent == .bootstrapped(caPublicKey: ca, publicKey: k256, domain: "kms.example"))
    }

    @Test("keys that are there are refused in upstream's words, and stay as they are")
    func again() async throws {
        let kms = try NewKMS()
        _ = try await kms.onboarding().bootstrap(domain: "kms.example")
        let before = try kms.files.read("root-ca.key")
        let error = await #expect(throws: KMSServiceError(.wrongState, "", "")) {
            _ = try await kms.onboarding().bootstrap(domain: "other.example")
        }
        #expect(error?.rpcError.message.hasPrefix("KMS has already been bootstrapped") == true)
        #expect(error?.rpcError.status == 400)
        let other = await #expect(throws: KMSServiceError(.wrongState, "", "")) {
            _ = try await kms.onboarding(source: kms.source()).onboard(from: "https://localhost:1", domain: "a")
        }
        #expect(other?.rpcError.message.hasPrefix("KMS has already been onboarded") == true)
        #expect(try await kms.onboarding().bootstrapIfNeeded(domain: "other.example") == nil)
        #expect(try kms.files.read("root-ca.key") == before)
        #expect(try kms.files.load().domain?.name == "kms.example")
    }

    @Test("of two attempts at once one makes the keys")
    func atOnce() async throws {
        let kms = try NewKMS()
        let onboarding = kms.onboarding()
        let codes = await withTaskGroup(of: KMSServiceError.Code?.self) { group in
            for name in ["a.example", "b.example", "c.example"] {
                group.addTask {
                    do throws(KMSServiceError) {
                        _ = try await onboarding.bootstrap(domain: name)
                        return nil
                    } catch {
                        return error.code
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(codes.count { $0 == nil } == 1)
        #expect(codes.count { $0 == .wrongState } == 2)
    }

    @Test(
        "names that are none are refused in upstream's words",
        arguments: [
            ("", "domain must be a non-empty ASCII DNS name of at most 253 bytes"),
            ("kms.example.", "domain contains an invalid DNS label"),
            ("-a.example", "domain contains an invalid DNS label"), ("a_b", "domain contains an invalid DNS label"),
            ("käse.example", "domain must be a non-empty ASCII DNS name of at most 253 bytes"),
        ])
    func domains(_ name: String, _ words: String) async throws {
        let kms = try NewKMS()
        let error = await #expect(throws: KMSServiceError(.invalidRequest, "", "")) {
            _ = try await kms.onboarding().bootstrap(domain: name)
        }
        #expect(error?.rpcError.message.hasPrefix(words) == true)
        #expect(kms.names.isEmpty)
    }

    @Test("a service that may not run makes no keys")
    func denied() async throws {
        let kms = try NewKMS()
        let onboarding = kms.onboarding(allowed: {
            throw KMSServiceError(.denied, "KMS self authorization failed", "KMS is not allowed: not listed")
        })
        let error = await #expect(throws: KMSServiceError(.denied, "", "")) {
            _ = try await onboarding.bootstrap(domain: "kms.example")
        }
        #expect(
            error?.rpcError.message
                == "KMS is not allowed to bootstrap: KMS self authorization failed: KMS is not allowed: not listed")
        #expect(kms.names.isEmpty)
    }

    @Test("an agent that gives no evidence, or evidence of something else, leaves nothing behind")
    func noEvidence() async throws {
        let kms = try NewKMS()
        let broken: [KMSAttest] = [
            { _ in throw AttestationError(.quoteUnavailable, subject: "quote", reason: "none") },
            { _ in try KMSTestWorld.attestation(KMSTestWorld.shared().kms, ReportData(FixedBytes())) },
        ]
        for attest in broken {
            await #expect(throws: KMSServiceError.self) {
                _ = try await kms.onboarding(attest: attest).bootstrap(domain: "kms.example")
            }
            #expect(kms.names.isEmpty)
        }
        await #expect(throws: KMSServiceError(.invalidConfiguration, "", "")) {
            _ = try await kms.onboarding(attest: .some(nil)).bootstrap(domain: "kms.example")
        }
        _ = try await kms.onboarding().bootstrap(domain: "kms.example")
        #expect(try kms.files.state() == .complete)
    }

    @Test("development goes without an agent: there is no evidence then, and nothing claims that there is")
    func development() async throws {
        let kms = try NewKMS()
        let onboarding = kms.onboarding(attest: .some(nil), allowed: nil, attestsRPCCertificate: false)
        let answer = try answer(try await onboarding.bootstrapIfNeeded(domain: "localhost"))
        #expect(answer.attestation.isEmpty)
        #expect(try RATLSCertificate(parsing: kms.files.read("rpc.crt")).attestation == nil)
    }

    @Test("evidence stands in the certificate in the form that the settings ask for")
    func evidenceForm() async throws {
        let kms = try NewKMS()
        let legacy = EvidenceEncoding(includesEnvelope: false, includesLegacyForm: true)
        _ = try await kms.onboarding(encoding: legacy).bootstrap(domain: "kms.example")
        #expect(try RATLSCertificate(parsing: kms.files.read("rpc.crt")).evidenceForm == .quoteAndEventLog)
    }

    @Test("the certificates are of the form that the settings ask for")
    func profile() async throws {
        for profile in CertificateProfile.allCases {
            let kms = try NewKMS()
            _ = try await kms.onboarding(profile: profile).bootstrap(domain: "kms.example")
            let root = try RATLSCertificate(parsing: kms.files.read("root-ca.crt"))
            #expect((root.notBefore < 1_000_000_000) == (profile == .upstream))
        }
    }

    @Test("at a start nothing is made in the place of a set that is not whole")
    func partial() async throws {
        let kms = try NewKMS()
        _ = try await kms.onboarding().bootstrapIfNeeded(domain: "kms.example")
        try FileManager.default.removeItem(atPath: kms.directory + "/root-k256.key")
        let before = kms.names
        let error = await #expect(throws: KMSServiceError(.internalFault, "", "")) {
            _ = try await kms.onboarding().bootstrapIfNeeded(domain: "kms.example")
        }
        #expect(error?.reason.contains("root-k256.key are missing") == true)
        #expect(kms.names == before)
        // What follows from the root keys is no reason to make others.
        let other = try NewKMS()
        _ = try await other.onboarding().bootstrapIfNeeded(domain: "kms.example")
        try FileManager.default.removeItem(atPath: other.directory + "/rpc.crt")
        #expect(try await other.onboarding().bootstrapIfNeeded(domain: "kms.example") == nil)
    }

    @Test("a crash at any step of a bootstrap leaves the whole or nothing, and it can be done again")
    func crashes() async throws {
        let kms = try NewKMS()
        let (files, taken) = kms.snapshots()
        let whole = try answer(try await kms.onboarding(files).bootstrap(domain: "kms.example"))
        #expect(taken.all.count > 20)
        var complete = 0
        for index in taken.all.indices {
            let left = RootKeyFiles(kms.scratch.path("crash-\(index)"))
            switch try left.state() {
            case .complete:
                complete += 1
                let key = try left.load().material.roots.publicKey
                #expect(key.bytes == whole.k256PublicKey, "\(taken.all[index])")
            case .absent:
                let again = try answer(try await kms.onboarding(left).bootstrap(domain: "again.example"))
                #expect(again.k256PublicKey != whole.k256PublicKey)
                #expect(try left.load().domain?.name == "again.example")
            }
        }
        #expect(complete > 10 && complete < taken.all.count)
    }
}

extension RootKeyFiles {
    func read(_ name: String) throws -> [UInt8] { try File.read("\(directory)/\(name)", limit: 100_000) }
}
