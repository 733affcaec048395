import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import DstackSystem
import DstackVerifierService
import Foundation
import TestKit
import Testing

/// Old collateral is as well signed as new collateral, and good for weeks; a clock that is set back makes even outdated
/// collateral good again. Whoever serves collateral, or sets the clock, must gain nothing from that.
@Suite("Collateral and clock cannot be rolled back")
struct AttackRollbackTests {
    static let now = MockEvidence.issued
    static let day: Int64 = 86_400

    /// A platform whose collateral is a bit newer than usual in every respect: standard data, of recoveries that are more than
    /// a year past.
    static func newer(
        _ tee: TEEType = .tdx, _ configuration: MockPlatform.Configuration = .init(), by days: Int64 = 0
    ) throws -> MockEvidence {
        var evidence = try MockEvidence(tee, configuration)
        evidence.collateral { collateral in
            collateral.rootCRL.builder.extensions = [number(7)]
            collateral.pckCRL.builder.extensions = [number(300)]
            for edit in [\MockCollateral.rootCRL, \.pckCRL] {
                collateral[keyPath: edit].builder.thisUpdate = .seconds(now - day + days * day)
            }
            collateral.tcbInfo.evaluationDataNumber = 20
            collateral.qeIdentity.evaluationDataNumber = 20
            collateral.tcbInfo.issueDate += days * day
            collateral.qeIdentity.issueDate += days * day
            date(&collateral, at: now - 400 * day)
        }
        return evidence
    }

    /// Dates the newest levels of both documents, which is when the recovery was that they are about.
    static func date(_ collateral: inout MockCollateral, at recovery: Int64) {
        collateral.tcbInfo.levels[0].date = recovery
        collateral.tcbInfo.levels[1].date = recovery - 365 * day
        collateral.qeIdentity.levels[0].date = recovery
        collateral.qeIdentity.levels[1].date = recovery - 365 * day
    }

    static func number(_ value: Int) -> X509.Extension {
        .crlNumber(UInt(value))
    }

