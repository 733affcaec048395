package import DstackAuthorization
import DstackSystem

extension BootJudge {
    /// Asks whether a machine may boot.
    ///
    /// - Parameter denied: what a no becomes. Its reason is another service's text: it is shown as one plain line, and cut.
    /// - Returns: the gateways' application.
    /// - Throws: what `denied` makes; ``KMSServiceError/Code/unavailable`` where there is no answer, whose cause is for the log
    ///   and not for the caller.
    package func permission(
        for boot: BootInfo, as subject: BootSubject, denied: (_ reason: String) -> KMSServiceError
    ) async throws(KMSServiceError) -> String {
        let decision: BootDecision
        do throws(AuthorizationError) {
            decision = try await authorizer.decide(boot, as: subject)
        } catch {
            log.warn(
                "nobody decided",
                ["subject": subject.rawValue, "authorizer": error.subject, "reason": error.reason])
            throw KMSServiceError(error)
        }
        guard decision.isAllowed else {
            throw denied(decision.reason.isEmpty ? "no reason was given" : SafeText.line(decision.reason, limit: 512))
        }
        return decision.gatewayAppID
    }
}
