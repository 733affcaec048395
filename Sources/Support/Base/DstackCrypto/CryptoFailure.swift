/// Why a cryptographic operation or the decoding of a key was refused. Never contains key material, plaintext or other
/// bytes of the input, so it may be logged.
package struct CryptoFailure: Error, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// The bytes do not have the form that the format requires.
        case malformed
        /// A number or a point is not one that the algorithm allows (zero, not below the order, not on the curve).
        case outOfRange
        /// A form, algorithm or size that this module does not offer.
        case unsupported
        /// An authentication tag or a signature does not match. Says nothing more on purpose.
        case notAuthentic
        /// The cryptographic library failed (memory, configuration), whatever the input.
        case library
    }

    package let code: Code
    /// What was being read or done ("P-256 private key").
    package let subject: String
    /// What is wrong and what would be right, lower-case, without a full stop.
    package let reason: String

    package init(_ code: Code, _ subject: String, _ reason: String) {
        self.code = code
        self.subject = subject
        self.reason = reason
    }

    package static func library(_ subject: String) -> CryptoFailure {
        CryptoFailure(.library, subject, "OpenSSL failed (out of memory or misconfigured)")
    }

    package var description: String { "\(subject): \(reason)" }
}
