internal import COpenSSL
package import DstackEncoding

/// SHA-1 (FIPS 180-4), for formats that prescribe it where nobody relies on it being hard to invert or to collide.
package enum SHA1 {
    package static func hash(_ data: [UInt8]) -> FixedBytes<20> { digest(data.span.bytes, dstack_sha1) }
}

/// SHA-256 (FIPS 180-4).
package enum SHA256 {
    package static func hash(_ data: [UInt8]) -> FixedBytes<32> { hash(data.span.bytes) }

    package static func hash(_ data: RawSpan) -> FixedBytes<32> { digest(data, dstack_sha256) }
}

/// SHA-384 (FIPS 180-4).
package enum SHA384 {
    package static func hash(_ data: [UInt8]) -> FixedBytes<48> { hash(data.span.bytes) }

    package static func hash(_ data: RawSpan) -> FixedBytes<48> { digest(data, dstack_sha384) }
}

/// SHA-512 (FIPS 180-4).
package enum SHA512 {
    package static func hash(_ data: [UInt8]) -> FixedBytes<64> { hash(data.span.bytes) }

    package static func hash(_ data: RawSpan) -> FixedBytes<64> { digest(data, dstack_sha512) }
}

/// A digest by one of OpenSSL's functions, which writes as many bytes as it has.
@inline(__always)
private func digest<let count: Int>(
    _ data: RawSpan, _ function: (UnsafeRawPointer?, Int, UnsafeMutablePointer<UInt8>?) -> Void
) -> FixedBytes<count> {
    FixedBytes(filling: { output in
        data.withUnsafeBytes { input in function(input.baseAddress, input.count, output) }
    })
}

extension FixedBytes {
    /// Lets a C function write all `count` bytes.
    @inline(__always)
    package init(filling body: (UnsafeMutablePointer<UInt8>) -> Void) {
        self.init()
        withUnsafeMutableBytes { body($0) }
    }
}

/// SHA3-256 (FIPS 202). Ethereum's hash is ``Keccak``, not this.
package enum SHA3_256 {
    package static func hash(_ data: [UInt8]) -> FixedBytes<32> { sha3(data.span.bytes) }
    package static func hash(_ data: RawSpan) -> FixedBytes<32> { sha3(data) }
}

/// SHA3-384 (FIPS 202).
package enum SHA3_384 {
    package static func hash(_ data: [UInt8]) -> FixedBytes<48> { sha3(data.span.bytes) }
    package static func hash(_ data: RawSpan) -> FixedBytes<48> { sha3(data) }
}

/// SHA3-512 (FIPS 202).
package enum SHA3_512 {
    package static func hash(_ data: [UInt8]) -> FixedBytes<64> { sha3(data.span.bytes) }
    package static func hash(_ data: RawSpan) -> FixedBytes<64> { sha3(data) }
}

private func sha3<let count: Int>(_ data: RawSpan) -> FixedBytes<count> {
    var status: CInt = -1
    let digest = FixedBytes<count> { output in
        data.withUnsafeBytes { input in
            status = dstack_sha3(
                CInt(count * 8), input.baseAddress?.assumingMemoryBound(to: UInt8.self), input.count, output)
        }
    }
    // Only a failed allocation gets here, and a digest that was not computed must not be used.
    precondition(status == 1, "SHA-3 failed")
    return digest
}

extension SHA256 {
    /// The digest of a secret, which is a secret itself (a key derived from key material).
    package static func secretHash(_ data: RawSpan) -> SecretBytes {
        SecretBytes(count: 32) { (output: UnsafeMutableRawBufferPointer) in
            data.withUnsafeBytes { input in
                dstack_sha256(
                    input.baseAddress, input.count, output.baseAddress?.assumingMemoryBound(to: UInt8.self))
            }
        }
    }
}
