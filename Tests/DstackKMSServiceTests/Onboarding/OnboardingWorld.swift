import DstackAttestation
import DstackEncoding
import DstackKMS
import DstackKMSClient
import DstackKMSService
import DstackKeys
import DstackMockTEE
import DstackStore
import DstackSystem
import Foundation
import TestKit

/// A service that has no keys yet.
struct NewKMS: Sendable {
    let world: KMSTestWorld
    let scratch: ScratchDirectory

    init() throws {
        world = try KMSTestWorld.shared()
        scratch = try ScratchDirectory()
    }

    var directory: String { scratch.path("certs") }
    var files: RootKeyFiles { RootKeyFiles(directory) }

    func onboarding(
        _ files: RootKeyFiles? = nil, attest: KMSAttest?? = nil, allowed: (@Sendable () async throws -> Void)? = {},
        encoding: EvidenceEncoding = .standard, attestsRPCCertificate: Bool = true,
        profile: CertificateProfile = .upstream,
        requiresSealedRootKeys: Bool = false, source: Onboarding.Source? = nil, store: (any Store)? = nil
    ) -> Onboarding {
        var openEpochs: (@Sendable (Epochs.Beginning) async throws -> Epochs)?
        if let store {
            openEpochs = { beginning in try await Epochs.open(store, beginning, anew: true) { _, _ in } }
        }
        return Onboarding(
            files ?? self.files,
            evidence: OwnEvidence(of: attest ?? KMSTestWorld.attest(world.kms), encoding: encoding),
            authorizeSelf: allowed,
            attestsRPCCertificate: attestsRPCCertificate, profile: profile,
            requiresSealedRootKeys: requiresSealedRootKeys, source: source, openEpochs: openEpochs, clock: world.clock)
    }

    func store(_ name: String = "state") async throws -> SQLiteStore { try await SQLiteStore.open(scratch.path(name)) }

    func source(
        authorize: @escaping @Sendable (AttestedPeer) async throws -> AuditSubject = { _ in AuditSubject(.kms) }
    ) throws -> Onboarding.Source {
        Onboarding.Source(verifier: try world.anyVerifier(), authorize: authorize)
    }

    /// What a reader of the directory finds, without the lock.
    var names: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).filter { !$0.hasSuffix(".lock") }
            .sorted()
    }

    /// A copy of the directory after each step that changes it: what a process that ended there would leave.
    func snapshots() -> (files: RootKeyFiles, taken: Noted) {
        let (taken, scratch, directory) = (Noted(), scratch, directory)
        let files = RootKeyFiles(directory) { step in
            let copy = scratch.path("crash-\(taken.all.count)")
            // Second names of one file stay what they are.
            let process = try? Process.run(URL(fileURLWithPath: "/bin/cp"), arguments: ["-a", directory, copy])
            process?.waitUntilExit()
            taken.add(step)
        }
        return (files, taken)
    }
}
