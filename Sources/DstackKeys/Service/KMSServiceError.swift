package import DstackAuthorization
package import DstackKMS
package import DstackKeys
package import DstackRPC
package import DstackSystem

/// Why a KMS does not do what it was asked for. Its text goes to the caller and never contains key material.
package struct KMSServiceError: ModuleError {
    package enum Code: String, Sendable {
        /// A request that is not of the documented form, or asks for what nobody gets.
        case invalidRequest = "invalid_request"
        /// No evidence, or none that is believed.
        case notAttested = "not_attested"
        /// Whoever decides said no.
        case denied
        /// The operating system image is not known to be what it claims.
        case imageNotVerified = "image_not_verified"
        /// Settings by which no service can run.
        case invalidConfiguration = "invalid_configuration"
        /// Keys are there already, or are not there yet.
        case wrongState = "wrong_state"
        /// Somebody who has to be asked does not answer.
        case unavailable
        /// A fault of this service's own.
        case internalFault = "internal_fault"
    }

    package let code: Code
    /// What it is about.
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

    package init(_ error: AuthorizationError) {
        let code: Code =
            switch error.code {
            case .denied: .denied
            case .invalidConfiguration: .invalidConfiguration
            default: .unavailable
            }
        // Who was asked, and what became of it, is for this service's log: addresses may have secrets in them.
        let isAnswer = code != .unavailable
        self.init(
            code, isAnswer ? error.subject : "authorization", isAnswer ? error.reason : error.publicReason,
            hint: isAnswer ? error.hint : "")
    }

    package init(_ error: KMSStateError) {
        let code: Code =
            switch error.code {
            case .unknownEpoch, .epochNotInForce, .retiredEpoch, .currentEpoch, .ownReplica: .invalidRequest
            case .keysExist, .noKeys: .wrongState
            case .overloaded, .notAReplica: .unavailable
            default: .internalFault
            }
        self.init(code, error.subject, error.reason, hint: error.hint)
    }

    package init(_ error: KeysError, _ code: Code = .internalFault) {
        self.init(code, error.subject, error.reason, hint: error.hint)
    }

    /// As callers are answered: what they can change is theirs (400), what they can only wait for is 503.
    package var rpcError: RPCError {
        switch code {
        case .unavailable: RPCError(explanation, status: 503)
        case .internalFault, .invalidConfiguration: RPCError(explanation, status: 500)
        default: RPCError(explanation)
        }
    }

    package var exitStatus: ExitStatus {
        switch code {
        case .denied, .notAttested, .imageNotVerified: .no
        case .invalidRequest, .invalidConfiguration, .wrongState: .wrongRequest
        default: .worldFailed
        }
    }
}
