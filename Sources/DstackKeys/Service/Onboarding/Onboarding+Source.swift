import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMS
package import DstackKMSClient
import DstackKeys
import DstackRPC
import DstackSystem

// Root keys from another service.

extension Onboarding {
    private static let alreadyOnboarded = "KMS has already been onboarded"

    /// Takes the root keys of a running service.
    ///
    /// Its evidence is verified in the handshake, and whoever decides says yes before it is asked for anything. What is asked
    /// then goes to the server of that very certificate, over the same connection where that holds. Upstream's verifies one
    /// connection and takes the keys from another.
    ///
    /// - Parameters:
    ///   - url: of the running service, with or without `/prpc` at its end.
    ///   - name: by which this service will be called.
    ///   - caPublicKey: SubjectPublicKeyInfo of the root that is expected, DER; empty for whichever the source has.
    /// - Throws: ``KMSServiceError``; nothing was stored then, except that the source may count this one among its replicas
    ///   already, as it will when this is tried again.
    package func onboard(
        from url: String, domain name: String, caPublicKey: [UInt8] = []
    ) async throws(KMSServiceError) -> OnboardingResult {
        let domain = try Self.domain(name)
        try Self.checkRoot(caPublicKey)
        guard let source else {
            throw KMSServiceError(.invalidConfiguration, "onboarding", "this service takes keys from no other")
        }
        let attest = try evidence.requireAgent(for: "another service, which gives no keys without it")
        return try await attempt(refusal: Self.alreadyOnboarded) { () async throws(KMSServiceError) in
            let (client, meta) = try await connect(url, source, attest, caPublicKey)
            return try await onboard(client, meta, source, domain)
        }
    }

    /// Whoever names a root and mistypes it should read that, and not that the source is another one.
    private static func checkRoot(_ publicKey: [UInt8]) throws(KMSServiceError) {
        guard !publicKey.isEmpty, (try? P256.PublicKey(spki: publicKey)) == nil else { return }
        throw KMSServiceError(
            .invalidRequest, "ca_pubkey", "it is no P-256 key in the form of a certificate (SubjectPublicKeyInfo, DER)",
            hint: "take the key of the CA from the running service's set-up, or leave it out")
    }

    private func connect(
        _ url: String, _ source: Source, _ attest: @escaping KMSAttest, _ caPublicKey: [UInt8]
    ) async throws(KMSServiceError) -> (KMSClient, KMSMeta) {
        var configuration = KMSClient.Configuration()
        configuration.staysWithFirstServer = true
        let trust: KMSTrust =
            caPublicKey.isEmpty
            ? .attested(source.verifier) : .pinnedAndAttested(caPublicKey: caPublicKey, source.verifier)
        do throws(KMSClientError) {
            let client = try KMSClient(url, trust: trust, attest: attest, configuration, clock: clock)
            return (client, try await client.meta())
        } catch {
            throw KMSServiceError(error)
        }
    }

    private func onboard(
        _ client: KMSClient, _ meta: KMSMeta, _ source: Source, _ domain: KMSDomainName
    ) async throws(KMSServiceError) -> OnboardingResult {
        guard let peer = client.server?.peer else {
            throw KMSServiceError(.notAttested, "source", "Source KMS certificate does not contain attestation")
        }
        let subject = try await authorize(source, peer)
        let isReplica = try await join(client)
        let keys: KMSTransferredKeys
        do throws(KMSClientError) {
            // A service with epochs is one of this kind, which encrypts keys for whoever asks for it: readable ones then show that
            // somebody in between has changed the question.
            keys = try await client.rootKeys(
                vmConfiguration: "", mustBeSealed: isReplica || requiresSealedRootKeys)
        } catch {
            throw KMSServiceError(error)
        }
        let material = keys.take { roots, temporaryCAKey in
            RootKeyMaterial(roots: roots, temporaryCAKey: temporaryCAKey, rpcKey: TLSKey(random: random))
        }
        _ = try await store(material, domain, refusal: Self.alreadyOnboarded) { _ in nil }
        return .onboarded(from: subject, url: client.url, publicKey: meta.k256PublicKey, domain)
    }

    private func authorize(_ source: Source, _ peer: AttestedPeer) async throws(KMSServiceError) -> AuditSubject {
        let context = "Source KMS is not allowed for onboarding"
        do {
            return try await source.authorize(peer)
        } catch let error as KMSServiceError {
            throw KMSServiceError(error.code, context, error.explanation)
        } catch {
            throw KMSServiceError(.unavailable, context, "\(error)")
        }
    }

    /// Has the source count this service among those that epochs wait for, and learns its epochs: before the keys come, so that
    /// there is never a service with the keys that the others do not know of. Where the source is upstream's, which knows epoch 0
    /// alone, this one begins alone, too.
    ///
    /// - Returns: whether the source has epochs.
    private func join(_ client: KMSClient) async throws(KMSServiceError) -> Bool {
        guard openEpochs != nil else { return false }
        do {
            _ = try await client.replica()
        } catch  where error.code == .unsupported {
            _ = try await epochs(.founding)
            return false
        } catch {
            throw KMSServiceError(error)
        }
        guard let epochs = try await epochs(.joining) else { return false }
        let answer: (replica: ReplicaID, epochs: [UInt8])
        do {
            answer = try await client.join(
                epochs.replica, EpochMessage(epochs.table, isQuestion: true).encoded)
        } catch {
            throw KMSServiceError(error)
        }
        do {
            try await epochs.receive(answer.epochs, from: answer.replica)
        } catch {
            throw KMSServiceError(error)
        }
        return true
    }
}

extension KMSServiceError {
    /// About another service.
    package init(_ error: KMSClientError) {
        let code: Code =
            switch error.code {
            case .invalidConfiguration: .invalidRequest
            case .notTrusted, .invalidAnswer: .notAttested
            case .refused, .unsupported: .denied
            default: .unavailable
            }
        self.init(code, error.subject, error.reason, hint: error.hint)
    }
}
