package import DstackAttestation
package import DstackCrypto
package import DstackEncoding
package import DstackKeys

/// One request to a local key provider: an enclave of the same host that derives a key from what the asking trust domain
/// measured, so that the same application gets it again after a restart, on this machine.
///
/// ```swift
/// let exchange = SealingKeyExchange()
/// let request = try exchange.request(quote: source.quote(reportData: exchange.reportData))
/// let provided = try await exchange.open(source.sealingKey(request), rules: rules) { quote, policy in
///     verifier.verify(quote, collateral: collateral, policy: policy, at: now)
/// }
/// ```
///
/// The host is between both and is not trusted. The provider seals to the key in the quote's report data, so that nobody else
/// reads its answer; and its own quote is about the box, so that the box is the enclave's. But the host can run an enclave
/// of its own making, which is as genuine: which enclaves are accepted is for ``KeyProviderRules`` to say, or for relying
/// parties, who find its measurement among the application's events.
package struct SealingKeyExchange: ~Copyable, Sendable {
    private let key: X25519.PrivateKey
    /// What the trust domain's quote has to be about.
    package let reportData: ReportData

    /// An exchange with a key of its own. For one answer: the key is what its secrecy rests on.
    package init(key: consuming X25519.PrivateKey = X25519.PrivateKey()) {
        var padded = FixedBytes<64>()
        for (index, byte) in key.publicKey.bytes.bytes.enumerated() { padded[index] = byte }
        reportData = ReportData(padded)
        self.key = key
    }

    /// The request.
    ///
    /// - Parameter quote: of this trust domain, about ``reportData``.
    /// - Throws: ``KeyProviderError/Code/malformed`` for what is no quote or too large,
    ///   ``KeyProviderError/Code/notAuthentic`` for one about something else: the answer would be for another.
    package borrowing func request(quote: [UInt8]) throws(KeyProviderError) -> SealingKeyRequest {
        guard quote.count <= SealingKeyRequest.maximumQuoteBytes else {
            throw KeyProviderError(
                .malformed, "quote", "\(quote.count) bytes, providers read \(SealingKeyRequest.maximumQuoteBytes)")
        }
        let body: QuoteBody
        do throws(AttestationError) {
            body = try Quote(parsing: quote).body
        } catch {
            throw KeyProviderError(.malformed, error.subject, error.reason)
        }
        guard body.reportData == reportData.bytes else {
            throw KeyProviderError(.notAuthentic, "quote", "its report data is not the key of this exchange")
        }
        return SealingKeyRequest(quote: quote)
    }

    /// Verifies an answer, then opens it.
    ///
    /// - Parameters:
    ///   - response: from wherever.
    ///   - rules: which providers are accepted.
    ///   - verify: verifies a quote under a policy, with collateral for its platform.
    /// - Throws: ``KeyProviderError/Code/malformed`` for an answer of another form, ``KeyProviderError/Code/notAuthentic``
    ///   where its evidence is not believed or the box is for another, ``KeyProviderError/Code/notAccepted`` for another
    ///   enclave.
    package borrowing func open(
        _ response: SealingKeyResponse, rules: KeyProviderRules,
        verify: ([UInt8], VerificationPolicy) async throws -> VerificationReport
    ) async throws(KeyProviderError) -> ProvidedSeed {
        let expected = SealedBox.overhead + 32
        guard response.encryptedKey.count == expected else {
            throw KeyProviderError(
                .malformed, "encrypted key", "\(response.encryptedKey.count) bytes where a sealed key has \(expected)")
        }
        var policy = rules.policy
        policy.expected.reportData = Self.reportData(of: response.encryptedKey)
        // An enclave in debug mode has no secrets from the host, whatever the policy is for trust domains.
        policy.allowsDebug = false
        let report: VerificationReport
        do {
            report = try await verify(response.providerQuote, policy)
        } catch {
            throw KeyProviderError(.unavailable, "the key provider's evidence", "it cannot be verified: \(error)")
        }
        guard let proof = report.verifiedQuote else {
            throw KeyProviderError(
                .notAuthentic, "the key provider's evidence", report.failure.map { "\($0)" } ?? "it was not verified")
        }
        // Not left to the closure alone: this is what the box's secrecy rests on.
        guard let enclave = proof.body.enclaveReport, !enclave.isDebug,
            enclave.reportData == Self.reportData(of: response.encryptedKey)
        else {
            throw KeyProviderError(
                .notAuthentic, "the key provider's evidence", "it is not an enclave's about the encrypted key")
        }
        if let accepted = rules.acceptedEnclaves, !accepted.contains(enclave.mrEnclave) {
            throw KeyProviderError(
                .notAccepted, "key provider", "the enclave \(enclave.mrEnclave.hex) is none of those that are accepted")
        }
        return ProvidedSeed(
            seed: try openSeed(response.encryptedKey),
            provider: KeyProviderInfo(kind: .localSGX, id: enclave.mrEnclave.bytes), report: report)
    }

    private borrowing func openSeed(_ box: [UInt8]) throws(KeyProviderError) -> AppKeySeed {
        do {
            let seed = try SealedBox.open(box, with: key)
            return try AppKeySeed(copying: seed.bytes)
        } catch {
            throw KeyProviderError(.notAuthentic, "encrypted key", "it is not sealed to the key of this exchange")
        }
    }

    /// What a provider's quote is about: the hash of the box, then zeros.
    package static func reportData(of encryptedKey: [UInt8]) -> FixedBytes<64> {
        var data = FixedBytes<64>()
        for (index, byte) in SHA256.hash(encryptedKey).bytes.enumerated() { data[index] = byte }
        return data
    }
}

/// Which local key providers are accepted.
package struct KeyProviderRules: Sendable {
    /// For the provider's evidence.
    package var policy: VerificationPolicy
    /// Measurements (MRENCLAVE) of the enclaves that are accepted; any if nil. Then the host chooses, and only who looks at
    /// the application's events later can tell.
    package var acceptedEnclaves: Set<FixedBytes<32>>?

    package init(policy: VerificationPolicy = .standard, acceptedEnclaves: Set<FixedBytes<32>>? = nil) {
        self.policy = policy
        self.acceptedEnclaves = acceptedEnclaves
    }
}

/// What a local key provider gave.
package struct ProvidedSeed: ~Copyable, Sendable {
    /// From which all keys of the application follow.
    package let seed: AppKeySeed
    /// As the application's events record it.
    package let provider: KeyProviderInfo
    /// What was verified of the provider.
    package let report: VerificationReport
}
