internal import DstackAttestation

/// The steps in which the verifier service reports, in order. Each names its failures by a phrase that clients of
/// upstream's service know.
enum VerifierStage: Sendable, CaseIterable {
    /// The quote is genuine, and registers and report data are those of the evidence around it.
    case quote
    /// The OS image.
    case osImage
    /// The application.
    case eventLog
    /// What the relying party accepts and expects.
    case policy

    /// What stands before the reason of a failure.
    var failurePrefix: String {
        switch self {
        case .quote: "Quote verification failed"
        case .osImage: "OS image hash verification failed"
        case .eventLog: "Event log verification failed"
        case .policy: "Policy check failed"
        }
    }

    /// The step that a check belongs to. New checks are part of the first step until they are sorted in here, so that none
    /// is ever left out.
    init(_ check: CheckID) {
        switch check {
        case .osImage: self = .osImage
        case .applicationIdentity, .composeHash, .configurationID: self = .eventLog
        case .policyTCBStatus, .policyPlatformGrace, .policyQEGrace, .policyAdvisories, .policyEvaluationDataNumber,
            .policyDynamicPlatform, .policyCachedKeys, .policySMT, .policySGXType, .policyCollateralAge,
            .policyPlatforms, .expectedReportData, .expectedMeasurements, .expectedApplication:
            self = .policy
        default: self = .quote
        }
    }

    /// Why a step did not pass: its first check that failed or was not made; nil if all passed or do not apply.
    func failure(in report: VerificationReport) -> String? {
        for check in report.checks where VerifierStage(check.id) == self {
            switch check.outcome {
            case .passed, .notApplicable: continue
            case .failed: return "\(check.id.name): \(check.message)"
            case .notReached: return "\(check.id.name): was not checked"
            }
        }
        return nil
    }
}
