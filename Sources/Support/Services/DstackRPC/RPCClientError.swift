package import DstackHTTPClient

/// Why a call has no result.
///
/// Two failures are equal if their codes are.
package struct RPCClientError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The exchange failed; ``RPCClientError/transport`` says how.
        case transport
        /// The peer has no such method.
        case unknownMethod
        /// The peer answered with an error; ``RPCClientError/reason`` is what it said.
        case refused
        /// What came back is not the message that was asked for.
        case invalidResponse
    }

    package let code: Code
    /// "GetQuote of DstackGuest"
    package let subject: String
    /// Of an answer; nil where there was none.
    package let status: Int?
    /// What the peer said, made fit for a log and cut where it is long, or what is wrong with its answer.
    package let reason: String
    package let transport: HTTPClientError?

    package init(
        _ code: Code, _ subject: String, status: Int? = nil, reason: String, transport: HTTPClientError? = nil
    ) {
        self.code = code
        self.subject = subject
        self.status = status
        self.reason = reason
        self.transport = transport
    }

    package var description: String {
        switch code {
        case .transport: "\(subject): \(reason)"
        case .unknownMethod: "\(subject): the peer has no such method (\(reason))"
        case .refused: "\(subject): refused with status \(status ?? 0): \(reason)"
        case .invalidResponse: "\(subject): the answer cannot be read: \(reason)"
        }
    }
}

extension RPCClientError: Equatable {
    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }
}
