import DstackHTTP
import DstackNetwork

/// An HTTP/1.1 server: TCP, TLS, Unix sockets, vsock and inherited sockets, bounded in time, size and number.
///
///     let server = HTTPServer(.init(listeners: [HTTPListener("api", .unix(path: "/run/x.sock"))])) { request in
///         request.path == "/" ? .text(200, "hello\n") : .notFound
///     }
///     try await server.run()
///
/// One thread of its own does all input and output; handlers run as tasks beside it, one at a time for each
/// connection. A request reaches a handler only when it is complete and its reading is beyond doubt.
package final class HTTPServer: Sendable {
    private let core: ServerCore

    /// - Parameters:
    ///   - immediate: asked first, on the loop's own thread, for what can be answered without waiting or computing
    ///     (a health check, a table look-up); nil leaves the request to `handler`. It saves the way to a task and back.
    ///   - handler: answers everything else. It is cancelled when a streaming client goes, and at the end of a stop.
    package init(
        _ configuration: HTTPServerConfiguration,
        immediate: (@Sendable (HTTPServerRequest) -> HTTPServerResponse?)? = nil,
        handler: @escaping @Sendable (HTTPServerRequest) async -> HTTPServerResponse
    ) {
        core = ServerCore(configuration, immediate: immediate, handler: handler)
    }

    deinit { core.mailbox.post(.stop(deadline: 0)) }

    /// Opens all listeners and begins to serve. A server starts once.
    ///
    /// - Returns: where they listen, in the order of the configuration.
    /// - Throws: if one of them cannot be opened; then none is.
    package func start() async throws(HTTPServerError) -> [HTTPBoundListener] { try await core.start() }

    /// Stops accepting, lets requests under way finish until the deadline, cancels the rest, and returns when all is
    /// closed.
    package func stop(within patience: Duration = .seconds(10)) async {
        core.mailbox.post(.stop(deadline: MonotonicClock.now &+ patience.wholeNanoseconds))
        await core.waitUntilEnded()
    }

    /// Serves until the task is cancelled, then stops as ``stop(within:)`` does.
    package func run(
        drainingWithin patience: Duration = .seconds(10),
        whenListening: @Sendable ([HTTPBoundListener]) -> Void = { _ in }
    ) async throws(HTTPServerError) {
        whenListening(try await start())
        await serve(drainingWithin: patience)
    }

    /// Waits until a started server has stopped; if the task is cancelled, stops it as ``stop(within:)`` does.
    package func serve(drainingWithin patience: Duration = .seconds(10)) async {
        let core = core
        await withTaskCancellationHandler {
            await core.waitUntilEnded()
        } onCancel: {
            core.mailbox.post(.stop(deadline: MonotonicClock.now &+ patience.wholeNanoseconds))
        }
    }

    /// Gives a TLS listener other settings, as ``changeTLS(of:_:)`` does.
    package func replaceTLS(_ tls: HTTPServerTLS, of listener: String) async throws(HTTPServerError) {
        try await changeTLS(of: listener) { $0 = tls }
    }

    /// Changes the settings of a TLS listener: for handshakes from now on; whom requests are taken from, also for connections
    /// that stand. None is dropped.
    ///
    /// - Parameter change: gets the settings of the moment, on the loop's thread, so that changes of different parts do not
    ///   undo each other.
    /// - Throws: for settings that cannot be used; then nothing is changed.
    package func changeTLS(
        of listener: String, _ change: @escaping @Sendable (inout HTTPServerTLS) -> Void
    ) async throws(HTTPServerError) {
        let core = core
        let error = await withCheckedContinuation { continuation in
            core.mailbox.post(.changeTLS(listener: listener, change, continuation))
        }
        if let error { throw error }
    }

    /// Changes where the server listens, the TLS settings of its listeners and its limits, while it runs. A listener of the same
    /// name and address keeps its socket; no connection is dropped, and those that stand are served by the new limits and
    /// client rules from their next request on. What a configuration has beside (``HTTPServerConfiguration/observer``,
    /// ``HTTPServerConfiguration/route``, threads) stays as it was.
    ///
    /// - Returns: where the server listens now.
    /// - Throws: where a new listener cannot be opened or TLS settings cannot be used; then nothing is changed.
    package func reload(_ configuration: HTTPServerConfiguration) async throws(HTTPServerError) -> [HTTPBoundListener] {
        let core = core
        return try await withCheckedContinuation { continuation in
            core.mailbox.post(.reload(configuration, continuation))
        }.get()
    }

    /// Has the server answer a GET that comes over no connection: its thread and a handler must do their part, and nothing
    /// that clients can fill (places, requests under way, descriptors, threads of their own) plays any.
    ///
    /// - Parameters:
    ///   - listener: the name of the one that the request seems to come in by.
    ///   - answer: gets the handler's answer; nil where the server is not running.
    package func probe(
        _ path: String, on listener: String, _ answer: @escaping @Sendable (HTTPServerResponse?) -> Void
    ) {
        let head = HTTPRequestHead(
            .init(
                method: .get, path: path, query: nil, version: .http11, headers: [:], host: nil, framing: .none,
                keepsAlive: false, expectsContinue: false))
        let request = HTTPServerRequest(head: head, body: [], listener: listener, peer: HTTPPeer(address: .unknown))
        core.mailbox.post(.probe(request, answer))
    }

    package var statistics: HTTPServerStatistics { core.counters.snapshot }
}
