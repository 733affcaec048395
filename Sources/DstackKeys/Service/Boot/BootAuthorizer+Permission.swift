import DstackAuthorization
import DstackSystem

extension BootAuthorizer {
    /// The gateways' application, if the machine may boot.
    ///
    /// - Parameter denied: what a no becomes. Its reason is another service's text: it is shown as one plain line, and cut.
    /// - Throws: what `denied` makes; ``KMSServiceError/Code/unavailable`` where there is no answer.
    func permission(
        for boot: BootInfo, as subject: BootSubject, denied: (_ reason: String) -> KMSServiceError
    ) async throws(KMSServiceError) -> String {
        let decision: BootDecision
        do throws(AuthorizationError) {
            decision = try await decide(boot, as: subject)
        } catch {
            throw KMSServiceError(error)
        }
        guard decision.isAllowed else {
            throw denied(decision.reason.isEmpty ? "no reason was given" : SafeText.line(decision.reason, limit: 512))
        }
        return decision.gatewayAppID
    }
}
