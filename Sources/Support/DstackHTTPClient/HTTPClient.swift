import Synchronization

/// An HTTP/1.1 client over libcurl: TCP, TLS and Unix sockets, bounded in time and size, with kept connections.
///
///     let client = HTTPClient(HTTPClientConfiguration(transport: .unix(path: "/run/dstack.sock")))
///     let response = try await client.send(HTTPRequest(.get, "http://dstack/Info"))
///
/// All transfers of a client run on one thread of its own, which starts with the first request and ends with the
/// client. Cancelling the task that waits in ``send(_:)`` ends its transfer.
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
                loop.submit(.init(request: request, cancellation: cancellation, continuation: continuation))
            }
        } onCancel: {
            cancellation.isRequested.store(true, ordering: .releasing)
            loop.wake()
        }
        return try result.get()
    }
}
