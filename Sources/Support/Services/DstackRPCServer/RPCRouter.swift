import DstackConcurrency
import DstackEncoding
package import DstackHTTP
package import DstackHTTPServer
import DstackRPC

/// Answers calls that come in over an ``HTTPServer``: finds the service by path and listener, decodes, calls, encodes,
/// and puts every failure into the form that the caller speaks.
///
/// ```swift
/// var router = RPCRouter()
/// router.mount(guest, at: "/", on: ["dstack"])
/// router.mount(tappd, at: "/prpc", on: ["tappd"])
/// let server = HTTPServer(configuration, immediate: router.immediate, handler: router.respond)
/// ```
///
/// A method is reached as `/mount/Method` and as `/mount/Service.Method`.
package struct RPCRouter: Sendable {
    /// Decides whether a call may be made, before its message is looked at; throws what is answered if not.
    ///
    /// It sees who is calling (a process, a certificate, a header) and what for. It runs on the server's own thread at
    /// times, so it must neither wait nor compute; and it may be asked twice for one call, so it must not count.
    package struct Admission: Sendable {
        fileprivate let check: @Sendable (RPCCall) throws -> Void
        /// Whether everything that the check needs is at hand.
        fileprivate let isReady: @Sendable (RPCCall) -> Bool
        /// Fetches what the check needs, in the call's task.
        fileprivate let prepare: @Sendable (RPCCall) async -> Void

        /// - Parameters:
        ///   - isReady: whether the check has at hand what it needs; while not, it is not asked on the server's thread.
        ///   - prepare: fetches it; runs in the call's task, before the check.
        package init(
            isReady: @escaping @Sendable (RPCCall) -> Bool = { _ in true },
            prepare: @escaping @Sendable (RPCCall) async -> Void = { _ in },
            check: @escaping @Sendable (RPCCall) throws -> Void
        ) {
            self.check = check
            self.isReady = isReady
            self.prepare = prepare
        }

        fileprivate func admit(_ call: RPCCall) async throws {
            if !isReady(call) { await prepare(call) }
            try check(call)
        }
    }

    final class Mount: Sendable {
        /// With slashes at both ends.
        let path: String
        let service: RPCService
        /// Names of the listeners that it is reached by; nil for all.
        let listeners: [String]?
        let unknownMethodStatus: Int
        let admission: Admission?

        init(
            path: String, service: RPCService, listeners: [String]?, unknownMethodStatus: Int, admission: Admission?
        ) {
            self.path = path
            self.service = service
            self.listeners = listeners
            self.unknownMethodStatus = unknownMethodStatus
            self.admission = admission
        }

        func isReached(by listener: String) -> Bool { listeners?.contains(listener) ?? true }
    }

    /// Where a request leads.
    enum Destination {
        case method(RPCMethodHandler, Mount)
        /// Under a mount, but there is no such method.
        case unknown(name: String, Mount)
    }

    private(set) var mounts: [Mount] = []
    /// The usual paths, so that a call costs one look-up; the rest is found by ``search(_:_:)``.
    private var usual: [String: [(mount: Int, method: RPCMethodHandler)]] = [:]
    /// Sent with every answer.
    package var headers: HTTPHeaders = [:] {
        didSet { (jsonHeaders, protobufHeaders) = (Self.headers(headers, .json), Self.headers(headers, .protobuf)) }
    }
    /// Told of every call, on the task or thread that answers it: it must be quick.
    package var observer: (@Sendable (RPCOutcome) -> Void)?

    /// Where methods with a deadline run: the server's own threads, if it has any (``HTTPServerConfiguration/threads``).
    package var threads: HandlerThreads?

    private var jsonHeaders = Self.headers([:], .json)
    private var protobufHeaders = Self.headers([:], .protobuf)

    /// Above this a call is not decoded on the server's own thread, which serves all the others too.
    private static let maximumImmediateBytes = 16 << 10

    package init() {}

    /// Adds a service. Where two have a method of the same name at the same place, the one mounted first is called
    /// without the service's name.
    ///
    /// - Parameters:
    ///   - path: "/prpc"; "/" for a service at the top.
    ///   - listeners: names of the listeners that it is reached by; nil for all.
    ///   - unknownMethodStatus: 400 as upstream answers; 404 on its newer surfaces.
    ///   - admission: asked first for every call, also for one of an unknown method; nil to let everyone in.
    package mutating func mount(
        _ service: RPCService, at path: String, on listeners: [String]? = nil, unknownMethodStatus: Int = 400,
        admission: Admission? = nil
    ) {
        let trimmed = path.split(separator: "/").joined(separator: "/")
        let mount = Mount(
            path: trimmed.isEmpty ? "/" : "/\(trimmed)/", service: service, listeners: listeners,
            unknownMethodStatus: unknownMethodStatus, admission: admission)
        mounts.append(mount)
        for method in service.methods.values {
            for name in [method.name, "\(service.name).\(method.name)"] {
                usual[mount.path + name, default: []].append((mounts.count - 1, method))
            }
        }
    }

    /// What ``HTTPServerLimits/maximumBodyBytes`` should be: a little more than the largest method takes, so that a
    /// body over the limit is refused in the form of the call.
    package var maximumBodyBytes: Int {
        let largest = mounts.flatMap { $0.service.methods.values }.map { $0.limits.maximumBodyBytes }.max() ?? 0
        return largest + 64 << 10
    }

    // MARK: Answers

    /// For ``HTTPServer``: what can be answered on its own thread; nil leaves the request to a task.
    package func immediate(_ request: HTTPServerRequest) -> HTTPServerResponse? {
        guard case .method(let method, let mount)? = destination(of: request), let immediate = method.immediate else {
            return nil
        }
        let payload = RPCPayload(request)
        guard payload.byteCount <= Self.maximumImmediateBytes, isCallable(request) else { return nil }
        let run = Run(method, payload, request, observer)
        do {
            if let admission = mount.admission {
                guard admission.isReady(run.call) else { return nil }
                try admission.check(run.call)
            }
            guard let body = try immediate(payload, run.call) else { return nil }
            return success(body, run)
        } catch {
            return failure(error, run)
        }
    }

    /// Answers a request, or returns nil if it is not for any of the mounts.
    package func answer(_ request: HTTPServerRequest) async -> HTTPServerResponse? {
        guard let destination = destination(of: request) else { return nil }
        let payload = RPCPayload(request)
        switch destination {
        case .unknown(let name, let mount):
            let call = RPCCall(service: mount.service.name, method: name, encoding: payload.encoding, request: request)
            let run = Run(call, observer)
            guard isCallable(request) else { return notAllowed(run) }
            do {
                try await mount.admission?.admit(call)
                throw RPCError.unknownMethod(name, status: mount.unknownMethodStatus)
            } catch {
                return failure(error, run)
            }
        case .method(let method, let mount):
            let run = Run(method, payload, request, observer)
            guard isCallable(request) else { return notAllowed(run) }
            do {
                try await mount.admission?.admit(run.call)
                guard payload.byteCount <= method.limits.maximumBodyBytes else { throw RPCError.payloadTooLarge }
                return success(try await result(method, payload, run.call), run)
            } catch {
                return failure(error, run)
            }
        }
    }

    /// Answers every request; one that is not for any of the mounts with 404, in JSON.
    package func respond(to request: HTTPServerRequest) async -> HTTPServerResponse {
        if let answer = await answer(request) { return answer }
        return response(404, .bytes(RPCError("there is nothing at this path", status: 404).body(as: .json)), .json)
    }

    private func result(
        _ method: RPCMethodHandler, _ payload: RPCPayload, _ call: RPCCall
    ) async throws -> EncodedMessage {
        guard let timeout = method.limits.timeout else { return try await method.handler(payload, call) }
        return try await Deadline.run(
            within: timeout, orThrow: RPCError("the call took longer than \(timeout)", status: 504), on: threads
        ) { try await method.handler(payload, call) }
    }

    private func isCallable(_ request: HTTPServerRequest) -> Bool {
        request.method == .post || request.method == .get || request.method == .head
    }

    private func notAllowed(_ run: Run) -> HTTPServerResponse {
        var response = failure(RPCError("GET or POST expected", status: 405), run)
        response.headers["Allow"] = "GET, HEAD, POST"
        return response
    }

    private func success(_ message: EncodedMessage, _ run: Run) -> HTTPServerResponse {
        run.end(200, nil)
        let body: HTTPServerResponse.Body =
            switch message {
            case .plain(let bytes): .bytes(bytes)
            case .secret(let secret): .secret(secret)
            }
        return response(200, body, run.call.encoding)
    }

    private func failure(_ error: any Error, _ run: Run) -> HTTPServerResponse {
        // A body that makes no sense may be one whose length was miscounted (a client in use counts characters where
        // bytes count): what follows on the connection is then no request.
        let isMisread = error is DecodingFailure && run.call.head.method == .post
        let error = RPCError(describing: error)
        run.end(error.status, error.message)
        var response = response(error.status, .bytes(error.body(as: run.call.encoding)), run.call.encoding)
        response.closesConnection = isMisread
        return response
    }

    private func response(
        _ status: Int, _ body: HTTPServerResponse.Body, _ encoding: RPCEncoding
    ) -> HTTPServerResponse {
        var response = HTTPServerResponse(status, body: body)
        response.commonHeaders = encoding == .json ? jsonHeaders : protobufHeaders
        return response
    }

    private static func headers(_ extra: HTTPHeaders, _ encoding: RPCEncoding) -> HTTPCommonHeaders {
        var headers: HTTPHeaders = ["Content-Type": encoding.contentType]
        for field in extra.fields { headers.add(field.name, field.value) }
        return HTTPCommonHeaders(headers)
    }

    // MARK: Paths

    func destination(of request: HTTPServerRequest) -> Destination? {
        if let candidates = usual[request.path],
            let found = candidates.first(where: { mounts[$0.mount].isReached(by: request.listener) })
        {
            return .method(found.method, mounts[found.mount])
        }
        return search(request.path, request.listener)
    }

    /// Finds what was asked for in an unusual way (percent-encoded, or with the service's name more than once), or at
    /// which mount it would be.
    private func search(_ path: String, _ listener: String) -> Destination? {
        var unknown: Destination?
        for mount in mounts where mount.isReached(by: listener) && path.utf8.starts(with: mount.path.utf8) {
            let segment = path.utf8.dropFirst(mount.path.utf8.count)
            guard !segment.isEmpty, !segment.contains(UInt8(ascii: "/")),
                let decoded = HTTPSyntax.percentDecoded(Substring(segment))
            else { continue }
            let prefix = mount.service.name + "."
            var name = decoded[...]
            while name.hasPrefix(prefix) { name = name.dropFirst(prefix.count) }
            if let method = mount.service.methods[String(name)] { return .method(method, mount) }
            unknown = unknown ?? .unknown(name: String(name), mount)
        }
        return unknown
    }
}

/// A call under way, with what its end is reported to.
private struct Run {
    let call: RPCCall
    private let observer: (@Sendable (RPCOutcome) -> Void)?
    private let start: ContinuousClock.Instant?

    init(_ call: RPCCall, _ observer: (@Sendable (RPCOutcome) -> Void)?) {
        self.call = call
        self.observer = observer
        start = observer == nil ? nil : .now
    }

    init(
        _ method: RPCMethodHandler, _ payload: RPCPayload, _ request: HTTPServerRequest,
        _ observer: (@Sendable (RPCOutcome) -> Void)?
    ) {
        self.init(
            RPCCall(
                service: method.service, method: method.name, encoding: payload.encoding, request: request,
                isObserved: observer != nil),
            observer)
    }

    func end(_ status: Int, _ error: String?) {
        guard let observer, let start else { return }
        observer(RPCOutcome(call: call, status: status, error: error, duration: start.duration(to: .now)))
    }
}
