/// Whoever decides which machines may boot with keys.
///
/// A denial is an answer. What is thrown is that there is no answer, which nobody may take for a yes.
package protocol BootAuthorizer: Sendable {
    /// - Throws: ``AuthorizationError`` `unavailable` or `invalidAnswer`.
    func decide(_ info: BootInfo, as subject: BootSubject) async throws(AuthorizationError) -> BootDecision

    /// What it says about itself.
    func info() async throws(AuthorizationError) -> AuthorizerInfo
}

extension BootAuthorizer {
    /// The gateway's application, if the machine may boot.
    ///
    /// - Throws: ``AuthorizationError``, `denied` for a no.
    package func authorize(_ info: BootInfo, as subject: BootSubject) async throws(AuthorizationError) -> String {
        let decision = try await decide(info, as: subject)
        guard decision.isAllowed else {
            throw AuthorizationError(.denied, subject: subject.rawValue, reason: decision.reason)
        }
        return decision.gatewayAppID
    }
}
