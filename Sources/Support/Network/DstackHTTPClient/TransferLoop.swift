import CCurl
import DstackConcurrency
import DstackHTTP
import DstackNetwork
import DstackSystem
import Glibc
import Synchronization

/// The thread that owns a client's libcurl handles. Nothing of libcurl is touched anywhere else; requests come in
/// through a queue under a lock and a descriptor that wakes the thread.
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
        var isRunning = false
        var finishes = false
    }

    private let configuration: HTTPClientConfiguration
    private let state = Mutex(State())
    private let wakeUp = WakeUp()

    /// `curl_global_init` once a process; it is thread-safe in the libcurl this builds against (7.84 and later).
    private static let library: CURLcode = curl_global_init(Int(CURL_GLOBAL_DEFAULT))

    init(_ configuration: HTTPClientConfiguration) {
        self.configuration = configuration
    }

    func submit(_ submission: Submission) {
        let problem: String? = state.withLock { state in
            if !state.isRunning {
                if wakeUp.descriptor < 0 { return "no descriptor for a wake-up (eventfd)" }
                if Self.library != CURLE_OK { return "libcurl did not start" }
                let code = DetachedThread.start { [self] in
                    LoopThread.prepare("http-client")
                    run()
                }
                guard code == 0 else { return "no thread could be started" }
                state.isRunning = true
            }
            state.queue.append(submission)
            return nil
        }
        if let problem {
            submission.answer(
                .failure(
                    HTTPClientError(
                        .system, .preparing, subject: submission.request.method.rawValue, reason: problem)))
        } else {
            wake()
        }
    }

    /// The thread ends when the transfers at hand are through.
    func finishWhenIdle() {
        state.withLock { $0.finishes = true }
        wake()
    }

    func wake() { wakeUp.post() }

    /// What is waiting; nil once the loop is to end. From then on a submission starts a new thread.
    private func takeWork(isIdle: Bool) -> [Submission]? {
        state.withLock { state in
            let queue = state.queue
            state.queue = []
            if state.finishes, queue.isEmpty, isIdle {
                state.isRunning = false
                return nil
            }
            return queue
        }
    }

    private func run() {
        guard let multi = curl_multi_init() else { return refuseAll("libcurl has no memory") }
        defer { curl_multi_cleanup(multi) }
        _ = dstack_curl_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, max(1, configuration.maximumConnections))
        _ = dstack_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, max(1, configuration.maximumConnections))
        _ = dstack_curl_multi_set_long(multi, CURLMOPT_PIPELINING, Int(CURLPIPE_NOTHING))

        let settings = TransferSettings(configuration)
        var transfers: [UnsafeMutableRawPointer: Transfer] = [:]
        while let submissions = takeWork(isIdle: transfers.isEmpty) {
            for submission in submissions {
                if let transfer = begin(submission, settings, multi) { transfers[transfer.easy] = transfer }
            }
            for (easy, transfer) in transfers where transfer.isCancelled {
                curl_multi_remove_handle(multi, easy)
                transfers[easy] = nil
                transfer.cancel()
            }
            for transfer in transfers.values { transfer.resumeIfRoom() }
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            var remaining: Int32 = 0
            while let message = curl_multi_info_read(multi, &remaining) {
                guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
                let code = message.pointee.data.result
                guard let transfer = transfers.removeValue(forKey: easy) else { continue }
                // Removed first: the handle goes with the transfer, which may go with its last use here.
                curl_multi_remove_handle(multi, easy)
                transfer.finish(code)
            }
            wait(multi)
        }
    }

    private func begin(
        _ submission: Submission, _ settings: TransferSettings, _ multi: UnsafeMutableRawPointer
    ) -> Transfer? {
        do throws(HTTPClientError) {
            let transfer = try Transfer(submission, settings)
            guard curl_multi_add_handle(multi, transfer.easy) == CURLM_OK else {
                throw transfer.failure(.system, .preparing, "libcurl did not take the transfer")
            }
            return transfer
        } catch {
            submission.answer(.failure(error))
            return nil
        }
    }

    /// Sleeps until a transfer can go on, one of libcurl's timers is due, or ``wake()`` was called.
    private func wait(_ multi: UnsafeMutableRawPointer) {
        var waited = curl_waitfd(fd: wakeUp.descriptor, events: Int16(CURL_WAIT_POLLIN), revents: 0)
        curl_multi_poll(multi, &waited, 1, 60_000, nil)
        wakeUp.take()
    }

    private func refuseAll(_ reason: String) {
        let queue = state.withLock { state in
            defer { state.queue = [] }
            state.isRunning = false
            return state.queue
        }
        for submission in queue {
            submission.answer(
                .failure(
                    HTTPClientError(.system, .preparing, subject: submission.request.method.rawValue, reason: reason)))
        }
    }
}
