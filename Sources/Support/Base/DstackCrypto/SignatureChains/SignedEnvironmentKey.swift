package import DstackEncoding

/// The X25519 key to which environments for an application are encrypted, with a KMS's signature on it.
///
/// Whoever encrypts verifies it first: a key that somebody put in its place would give him every secret.
package struct SignedEnvironmentKey: Sendable, Hashable {
    package let appID: FixedBytes<20>
    package let key: FixedBytes<32>
    /// When it was signed, Unix seconds; nil for the older form, which can be replayed for ever.
    package let timestamp: UInt64?
    package let signature: Secp256k1.Signature

    package init(
        appID: FixedBytes<20>, key: FixedBytes<32>, timestamp: UInt64?, signature: Secp256k1.Signature
    ) {
        self.appID = appID
        self.key = key
        self.timestamp = timestamp
        self.signature = signature
    }

    /// Signs a key.
    package init(
        appID: FixedBytes<20>, key: FixedBytes<32>, timestamp: UInt64?, by root: borrowing Secp256k1.PrivateKey
    ) throws(CryptoFailure) {
        self.init(
            appID: appID, key: key, timestamp: timestamp,
            signature: try root.signature(on: .environmentKey(appID: appID, key: key, timestamp: timestamp)))
    }

    /// The key that signed it, which the caller compares with the KMS's.
    ///
    /// - Parameters:
    ///   - now: Unix seconds.
    ///   - maximumAge: how many seconds ago it may have been signed.
    ///   - tolerance: how many seconds the KMS's clock may be ahead.
    /// - Throws: ``CryptoFailure`` if the signature is too old or from the future, or nobody's. Without a timestamp only
    ///   the last can be said.
    package func signer(
        now: Int64, maximumAge: UInt64 = 300, tolerance: UInt64 = 60
    ) throws(CryptoFailure) -> Secp256k1.PublicKey {
        if let timestamp {
            let now = UInt64(clamping: now)
            guard timestamp <= now || timestamp - now <= tolerance else {
                throw CryptoFailure(
                    .outOfRange, "environment key", "signed \(timestamp - now) s in the future; at most \(tolerance) s")
            }
            guard timestamp >= now || now - timestamp <= maximumAge else {
                throw CryptoFailure(
                    .outOfRange, "environment key", "signed \(now - timestamp) s ago; at most \(maximumAge) s")
            }
        }
        return try signature.signer(of: .environmentKey(appID: appID, key: key, timestamp: timestamp))
    }
}
