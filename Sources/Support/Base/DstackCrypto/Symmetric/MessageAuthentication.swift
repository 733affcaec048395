internal import COpenSSL
package import DstackEncoding

/// HMAC with SHA-256 (RFC 2104, FIPS 198-1).
package enum HMACSHA256 {
    package static func code(for message: RawSpan, key: borrowing SecretBytes) -> FixedBytes<32> {
        hmac(message, key)
    }

    package static func code(for message: [UInt8], key: borrowing SecretBytes) -> FixedBytes<32> {
        hmac(message.span.bytes, key)
    }

    /// Whether a received code is the right one; the time does not depend on where they differ.
    package static func isValid(_ code: [UInt8], for message: [UInt8], key: borrowing SecretBytes) -> Bool {
        constantTimeEqual(code, Self.code(for: message, key: key).bytes)
    }
}

/// HMAC with SHA-512 (RFC 2104, FIPS 198-1).
package enum HMACSHA512 {
    package static func code(for message: RawSpan, key: borrowing SecretBytes) -> FixedBytes<64> {
        hmac(message, key)
    }

    package static func code(for message: [UInt8], key: borrowing SecretBytes) -> FixedBytes<64> {
        hmac(message.span.bytes, key)
    }

    /// Whether a received code is the right one; the time does not depend on where they differ.
    package static func isValid(_ code: [UInt8], for message: [UInt8], key: borrowing SecretBytes) -> Bool {
        constantTimeEqual(code, Self.code(for: message, key: key).bytes)
    }
}

private func hmac<let count: Int>(_ message: RawSpan, _ key: borrowing SecretBytes) -> FixedBytes<count> {
    var status: CInt = -1
    let code = FixedBytes<count> { output in
        key.withUnsafeBytes { key in
            message.withUnsafeBytes { input in
                status = dstack_hmac(
                    CInt(count * 8), key.baseAddress?.assumingMemoryBound(to: UInt8.self), key.count,
                    input.baseAddress?.assumingMemoryBound(to: UInt8.self), input.count, output)
            }
        }
    }
    // Only a failed allocation gets here, and a code that was not computed must not be compared with.
    precondition(status == 1, "HMAC failed")
    return code
}
