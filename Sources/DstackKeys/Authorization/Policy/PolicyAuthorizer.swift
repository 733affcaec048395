package import DstackConfiguration
package import DstackSystem

/// Decides by a policy file of rules, which holds as soon as it is written. One that is missing or wrong denies everything.
package final class PolicyAuthorizer: BootAuthorizer {
    private static let limit = 4 << 20

    private let file: WatchedFile<BootPolicy>

    package init(_ path: String, log: Log = Log("auth")) {
        file = WatchedFile(path, limit: Self.limit) { (bytes) throws(WatchedFile<BootPolicy>.Unusable) in
            do throws(ConfigurationError) {
                return try BootPolicy(parsing: bytes, source: path)
            } catch {
                throw WatchedFile<BootPolicy>.Unusable(error.description)
            }
        } whenChanged: { outcome in
            switch outcome {
            case .success(let policy): log.info("policy read", ["file": path, "rules": policy.rules.count])
            case .failure(let problem):
                log.error(
                    "the policy cannot be used: everything is denied", ["file": path, "reason": problem.description])
            }
        }
    }

    package func decide(_ info: BootInfo, as subject: BootSubject) async throws(AuthorizationError) -> BootDecision {
        switch await file.value() {
        case .success(let policy): return policy.explanation(for: info, as: subject).decision
        case .failure: return .denied("the policy cannot be used")
        }
    }

    package func info() async throws(AuthorizationError) -> AuthorizerInfo {
        switch await file.value() {
        case .success(let policy): return AuthorizerInfo(gatewayAppID: policy.gatewayAppID)
        case .failure: return AuthorizerInfo(status: "error", gatewayAppID: "")
        }
    }
}

extension BootPolicy {
    /// Reads the bytes of a policy file.
    ///
    /// - Parameter source: what the file is called.
    package init(parsing bytes: [UInt8], source: String) throws(ConfigurationError) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError([
                ConfigurationProblem(origin: nil, path: "", message: "\(source) is not valid UTF-8 text")
            ])
        }
        try self.init(parsing: text, source: source)
    }
}
