import DstackEncoding
import DstackHTTP
package import DstackHTTPClient
import DstackSystem

/// Asks a service over HTTP: upstream's authorization API.
///
/// Each question is bounded in time and size, and one that meets no listener is asked once more. A no is remembered for a
/// moment, a yes never.
package final class WebhookAuthorizer: BootAuthorizer {
    package struct Configuration: Sendable {
        /// Without a query; `/bootAuth/app` and `/bootAuth/kms` go behind it.
        package var url: String
        package var userAgent: String
        package var connectTimeout = Duration.seconds(3)
        /// For a question with everything that belongs to it.
        package var timeout = Duration.seconds(20)
        package var maximumAnswerBytes = 64 << 10
        /// How long a no is remembered, and how many.
        package var negativeLifetime = Duration.seconds(2)
        package var maximumNegatives = 256
        package var trust = ServerTrust.system

        package init(url: String, userAgent: String) {
            self.url = url
            self.userAgent = userAgent
        }
    }

    private struct Question: Hashable {
        let subject: BootSubject
        let info: BootInfo
    }

    private let base: String
    /// For messages: what may be a secret in the path stays out.
    private let name: String
    private let configuration: Configuration
    private let client: HTTPClient
    private let denials: NegativeCache<Question, Result<BootDecision, AuthorizationError>>

    /// How much of a refusal is told.
    static let shownBytes = 512

    /// - Parameter now: for tests.
    /// - Throws: ``AuthorizationError`` `invalidConfiguration` for an address that nobody could be asked at.
    package init(
        _ configuration: Configuration, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) throws(AuthorizationError) {
        do throws(HTTPClientError) { name = try HTTPOrigin(of: configuration.url).description } catch {
            throw AuthorizationError(
                .invalidConfiguration, subject: "authorization URL", reason: error.reason,
                hint: "give an address such as http://auth-api:8000")
        }
        guard !configuration.url.contains(where: { $0 == "?" || $0 == "#" }) else {
            throw AuthorizationError(
                .invalidConfiguration, subject: "authorization URL", reason: "it has a query or a fragment",
                hint: "give an address such as http://auth-api:8000")
        }
        var base = configuration.url
        while base.hasSuffix("/") { base.removeLast() }
        self.base = base
        self.configuration = configuration
        var http = HTTPClientConfiguration(trust: configuration.trust)
        http.userAgent = configuration.userAgent
        client = HTTPClient(http)
        denials = NegativeCache(
            lifetime: configuration.negativeLifetime, capacity: configuration.maximumNegatives, now: now)
    }

    package func decide(_ info: BootInfo, as subject: BootSubject) async throws(AuthorizationError) -> BootDecision {
        let question = Question(subject: subject, info: info)
        if let remembered = denials[question] { return try remembered.get() }
        var request = HTTPRequest(.post, base + subject.path, body: info.json)
        request.headers.add("Content-Type", "application/json")
        let answer = await answer(to: request)
        if case .success(let decision) = answer, decision.isAllowed { return decision }
        if !Task.isCancelled { denials.remember(answer, for: question) }
        return try answer.get()
    }

    private func answer(to request: HTTPRequest) async -> Result<BootDecision, AuthorizationError> {
        do throws(AuthorizationError) {
            let decision = try await ask(request) { (body) throws(DecodingFailure) in
                try BootDecision(parsingJSON: body)
            }
            // Services say so with a denial when they could not find out.
            if !decision.isAllowed, decision.reason == AuthorizationError.unavailableReason {
                throw AuthorizationError(.unavailable, subject: name, reason: decision.reason)
            }
            if !decision.isAllowed, decision.reason == AuthorizationError.invalidAnswerReason {
                throw AuthorizationError(.invalidAnswer, subject: name, reason: decision.reason)
            }
            return .success(decision)
        } catch {
            return .failure(error)
        }
    }

    package func info() async throws(AuthorizationError) -> AuthorizerInfo {
        try await ask(HTTPRequest(.get, base + "/")) { (body) throws(DecodingFailure) in
            try AuthorizerInfo(parsingJSON: body)
        }
    }

    private func ask<Answer>(
        _ request: HTTPRequest, _ read: ([UInt8]) throws(DecodingFailure) -> Answer
    ) async throws(AuthorizationError) -> Answer {
        let response = try await send(request)
        guard response.isSuccess else {
            let text = SafeText.line(TextCut.prefix(response.body, atMost: Self.shownBytes), limit: Self.shownBytes)
            // What the service finds wrong with the question will be wrong the next time, too.
            let isRefused = 400..<500 ~= response.status && response.status != 408 && response.status != 429
            throw AuthorizationError(
                isRefused ? .invalidAnswer : .unavailable, subject: name,
                reason: "returned \(response.status): \(text)")
        }
        do throws(DecodingFailure) { return try read(response.body) } catch {
            throw AuthorizationError(.invalidAnswer, subject: name, reason: error.description)
        }
    }

    private func send(_ request: HTTPRequest) async throws(AuthorizationError) -> HTTPResponse {
        var request = request
        // A question changes nothing: it may go over a kept connection, and again where that turns out to be dead.
        request.mayBeRepeated = true
        let deadline = ContinuousClock.now + configuration.timeout
        var isFirst = true
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            request.limits = HTTPClientLimits(
                maximumBodyBytes: configuration.maximumAnswerBytes, maximumHeaderBytes: 16 << 10,
                connectTimeout: min(configuration.connectTimeout, left), totalTimeout: left)
            do throws(HTTPClientError) { return try await client.send(request) } catch {
                let isConnection = error.code == .connection || error.code == .connectionLost
                let mayRetry = ContinuousClock.now.duration(to: deadline) > .milliseconds(200)
                guard isFirst, isConnection, mayRetry, !Task.isCancelled else {
                    throw AuthorizationError(asking: name, error)
                }
                isFirst = false
            }
        }
    }
}

extension AuthorizationError {
    /// - Parameter name: of who was asked. The error's own subject is an address that may have a key in its path.
    init(asking name: String, _ error: HTTPClientError) {
        let isNonsense = error.code == .invalidResponse || error.code == .tooLarge
        self.init(
            isNonsense ? .invalidAnswer : .unavailable, subject: name,
            reason: "failed \(error.phase.rawValue): \(error.reason)")
    }
}
