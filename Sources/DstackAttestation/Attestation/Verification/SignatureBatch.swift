import DstackCrypto
import DstackEncoding
import Synchronization

/// Signatures of one verification whose modular inverses were found together. An inverse is a function of the signature
/// alone, so the batch decides nothing.
struct SignatureBatch: Sendable {
    private let signatures: [P256Signature]
    private let proven: ProvenSignatures?

    /// - Parameter proven: for prepared collateral, what its authorities are known to have signed.
    init(_ signatures: [P256Signature], proven: ProvenSignatures? = nil) {
        var prepared = signatures
        P256Signature.prepare(&prepared)
        self.signatures = prepared
        self.proven = proven
    }

    func prepared(_ signature: P256Signature) -> P256Signature {
        signatures.first { $0 == signature } ?? signature
    }

    /// Whether a signature is by a key.
    ///
    /// - Parameter isByAuthority: whether it is the same for many platforms, and so worth remembering.
    func isValid(
        _ signature: P256Signature, digest: FixedBytes<32>, by key: P256VerifyingKey, isByAuthority: Bool = false
    ) -> Bool {
        guard isByAuthority, let proven else { return key.isValid(prepared(signature), digest: digest) }
        let fact = ProvenSignatures.Fact(key: key.point, digest: digest, signature: signature.raw)
        if proven.contains(fact) { return true }
        guard key.isValid(prepared(signature), digest: digest) else { return false }
        proven.insert(fact)
        return true
    }
}

/// Signatures that have been found good while collateral is prepared: those of the certificates of the PCK CAs and of the
/// revocation list, which all platforms share. Facts about bytes, none of which can become untrue; whether what is signed
/// is current, and whether anything in it is revoked, is asked each time.
final class ProvenSignatures: Sendable {
    struct Fact: Equatable {
        let key: FixedBytes<64>
        let digest: FixedBytes<32>
        let signature: FixedBytes<64>
    }

    /// Intel has two PCK CAs; an authority that signed its certificates again and again would only push facts out.
    private static let capacity = 8
    private let facts = Mutex<[Fact]>([])

    func contains(_ fact: Fact) -> Bool { facts.withLock { $0.contains(fact) } }

    func insert(_ fact: Fact) {
        facts.withLock { facts in
            if facts.contains(fact) { return }
            if facts.count == Self.capacity { facts.removeFirst() }
            facts.append(fact)
        }
    }
}
