package import DstackAttestation
package import DstackCrypto
package import DstackEncoding
package import DstackSystem

/// Why this module could not do what it was asked: what failed, in what, and why. Never contains key material.
///
/// Two errors are equal if their codes are.
public struct KeysError: Error, Sendable {
    /// What kind of failure. Open: later versions may add codes, so a `switch` needs a default.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// The stable name of the code, as logs show it.
        public let rawValue: String

        /// A code by its stable name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// Bytes that are no key of the algorithm, or a derivation that does not lead to one.
        public static let invalidKey = Code(rawValue: "invalid_key")
        /// A file with keys that is not of the documented form.
        public static let invalidKeyFile = Code(rawValue: "invalid_key_file")
        /// A signing request, or a message to sign, that is not of the documented form.
        public static let invalidRequest = Code(rawValue: "invalid_request")
        /// An encrypted environment that is not of the documented form.
        public static let invalidEnvironment = Code(rawValue: "invalid_environment")
        /// A certificate that cannot be read or has no place where it was given.
        public static let invalidCertificate = Code(rawValue: "invalid_certificate")
        /// A name, usage or time that a certificate cannot have.
        public static let invalidCertificateContent = Code(rawValue: "invalid_certificate_content")
        /// A signature that does not match, or evidence that is about something else.
        public static let notAuthentic = Code(rawValue: "not_authentic")
        /// A file could not be read or written.
        public static let storage = Code(rawValue: "storage")
        /// The cryptographic library failed, whatever the input.
        public static let cryptography = Code(rawValue: "cryptography")
    }

    /// The kind of failure.
    public let code: Code
    /// What was being read or done: a field, a file, a key.
    public let subject: String
    /// What is wrong, lower-case; where it helps, what would be right.
    public let reason: String
    /// What to do about it; empty if there is nothing to say.
    public let hint: String

    /// An error with its facts.
    public init(_ code: Code, subject: String, reason: String, hint: String = "") {
        self.code = code
        self.subject = subject
        self.reason = reason
        self.hint = hint
    }

    package init(_ code: Code, _ failure: DecodingFailure) {
        let place = failure.offset.map { " at byte \($0)" } ?? ""
        self.init(code, subject: failure.subject + place, reason: failure.reason)
    }

    /// - Parameter code: for a failure that is about the input; the library's own failures keep theirs.
    package init(_ code: Code, _ failure: CryptoFailure) {
        let code: Code =
            switch failure.code {
            case .library: .cryptography
            case .notAuthentic: .notAuthentic
            case .malformed, .outOfRange, .unsupported: code
            }
        self.init(code, subject: failure.subject, reason: failure.reason)
    }

    package init(_ code: Code, _ error: AttestationError) {
        self.init(code, subject: error.subject, reason: error.reason, hint: error.hint)
    }

    package init(_ failure: SystemError, _ subject: String) {
        self.init(.storage, subject: failure.subject ?? subject, reason: failure.description)
    }
}

extension KeysError: Equatable {
    /// Errors are equal if their codes are.
    public static func == (left: KeysError, right: KeysError) -> Bool { left.code == right.code }
}

extension KeysError: CustomStringConvertible {
    /// `subject: reason (hint)`.
    public var description: String { explanation }
}

extension KeysError: ModuleError {
    /// What was given is wrong, but for a file system or a library that fails.
    package var exitStatus: ExitStatus { [.storage, .cryptography].contains(code) ? .worldFailed : .wrongRequest }
}

extension KeysError {
    /// Runs `body` and turns what went wrong in the cryptography into an error of this module.
    static func crypto<Value: ~Copyable>(
        _ code: Code, _ body: () throws(CryptoFailure) -> Value
    ) throws(KeysError) -> Value {
        do {
            return try body()
        } catch {
            throw KeysError(code, error)
        }
    }

    /// The same for decoding.
    static func decoding<Value: ~Copyable>(
        _ code: Code, _ body: () throws(DecodingFailure) -> Value
    ) throws(KeysError) -> Value {
        do {
            return try body()
        } catch {
            throw KeysError(code, error)
        }
    }
}
