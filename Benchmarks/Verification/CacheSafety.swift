import DstackAttestation
import DstackMockTEE

/// Speed must not come from remembering an answer for too long: with collateral prepared and a platform known, a revoked
/// platform and expired collateral are still refused.
enum CacheSafety {
    static func check(at now: Int64) throws {
        let platform = try MockPlatform()
        let verifier = try QuoteVerifier(trustAnchor: TrustAnchor(certificate: platform.rootCertificate))
        let quote = try MockTrustDomain(on: platform).quote(reportData: [1, 2, 3])

        let prepared = verifier.prepare(try platform.collateral(for: .tdx, at: now))
        for _ in 0..<100 where prepared.verify(quote, at: now).verdict != .accepted {
            throw BenchmarkError("a good quote was rejected")
        }
        // The same prepared collateral, later.
        let expired = prepared.verify(quote, at: now + 400 * 86_400)
        guard expired.verdict == .rejected, expired.failure?.code == .expired else {
            throw BenchmarkError("expired collateral was accepted")
        }
        guard prepared.verify(quote, at: now).verdict == .accepted else {
            throw BenchmarkError("a good quote was rejected after an expiry")
        }
        // New collateral, whose revocation list names the platform.
        let revoking = verifier.prepare(try platform.collateral(for: .tdx, at: now) { $0.revokePCK() })
        for _ in 0..<2 {
            let revoked = revoking.verify(quote, at: now)
            guard revoked.verdict == .rejected, revoked.failure?.check == .pckRevocation else {
                throw BenchmarkError("a revoked platform was accepted")
            }
        }
    }
}
