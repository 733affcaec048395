import DstackHTTP
import DstackNetwork
import Synchronization

/// A client's transfers: the queue that requests come in by, for the thread that owns its libcurl handles.
final class TransferLoop: Sendable {
    typealias Outcome = Result<HTTPResponse, HTTPClientError>

    final class Cancellation: Sendable {
        let isRequested = Atomic<Bool>(false)

        var wasRequested: Bool { isRequested.load(ordering: .acquiring) }
    }

    struct Submission: Sendable {
        let request: HTTPRequest
        let cancellation: Cancellation
        /// Where head and body go as they come; nil for a response that is handed over whole.
        var arrivals: ResponseArrivals?
        /// Called once.
        let answer: @Sendable (Outcome) -> Void
    }

    private struct State {
        var queue: [Submission] = []
        var finishes = false
        /// Whether the thread has been told to look, and has not yet.
        var isPosted = false
    }

    let configuration: HTTPClientConfiguration
    private let thread: TransferThread
    private let state = Mutex(State())

    init(_ configuration: HTTPClientConfiguration) {
        self.configuration = configuration
        thread = configuration.transport.connectsBlocking ? TransferThread() : .shared
    }

    func submit(_ submission: Submission) {
        state.withLock { $0.queue.append(submission) }
        if let problem = post() { refuseAll(problem) }
    }

    /// The handles go when the transfers at hand are through.
    func finishWhenIdle() {
        state.withLock { $0.finishes = true }
        _ = post()
    }

    /// Has the thread look at cancelled transfers, and at those that were held up.
    func wake() { _ = post() }

    private func post() -> String? {
        let isFirst = state.withLock { state in
            defer { state.isPosted = true }
            return !state.isPosted
        }
        return isFirst ? thread.post(self) : nil
    }

    /// What is waiting, and whether nothing will come any more.
    func takeWork() -> (submissions: [Submission], finishes: Bool) {
        state.withLock { state in
            defer { state.queue = [] }
            state.isPosted = false
            return (state.queue, state.finishes)
        }
    }

    func refuseAll(_ reason: String) {
        for submission in takeWork().submissions {
            submission.answer(
                .failure(
                    HTTPClientError(.system, .preparing, subject: submission.request.method.rawValue, reason: reason)))
        }
    }
}

extension HTTPClientConfiguration.Transport {
    /// Whether a connection is made by a call that waits; who shares the thread would wait, too.
    fileprivate var connectsBlocking: Bool {
        if case .vsock = self { true } else { false }
    }
}
