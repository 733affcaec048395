package import DstackEncoding
package import DstackKeys
package import DstackStore
package import DstackSystem

/// Why the state of a KMS could not be read or changed. Never contains key material.
///
/// Two errors are equal if their codes are.
package struct KMSStateError: Error, Sendable {
    package struct Code: RawRepresentable, Hashable, Sendable {
        package let rawValue: String

        package init(rawValue: String) { self.rawValue = rawValue }

        /// A file or the store could not be read or written.
        package static let storage = Code(rawValue: "storage")
        /// What is stored is not what was written.
        package static let corrupt = Code(rawValue: "corrupt")
        /// Somebody else has changed it meanwhile.
        package static let conflict = Code(rawValue: "conflict")
        /// More waits than is kept waiting.
        package static let overloaded = Code(rawValue: "overloaded")
        /// An entry, a head or a message that is not of the documented form.
        package static let malformed = Code(rawValue: "malformed")
        /// A signature that is not of the key that it should be.
        package static let notAuthentic = Code(rawValue: "not_authentic")
        /// A key that cannot be used, or does not belong to the others.
        package static let invalidKey = Code(rawValue: "invalid_key")
        /// Some files of a set of root keys are there, and others are missing.
        package static let partialKeys = Code(rawValue: "partial_keys")
        /// There are root keys, which are never replaced.
        package static let keysExist = Code(rawValue: "keys_exist")
        /// There are no root keys.
        package static let noKeys = Code(rawValue: "no_keys")
        /// An epoch that this replica has never heard of.
        package static let unknownEpoch = Code(rawValue: "unknown_epoch")
        /// An epoch that not every replica has stored yet, or of which this one has not heard it.
        package static let epochNotInForce = Code(rawValue: "epoch_not_in_force")
        /// An epoch that gives no keys any more.
        package static let retiredEpoch = Code(rawValue: "retired_epoch")
        /// An epoch that cannot be retired, since somebody has no later one.
        package static let currentEpoch = Code(rawValue: "current_epoch")
        /// A replica that cannot give itself up: the keys would be with nobody.
        package static let ownReplica = Code(rawValue: "own_replica")
        /// This replica has not got the epochs of the others yet, or was told to be none of them.
        package static let notAReplica = Code(rawValue: "not_a_replica")
    }

    package let code: Code
    /// The file, the log, the epoch.
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

    package init(_ error: StoreError) {
        let code: Code =
            switch error.code {
            case .corrupt: .corrupt
            case .overloaded: .overloaded
            default: .storage
            }
        self.init(code, error.subject, error.reason, hint: error.hint)
    }

    package init(_ error: SystemError, _ subject: String) {
        self.init(.storage, error.subject ?? subject, error.description)
    }

    package init(_ code: Code, _ error: KeysError) {
        self.init(code, error.subject, error.reason, hint: error.hint)
    }

    package init(_ code: Code, _ failure: DecodingFailure) {
        let place = failure.offset.map { " at byte \($0)" } ?? ""
        self.init(code, failure.subject + place, failure.reason)
    }
}

extension KMSStateError: Equatable {
    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }
}

extension KMSStateError: CustomStringConvertible {
    /// `subject: reason (hint)`.
    package var description: String { explanation }
}

extension KMSStateError: ModuleError {
    /// What names an epoch or keys that are not as the caller thought is the request's mistake; the rest is the world's.
    package var exitStatus: ExitStatus {
        let mistakes: Set<Code> = [
            .malformed, .keysExist, .noKeys, .unknownEpoch, .epochNotInForce, .retiredEpoch, .currentEpoch,
        ]
        return mistakes.contains(code) ? .wrongRequest : .worldFailed
    }
}
