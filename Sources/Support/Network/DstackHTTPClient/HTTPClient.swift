import Synchronization

/// An HTTP/1.1 client over libcurl: TCP, TLS and Unix sockets, bounded in time and size, with kept connections.
///
///     let client = HTTPClient(HTTPClientConfiguration(transport: .unix(path: "/run/dstack.sock")))
///     let response = try await client.send(HTTPRequest(.get, "http://dstack/Info"))
///
/// All transfers of all clients run on one thread, which starts with the first request and ends with the last client (but for
/// clients over vsock, whose connections are made by a call that waits: each has a thread of its own). Cancelling the task that waits in ``send(_:)`` ends its transfer.
package final class HTTPClient: Sendable {
    private let loop: TransferLoop

    package init(_ configuration: HTTPClientConfiguration = .init()) {
        loop = TransferLoop(configuration)
    }

    deinit { loop.finishWhenIdle() }

    package func send(_ request: HTTPRequest) async throws(HTTPClientError) -> HTTPResponse {
        let cancellation = TransferLoop.Cancellation()
        let loop = loop
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.submit(
                    .init(request: request, cancellation: cancellation) { continuation.resume(returning: $0) })
            }
        } onCancel: {
            cancellation.isRequested.store(true, ordering: .releasing)
            loop.wake()
        }
        return try result.get()
    }

    /// Sends a request whose response is read as it comes, for bodies that are long or never end.
    ///
    /// Reading slowly holds the sender up; nothing beyond a quarter of a megabyte is kept. Redirects are not followed, and
    /// ``HTTPClientLimits/maximumBodyBytes`` does not apply: the reader counts. The total timeout does apply.
    ///
    /// - Returns: once the head of the response is here.
    package func stream(_ request: HTTPRequest) async throws(HTTPClientError) -> HTTPResponseStream {
        let cancellation = TransferLoop.Cancellation()
        let loop = loop
        let stop = { @Sendable in
            cancellation.isRequested.store(true, ordering: .releasing)
            loop.wake()
        }
        let arrivals = ResponseArrivals()
        loop.submit(
            .init(request: request, cancellation: cancellation, arrivals: arrivals) { outcome in
                arrivals.end(outcome.map { _ in })
            })
        let head = await withTaskCancellationHandler {
            await arrivals.head()
        } onCancel: {
            stop()
        }
        let (status, headers) = try head.get()
        return HTTPResponseStream(
            status: status, headers: headers, arrivals: arrivals, stop: stop, wake: { loop.wake() })
    }
}
