package import DstackEncoding
package import DstackKeys
package import DstackStore
package import DstackSystem

/// Why the state of a KMS could not be read or changed. Never contains key material.
package struct KMSStateError: ModuleError {
    package enum Code: String, Sendable {
        /// A file or the store could not be read or written.
        case storage
        /// What is stored is not what was written.
        case corrupt
        /// Somebody else has changed it meanwhile.
        case conflict
        /// More waits than is kept waiting.
        case overloaded
        /// An entry, a head or a message that is not of the documented form.
        case malformed
        /// A signature that is not of the key that it should be.
        case notAuthentic = "not_authentic"
        /// A key that cannot be used, or does not belong to the others.
        case invalidKey = "invalid_key"
        /// Some files of a set of root keys are there, and others are missing.
        case partialKeys = "partial_keys"
        /// There are root keys, which are never replaced.
        case keysExist = "keys_exist"
        /// There are no root keys.
        case noKeys = "no_keys"
        /// An epoch that this replica has never heard of.
        case unknownEpoch = "unknown_epoch"
        /// An epoch that not every replica has stored yet, or of which this one has not heard it.
        case epochNotInForce = "epoch_not_in_force"
        /// An epoch that gives no keys any more.
        case retiredEpoch = "retired_epoch"
        /// An epoch that cannot be retired, since somebody has no later one.
        case currentEpoch = "current_epoch"
        /// A replica that cannot give itself up: the keys would be with nobody.
        case ownReplica = "own_replica"
        /// This replica has not got the epochs of the others yet, or was told to be none of them.
        case notAReplica = "not_a_replica"
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

    /// What names an epoch or keys that are not as the caller thought is the request's mistake; the rest is the world's.
    package var exitStatus: ExitStatus {
        let mistakes: Set<Code> = [
            .malformed, .keysExist, .noKeys, .unknownEpoch, .epochNotInForce, .retiredEpoch, .currentEpoch,
        ]
        return mistakes.contains(code) ? .wrongRequest : .worldFailed
    }
}
