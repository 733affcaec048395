internal import COpenSSL
package import DstackEncoding

/// SHA-256 (FIPS 180-4).
package enum SHA256 {
    package static func hash(_ data: [UInt8]) -> FixedBytes<32> { hash(data.span.bytes) }

    package static func hash(_ data: RawSpan) -> FixedBytes<32> {
        FixedBytes(filling: { output in
            data.withUnsafeBytes { input in
                dstack_sha256(input.baseAddress, input.count, output)
            }
        })
    }
}

/// SHA-384 (FIPS 180-4).
package enum SHA384 {
    package static func hash(_ data: [UInt8]) -> FixedBytes<48> { hash(data.span.bytes) }

    package static func hash(_ data: RawSpan) -> FixedBytes<48> {
        FixedBytes(filling: { output in
            data.withUnsafeBytes { input in
                dstack_sha384(input.baseAddress, input.count, output)
            }
        })
    }
}

/// SHA-512 (FIPS 180-4).
package enum SHA512 {
    package static func hash(_ data: [UInt8]) -> FixedBytes<64> { hash(data.span.bytes) }

    package static func hash(_ data: RawSpan) -> FixedBytes<64> {
        FixedBytes(filling: { output in
            data.withUnsafeBytes { input in
                dstack_sha512(input.baseAddress, input.count, output)
            }
        })
    }
}

extension FixedBytes {
    /// Lets a C function write all `count` bytes.
    package init(filling body: (UnsafeMutablePointer<UInt8>) -> Void) {
        self.init()
        withUnsafeMutableBytes { body($0) }
    }
}
