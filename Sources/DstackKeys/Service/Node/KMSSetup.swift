import DstackAttestation
import DstackAuthorization
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackKMS
import DstackKMSClient
import DstackNetwork
import DstackRPC
package import DstackStore
import DstackSystem

/// How a service comes to its keys when it starts.
package struct KMSSetup: Sendable {
    private let foundation: KMSNode.Foundation
    private let store: any Store

    package init(_ foundation: KMSNode.Foundation, _ store: any Store) {
        self.foundation = foundation
        self.store = store
    }

    /// Opens the store of a service, in directories that are made if they are not there.
    ///
    /// - Throws: ``KMSServiceError``.
    package static func openStore(_ settings: KMSSettings) async throws(KMSServiceError) -> any Store {
        let directory = settings.files.certificateDirectory
        do throws(SystemError) { try PrivateDirectory.make(directory) } catch {
            throw KMSServiceError(.invalidConfiguration, "core.cert_dir", "\(error)")
        }
        do throws(StoreError) {
            return try await SQLiteStore.open(settings.files.stateDirectory)
        } catch {
            throw KMSServiceError(KMSStateError(error))
        }
    }

    private var settings: KMSSettings { foundation.settings }

    /// Has keys made or taken from elsewhere, if there are none.
    ///
    /// - Parameter tell: says a line to whoever started the service.
    /// - Returns: how the keys came; nil where they were there.
    /// - Throws: ``KMSServiceError``, where there are none afterwards.
    package func run(tell: @escaping @Sendable (String) -> Void) async throws -> OnboardingResult? {
        let files = RootKeyFiles(settings.files.certificateDirectory)
        do throws(KMSStateError) {
            if try files.state() == .complete { return nil }
        } catch {
            throw KMSServiceError(error)
        }
        guard settings.onboarding.isEnabled else {
            throw KMSServiceError(
                .wrongState, settings.files.certificateDirectory,
                "Failed to onboard: there are no root keys, and core.onboard.enabled is false",
                hint: "restore the keys, or set core.onboard.enabled = true")
        }
        let onboarding = onboarding(files)
        let domain = settings.onboarding.autoBootstrapDomain
        if !domain.isEmpty {
            tell("there are no root keys: making new ones for \(domain) (core.onboard.auto_bootstrap_domain)")
            return try await onboarding.bootstrapIfNeeded(domain: domain)
        }
        let result = try await listen(onboarding, tell)
        guard let result else {
            throw KMSServiceError(
                .wrongState, settings.files.certificateDirectory, "Failed to onboard: there are no root keys")
        }
        return result
    }

    private func listen(
        _ onboarding: Onboarding, _ tell: @escaping @Sendable (String) -> Void
    ) async throws -> OnboardingResult? {
        let listener = OnboardingListener(
            settings.onboarding.listener, onboarding,
            headers: ["Server": settings.ident, "X-App-Version": foundation.version.header]
        ) { [foundation] in try await Self.information(foundation) }
        return try await listener.run { bound in
            for place in bound { tell("there are no root keys: set this service up at \(place)") }
            for line in listener.announcements { tell(line) }
        }
    }

    private func onboarding(_ files: RootKeyFiles) -> Onboarding {
        let judge = foundation.judge
        let source = Onboarding.Source(
            verifier: foundation.verifier,
            authorize: { peer in
                try await judge.admit(judge.examine(peer), as: .kms).auditSubject
            })
        var authorizeSelf: (@Sendable () async throws -> Void)?
        if settings.enforcesSelfAuthorization {
            authorizeSelf = { [check = foundation.selfAuthorization] in try await check.check() }
        }
        // One that joins is none of the others until it has heard from them, and gives no keys.
        let openEpochs: @Sendable (Epochs.Beginning) async throws -> Epochs = { [store] beginning in
            try await Epochs.open(store, beginning, anew: true, send: { _, _ in })
        }
        return Onboarding(
            files, evidence: foundation.evidence, authorizeSelf: authorizeSelf,
            attestsRPCCertificate: settings.attestsRPCCertificate, profile: settings.certificates.profile,
            requiresSealedRootKeys: settings.requiresSealedRootKeys, source: source, openEpochs: openEpochs,
            clock: foundation.clock)
    }

    /// What whoever lists this machine for the authorizer has to know.
    private static func information(
        _ foundation: KMSNode.Foundation
    ) async throws -> KMSRPC.AttestationInfoResponse {
        let caller = try await foundation.selfAuthorization.caller()
        var answer = KMSRPC.AttestationInfoResponse()
        answer.deviceID = caller.boot.deviceID.bytes
        answer.mrAggregated = caller.boot.mrAggregated.bytes
        answer.osImageHash = caller.boot.osImageHash?.bytes ?? []
        answer.teeVariant = caller.boot.teeVariant ?? ""
        answer.siteName = foundation.settings.siteName
        answer.ppid = caller.platformID
        if let info = try? await foundation.judge.authorizer.info() {
            answer.ethereumRPCURL = info.ethereumURL ?? ""
            answer.kmsContractAddress = info.kmsContractAddress
        }
        return answer
    }
}
