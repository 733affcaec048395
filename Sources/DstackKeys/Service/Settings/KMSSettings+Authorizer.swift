package import DstackAuthorization
import DstackConfiguration
package import DstackSystem

extension KMSSettings.Authorization {
    /// Whoever decides by these settings. A policy must be right now; what becomes wrong later denies everything, as does a
    /// file with auth-simple's rules at any time.
    ///
    /// - Parameter userAgent: what a webhook is told: `dstack-kms/` and the version.
    /// - Throws: ``KMSServiceError`` `invalidConfiguration` for settings by which nothing could be decided.
    package func makeAuthorizer(
        userAgent: String, log: Log = Log("auth")
    ) throws(KMSServiceError) -> any BootAuthorizer {
        do throws(AuthorizationError) {
            switch self {
            case .webhook(let webhook):
                var configuration = WebhookAuthorizer.Configuration(url: webhook.url, userAgent: userAgent)
                configuration.timeout = webhook.timeout
                configuration.connectTimeout = min(configuration.connectTimeout, webhook.timeout)
                return try WebhookAuthorizer(configuration)
            case .development(let gateway): return DevelopmentAuthorizer(gatewayAppID: gateway)
            case .file(let path): return FileAuthorizer(path, log: log)
            case .policy(let path):
                try Self.checkPolicy(path)
                return PolicyAuthorizer(path, log: log)
            case .ethereum(let chain): return try EthereumAuthorizer(chain)
            }
        } catch {
            throw KMSServiceError(
                .invalidConfiguration, "core.auth_api: \(error.subject)", error.reason, hint: error.hint)
        }
    }

    private static func checkPolicy(_ path: String) throws(AuthorizationError) {
        func wrong(_ reason: String) -> AuthorizationError {
            AuthorizationError(.invalidConfiguration, subject: "policy", reason: reason)
        }
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try File.read(path, limit: 4 << 20) } catch { throw wrong("\(error)") }
        do throws(ConfigurationError) { _ = try BootPolicy(parsing: bytes, source: path) } catch {
            throw wrong("\(error)")
        }
    }
}