    /// Verifies from bytes and with prepared collateral; both must agree.
    ///
    /// - Parameter collateral: in place of collateral that is signed anew.
    static func verify(
        _ evidence: MockEvidence, _ floors: CollateralFloors?, at time: Int64 = now,
        with collateral: QuoteCollateral? = nil
    ) throws -> VerificationReport {
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: evidence.anchor))
        let quote = try evidence.quoteBytes()
        let collateral = try collateral ?? evidence.collateralValue()
        let report = verifier.verify(
            Evidence(quote: quote), collateral: collateral, policy: evidence.policy, at: time, floors: floors)
        let prepared = verifier.prepare(collateral).verify(
            Evidence(quote: quote), policy: evidence.policy, at: time, floors: floors)
        #expect(report.failure == prepared.failure && report.replacedDocuments == prepared.replacedDocuments)
        return report
    }

    struct Rollback: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let edit: @Sendable (inout MockCollateral) -> Void

        init(_ name: String, _ edit: @escaping @Sendable (inout MockCollateral) -> Void) {
            testDescription = name
            self.edit = edit
        }
    }

    static let rollbacks = [
        Rollback("TCB info of before a recovery") { $0.tcbInfo.evaluationDataNumber = 19 },
        Rollback("TCB info of before a recovery, issued later") {
            $0.tcbInfo.evaluationDataNumber = 19
            $0.tcbInfo.issueDate += 3600
        },
        Rollback("TCB info issued earlier") { $0.tcbInfo.issueDate -= 1 },
    ]

    @Test(
        "older TCB info is refused after newer was verified, though it is genuine and valid (V20, V38)",
        arguments: rollbacks, TEEType.allCases)
    func rollback(rollback: Rollback, tee: TEEType) throws {
        let floors = CollateralFloors()
        let newer = try Self.newer(tee)
        var older = newer
        older.collateral { rollback.edit(&$0) }
        // Until something newer is seen, it is as good as any.
        try Self.verify(older, floors).expectAccepted()
        try Self.verify(newer, floors).expectAccepted()
        try Self.verify(older, floors).expectRefused(.collateralFloor, .rolledBack)
        try Self.verify(newer, floors).expectAccepted()
        // Judged by itself, as of a given time, it is what it was: files give the same answer every time.
        try Self.verify(older, nil).expectAccepted()
    }

    static let shared = [
        Rollback("an older root revocation list") { $0.rootCRL.builder.extensions = [number(6)] },
        Rollback("an older PCK revocation list") { $0.pckCRL.builder.extensions = [number(299)] },
        Rollback("a PCK revocation list with a number of fewer octets") {
            $0.pckCRL.builder.extensions = [number(255)]
        },
        Rollback("a root revocation list of the same number, issued earlier") {
            $0.rootCRL.builder.thisUpdate = .seconds(now - 2 * day)
        },
        Rollback("QE identity of before a recovery") { $0.qeIdentity.evaluationDataNumber = 19 },
        Rollback("QE identity issued earlier") { $0.qeIdentity.issueDate -= 1 },
    ]

    @Test(
        "an older list or QE identity counts for nothing after a newer one was verified, and the report says what was used",
        arguments: shared, TEEType.allCases)
    func substitution(rollback: Rollback, tee: TEEType) throws {
        let floors = CollateralFloors()
        let newer = try Self.newer(tee)
        var older = newer
        older.collateral { rollback.edit(&$0) }
        #expect(try Self.verify(older, floors).replacedDocuments.isEmpty)
        let collateral = try newer.collateralValue()
        #expect(try Self.verify(newer, floors, with: collateral).replacedDocuments.isEmpty)
        let report = try Self.verify(older, floors)
        report.expectAccepted()
        let replaced = try #require(report.replacedDocuments.first)
        #expect(report.replacedDocuments.count == 1 && replaced.used != replaced.given)
        #expect(report.text().contains("which was verified before"))
        // What the report says of it is about what was used.
        let told = try JSONDocument(parsing: report.json(), subject: "report").root.member("collateral")
        #expect(try Array(told.member("replaced").array()).count == 1)
        let used = [
            "root_ca_crl": collateral.rootCACRL, "pck_crl": collateral.pckCRL,
            "qe_identity": Array(collateral.qeIdentity.utf8),
        ]
        #expect(
            try told.member(named: replaced.name)?.member("sha256").string()
                == SHA256.hash(used[replaced.name] ?? []).hex)
        #expect(try Self.verify(older, nil).replacedDocuments.isEmpty)
    }

    @Test("what is older than a document that is not at hand is refused", arguments: shared)
    func nothingAtHand(rollback: Rollback) throws {
        let directory = try ScratchDirectory()
        let newer = try Self.newer()
        try Self.verify(newer, CollateralFloors(directory: directory.path)).expectAccepted()
        // As it was kept before there were documents in it.
        try directory.write(Self.formerFile(directory), "floors.json")
        let floors = CollateralFloors(directory: directory.path)
        #expect(floors.problem == nil)
        var older = newer
        older.collateral { rollback.edit(&$0) }
        try Self.verify(older, floors).expectRefused(.collateralFloor, .rolledBack)
        try Self.verify(newer, floors).expectAccepted()
        try Self.verify(older, floors).expectAccepted()
    }

    /// Format 1 of the file, of what is in a directory.
    private static func formerFile(_ directory: ScratchDirectory) throws -> [UInt8] {
        let root = try JSONDocument(
            parsing: Array(Data(contentsOf: directory.file("floors.json"))), subject: "floors"
        ).root
        var writer = JSONWriter()
        let items = try Array(root.member("floors").array()).map { item in
            (
                try item.member("anchor").string(), try item.member("subject").string(),
                try item.member("number").string(), try item.member("issued").integer(Int64.self)
            )
        }
        writer.object { object in
            object.member("format", 1)
            object.array("floors") { array in
                for (anchor, subject, number, issued) in items {
                    array.object { entry in
                        entry.member("anchor", anchor)
                        let isTCBData = subject.hasPrefix("tcb_info") || subject.hasPrefix("qe_identity")
                        entry.member("subject", isTCBData ? subject + " standard" : subject)
                        entry.member("number", number)
                        entry.member("issued", issued)
                    }
                }
            }
        }
        return writer.bytes
    }

    @Test("what is newer in number is newer, whatever its date; and becomes the floor")
    func numbersFirst() throws {
        let floors = CollateralFloors()
        try Self.verify(Self.newer(), floors).expectAccepted()
        var recovery = try Self.newer()
        recovery.collateral {
            $0.tcbInfo.evaluationDataNumber = 21
            $0.tcbInfo.issueDate -= 3600
        }
        try Self.verify(recovery, floors).expectAccepted()
        try Self.verify(Self.newer(), floors).expectRefused(.collateralFloor, .rolledBack)
    }

    @Test("families, TEEs and anchors have floors of their own")
    func subjects() throws {
        let floors = CollateralFloors()
        try Self.verify(Self.newer(), floors).expectAccepted()
        var configuration = MockPlatform.Configuration()
        configuration.fmspc = FixedBytes(repeating: 9)
        var family = try Self.newer(.tdx, configuration)
        family.collateral { $0.tcbInfo.evaluationDataNumber = 3 }
        let report = try Self.verify(family, floors)
        report.expectAccepted()
        #expect(report.replacedDocuments.isEmpty)
        var other = try Self.newer(.sgx)
        other.collateral {
            $0.tcbInfo.evaluationDataNumber = 3
            $0.qeIdentity.evaluationDataNumber = 3
        }
        let enclave = try Self.verify(other, floors)
        enclave.expectAccepted()
        #expect(enclave.replacedDocuments.isEmpty)
        var elsewhere = try MockEvidence(.tdx)
        elsewhere.platform = try elsewhere.stranger()
        elsewhere.anchor = elsewhere.platform.rootCertificate
        elsewhere.domain = MockTrustDomain(on: elsewhere.platform)
        let stranger = try Self.verify(elsewhere, floors)
        stranger.expectAccepted()
        #expect(stranger.replacedDocuments.isEmpty)
    }

    @Test("documents that are not genuine raise nothing, however new they say that they are")
    func forgeries() throws {
        let names = ["root_ca_crl", "pck_crl", "qe_identity"]
        // Each forges one document. What is genuine beside it counts, unless it rests on what was forged.
        let forgeries: [(raised: [String], hasTCBInfo: Bool, forge: (inout MockEvidence) throws -> Void)] = [
            (names, false, { evidence in evidence.collateral { $0.tcbInfoSigning.editSignature = { $0[5] ^= 1 } } }),
            (
                ["root_ca_crl", "pck_crl"], true,
                { evidence in evidence.collateral { $0.qeIdentitySigning.editSignature = { $0[5] ^= 1 } } }
            ),
            ([], false, { evidence in evidence.collateral { $0.rootCRL.tampering = { $0[$0.count - 1] ^= 1 } } }),
            (
                ["root_ca_crl", "qe_identity"], true,
                { evidence in evidence.collateral { $0.pckCRL.tampering = { $0[$0.count - 1] ^= 1 } } }
            ),
            (
                ["root_ca_crl", "qe_identity"], true,
                { evidence in evidence.chain(try evidence.stranger().pckChain) }
            ),
        ]
        for (raised, hasTCBInfo, forge) in forgeries {
            let floors = CollateralFloors()
            var forged = try Self.newer()
            try forge(&forged)
            #expect(try Self.verify(forged, floors).verdict == .rejected)
            var honest = try Self.newer()
            honest.collateral { collateral in
                collateral.rootCRL.builder.extensions = [Self.number(6)]
                collateral.pckCRL.builder.extensions = [Self.number(299)]
                collateral.qeIdentity.evaluationDataNumber = 19
                if !hasTCBInfo { collateral.tcbInfo.evaluationDataNumber = 19 }
            }
            let report = try Self.verify(honest, floors)
            report.expectAccepted()
            #expect(report.replacedDocuments.map(\.name) == raised)
        }
    }

    @Test(
        "a clock that is behind what was verified is refused, also where collateral is valid by it (V64)",
        arguments: TEEType.allCases)
    func clockSetBack(tee: TEEType) throws {
        let floors = CollateralFloors()
        try Self.verify(Self.newer(tee), floors).expectAccepted()
        let issued = Self.now - Self.day
        // The same platform family's collateral is refused for its age first; another family's has nothing but the clock.
        var configuration = MockPlatform.Configuration()
        configuration.fmspc = FixedBytes(repeating: 9)
        var outdated = try Self.newer(tee, configuration)
        outdated.collateral { collateral in
            collateral.tcbInfo.issueDate -= 20 * Self.day
        }
        try Self.verify(outdated, floors, at: issued).expectAccepted()
        let early = try Self.verify(outdated, floors, at: issued - 1)
        #expect(early.checks.contains { $0.id == .clockFloor && $0.outcome == .failed(.rolledBack) })
        #expect(early.verdict == .rejected)
        // Everything older together, as somebody would serve it who has set the clock back, fails by both.
        var past = try MockEvidence(tee, configuration)
        past.collateral { collateral in
            collateral.tcbInfo.issueDate -= 20 * Self.day
            collateral.qeIdentity.issueDate -= 20 * Self.day
            collateral.rootCRL.builder.thisUpdate = .seconds(issued - 20 * Self.day)
            collateral.pckCRL.builder.thisUpdate = .seconds(issued - 20 * Self.day)
        }
        let then = issued - 10 * Self.day
        try Self.verify(past, nil, at: then).expectAccepted()
        let refused = try Self.verify(past, floors, at: then)
        // What is newer is not valid yet by that clock, and the older ones are not fallen back on.
        refused.expectRefused(.rootCRLValidity, .notYetValid)
        #expect(refused.checks.contains { $0.id == .clockFloor && $0.outcome == .failed(.rolledBack) })
    }

    @Test("what expired collateral or a wrong clock shows still counts: a signature cannot be older than its date")
    func futureDocuments() throws {
        let floors = CollateralFloors()
        let report = try Self.verify(Self.newer(), floors, at: Self.now - 10 * Self.day)
        #expect(report.verdict == .rejected)
        try Self.verify(Self.newer(), floors).expectAccepted()
        try Self.verify(MockEvidence(.tdx), floors).expectRefused(.collateralFloor, .rolledBack)
    }

    // MARK: On disk

    @Test("floors outlive the process, and no process lowers what another one raised")
    func durable() throws {
        let directory = try ScratchDirectory()
        let path = directory.path
        let (first, second) = (CollateralFloors(directory: path), CollateralFloors(directory: path))
        try Self.verify(Self.newer(), first).expectAccepted()
        // The second one has not seen that, and writes less.
        let older = try MockEvidence(.tdx)
        let report = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: older.anchor)).verify(
            Evidence(quote: try older.quoteBytes()), collateral: try older.collateralValue(), policy: older.policy,
            at: Self.now, floors: second)
        report.expectAccepted()
        let third = CollateralFloors(directory: path)
        #expect(third.problem == nil)
        try Self.verify(MockEvidence(.tdx), third).expectRefused(.collateralFloor, .rolledBack)
        try Self.verify(Self.newer(), third).expectAccepted()
    }

    @Test("a damaged record accepts nothing and says so", arguments: ["", "{", #"{"format":3,"floors":[]}"#, "null"])
    func damaged(content: String) throws {
        let directory = try ScratchDirectory()
        try directory.write(Array(content.utf8), "floors.json")
        let floors = CollateralFloors(directory: directory.path)
        #expect(floors.problem?.code == .damagedFloors)
        #expect(floors.problem?.subject == directory.path("floors.json"))
        let report = try Self.verify(Self.newer(), floors)
        report.expectRefused(.collateralFloor, .rolledBack)
        #expect(try String(contentsOf: directory.file("floors.json"), encoding: .utf8) == content)
    }

    @Test("a directory that cannot be written leaves floors in memory, and says so")
    func unwritable() throws {
        let floors = CollateralFloors(directory: "/nonexistent/floors")
        #expect(floors.problem == nil && floors.writeProblem == nil)
        let report = try Self.verify(Self.newer(), floors)
        report.expectAccepted()
        #expect(report.notes.count == 1 && report.notes[0].contains("/nonexistent/floors"))
        #expect(report.text().contains("  note     how new this collateral is could not be kept"))
        #expect(String(decoding: report.json(), as: UTF8.self).contains(#""notes":["how new"#))
        #expect(floors.writeProblem == report.notes.first)
        try Self.verify(MockEvidence(.tdx), floors).expectRefused(.collateralFloor, .rolledBack)
    }

    @Test("a yes never hides that a restart would forget it: a disk that fails is said every time, and tried again")
    func diskFails() throws {
        let directory = try ScratchDirectory()
        let path = directory.path("cache")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let floors = CollateralFloors(directory: path)
        try FileManager.default.removeItem(atPath: path)
        for _ in 0..<2 {
            let report = try Self.verify(Self.newer(), floors)
            report.expectAccepted()
            #expect(report.notes.count == 1 && report.notes.allSatisfy { $0.contains(path) })
        }
        #expect(try Self.verify(Self.newer(), nil).notes.isEmpty)
        // It raises nothing any more, and still writes what is missing.
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(try Self.verify(Self.newer(), floors).notes.isEmpty && floors.writeProblem == nil)
        try Self.verify(MockEvidence(.tdx), CollateralFloors(directory: path))
            .expectRefused(.collateralFloor, .rolledBack)
    }

    @Test("verifications at the same time all wait until what they rest on is on the disk")
    func concurrent() async throws {
        let directory = try ScratchDirectory()
        let path = directory.path
        let floors = CollateralFloors(directory: path)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    try Self.verify(Self.newer(), floors).expectAccepted()
                    try Self.verify(MockEvidence(.tdx), CollateralFloors(directory: path))
                        .expectRefused(.collateralFloor, .rolledBack)
                }
            }
            try await group.waitForAll()
        }
    }

    // MARK: The service that fetches

    private static func service(_ scene: CollateralScene, _ path: String) throws -> CollateralService {
        try scene.service { $0.cacheDirectory = path }
    }

    @Test("a service that serves older collateral is passed over: for another one, or for what is in the cache")
    func rolledBackService() async throws {
        let directory = try ScratchDirectory()
        let scene = try await CollateralScene { $0 = try Self.newer() }
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: scene.evidence.anchor))
        let quote = try scene.quote()
        let service = try Self.service(scene, directory.path)
        let fetched = try await service.fetch(for: quote, verifiedBy: verifier)
        let floors = try #require(service.floors)
        #expect(EndpointVerifier(collateral: service).floors === floors)
        let report = verifier.verify(
            Evidence(quote: quote.encoded), collateral: fetched.collateral, at: Self.now, floors: floors)
        #expect(report.notes.isEmpty)

        let old = try MockEvidence(.tdx).collateralValue()
        scene.server.set(old)
        let kept = try await service.fetch(for: quote, verifiedBy: verifier, refreshing: true)
        #expect(kept.collateral == fetched.collateral)
        #expect(kept.notes.joined().contains("older than what was verified before"))

        let honest = try await CollateralServer(fetched.collateral)
        let both = try scene.service {
            $0.endpoints.append(try CollateralEndpoint(honest.url))
            $0.tlsAuthorities = scene.server.authority + honest.authority
            $0.floors = floors
        }
        let other = try await both.fetch(for: quote, verifiedBy: verifier)
        #expect(other.origin == .network(service: honest.url) && other.collateral == fetched.collateral)
        await honest.stop()

        // Without the cache, and with the old collateral in its place, there is none to be had.
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) where name.hasPrefix("tdx-") {
            try FileManager.default.removeItem(at: directory.file(name))
        }
        let anew = try Self.service(scene, directory.path)
        let error = await #expect(throws: AttestationError.self) {
            try await anew.fetch(for: quote, verifiedBy: verifier)
        }
        #expect(error?.code == .collateralUnavailable && error?.reason.contains("number 20") == true)
        // One's own quotes are fetched for without a verifier, and judged by whoever verifies.
        #expect(try await anew.fetch(for: quote).collateral == old)
        let third = try Self.service(scene, directory.path)
        await #expect(throws: AttestationError.self) { try await third.fetch(for: quote, verifiedBy: verifier) }
        await scene.server.stop()
    }

    @Test("a record that has gone, while collateral that was kept with it is there, is an error and no new beginning")
    func missing() async throws {
        let directory = try ScratchDirectory()
        let scene = try await CollateralScene()
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: scene.evidence.anchor))
        let quote = try scene.quote()
        _ = try await Self.service(scene, directory.path).fetch(for: quote, verifiedBy: verifier)
        try FileManager.default.removeItem(at: directory.file("floors.json"))
        let error = await #expect(throws: AttestationError.self) {
            try await Self.service(scene, directory.path).fetch(for: quote, verifiedBy: verifier)
        }
        #expect(error?.code == .damagedFloors && error?.reason.contains("missing") == true)
        // What was kept before there were such records begins anew.
        let entry = try #require(
            try FileManager.default.contentsOfDirectory(atPath: directory.path).first { $0.hasPrefix("tdx-") })
        let text = try String(contentsOf: directory.file(entry), encoding: .utf8)
        try directory.write(Array(text.replacingOccurrences(of: "\"format\":2", with: "\"format\":1").utf8), entry)
        let fetched = try await Self.service(scene, directory.path).fetch(for: quote, verifiedBy: verifier)
        #expect(fetched.origin == .cache(service: scene.server.url, fetchedAt: CollateralScene.now))
        await scene.server.stop()
    }

    // MARK: The verifier service

    @Test("the verifier service refuses older files and an earlier clock after it has seen newer ones")
    func verifierService() async throws {
        struct Provider: CollateralProvider {
            let collateral: @Sendable () -> QuoteCollateral
            func collateral(for quote: Quote) async throws -> QuoteCollateral { collateral() }
        }
        final class Served: Sendable {
            let collateral: [QuoteCollateral]
            let clock = FixedWallClock(unixSeconds: SimulatedVM.now)
            let index = FixedWallClock(unixSeconds: 0)

            init(_ collateral: [QuoteCollateral]) { self.collateral = collateral }
        }
        let vm = try SimulatedVM()
        let served = Served([
            try vm.collateral(), try vm.collateral { $0.tcbInfo.issueDate -= 1 },
        ])
        let directory = try ScratchDirectory()
        let path = directory.path("cache")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let floors = CollateralFloors(directory: path)
        let service = VerifierService(
            collateral: Provider(collateral: { served.collateral[Int(served.index.unixSeconds)] }),
            verifier: QuoteVerifier(trustAnchor: try TrustAnchor(certificate: vm.platform.rootCertificate)),
            floors: floors, clock: { served.clock.unixSeconds })
        var writer = JSONWriter()
        let quote = try Hex.encode(vm.quote(ReportData(FixedBytes())))
        writer.object { object in
            object.member("quote", quote)
            object.member("event_log", vm.log.json)
            object.member("vm_config", vm.vmConfig)
        }
        let request = writer.bytes
        func reason() async -> String? {
            let answer = await service.answer(toBody: request)
            return answer.response?.reason
        }
        // The disk goes before the first answer, and comes back after it.
        try FileManager.default.removeItem(atPath: path)
        let answer = await service.answer(toBody: request)
        #expect(answer.response?.isValid == true)
        #expect(answer.response?.notes.count == 1 && answer.response?.notes.first?.contains(path) == true)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let again = await service.answer(toBody: request)
        #expect(again.response?.isValid == true && again.response?.notes.isEmpty == true)
        #expect(FileManager.default.fileExists(atPath: path + "/floors.json"))
        #expect(await reason() == nil)
        served.index.set(unixSeconds: 1)
        #expect(await reason()?.hasPrefix("Quote verification failed: collateral_floor: ") == true)
        served.index.set(unixSeconds: 0)
        #expect(await reason() == nil)
        served.clock.advance(bySeconds: -2 * Self.day)
        #expect(await reason() != nil)
    }
}
