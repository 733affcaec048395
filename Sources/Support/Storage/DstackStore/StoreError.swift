package import DstackSystem
import Glibc

/// Why a store could not do what it was asked. Never contains what is stored.
package struct StoreError: ModuleError {
    package enum Code: String, Sendable {
        /// Bytes on the disk are not those that were written. Nothing of this store is to be believed.
        case corrupt
        /// No room on the disk. What was asked has not happened; it may be asked again when there is room.
        case full
        /// Written by a later version of this program.
        case newerVersion = "newer_version"
        /// Another process has it.
        case inUse = "in_use"
        /// More waits already than is kept waiting.
        case overloaded
        /// It was closed.
        case closed
        /// Over ``StoreLimits``.
        case tooLarge = "too_large"
        /// A request that makes no sense.
        case invalid
        /// A file or directory that others could read or change, or that is none.
        case unsafePlace = "unsafe_place"
        /// The disk failed while something was made durable: nobody knows whether it is. Nothing more is done; whoever opens
        /// the store again finds one or the other.
        case unknownOutcome = "unknown_outcome"
        /// The system refuses, for another reason.
        case system
    }

    package let code: Code
    /// The file, the key or the log.
    package let subject: String
    package let reason: String
    /// What can be done about it; empty if nothing.
    package let hint: String

    package init(_ code: Code, _ subject: String, _ reason: String, hint: String = "") {
        self.code = code
        self.subject = subject
        self.reason = reason
        self.hint = hint
    }

    package init(_ error: SystemError, _ subject: String) {
        let code: Code =
            switch error.code {
            case ENOSPC, EDQUOT: .full
            case ELOOP, ENOTDIR: .unsafePlace
            default: .system
            }
        self.init(code, error.subject ?? subject, error.description)
    }

    package var exitStatus: ExitStatus {
        switch code {
        case .newerVersion, .tooLarge, .invalid, .unsafePlace: .wrongRequest
        case .corrupt, .full, .inUse, .overloaded, .closed, .unknownOutcome, .system: .worldFailed
        }
    }
}
