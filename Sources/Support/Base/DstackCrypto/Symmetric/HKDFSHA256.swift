internal import COpenSSL

/// HKDF with SHA-256 (RFC 5869).
package enum HKDFSHA256 {
    /// The most bytes that one derivation gives: 255 blocks.
    package static let longestOutput = 255 * 32

    /// Extract, then expand: `count` bytes that only who knows the key material can compute, different for every info.
    ///
    /// - Throws: ``CryptoFailure`` if `count` is negative or more than ``longestOutput``.
    package static func deriveKey(
        from material: RawSpan, salt: [UInt8], info: [UInt8], count: Int
    ) throws(CryptoFailure) -> SecretBytes {
        try expand(extract(material, salt: salt), info: info, count: count)
    }

    /// The same with an info given in parts, which are put together without separators or lengths: `["ab", "c"]` and
    /// `["a", "bc"]` derive the same key. Formats that are fixed that way need it; a new format frames its parts.
    package static func deriveKey(
        from material: RawSpan, salt: [UInt8], unframedInfo parts: [[UInt8]], count: Int
    ) throws(CryptoFailure) -> SecretBytes {
        try deriveKey(from: material, salt: salt, info: [UInt8](parts.joined()), count: count)
    }

    /// HKDF-Extract: a pseudorandom key of 32 bytes. An empty salt is the same as one of 32 zero bytes.
    package static func extract(_ material: RawSpan, salt: [UInt8]) -> SecretBytes {
        SecretBytes(count: 32) { (output: UnsafeMutableRawBufferPointer) in
            let status = material.withUnsafeBytes { input in
                dstack_hmac(
                    256, salt, salt.count, input.baseAddress?.assumingMemoryBound(to: UInt8.self), input.count,
                    output.baseAddress?.assumingMemoryBound(to: UInt8.self))
            }
            // Only a failed allocation gets here, and zeros must not become a key.
            precondition(status == 1, "HMAC failed")
        }
    }

    /// HKDF-Expand of a pseudorandom key.
    package static func expand(
        _ key: borrowing SecretBytes, info: [UInt8], count: Int
    ) throws(CryptoFailure) -> SecretBytes {
        guard (0...longestOutput).contains(count) else {
            throw CryptoFailure(
                .outOfRange, "HKDF-SHA256", "\(count) bytes asked for; 0 to \(longestOutput) can be derived")
        }
        return try SecretBytes(count: count) { (output: UnsafeMutableRawBufferPointer) throws(CryptoFailure) in
            let status = key.withUnsafeBytes { key in
                dstack_hkdf_expand_sha256(
                    key.baseAddress?.assumingMemoryBound(to: UInt8.self), key.count, info, info.count,
                    output.baseAddress?.assumingMemoryBound(to: UInt8.self), output.count)
            }
            guard status == 1 else { throw .library("HKDF-SHA256") }
        }
    }
}
