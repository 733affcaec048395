import DstackAttestation
import DstackAuthorization
import DstackEncoding
import DstackKMSService
import DstackMockTEE
import DstackRPC
import DstackSystem
import TestKit
import Testing

@Suite struct ImageVerificationTests {
    private let kit: CallerKit
    private let judge: BootJudge

    init() throws {
        kit = try CallerKit.shared()
        judge = BootJudge(TestAuthorizer(), images: ImageRules())
    }

    private static let unverified: ImageRules = {
        var rules = ImageRules()
        rules.verifies = false
        return rules
    }()

    private func admit(
        _ judge: BootJudge, _ report: VerificationReport, _ vmConfiguration: String, own: String = ""
    ) async throws(KMSServiceError) -> AdmittedCaller {
        try await judge.admit(
            report, as: .app, at: .runtime, vmConfiguration: vmConfiguration, ownConfiguration: { own })
    }

    private func expectRefused(
        _ vmConfiguration: String, _ code: KMSServiceError.Code = .imageNotVerified, about text: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let report = try kit.report()
        let error = await refusal { () async throws(KMSServiceError) in
            try await admit(judge, report, vmConfiguration)
        }
        #expect(error?.code == code, sourceLocation: sourceLocation)
        #expect(
            error?.explanation.contains(text) == true, "\(error?.explanation ?? "")", sourceLocation: sourceLocation)
        #expect(error?.rpcError.status == 400, sourceLocation: sourceLocation)
    }

    private func configuration(_ edit: (inout StatedConfiguration) throws -> Void) throws -> String {
        var configuration = try StatedConfiguration(kit.image.vmConfig)
        try edit(&configuration)
        return try configuration.text
    }

    // MARK: Refused

    @Test func aDocumentThatIsNotTheImagesIsRefused() async throws {
        let text = try configuration { try $0.editDocument(isConsistent: false) { $0[$0.count / 2] ^= 1 } }
        try await expectRefused(text, about: "does not match os_image_hash")
    }

    @Test func anImageThatWasNotBootedIsRefused() async throws {
        // Somebody else's image, complete and consistent: its kernel is another one.
        let text = try configuration {
            try $0.editDocument(isConsistent: true) { document in
                let name = Array("kernel_authenticode".utf8)
                guard let start = document.firstRange(of: name)?.upperBound else { return }
                // The digest, behind the two bytes of its header.
                document[start + 10] ^= 1
            }
        }
        try await expectRefused(text, about: "RTMR1 mismatch")
    }

    @Test func anImageByAnothersNameIsRefused() async throws {
        let text = try configuration { $0["os_image_hash"] = Hex.encode([UInt8](repeating: 0xAB, count: 32)) }
        try await expectRefused(text, about: "os_image_hash mismatch")
    }

    @Test func aMachineOfAnotherShapeIsRefused() async throws {
        let text = try configuration { $0["memory_size"] = 0x1_0000_0000 }
        try await expectRefused(text, about: "RTMR0 mismatch")
    }

    @Test func aFormThatNeedsTheImagesFilesIsRefusedWithThatReason() async throws {
        let text = try configuration {
            $0["tdx_attestation_variant"] = "legacy"
            $0["tdx_measurement"] = nil
        }
        try await expectRefused(text, about: "can only be verified from the image's files")
    }

    @Test func aConfigurationThatIsNoneIsRefused() async throws {
        try await expectRefused("not JSON", .invalidRequest, about: "vm_config")
        try await expectRefused(#"{"os_image_hash": "abcd"}"#, .invalidRequest, about: "32 expected")
        try await expectRefused(#"{"memory_size": "many"}"#, .invalidRequest, about: "memory_size")
    }

    @Test func withoutAConfigurationNothingIsKnownOfTheImage() async throws {
        let report = try kit.report(config: "")
        #expect(report.verdict == .accepted)
        let error = await refusal { () async throws(KMSServiceError) in try await admit(judge, report, "") }
        #expect(error?.code == .imageNotVerified)
        #expect(error?.reason.contains("vm_config") == true)
    }

    @Test func noPartOfAConfigurationMakesAnotherImageOfIt() async throws {
        let report = try kit.report()
        let bytes = Array(kit.image.vmConfig.utf8)
        for count in stride(from: 1, to: bytes.count, by: 37) {
            let text = String(decoding: bytes[..<count], as: UTF8.self)
            let error = await refusal { () async throws(KMSServiceError) in try await admit(judge, report, text) }
            #expect(error?.code == .invalidRequest)
        }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var mutated = bytes
            for _ in 0...Int.random(in: 0...2, using: &random) {
                mutated[Int.random(in: 0..<mutated.count, using: &random)] = UInt8.random(
                    in: 0x20...0x7E, using: &random)
            }
            let text = String(decoding: mutated, as: UTF8.self)
            guard let caller = try? await admit(judge, report, text) else { continue }
            // What does not matter may change (a number of processors, a name), and a name that is lost is not stated.
            #expect(caller.appInfo.osImageHash == kit.image.osImageHash, "\(text)")
        }
    }

    // MARK: Which configuration

    @Test func theEvidencesOwnConfigurationCountsWhereTheRequestHasNone() async throws {
        for silent in ["", "{}", #"{"spec_version":1}"#] {
            let caller = try await admit(judge, try kit.report(), silent)
            #expect(caller.appInfo.osImageHash == kit.image.osImageHash)
        }
    }

    @Test func theRequestsConfigurationCountsBeforeTheEvidences() async throws {
        // The evidence's own verifies, and nevertheless.
        let text = try configuration { $0["os_image_hash"] = Hex.encode([UInt8](repeating: 0xAB, count: 32)) }
        let authorizer = TestAuthorizer(.denied("seen"))
        let report = try kit.report()
        _ = await refusal { () async throws(KMSServiceError) in
            try await admit(BootJudge(authorizer, images: ImageRules()), report, text)
        }
        #expect(authorizer.questions.first?.info.osImageHash == FixedBytes(repeating: 0xAB))
    }

    @Test func aConfigurationInTheRequestAloneIsVerified() async throws {
        let caller = try await admit(judge, try kit.report(config: ""), kit.image.vmConfig)
        #expect(caller.appInfo.osImageHash == kit.image.osImageHash)
    }

    @Test func aConfigurationInASystemConfigurationIsFound() async throws {
        var writer = JSONWriter()
        writer.object { $0.member("vm_config", kit.image.vmConfig) }
        let caller = try await admit(judge, try kit.report(config: ""), writer.text)
        #expect(caller.appInfo.osImageHash == kit.image.osImageHash)
    }

    // MARK: Not verified

    @Test func anImageThatNeedNotBeVerifiedIsDecidedAboutAndNotCertified() async throws {
        let judge = BootJudge(TestAuthorizer(), images: Self.unverified)
        let text = try configuration {
            $0["tdx_attestation_variant"] = "legacy"
            $0["tdx_measurement"] = nil
            $0["os_image_hash"] = Hex.encode([UInt8](repeating: 0xAB, count: 32))
        }
        for (request, own) in [(text, ""), ("", text)] {
            let caller = try await admit(judge, try kit.report(config: own), request, own: own)
            #expect(caller.boot.osImageHash == FixedBytes(repeating: 0xAB))
            #expect(caller.appInfo.osImageHash == nil)
        }
        let caller = try await admit(judge, try kit.report(config: ""), "")
        #expect(caller.boot.osImageHash == nil && caller.appInfo.osImageHash == nil)
        #expect(judge.images.count == 0)
    }

    @Test func evidenceThatContradictsItselfIsRefusedAlsoWhereNoImageNeedBeVerified() async throws {
        let lie = try configuration { $0["memory_size"] = 0x1_0000_0000 }
        let report = try kit.report(config: lie)
        let error = await refusal { () async throws(KMSServiceError) in
            try await admit(BootJudge(TestAuthorizer(), images: Self.unverified), report, "")
        }
        #expect(error?.code == .notAttested)
    }

    // MARK: Remembered

    @Test func whatWasVerifiedIsRememberedOnce() async throws {
        let report = try kit.report()
        for _ in 0..<3 { _ = try await admit(judge, report, kit.image.vmConfig) }
        #expect(judge.images.count == 1)
        _ = try await admit(judge, report, kit.image.vmConfig + " ")
        #expect(judge.images.count == 2)
    }

    @Test func aConfigurationThatWasVerifiedForOneMachineIsNotBelievedOfAnother() async throws {
        _ = try await admit(judge, try kit.report(), kit.image.vmConfig)
        let impostor = try kit.attestation(CallerKit.events(), config: "") { $0.mrTd = FixedBytes(repeating: 0xEE) }
        let error = await refusal { () async throws(KMSServiceError) in
            try await admit(judge, kit.report(impostor), kit.image.vmConfig)
        }
        #expect(error?.code == .imageNotVerified)
        #expect(error?.reason.contains("MRTD mismatch") == true)
    }

    @Test func refusalsAndStrangersLeaveNothingBehind() async throws {
        let report = try kit.report()
        let text = try configuration { $0["memory_size"] = 0x1_0000_0000 }
        _ = await refusal { () async throws(KMSServiceError) in try await admit(judge, report, text) }
        let denying = BootJudge(TestAuthorizer(.denied("no")), images: ImageRules())
        _ = await refusal { () async throws(KMSServiceError) in try await admit(denying, report, kit.image.vmConfig) }
        #expect(judge.images.count == 0 && denying.images.count == 0)
    }

    @Test func howMuchIsRememberedIsBounded() async throws {
        let images = ImageVerifier(ImageRules(), capacity: 4)
        let judge = BootJudge(TestAuthorizer(), images: images)
        let report = try kit.report()
        for count in 0..<11 {
            _ = try await admit(judge, report, kit.image.vmConfig + String(repeating: " ", count: count))
            #expect(1...4 ~= images.count)
        }
    }
}
