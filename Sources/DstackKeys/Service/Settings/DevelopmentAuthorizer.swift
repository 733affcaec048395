package import DstackAuthorization

/// Allows every machine to boot: for development, where evidence is simulated and keys protect nothing.
package struct DevelopmentAuthorizer: BootAuthorizer {
    private let gatewayAppID: String

    package init(gatewayAppID: String) { self.gatewayAppID = gatewayAppID }

    package func decide(_ info: BootInfo, as subject: BootSubject) async throws(AuthorizationError) -> BootDecision {
        .allowed(gatewayAppID: gatewayAppID)
    }

    /// Whoever asks is told that this is no service to trust.
    package func info() async throws(AuthorizationError) -> AuthorizerInfo {
        AuthorizerInfo(status: "development: every machine may boot", gatewayAppID: gatewayAppID)
    }
}
