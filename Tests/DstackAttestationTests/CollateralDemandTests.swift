import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTPServer
import DstackMockTEE
import DstackSystem
import DstackVerifierService
import Foundation
import Synchronization
import Testing

/// What strangers can make others fetch: nothing with quotes that are made up, little with genuine ones.
@Suite("Collateral is asked for on behalf of genuine platforms only")
struct CollateralDemandTests {
    private static func verifier(_ evidence: MockEvidence) throws -> QuoteVerifier {
        QuoteVerifier(trustAnchor: try TrustAnchor(certificate: evidence.anchor))
    }

    private static func platform(_ family: UInt8, seed: UInt8 = 0xA7) throws -> MockEvidence {
        var configuration = MockPlatform.Configuration()
        configuration.fmspc = FixedBytes(repeating: family)
        return try MockEvidence(.tdx, configuration)
    }

    private static func code(_ body: () async throws -> some Sendable) async -> AttestationError.Code? {
        do {
            _ = try await body()
            return nil
        } catch {
            return (error as? AttestationError)?.code
        }
    }

    struct Forgery: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let check: CheckID
        let forge: @Sendable (inout MockEvidence) throws -> Void

        init(_ name: String, _ check: CheckID, _ forge: @escaping @Sendable (inout MockEvidence) throws -> Void) {
            testDescription = name
            self.check = check
            self.forge = forge
        }
    }

    static let forgeries = [
        Forgery("a chain of another root", .pckChain) { evidence in
            evidence.chain(try evidence.stranger().pckChain)
        },
        Forgery("a PCK certificate with another FMSPC", .pckChain) { evidence in
            let honest = evidence.platform.pckChain
            try evidence.certificates { $0.sgx?.others[1].value = DER.octetString([0, 0, 0, 0, 0, 1]) }
            evidence.chain([evidence.platform.pckChain[0].dropLast() + [1]] + honest.dropFirst())
        },
        Forgery("a genuine chain under another's quoting enclave", .qeReportSignature) { evidence in
            let chain = evidence.platform.pckChain
            evidence.platform = try evidence.stranger()
            evidence.chain(chain)
        },
        Forgery("a genuine chain and enclave with another body", .quoteSignature) { evidence in
            evidence.quote { $0.tampering = { $0.header.userData[3] ^= 1 } }
        },
        Forgery("a genuine chain and enclave with another attestation key", .attestationKeyBinding) { evidence in
            let key = P256.PrivateKey().publicKey
            evidence.quote {
                $0.tampering = { quote in
                    quote.signature.attestationKey = key.point
                }
            }
        },
        Forgery("no certificate", .pckChain) { $0.chain(text: "") },
        Forgery("certificates without end", .pckChain) { evidence in
            evidence.chain(Array(repeating: evidence.platform.pckChain[0], count: 40))
        },
    ]

    @Test("a forged quote causes no request, and the answer says which check it fails", arguments: forgeries)
    func forged(forgery: Forgery) async throws {
        let scene = try await CollateralScene { try forgery.forge(&$0) }
        let (quote, verifier) = (try scene.quote(), try Self.verifier(scene.evidence))
        #expect(verifier.originFailure(of: quote)?.check == forgery.check)
        let service = try scene.service()
        for _ in 0..<3 {
            let error = await #expect(throws: AttestationError.self) {
                try await service.collateral(for: quote, verifiedBy: verifier)
            }
            // Without a certificate nobody can tell what to ask for.
            let isUnreadable = error?.code == .invalidQuote && forgery.testDescription == "no certificate"
            #expect(isUnreadable || error?.code == .untrustedQuote && error?.subject == forgery.check.name)
        }
        #expect(scene.server.requestCount == 0)
        await scene.server.stop()
    }

    @Test("a genuine quote has its collateral fetched, whatever its TEE", arguments: TEEType.allCases)
    func genuine(tee: TEEType) async throws {
        let scene = try await CollateralScene(tee)
        let (quote, verifier) = (try scene.quote(), try Self.verifier(scene.evidence))
        #expect(verifier.originFailure(of: quote) == nil)
        #expect(try await scene.service().collateral(for: quote, verifiedBy: verifier) == scene.collateral)
        #expect(QuoteVerifier().originFailure(of: quote)?.check == .pckChain)
        await scene.server.stop()
    }

    @Test("encrypted identifiers, which anybody can make up, are asked about a few times and no more")
    func identifiers() async throws {
        let scene = try await CollateralScene { $0.certification = .encryptedPPIDRSA3072 }
        let verifier = try Self.verifier(scene.evidence)
        let service = try scene.service()
        let honest = try scene.quote()
        var codes: [AttestationError.Code?] = []
        for number in 0..<40 {
            var quote = honest
            quote.header.userData[0] = UInt8(number)
            codes.append(await Self.code { [quote] in try await service.collateral(for: quote, verifiedBy: verifier) })
        }
        #expect(codes.contains(.collateralBusy))
        #expect(scene.server.requestCount <= 20, "\(scene.server.requestCount) requests")
        await scene.server.stop()
    }

    @Test("one client's made-up identifiers keep no other client from his", .timeLimit(.minutes(2)))
    func identifiersOfOneClient() async throws {
        let scene = try await CollateralScene { $0.certification = .encryptedPPIDRSA3072 }
        let verifier = try Self.verifier(scene.evidence)
        let service = try scene.service { $0.maximumWaiting = 48 }
        let gate = Gate()
        scene.server.fail(
            "/pckcert",
            { response in
                await gate.pass()
                return response
            })
        let honest = try scene.quote()
        func begin(_ number: UInt8, _ client: String) -> Task<AttestationError.Code?, Never> {
            var quote = honest
            quote.header.userData[0] = number
            // Another identifier, which makes it another question.
            quote.header.userData[1] = number
            return Task { [quote] in
                await Self.code {
                    try await service.collateral(for: quote, verifiedBy: verifier, askedBy: client)
                }
            }
        }
        // Some wait for a service that does not answer; the rest finds no place.
        var waiting = [begin(1, "greedy"), begin(2, "greedy")]
        while gate.count < 2 { try await Task.sleep(for: .milliseconds(5)) }
        for number in 3..<40 as Range<UInt8> { #expect(await begin(number, "greedy").value == .collateralBusy) }
        for (index, client) in ["a", "b"].enumerated() {
            waiting.append(begin(UInt8(50 + index), client))
            while gate.count < 3 + index { try await Task.sleep(for: .milliseconds(5)) }
        }
        gate.open()
        for task in waiting { _ = await task.value }
        // Those who were answered at once could not use up what others may ask for either.
        for number in 100..<140 as Range<UInt8> { _ = await begin(number, "greedy").value }
        #expect(await begin(141, "c").value != .collateralBusy)
        await scene.server.stop()
    }

    @Test("one client gets no more than half of the places, whatever the platforms")
    func onePlaceHolder() async throws {
        let crowd = try await Crowd(places: 8, known: 1...1, strangers: 2...9)
        var waiting: [Task<AttestationError.Code?, Never>] = []
        for index in 1...4 {
            waiting.append(crowd.begin(index, askedBy: "greedy"))
            try await crowd.wait(for: index)
        }
        #expect(await crowd.begin(5, askedBy: "greedy").value == .collateralBusy)
        waiting.append(crowd.begin(5, askedBy: "other"))
        try await crowd.wait(for: 5)
        crowd.gate.open()
        for task in waiting { _ = await task.value }
        await crowd.scene.server.stop()
    }

    @Test("the chain that a service gives for an identifier is checked before anything else is fetched, or kept")
    func identifierOfAnother() async throws {
        let scene = try await CollateralScene { $0.certification = .encryptedPPIDRSA3072 }
        let stranger = try scene.evidence.stranger()
        let configuration = scene.evidence.platform.configuration
        let tcbm = Hex.encodeUppercase(
            configuration.cpuSvn.bytes + [UInt8(configuration.pceSvn & 255), UInt8(configuration.pceSvn >> 8)])
        scene.server.servePCK(
            leaf: MockPlatform.pem([stranger.pckChain[0]]),
            issuers: MockPlatform.pem(Array(stranger.pckChain.dropFirst())), tcbm: tcbm)
        let verifier = try Self.verifier(scene.evidence)
        let service = try scene.service()
        let quote = try scene.quote()
        for _ in 0..<2 {
            #expect(
                await Self.code { try await service.collateral(for: quote, verifiedBy: verifier) } == .untrustedQuote)
        }
        #expect(scene.server.targets.allSatisfy { $0.contains("/pckcert?") } && scene.server.requestCount == 2)
        await scene.server.stop()
    }

    // MARK: Places

    /// Requests that a service keeps waiting until it is told to go on.
    private final class Gate: Sendable {
        private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

        var count: Int { state.withLock { $0.waiting.count } }

        func pass() async {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    if !state.isOpen { state.waiting.append(continuation) }
                    return state.isOpen
                }
                if isOpen { continuation.resume() }
            }
        }

        func open() {
            let waiting = state.withLock { state in
                state.isOpen = true
                return state.waiting
            }
            for continuation in waiting { continuation.resume() }
        }
    }

    private final class Outcomes: Sendable {
        private let codes = Mutex<[AttestationError.Code?]>([])

        func add(_ code: AttestationError.Code?) { codes.withLock { $0.append(code) } }
        var all: [AttestationError.Code?] { codes.withLock { $0 } }
    }

    /// Several genuine platforms under one root, and a service that keeps some of them waiting.
    private struct Crowd {
        let scene: CollateralScene
        let verifier: QuoteVerifier
        let service: CollateralService
        let gate = Gate()
        let quotes: [Quote]

        init(places: Int, known: ClosedRange<UInt8>, strangers: ClosedRange<UInt8>) async throws {
            scene = try await CollateralScene()
            verifier = try CollateralDemandTests.verifier(scene.evidence)
            service = try scene.service { $0.maximumWaiting = places }
            quotes = try (known.lowerBound...strangers.upperBound).map {
                try Quote(parsing: CollateralDemandTests.platform($0).quoteBytes())
            }
            for (number, quote) in zip(known, quotes) {
                scene.server.set(try CollateralDemandTests.platform(number).collateralValue())
                _ = try await service.collateral(for: quote, verifiedBy: verifier)
            }
            let gate = gate
            scene.server.fail(
                "/tcb",
                { response in
                    await gate.pass()
                    return response
                })
        }

        func begin(_ index: Int, askedBy client: String? = nil) -> Task<AttestationError.Code?, Never> {
            let (service, quote, verifier) = (service, quotes[index], verifier)
            return Task {
                await CollateralDemandTests.code {
                    try await service.collateral(for: quote, verifiedBy: verifier, askedBy: client)
                }
            }
        }

        func wait(for count: Int) async throws {
            while gate.count < count { try await Task.sleep(for: .milliseconds(5)) }
        }
    }

    @Test(
        "platforms that nobody answers for hold their own places only: known ones are served, and find places",
        .timeLimit(.minutes(2)))
    func places() async throws {
        // Six places: four for platforms without collateral, three for one platform.
        let crowd = try await Crowd(places: 6, known: 1...2, strangers: 3...9)
        var waiting: [Task<AttestationError.Code?, Never>] = []
        for index in 2..<6 {
            waiting.append(crowd.begin(index))
            try await crowd.wait(for: index - 1)
        }
        // No more strangers; what is at hand needs no place.
        #expect(await crowd.begin(6).value == .collateralBusy)
        for index in 0..<2 { #expect(await crowd.begin(index).value == nil) }
        // A known platform whose collateral is outdated waits in a place that strangers cannot take.
        crowd.scene.clock.advance(bySeconds: 40 * 86_400)
        waiting.append(crowd.begin(0))
        try await crowd.wait(for: 5)
        waiting.append(crowd.begin(1))
        try await crowd.wait(for: 6)
        #expect(await crowd.begin(0).value == .collateralBusy)
        crowd.gate.open()
        for task in waiting { _ = await task.value }
        await crowd.scene.server.stop()
    }

    @Test("one platform gets no more than half of the places")
    func onePlatform() async throws {
        let crowd = try await Crowd(places: 6, known: 1...1, strangers: 2...3)
        let outcomes = Outcomes()
        var waiting = (0..<5).map { _ in
            let task = crowd.begin(1)
            return Task {
                let code = await task.value
                outcomes.add(code)
                return code
            }
        }
        while outcomes.all.count < 2 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(outcomes.all == [.collateralBusy, .collateralBusy])
        waiting.append(crowd.begin(2))
        try await crowd.wait(for: 2)
        crowd.gate.open()
        for task in waiting { _ = await task.value }
        await crowd.scene.server.stop()
    }

    @Test("nobody waits long for newer collateral while what is there is good", .timeLimit(.minutes(2)))
    func patience() async throws {
        let scene = try await CollateralScene()
        let verifier = try Self.verifier(scene.evidence)
        let service = try scene.service { $0.refreshPatience = .milliseconds(50) }
        let quote = try scene.quote()
        let first = try await service.fetch(for: quote, verifiedBy: verifier)
        scene.clock.advance(bySeconds: 90_000)
        let gate = Gate()
        scene.server.fail(
            "/tcb",
            { response in
                await gate.pass()
                return response
            })
        let second = try await service.fetch(for: quote, verifiedBy: verifier)
        #expect(second.collateral == first.collateral && second.notes.count == 1)
        #expect(second.origin == .cache(service: scene.server.url, fetchedAt: CollateralScene.now))
        // The download goes on by itself.
        gate.open()
        while true {
            let later = try await service.fetch(for: quote, verifiedBy: verifier)
            if later.origin != second.origin { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        await scene.server.stop()
    }

    @Test("the service answers 503 where there is no place to wait in, and no verdict")
    func busy() async throws {
        struct Busy: CollateralProvider {
            func collateral(for quote: Quote) async throws -> QuoteCollateral {
                throw AttestationError(.collateralBusy, subject: "test", reason: "no room")
            }
        }
        let vm = try SimulatedVM()
        let anchor = try TrustAnchor(certificate: vm.platform.rootCertificate)
        let service = VerifierService(collateral: Busy(), verifier: QuoteVerifier(trustAnchor: anchor)) {
            SimulatedVM.now
        }
        var writer = JSONWriter()
        let quote = try Hex.encode(vm.quote(ReportData(FixedBytes())))
        writer.object { object in
            object.member("quote", quote)
            object.member("event_log", vm.log.json)
            object.member("vm_config", vm.vmConfig)
        }
        let answer = await service.answer(toBody: writer.bytes)
        #expect(answer.status == 503 && answer.retryAfter != nil && answer.response?.isValid == false)
    }
}
