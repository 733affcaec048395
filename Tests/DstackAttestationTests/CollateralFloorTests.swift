import DstackCrypto
import DstackEncoding
import DstackMockTEE
import DstackSystem
import Foundation
import Glibc
import TestKit
import Testing

@testable import DstackAttestation

/// Revocation lists and QE identities belong to no platform family. News that one family's collateral brings must hold for
/// all of them, and must lock none of them out.
@Suite("What one platform family's collateral brings holds for all")
struct CollateralFloorTests {
    private typealias Rollback = AttackRollbackTests
    private static let now = Rollback.now
    private static let day = Rollback.day

    private static func family(_ number: UInt8, _ tee: TEEType = .tdx) throws -> MockEvidence {
        var configuration = MockPlatform.Configuration()
        configuration.fmspc = FixedBytes(repeating: number)
        return try Rollback.newer(tee, configuration)
    }

    /// As Intel issues them: the number stays, the date grows.
    private static func fresher(_ evidence: MockEvidence, _ edit: @escaping (inout MockCollateral) -> Void = { _ in })
        -> MockEvidence
    {
        var evidence = evidence
        evidence.collateral { collateral in
            collateral.rootCRL.builder.thisUpdate = .seconds(now - 3600)
            collateral.pckCRL.builder.thisUpdate = .seconds(now - 3600)
            collateral.qeIdentity.issueDate = now - 3600
            edit(&collateral)
        }
        return evidence
    }

    private static func verifier(_ evidence: MockEvidence) throws -> QuoteVerifier {
        QuoteVerifier(trustAnchor: try TrustAnchor(certificate: evidence.anchor))
    }

    @Test("a family whose collateral was fetched earlier is not locked out", arguments: TEEType.allCases)
    func files(tee: TEEType) async throws {
        let (first, second) = (try Self.family(1, tee), Self.fresher(try Self.family(2, tee)))
        let floors = CollateralFloors()
        let files = try OfflineCollateral([first.collateralValue(), second.collateralValue()])
        let prepared = PreparedCollateralCache(try Self.verifier(first))
        for evidence in [first, second, first, second, first] {
            let quote = try Quote(parsing: evidence.quoteBytes())
            let report = prepared.prepare(try files.collateral(for: quote)).verify(
                Evidence(quote: quote.encoded), at: Self.now, floors: floors)
            report.expectAccepted()
        }
        let report = try Rollback.verify(first, floors)
        #expect(report.replacedDocuments.map(\.name) == ["root_ca_crl", "pck_crl", "qe_identity"])
    }

