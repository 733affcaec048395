import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKMSService
import DstackKeys
import DstackStore
import Synchronization
import TestKit
import Testing

@Suite("Watching the audit logs of other services")
struct ReplicaWatchTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    private final class Roots: Sendable {
        let keys = KMSRootKeys()
    }

    private struct Service {
        let store: SQLiteStore
        let audit: AuditLog

        init(_ directory: String, _ roots: Roots) async throws {
            store = try await SQLiteStore.open(directory)
            audit = try await AuditLog.open(store) { id throws(KMSStateError) in try AuditKey(id, of: roots.keys) }
        }
    }

    private func text(of audit: AuditLog) async throws -> String {
        let lines = Mutex<[UInt8]>([])
        try await audit.export { piece in lines.withLock { $0 += piece } }
        return String(decoding: lines.withLock { $0 }, as: UTF8.self)
    }

    @Test("keeps how far a log has come, over a restart, and tells of one that goes back")
    func goingBack() async throws {
        let roots = Roots()
        let mine = try await Service(scratch.path("mine"), roots)
        let other = try await Service(scratch.path("other"), roots)
        let early = try await other.audit.signedHead()
        try await other.audit.record(.stopped(reason: "first"))
        let late = try await other.audit.signedHead()
        func watch() -> ReplicaWatch {
            ReplicaWatch(urls: [], mine.store, mine.audit, root: roots.keys.caKey.publicKey) { _ in throw Unused() }
        }
        try await watch().note(late, of: "other")
        #expect(try await text(of: mine.audit).contains("head_seen"))
        // An older head that was signed before the newer one says nothing.
        try await watch().note(early, of: "other")
        #expect(try await !text(of: mine.audit).contains("head_contradicted"))

        // The same log from an older disk, which has one entry less and signs that now.
        let key = try AuditKey(late.log, of: roots.keys)
        let back = try key.sign(count: early.count, hash: early.hash, time: 4_000_000_000_000)
        try await watch().note(back, of: "other")
        #expect(try await text(of: mine.audit).contains("head_contradicted"))
    }

    @Test("believes no head that a service of another root signed, and leaves this service's own alone")
    func foreign() async throws {
        let roots = Roots()
        let mine = try await Service(scratch.path("mine"), roots)
        let other = try await Service(scratch.path("other"), Roots())
        let watch = ReplicaWatch(urls: [], mine.store, mine.audit, root: roots.keys.caKey.publicKey) { _ in
            throw Unused()
        }
        let foreign = try await other.audit.signedHead()
        await #expect(throws: KMSStateError(.notAuthentic, "", "")) { try await watch.note(foreign, of: "other") }
        try await watch.note(try await mine.audit.signedHead(), of: "mine")
        #expect(try await !text(of: mine.audit).contains("head_seen"))
    }

    private struct Unused: Error {}
}
