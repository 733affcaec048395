package import DstackRPC

/// What a method's calls may cost.
package struct RPCMethodLimits: Sendable, Hashable {
    /// Upstream's limit for every method is 10 MiB.
    package var maximumBodyBytes = 10 << 20
    /// How long a handler may take; then it is cancelled and the call is answered with 504. Nil for no limit.
    package var timeout: Duration? = .seconds(30)
    package var decoding = RPCLimits()

    package init() {}

    /// For handlers that compute for a moment and wait for nothing. Such a handler is not interrupted by its deadline, and
    /// to be ready for it costs a task.
    package static let withoutWaiting = RPCMethodLimits(timeout: nil)

    package init(maximumBodyBytes: Int = 10 << 20, timeout: Duration? = .seconds(30)) {
        self.maximumBodyBytes = maximumBodyBytes
        self.timeout = timeout
    }
}

/// The methods of one service with their handlers.
///
/// ```swift
/// var service = RPCService(AgentRPC.DstackGuest.name)
/// service.on(AgentRPC.DstackGuest.getKey) { request, call in try await agent.key(for: request) }
/// ```
///
/// A handler throws an ``RPCError`` for what the caller should read.
package struct RPCService: Sendable {
    package let name: String
    private(set) var methods: [String: RPCMethodHandler] = [:]

    package init(_ name: String) { self.name = name }

    /// Adds a method, or replaces it.
    ///
    /// - Parameters:
    ///   - immediately: asked first, on the server's own thread, for what is at hand (a cache); nil leaves the call to
    ///     `handler`. It must neither wait nor compute. What such requests say is kept for a while, unless they hold secrets.
    ///   - handler: answers everything else, in a task.
    package mutating func on<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod<Request, Response>, limits: RPCMethodLimits = .init(),
        immediately: (@Sendable (Request, RPCCall) throws -> RPCReply<Response>?)? = nil,
        replying handler: @escaping @Sendable (Request, RPCCall) async throws -> RPCReply<Response>
    ) {
        var immediate: RPCMethodHandler.Immediate?
        if let immediately {
            let decoded = DecodedRequests()
            let holdsSecrets = Request.holdsSecrets
            immediate = { (payload, call) throws -> EncodedMessage? in
                if holdsSecrets {
                    return try immediately(try payload.message(limits.decoding), call)?.encoded(as: call.encoding)
                }
                let question = try decoded.question(payload) {
                    let request: Request = try payload.message(limits.decoding)
                    return { call in try immediately(request, call)?.encoded(as: call.encoding) }
                }
                return try question(call)
            }
        }
        methods[method.name] = RPCMethodHandler(
            service: name, name: method.name, limits: limits, immediate: immediate,
            handler: { payload, call in
                let request: Request = try payload.message(limits.decoding)
                return try await handler(request, call).encoded(as: call.encoding)
            })
    }

    package mutating func on<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod<Request, Response>, limits: RPCMethodLimits = .init(),
        immediately: (@Sendable (Request, RPCCall) throws -> RPCReply<Response>?)? = nil,
        handler: @escaping @Sendable (Request, RPCCall) async throws -> Response
    ) {
        on(method, limits: limits, immediately: immediately, replying: { RPCReply(try await handler($0, $1)) })
    }
}

/// A method without its types.
struct RPCMethodHandler: Sendable {
    typealias Immediate = @Sendable (RPCPayload, RPCCall) throws -> EncodedMessage?

    let service: String
    let name: String
    let limits: RPCMethodLimits
    let immediate: Immediate?
    let handler: @Sendable (RPCPayload, RPCCall) async throws -> EncodedMessage
}
