import DstackCrypto
import DstackEncoding
package import DstackSystem

/// Why the simulated TEE could not do what it was asked. Two errors are equal if their codes are.
public struct MockTEEError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure. Open: later versions may add codes, so a `switch` needs a default.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// The stable name of the code.
        public let rawValue: String

        /// A code by its stable name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// A key or certificate could not be made: OpenSSL failed, or a date has no form in X.509.
        public static let cryptography = Code(rawValue: "cryptography")
        /// A platform could not be written or read.
        public static let storage = Code(rawValue: "storage")
        /// A file of somebody else's is where one of a platform's would be.
        public static let foreignFile = Code(rawValue: "foreign_file")
        /// A register that does not exist or cannot be extended.
        public static let register = Code(rawValue: "register")
        /// More report data than fits.
        public static let reportData = Code(rawValue: "report_data")
    }

    /// The kind of failure.
    public let code: Code
    /// What was being made or read.
    public let subject: String
    /// What is wrong, lower-case.
    public let reason: String
    /// Whether the disk failed or was full, and nothing is wrong with what was asked.
    package private(set) var isOfWorld = false

    init(_ code: Code, _ subject: String, _ reason: String) {
        self.code = code
        self.subject = subject
        self.reason = reason
    }

    init(_ failure: CryptoFailure) { self.init(.cryptography, failure.subject, failure.reason) }
    init(_ failure: SystemError) {
        self.init(.storage, failure.subject ?? "simulated platform", failure.description)
        isOfWorld = failure.isOfWorld
    }
    init(_ failure: DecodingFailure, in path: String) { self.init(.storage, path, failure.description) }

    /// `subject: reason`.
    public var description: String { explanation }

    /// Errors are equal if their codes are.
    public static func == (left: MockTEEError, right: MockTEEError) -> Bool { left.code == right.code }
}

extension MockTEEError: ModuleError {
    package var hint: String { "" }
    package var exitStatus: ExitStatus { code == .foreignFile ? .wrongRequest : .worldFailed }
}