    struct Revocation: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let check: CheckID
        let code: FailureCode
        let edit: @Sendable (inout MockCollateral) -> Void
    }

    static let revocations = [
        Revocation(testDescription: "the PCK", check: .pckRevocation, code: .revoked) { $0.revokePCK() },
        Revocation(testDescription: "the PCK authority", check: .pckCARevocation, code: .revoked) {
            $0.revokePCKAuthorities()
        },
        Revocation(testDescription: "the signer of documents", check: .tcbInfoSignerRevocation, code: .revoked) {
            $0.revokeTCBSigner()
        },
        Revocation(testDescription: "the quoting enclave", check: .tcbNotRevoked, code: .revoked) {
            $0.qeIdentity.levels[0].status = .revoked
        },
    ]

    @Test("a revocation that one family's collateral brings takes effect for every family", arguments: revocations)
    func revocation(revocation: Revocation) throws {
        let (first, second) = (try Self.family(1), Self.fresher(try Self.family(2), revocation.edit))
        let floors = CollateralFloors()
        let quote = Evidence(quote: try first.quoteBytes())
        let prepared = try Self.verifier(first).prepare(first.collateralValue())
        // It knows the platform by then.
        for _ in 0..<2 { prepared.verify(quote, at: Self.now, floors: floors).expectAccepted() }
        #expect(try Rollback.verify(second, floors).verdict == .rejected)
        try Rollback.verify(first, floors).expectRefused(revocation.check, revocation.code)
        for _ in 0..<2 {
            prepared.verify(quote, at: Self.now, floors: floors).expectRefused(revocation.check, revocation.code)
        }
        // At a given time nothing is remembered.
        prepared.verify(quote, at: Self.now, floors: nil).expectAccepted()
        try Rollback.verify(first, nil).expectAccepted()
    }

    @Test("of two lists of the same number and second the one that revokes more counts, whichever came first")
    func sameNumber() throws {
        let first = try Self.family(1)
        var second = try Self.family(2)
        second.collateral { $0.revokePCK() }
        for order in [[first, second], [second, first]] {
            let floors = CollateralFloors()
            for evidence in order { _ = try Rollback.verify(evidence, floors) }
            try Rollback.verify(first, floors).expectRefused(.pckRevocation, .revoked)
        }
    }

    @Test("documents that differ in content alone do not displace each other")
    func sameDate() throws {
        let first = try Self.family(1)
        var second = try Self.family(2)
        second.collateral { $0.qeIdentity.levels[1].advisoryIDs = ["SIMULATED-SA-00009"] }
        let floors = CollateralFloors()
        for evidence in [first, second, first] {
            let report = try Rollback.verify(evidence, floors)
            report.expectAccepted()
            #expect(report.replacedDocuments.isEmpty)
        }
    }

    @Test("a list of a revoked authority displaces none, however new it says that it is")
    func revokedAuthority() throws {
        let first = try Self.family(1)
        var second = try Self.family(2)
        second.collateral { collateral in
            collateral.pckCRL.builder.extensions = [Rollback.number(9_999)]
            collateral.revokePCKAuthorities()
        }
        let floors = CollateralFloors()
        _ = try Rollback.verify(second, floors)
        let names = try Rollback.verify(first, floors).replacedDocuments.map(\.name)
        #expect(names == ["root_ca_crl"])
    }

    @Test("a newer document that has expired, or is not valid yet, is not fallen back from")
    func expired() throws {
        for isEarly in [false, true] {
            let first = try Self.family(1)
            let second = Self.fresher(try Self.family(2)) { collateral in
                if isEarly {
                    collateral.rootCRL.builder.thisUpdate = .seconds(Self.now + Self.day)
                } else {
                    collateral.rootCRL.builder.nextUpdate = .seconds(Self.now - 60)
                }
            }
            let floors = CollateralFloors()
            _ = try Rollback.verify(second, floors)
            try Rollback.verify(first, floors).expectRefused(.rootCRLValidity, isEarly ? .notYetValid : .expired)
        }
    }

    @Test("what stands in outlives the process, and is verified anew: a file that was changed has nothing accepted")
    func changedFile() throws {
        let directory = try ScratchDirectory()
        let first = try Self.family(1)
        let second = Self.fresher(try Self.family(2)) { $0.revokePCK() }
        let genuine = try second.collateralValue()
        _ = try Rollback.verify(second, CollateralFloors(directory: directory.path), with: genuine)
        try Rollback.verify(first, CollateralFloors(directory: directory.path))
            .expectRefused(.pckRevocation, .revoked)
        // A list of somebody else's, as new as the genuine one, in place of it.
        var stranger = second
        stranger.platform = try second.stranger()
        stranger.anchor = stranger.platform.rootCertificate
        stranger.domain = MockTrustDomain(on: stranger.platform)
        let text = try String(contentsOf: directory.file("floors.json"), encoding: .utf8)
        let list = Hex.encode(genuine.rootCACRL)
        #expect(text.contains(list))
        let forged = Hex.encode(try stranger.collateralValue().rootCACRL)
        try directory.write(Array(text.replacingOccurrences(of: list, with: forged).utf8), "floors.json")
        let floors = CollateralFloors(directory: directory.path)
        #expect(floors.problem == nil)
        #expect(try Rollback.verify(first, floors).failure?.check == .rootCRLSignature)
        // One that is not what it is listed as is damage.
        let other = Hex.encode(try MockEvidence(.tdx).collateralValue().rootCACRL)
        try directory.write(Array(text.replacingOccurrences(of: list, with: other).utf8), "floors.json")
        #expect(CollateralFloors(directory: directory.path).problem?.code == .damagedFloors)
    }

    // MARK: Providers

    @Test("what is in the cache serves on while services are away, though another family brought newer lists")
    func cache() async throws {
        let directory = try ScratchDirectory()
        let first = try Self.family(1)
        let second = Self.fresher(try Self.family(2))
        let scene = try await CollateralScene { $0 = first }
        let verifier = try Self.verifier(first)
        let service = try scene.service { $0.cacheDirectory = directory.path }
        _ = try await service.fetch(for: scene.quote(), verifiedBy: verifier)
        let newer = try second.collateralValue()
        try Rollback.verify(second, service.floors, with: newer).expectAccepted()
        await scene.server.stop()
        let restarted = try scene.service { $0.cacheDirectory = directory.path }
        for service in [service, restarted] {
            let fetched = try await service.fetch(for: scene.quote(), verifiedBy: verifier)
            #expect(fetched.collateral.rootCACRL == newer.rootCACRL)
            #expect(fetched.collateral.tcbInfo == scene.collateral.tcbInfo)
            #expect(fetched.notes.filter { $0.contains("verified before") }.count == 3)
            verifier.verify(
                Evidence(quote: try first.quoteBytes()), collateral: fetched.collateral, at: Self.now,
                floors: service.floors
            ).expectAccepted()
        }
        // What nobody judges is given as it came.
        #expect(try await service.fetch(for: scene.quote()).collateral == scene.collateral)
    }

    @Test("collateral that is ready for handshakes is not refused for its age, and has every revocation")
    func ready() async throws {
        final class Provider: CollateralProvider {
            let files: OfflineCollateral
            let floors: CollateralFloors? = CollateralFloors()

            init(_ files: OfflineCollateral) { self.files = files }

            func collateral(for quote: Quote) async throws -> QuoteCollateral { try files.collateral(for: quote) }
        }
        for isRevoking in [false, true] {
            let first = try Self.family(1)
            let second = Self.fresher(try Self.family(2)) { if isRevoking { $0.revokePCK() } }
            let provider = Provider(try OfflineCollateral([first.collateralValue(), second.collateralValue()]))
            let ready = ReadyCollateral(provider, verifier: try Self.verifier(first))
            let quotes = try [first, second].map { try Quote(parsing: $0.quoteBytes()) }
            func report() throws -> VerificationReport {
                try ready.ready(for: quotes[0]).judge(
                    Evidence(quote: quotes[0].encoded), policy: .standard, at: Self.now, floors: ready.floors)
            }
            try await ready.prepare(for: quotes[0])
            try report().expectAccepted()
            try await ready.prepare(for: quotes[1])
            if isRevoking {
                try report().expectRefused(.pckRevocation, .revoked)
            } else {
                try report().expectAccepted()
            }
        }
    }

    // MARK: Generations

    /// Data of a recovery that is less than a year past, which only `update=early` gives.
    private static func early(_ tee: TEEType = .tdx) throws -> MockEvidence {
        var evidence = try Rollback.newer(tee)
        evidence.collateral { collateral in
            collateral.tcbInfo.evaluationDataNumber = 22
            collateral.qeIdentity.evaluationDataNumber = 22
            collateral.tcbInfo.issueDate = now - 60
            collateral.qeIdentity.issueDate = now - 60
            Rollback.date(&collateral, at: now - 30 * day)
        }
        return evidence
    }

    @Test(
        "a service that once answers with early data does not lock out standard data, and rolls nothing back",
        arguments: TEEType.allCases)
    func earlyAnswer(tee: TEEType) throws {
        let directory = try ScratchDirectory()
        let (early, standard) = (try Self.early(tee), try Rollback.newer(tee))
        for number in [Int64(20), 19] {
            // Also where the attack comes first.
            var floors = CollateralFloors(directory: directory.path)
            try Rollback.verify(early, floors).expectAccepted()
            var honest = standard
            honest.collateral {
                $0.tcbInfo.evaluationDataNumber = 20
                $0.qeIdentity.evaluationDataNumber = 20
            }
            let report = try Rollback.verify(honest, floors)
            report.expectAccepted()
            #expect(report.replacedDocuments.isEmpty)
            floors = CollateralFloors(directory: directory.path)
            try Rollback.verify(honest, floors).expectAccepted()
            var rolledBack = standard
            rolledBack.collateral {
                $0.tcbInfo.evaluationDataNumber = UInt32(number) - 1
                $0.tcbInfo.issueDate = Self.now - 30
            }
            try Rollback.verify(rolledBack, floors).expectRefused(.collateralFloor, .rolledBack)
            // What is of the same recovery is older by its date, early or not.
            var earlier = early
            earlier.collateral { $0.tcbInfo.issueDate -= 1 }
            try Rollback.verify(earlier, floors).expectRefused(.collateralFloor, .rolledBack)
        }
    }

    @Test("early data that came in place of standard data is asked for again soon, and standard data replaces it")
    func earlyInCache() async throws {
        let scene = try await CollateralScene { $0 = try Self.early() }
        let verifier = try Self.verifier(scene.evidence)
        let service = try scene.service()
        let fetched = try await service.fetch(for: scene.quote(), verifiedBy: verifier)
        #expect(fetched.collateral == scene.collateral)
        try Rollback.verify(scene.evidence, service.floors, with: fetched.collateral).expectAccepted()
        let standard = try Rollback.newer().collateralValue()
        scene.server.set(standard)
        scene.clock.advance(bySeconds: 599)
        #expect(try await service.fetch(for: scene.quote(), verifiedBy: verifier).collateral == scene.collateral)
        scene.clock.advance(bySeconds: 1)
        let count = scene.server.requestCount
        #expect(try await service.fetch(for: scene.quote(), verifiedBy: verifier).collateral == standard)
        #expect(scene.server.requestCount == count + 4)
        // Which is good for a day.
        scene.clock.advance(bySeconds: 86_399)
        #expect(try await service.fetch(for: scene.quote(), verifiedBy: verifier).collateral == standard)
        #expect(scene.server.requestCount == count + 4)
        await scene.server.stop()
    }

    @Test("early data becomes the least there is once it is of age")
    func ofAge() throws {
        let floors = CollateralFloors()
        let standard = try Rollback.newer()
        try Rollback.verify(standard, floors).expectAccepted()
        for (age, isStandard) in [(Int64(364), false), (365, true)] {
            var recovery = try Self.early()
            recovery.collateral { collateral in
                collateral.tcbInfo.issueDate = Self.now - 20
                Rollback.date(&collateral, at: Self.now - 20 - age * Self.day)
            }
            try Rollback.verify(recovery, floors).expectAccepted()
            let report = try Rollback.verify(standard, floors)
            if isStandard { report.expectRefused(.collateralFloor, .rolledBack) } else { report.expectAccepted() }
        }
    }

    @Test("who asks for early data is not given standard data after early data was verified by anybody")
    func askingForEarly() throws {
        let directory = try ScratchDirectory()
        let standard = try Rollback.newer()
        try Rollback.verify(Self.early(), CollateralFloors(directory: directory.path)).expectAccepted()
        try Rollback.verify(standard, CollateralFloors(directory: directory.path)).expectAccepted()
        try Rollback.verify(standard, CollateralFloors(directory: directory.path, selector: .early))
            .expectRefused(.collateralFloor, .rolledBack)
        try Rollback.verify(
            standard, CollateralFloors(directory: directory.path, selector: .evaluationDataNumber(20))
        ).expectAccepted()
    }

    // MARK: Others in the directory

    @Test("who may read the directory cannot hold up verification by locking it")
    func lockedDirectory() throws {
        let directory = try ScratchDirectory()
        let other = try FileDescriptor(opening: directory.path, flags: O_RDONLY | O_DIRECTORY)
        #expect(flock(other.number, LOCK_EX) == 0)
        let floors = CollateralFloors(directory: directory.path)
        let begin = ContinuousClock.now
        let report = try Rollback.verify(Rollback.newer(), floors)
        report.expectAccepted()
        #expect(report.notes.isEmpty && ContinuousClock.now - begin < .seconds(4))
        let attributes = try FileManager.default.attributesOfItem(atPath: directory.path("floors.lock"))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test("a lock that another process keeps is waited for a bounded time, and the report says what was not kept")
    func keptLock() throws {
        let directory = try ScratchDirectory()
        guard let lock = try LockFile.taken(directory.path("floors.lock")) else {
            Issue.record("the lock is taken")
            return
        }
        let floors = CollateralFloors(directory: directory.path)
        let evidence = try Rollback.newer()
        let begin = ContinuousClock.now
        let report = try Self.verifier(evidence).verify(
            Evidence(quote: try evidence.quoteBytes()), collateral: try evidence.collateralValue(), at: Self.now,
            floors: floors)
        report.expectAccepted()
        #expect(report.notes.count == 1 && report.notes.first?.contains("another process has held it for 5 s") == true)
        // For that time in all: what else is to be written meanwhile is tried, and not waited for.
        let again = ContinuousClock.now
        for _ in 0..<3 {
            #expect(floors.establish()?.contains("another process has held it for 5 s") == true)
            #expect(try Rollback.verify(evidence, floors).notes.count == 1)
        }
        #expect(again - begin >= .seconds(5) && ContinuousClock.now - again < .seconds(5))
        _ = consume lock
        // Once it is free it is taken.
        #expect(try Rollback.verify(evidence, floors).notes.isEmpty)
    }

    @Test("whether others may change what is kept in a directory is told by its owner and mode")
    func exposure() throws {
        let directory = try ScratchDirectory()
        let path = directory.path
        for (mode, isExposed) in [(0o700, false), (0o755, false), (0o775, true), (0o777, true), (0o1777, true)] {
            #expect(chmod(path, mode_t(mode)) == 0)
            let exposure = CollateralDirectory.exposure(of: path)
            #expect((exposure != nil) == isExposed, "\(String(mode, radix: 8)): \(exposure ?? "none")")
            guard isExposed else { continue }
            #expect(
                exposure?.contains("(mode \(String(mode, radix: 8)))") == true && exposure?.contains("chmod") == true)
        }
        #expect(chmod(path, 0o700) == 0)
        #expect(CollateralDirectory.exposure(of: path + "/missing") == nil)
        // The floors themselves, and what is above.
        let floors = try directory.write([], "floors.json")
        for (mode, isExposed) in [(0o644, false), (0o664, true), (0o666, true)] {
            #expect(chmod(floors, mode_t(mode)) == 0)
            let exposure = CollateralDirectory.exposure(of: path)
            #expect((exposure?.contains("floors.json") == true) == isExposed, "\(exposure ?? "none")")
        }
        #expect(mkdir(directory.path("cache"), 0o755) == 0)
        for (mode, isExposed) in [(0o755, false), (0o777, true), (0o1777, false)] {
            #expect(chmod(path, mode_t(mode)) == 0)
            let exposure = CollateralDirectory.exposure(of: directory.path("cache"))
            #expect((exposure?.hasPrefix("others may write in \(path) (mode") == true) == isExposed, "\(mode)")
        }
        #expect(chmod(path, 0o700) == 0)
        // Only root can give a directory away.
        guard geteuid() == 0 else { return }
        #expect(chown(path, 4711, 0) == 0)
        #expect(CollateralDirectory.exposure(of: path)?.contains("belongs to another user (4711)") == true)
    }

    @Test("a cache whose floors cannot be written never keeps collateral, which would count as left over for good")
    func noFloorsNoCache() async throws {
        let scene = try await CollateralScene()
        let verifier = try Self.verifier(scene.evidence)
        for hasFloorsElsewhere in [false, true] {
            let directory = try ScratchDirectory()
            let lock = directory.path("floors.lock")
            #expect(mkfifo(lock, 0o600) == 0)
            let service = try scene.service {
                $0.cacheDirectory = directory.path
                if hasFloorsElsewhere { $0.floors = CollateralFloors() }
            }
            let fetched = try await service.fetch(for: scene.quote(), verifiedBy: verifier)
            #expect(
                fetched.notes.contains { $0.hasPrefix("the cache was not written: ") && $0.contains("floors.lock") })
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["floors.lock"])
            // Whoever comes next begins as with a new one.
            #expect(unlink(lock) == 0)
            let later = try scene.service { $0.cacheDirectory = directory.path }
            #expect(later.floors?.problem == nil)
            #expect(try await later.fetch(for: scene.quote(), verifiedBy: verifier).notes.isEmpty)
            let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
            #expect(names.contains("floors.json") && names.contains { $0.hasPrefix("tdx-") }, "\(names)")
        }
        await scene.server.stop()
    }

    @Test("floors that lie elsewhere leave a directory that those who come later can use")
    func floorsElsewhere() async throws {
        let directory = try ScratchDirectory()
        let scene = try await CollateralScene()
        let verifier = try Self.verifier(scene.evidence)
        let elsewhere = try scene.service {
            $0.cacheDirectory = directory.path
            $0.floors = CollateralFloors()
        }
        _ = try await elsewhere.fetch(for: scene.quote(), verifiedBy: verifier)
        let later = try scene.service { $0.cacheDirectory = directory.path }
        #expect(later.floors?.problem == nil)
        let fetched = try await later.fetch(for: scene.quote(), verifiedBy: verifier)
        guard case .cache = fetched.origin else { return #expect(Bool(false), "\(fetched.origin)") }
        await scene.server.stop()
    }

    @Test("a pipe, a link or a directory in the place of a file is not waited for", .timeLimit(.minutes(1)))
    func noFiles() async throws {
        let make: [(String) -> Int32] = [
            { mkfifo($0, 0o666) }, { mkdir($0, 0o777) }, { symlink("/dev/zero", $0) },
            { symlink("floors.elsewhere", $0) },
        ]
        for make in make {
            let directory = try ScratchDirectory()
            #expect(make(directory.path("floors.json")) == 0)
            let floors = CollateralFloors(directory: directory.path)
            #expect(floors.problem?.code == .damagedFloors)
            try Rollback.verify(Rollback.newer(), floors).expectRefused(.collateralFloor, .rolledBack)
        }
        for make in make {
            let directory = try ScratchDirectory()
            #expect(make(directory.path("floors.lock")) == 0)
            let report = try Rollback.verify(
                Rollback.newer(), CollateralFloors(directory: directory.path))
            report.expectAccepted()
            #expect(report.notes.count == 1)
        }
        // Collateral itself: an entry of the cache counts as absent, a file of somebody's choice is an error.
        let directory = try ScratchDirectory()
        let scene = try await CollateralScene()
        let service = try scene.service { $0.cacheDirectory = directory.path }
        _ = try await service.fetch(for: scene.quote())
        let entry = try #require(
            try FileManager.default.contentsOfDirectory(atPath: directory.path).first { $0.hasPrefix("tdx-") })
        try FileManager.default.removeItem(at: directory.file(entry))
        #expect(mkfifo(directory.path(entry), 0o666) == 0)
        let fresh = try scene.service { $0.cacheDirectory = directory.path }
        #expect(try await fresh.fetch(for: scene.quote()).origin == .network(service: scene.server.url))
        await scene.server.stop()
        let files = try ScratchDirectory()
        #expect(mkfifo(files.path("a.json"), 0o666) == 0)
        let error = #expect(throws: AttestationError.self) { try OfflineCollateral(path: files.path) }
        #expect(error?.code == .collateralUnavailable && error?.reason.contains("no regular file") == true)
    }
}
