import DstackAttestation
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackMockTEE
import DstackSystem
import Foundation
import Synchronization
import TestKit
import Testing

@Suite("Collateral service: cache")
struct CollateralServiceCacheTests {
    private static let day: Int64 = 86_400

    @Test("what was fetched is given again until it is due, and then asked for again")
    func freshness() async throws {
        let scene = try await CollateralScene { evidence in
            evidence.collateral { AttackRollbackTests.date(&$0, at: CollateralScene.now - 400 * Self.day) }
        }
        let service = try scene.service()
        let first = try await service.fetch(for: scene.quote())
        #expect(first.expires == CollateralScene.now + 30 * Self.day - 1)
        scene.clock.advance(bySeconds: Self.day - 1)
        let second = try await service.fetch(for: scene.quote())
        #expect(second.origin == .cache(service: scene.server.url, fetchedAt: CollateralScene.now))
        #expect(second.collateral == first.collateral)
        #expect(scene.server.requestCount == 4)
        scene.clock.advance(bySeconds: 1)
        #expect(try await service.fetch(for: scene.quote()).origin == .network(service: scene.server.url))
        #expect(
            try await service.fetch(for: scene.quote(), refreshing: true).origin == .network(service: scene.server.url))
        #expect(scene.server.requestCount == 12)
        await scene.server.stop()
    }

    @Test(
        "while the service is away, old collateral is given up to its dates, without waiting; beyond them only if allowed"
    )
    func serviceAway() async throws {
        let scene = try await CollateralScene()
        let strict = try scene.service()
        let lenient = try scene.service { $0.staleFor = .seconds(Self.day) }
        for service in [strict, lenient] { _ = try await service.fetch(for: scene.quote()) }
        await scene.server.stop()

        scene.clock.set(unixSeconds: CollateralScene.now + 30 * Self.day - 1)
        for service in [strict, lenient] {
            let fetched = try await service.fetch(for: scene.quote())
            #expect(fetched.origin == .cache(service: scene.server.url, fetchedAt: CollateralScene.now))
            #expect(fetched.notes.count == 1)
        }
        #expect(scene.waits.all.isEmpty)

        scene.clock.advance(bySeconds: 1)
        #expect(try await scene.failure(strict)?.code == .collateralUnavailable)
        let stale = try await lenient.fetch(for: scene.quote())
        #expect(stale.origin == .stale(service: scene.server.url, fetchedAt: CollateralScene.now))
        #expect(stale.collateral == scene.collateral)
        scene.clock.advance(bySeconds: Self.day)
        #expect(try await scene.failure(lenient)?.code == .collateralUnavailable)
    }

    @Test("the cache on disk serves another process, offline")
    func disk() async throws {
        let directory = try ScratchDirectory()
        let scene = try await CollateralScene()
        _ = try await scene.service { $0.cacheDirectory = directory.path }.fetch(for: scene.quote())
        #expect(
            try directory.names == [
                "floors.json", "floors.lock",
                "tdx-\(scene.evidence.platform.configuration.fmspc.hex)-platform-standard.json",
            ])
        await scene.server.stop()
        let offline = try scene.service { $0.cacheDirectory = directory.path }
        let fetched = try await offline.fetch(for: scene.quote())
        #expect(fetched.origin == .cache(service: scene.server.url, fetchedAt: CollateralScene.now))
        #expect(fetched.collateral == scene.collateral)
        #expect(fetched.expires == CollateralScene.now + 30 * Self.day - 1)
    }

    @Test("TEE, platform, authority and generation have entries of their own")
    func keys() async throws {
        let directory = try ScratchDirectory()
        let scene = try await CollateralScene()
        let sgx = try MockEvidence(.sgx)
        for (evidence, selector) in [
            (scene.evidence, TCBDataSelector.standard), (scene.evidence, .early), (sgx, .early),
        ] {
            let service = try scene.service {
                $0.cacheDirectory = directory.path
                $0.selector = selector
            }
            scene.server.set(try evidence.collateralValue())
            _ = try await service.fetch(for: Quote(parsing: evidence.quoteBytes()))
        }
        #expect(try directory.names.filter { $0.contains("-") }.count == 3)
        #expect(scene.server.requestCount == 12)
        await scene.server.stop()
    }

    @Test("a damaged, foreign or strange entry counts as absent, and is replaced")
    func damage() async throws {
        let directory = try ScratchDirectory()
        let scene = try await CollateralScene()
        let fetch = {
            try await scene.service { $0.cacheDirectory = directory.path }.fetch(for: scene.quote())
        }
        _ = try await fetch()
        let file = URL(fileURLWithPath: directory.path).appendingPathComponent(try #require(try directory.names.last))
        let good = try Data(contentsOf: file)
        let text = String(decoding: good, as: UTF8.self)

        var other = MockPlatform.Configuration()
        other.fmspc = FixedBytes(repeating: 7)
        let foreign = try MockPlatform(other).collateral(for: .tdx, at: CollateralScene.now).json
        let bad: [Data] = [
            Data(), good.prefix(good.count / 2), Data("null".utf8), Data(repeating: 0xFF, count: 100),
            Data(text.replacingOccurrences(of: "\"format\":2", with: "\"format\":3").utf8),
            Data(text.replacingOccurrences(of: "\"tcb_info_signature\":\"", with: "\"tcb_info_signature\":\"00").utf8),
            Data(
                text.replacingOccurrences(of: "\"fetched_at\":\(CollateralScene.now)", with: "\"fetched_at\":-5").utf8),
            Data(
                "{\"format\":1,\"source\":\"\",\"fetched_at\":1,\"sha256\":\"\",\"collateral\":\(String(decoding: foreign, as: UTF8.self))}"
                    .utf8),
        ]
        for data in bad {
            try data.write(to: file)
            let count = scene.server.requestCount
            #expect(try await fetch().origin == .network(service: scene.server.url))
            #expect(scene.server.requestCount == count + 4)
            #expect(try Data(contentsOf: file) == good)
        }
        // An entry from the future means that a clock was wrong; it is not held on to.
        try Data(
            text.replacingOccurrences(
                of: "\"fetched_at\":\(CollateralScene.now)", with: "\"fetched_at\":\(CollateralScene.now + 1000)"
            ).utf8
        ).write(to: file)
        #expect(try await fetch().origin == .network(service: scene.server.url))
        await scene.server.stop()
    }

    @Test("a cache that cannot be written costs nothing but a note")
    func unwritable() async throws {
        let scene = try await CollateralScene()
        let service = try scene.service { $0.cacheDirectory = "/nonexistent/cache" }
        let fetched = try await service.fetch(for: scene.quote())
        #expect(fetched.collateral == scene.collateral)
        #expect(fetched.notes.first?.contains("/nonexistent/cache") == true)
        #expect(
            try await service.fetch(for: scene.quote()).origin
                == .cache(service: scene.server.url, fetchedAt: CollateralScene.now))
        await scene.server.stop()
    }

    @Test("a failure is remembered for a moment, so that nobody can make the services be asked on and on")
    func refusals() async throws {
        let scene = try await CollateralScene()
        scene.server.fail("/tcb", CollateralServer.status(404))
        let service = try scene.service()
        for _ in 0..<3 { #expect(try await scene.failure(service)?.code == .collateralUnavailable) }
        #expect(scene.server.targets.filter { $0.contains("/tcb") }.count == 1)
        scene.server.fail("/tcb", nil)
        #expect(try await service.fetch(for: scene.quote(), refreshing: true).collateral == scene.collateral)
        await scene.server.stop()
    }

    @Test("callers that want the same at the same time share one download")
    func sharing() async throws {
        let scene = try await CollateralScene()
        scene.server.fail(
            "/tcb",
            { response in
                try? await Task.sleep(for: .milliseconds(300))
                return response
            })
        let service = try scene.service()
        let quote = try scene.quote()
        let results = try await withThrowingTaskGroup(of: QuoteCollateral.self) { group in
            for _ in 0..<20 { group.addTask { try await service.fetch(for: quote).collateral } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results.count == 20)
        #expect(results.allSatisfy { $0 == scene.collateral })
        #expect(scene.server.requestCount == 4)
        await scene.server.stop()
    }

    @Test("a caller that is cancelled leaves at once; one that stays still gets its answer")
    func cancellation() async throws {
        let scene = try await CollateralScene()
        let gate = Mutex<CheckedContinuation<Void, Never>?>(nil)
        scene.server.fail(
            "/tcb",
            { response in
                await withCheckedContinuation { continuation in gate.withLock { $0 = continuation } }
                return response
            }, nil)
        let service = try scene.service()
        let quote = try scene.quote()
        let leaving = Task { await #expect(throws: AttestationError.self) { try await service.fetch(for: quote) } }
        let staying = Task { try await service.fetch(for: quote).collateral }
        while gate.withLock({ $0 == nil }) { try await Task.sleep(for: .milliseconds(5)) }
        leaving.cancel()
        #expect(await leaving.value?.reason == "cancelled")
        gate.withLock { $0 }?.resume()
        #expect(try await staying.value == scene.collateral)

        // Nobody is left: the download itself ends.
        scene.server.fail(
            "/tcb",
            { response in
                try? await Task.sleep(for: .seconds(60))
                return response
            })
        let fresh = try scene.service()
        let count = scene.server.requestCount
        let only = Task {
            await #expect(throws: AttestationError.self) { try await fresh.fetch(for: quote) }
        }
        while scene.server.requestCount < count + 3 { try await Task.sleep(for: .milliseconds(5)) }
        only.cancel()
        #expect(await only.value?.reason == "cancelled")
        await scene.server.stop()
    }
}
