import DstackEncoding
package import DstackSystem

/// Decides by a file with upstream's auth-simple rules, which holds as soon as it is written.
///
/// A file that is missing, damaged or of another shape denies everything, as an empty object does; the log says why, once.
///
/// One rule is stricter than upstream's: an empty device list allows no device, unless the file has
/// `"emptyDevicesMeanAny": true`.
package final class FileAuthorizer: BootAuthorizer {
    private static let limit = 4 << 20

    private let file: WatchedFile<FilePolicy>

    /// - Parameter clock: for tests.
    package init(_ path: String, log: Log = Log("auth"), clock: any WallClock = .system) {
        file = WatchedFile(path, limit: Self.limit, clock: clock) { (bytes) throws(WatchedFile<FilePolicy>.Unusable) in
            do throws(DecodingFailure) {
                return try FilePolicy(parsingJSON: bytes, subject: path)
            } catch {
                throw WatchedFile<FilePolicy>.Unusable(error.description)
            }
        } whenChanged: { outcome in
            switch outcome {
            case .success(let policy):
                log.info("rules read", ["file": path, "apps": policy.apps.count])
                for remark in policy.remarks { log.warn("remark on the rules", ["file": path, "remark": remark]) }
            case .failure(let problem):
                log.error(
                    "the rules cannot be used: everything is denied", ["file": path, "reason": problem.description])
            }
        }
    }

    package func decide(_ info: BootInfo, as subject: BootSubject) async throws(AuthorizationError) -> BootDecision {
        switch await file.value() {
        case .success(let policy): return policy.decision(on: info, as: subject)
        case .failure:
            // In the words of an empty file; whatever those should ever say, the answer is no.
            return .denied(FilePolicy().decision(on: info, as: subject).reason)
        }
    }

    package func info() async throws(AuthorizationError) -> AuthorizerInfo {
        switch await file.value() {
        case .success(let policy):
            return AuthorizerInfo(
                kmsContractAddress: policy.kmsContractAddress, gatewayAppID: policy.gatewayAppID,
                chainID: policy.chainID, appImplementation: policy.appImplementation)
        case .failure: return AuthorizerInfo(status: "error", gatewayAppID: "")
        }
    }
}
