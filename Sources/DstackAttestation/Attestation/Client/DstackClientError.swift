import DstackCrypto
import DstackEncoding
import DstackHTTPClient
import DstackRPC

/// Why a guest agent's client has no result: what was asked, of whom, what went wrong and what to do about it.
///
/// Two errors are equal if their codes are. No text in it holds a key, neither the caller's nor the agent's.
public struct DstackClientError: Error, Sendable {
    /// What kind of failure. Open: later versions may add codes, so a `switch` needs a default.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// The stable name of the code, as logs show it.
        public let rawValue: String

        /// A code by its stable name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// There is no agent where one was looked for: no variable names it, and none of its sockets exists.
        public static let agentNotFound = Code(rawValue: "agent_not_found")
        /// The endpoint is none: not a URL, or a path that is too long for a socket.
        public static let invalidEndpoint = Code(rawValue: "invalid_endpoint")
        /// Nothing accepts connections there.
        public static let unreachable = Code(rawValue: "unreachable")
        /// The connection broke before the answer was complete.
        public static let connectionLost = Code(rawValue: "connection_lost")
        /// There was no answer in time.
        public static let timeout = Code(rawValue: "timeout")
        /// The task that waited was cancelled.
        public static let cancelled = Code(rawValue: "cancelled")
        /// What was asked for makes no sense, so that nothing was sent.
        public static let invalidRequest = Code(rawValue: "invalid_request")
        /// The agent has no such method, or its version or platform cannot do what was asked.
        public static let unsupported = Code(rawValue: "unsupported")
        /// The agent refused, or failed to do, what was asked; ``DstackClientError/reason`` is what it said.
        public static let refused = Code(rawValue: "refused")
        /// The answer is not of the documented form, or too large.
        public static let invalidResponse = Code(rawValue: "invalid_response")
        /// The answer is well-formed and not about what was asked: evidence for other report data, a signature or a chain
        /// that leads to another key.
        public static let notAuthentic = Code(rawValue: "not_authentic")
    }

    /// The kind of failure.
    public let code: Code
    /// What was being done: the method, or what was being read, and the endpoint.
    public let subject: String
    /// What is wrong, or what the agent said, made fit for a log and cut where it is long.
    public let reason: String
    /// The HTTP status of the agent's answer; nil where there was none.
    public let status: Int?
    /// What to do about it; empty if there is nothing to say.
    public let hint: String

    /// An error with its facts.
    public init(_ code: Code, subject: String, reason: String, status: Int? = nil, hint: String = "") {
        self.code = code
        self.subject = subject
        self.reason = reason
        self.status = status
        self.hint = hint
    }

    /// What is wrong with something that the agent sent.
    init(_ subject: String, _ error: AttestationError) {
        self.init(.invalidResponse, subject: subject, reason: "\(error.subject): \(error.reason)", hint: error.hint)
    }

    init(_ subject: String, _ failure: DecodingFailure) {
        self.init(.invalidResponse, subject: subject, reason: failure.description)
    }

    /// - Parameter code: for a failure that is about the input.
    init(_ code: Code, _ subject: String, _ failure: CryptoFailure) {
        self.init(
            failure.code == .notAuthentic ? .notAuthentic : code, subject: subject, reason: failure.description)
    }

    init(_ error: RPCClientError, at endpoint: AgentEndpoint) {
        let subject = "\(error.subject) at \(endpoint)"
        switch error.code {
        case .unknownMethod:
            self.init(
                .unsupported, subject: subject, reason: "the agent has no such method (\(error.reason))",
                status: error.status, hint: "an older or newer agent may have it; version() says which this one is")
        case .refused: self.init(.refused, subject: subject, reason: error.reason, status: error.status)
        case .invalidResponse:
            self.init(.invalidResponse, subject: subject, reason: error.reason, status: error.status)
        case .transport:
            let code: Code =
                switch error.transport?.code {
                case .timeout: .timeout
                case .cancelled: .cancelled
                case .connectionLost, .connectionChanged: .connectionLost
                case .tooLarge, .invalidResponse, .redirect: .invalidResponse
                case .invalidRequest, .invalidConfiguration: .invalidEndpoint
                case .nameResolution, .connection, .proxy, .tls, .peerNotTrusted, .system, nil: .unreachable
                }
            var reason = error.transport.map { "failed \($0.phase.rawValue): \($0.reason)" } ?? error.reason
            // The transport would speak of the port of a host that nobody asked for.
            if code == .unreachable, case .unix = endpoint { reason = "cannot connect to the socket" }
            self.init(
                code, subject: subject, reason: reason,
                hint: code == .unreachable ? endpoint.unreachableHint : "")
        }
    }
}

extension DstackClientError: Equatable {
    /// Errors are equal if their codes are.
    public static func == (left: DstackClientError, right: DstackClientError) -> Bool { left.code == right.code }
}

extension DstackClientError: CustomStringConvertible {
    /// `subject: reason (hint)`, with the status where there is one.
    public var description: String {
        let answer = status.map { code == .refused ? "refused with status \($0): " : "" } ?? ""
        return "\(subject): \(answer)\(reason)" + (hint.isEmpty ? "" : " (\(hint))")
    }
}
