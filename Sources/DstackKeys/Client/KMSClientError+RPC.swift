import DstackHTTPClient
import DstackKeys
import DstackRPC

extension KMSClientError {
    init(_ error: RPCClientError, at url: String) {
        switch error.code {
        case .transport where error.transport?.code == .peerNotTrusted:
            self.init(.notTrusted, url, "\(error.subject): \(error.reason)", hint: "nothing was sent to it")
        case .transport where error.transport?.code == .invalidRequest:
            self.init(.invalidConfiguration, url, error.reason)
        case .transport where error.transport?.code == .invalidConfiguration:
            self.init(.invalidConfiguration, url, error.reason)
        case .transport: self.init(.unreachable, url, "\(error.subject): \(error.reason)")
        case .unknownMethod: self.init(.unsupported, url, "it has no method \(error.subject)")
        case .refused where (error.status ?? 0) >= 500:
            self.init(.failed, url, "\(error.subject): \(error.reason) (status \(error.status ?? 0))")
        case .refused: self.init(.refused, url, "\(error.subject): \(error.reason)")
        case .invalidResponse: self.init(.invalidAnswer, url, "\(error.subject): \(error.reason)")
        }
    }

    /// What of an answer is not as it must be.
    static func invalid(_ subject: String, _ reason: String) -> KMSClientError {
        KMSClientError(.invalidAnswer, subject, reason)
    }

    init(_ error: KeysError, _ subject: String) { self = .invalid(subject, error.description) }
}
