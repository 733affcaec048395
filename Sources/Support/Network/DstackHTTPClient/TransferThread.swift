import CCurl
import CNetwork
import DstackConcurrency
import DstackNetwork
import DstackSystem
import Synchronization

/// The thread that owns the libcurl handles of clients; nothing of libcurl is touched anywhere else. It starts with the first
/// request, and ends when no client has handles any more.
final class TransferThread: Sendable {
    /// Of all clients of the process whose connections are made without waiting.
    static let shared = TransferThread()

    private struct State {
        /// Those with something to do.
        var posted: [TransferLoop] = []
        var isRunning = false
    }

    private let state = Mutex(State())
    private let wakeUp = WakeUp()

    /// `curl_global_init` once a process; it is thread-safe in the libcurl this builds against (7.84 and later).
    private static let library: CURLcode = dstack_curl_start()
    /// No handle's, whose numbers begin at 1.
    private static let wakeUpKey: UInt64 = 0

    /// - Returns: why nothing can be done, if so.
    func post(_ loop: TransferLoop) -> String? {
        let problem: String? = state.withLock { state in
            if !state.isRunning {
                if wakeUp.descriptor < 0 { return "no descriptor for a wake-up (eventfd)" }
                if Self.library != CURLE_OK { return "libcurl did not start" }
                guard DetachedThread.start({ [self] in run() }) == 0 else { return "no thread could be started" }
                state.isRunning = true
            }
            state.posted.append(loop)
            return nil
        }
        if problem == nil { wakeUp.post() }
        return problem
    }

    /// Those who were posted; nil once the thread is to end. From then on a post starts a new thread.
    private func takePosted(isIdle: Bool) -> [TransferLoop]? {
        state.withLock { state in
            defer { state.posted = [] }
            if isIdle, state.posted.isEmpty {
                state.isRunning = false
                return nil
            }
            return state.posted
        }
    }

    private func run() {
        LoopThread.prepare("http-client")
        do throws(SystemError) {
            let poller = try Poller()
            guard poller.set(wakeUp.descriptor, key: Self.wakeUpKey, reads: true, writes: false) else {
                throw .last("wait for descriptors")
            }
            run(poller)
        } catch {
            while let loops = takePosted(isIdle: true) { for loop in loops { loop.refuseAll(error.description) } }
        }
    }

    private func run(_ poller: Poller) {
        var engines: [UInt32: TransferEngine] = [:]
        var numbers: [ObjectIdentifier: UInt32] = [:]
        var count: UInt32 = 0
        while let posted = takePosted(isIdle: engines.isEmpty) {
            for loop in posted {
                let id = ObjectIdentifier(loop)
                if numbers[id] == nil {
                    repeat { count = count == .max ? 1 : count + 1 } while engines[count] != nil
                    guard let engine = TransferEngine(loop, count, poller) else {
                        loop.refuseAll("libcurl has no memory")
                        continue
                    }
                    engines[count] = engine
                    numbers[id] = count
                }
                guard let number = numbers[id], let engine = engines[number] else { continue }
                engine.lookAtQueue()
            }
            let now = MonotonicClock.now
            for (number, engine) in engines {
                if let deadline = engine.deadline, deadline <= now { engine.timeOut() }
                guard engine.isFinished else { continue }
                engine.close()
                engines[number] = nil
                numbers[ObjectIdentifier(engine.loop)] = nil
            }
            if engines.isEmpty { continue }
            poller.wait(until: engines.values.lazy.compactMap(\.deadline).min()) { ready in
                guard ready.key != Self.wakeUpKey else { return wakeUp.take() }
                engines[UInt32(truncatingIfNeeded: ready.key >> 32)]?.act(
                    Int32(truncatingIfNeeded: ready.key), reads: ready.readable, writes: ready.writable,
                    failed: ready.failed)
            }
        }
    }
}

/// The libcurl handles of one client. Lives on the thread.
final class TransferEngine {
    let loop: TransferLoop
    private let multi: UnsafeMutableRawPointer
    private let number: UInt32
    private let poller: Poller
    private let settings: TransferSettings
    private var transfers: [UnsafeMutableRawPointer: Transfer] = [:]
    private var finishes = false
    /// When libcurl wants to be called, on the monotonic clock.
    private(set) var deadline: UInt64?

    /// Nil where memory is short.
    init?(_ loop: TransferLoop, _ number: UInt32, _ poller: Poller) {
        guard let multi = curl_multi_init() else { return nil }
        self.loop = loop
        self.multi = multi
        self.number = number
        self.poller = poller
        settings = TransferSettings(loop.configuration)
        let connections = max(1, loop.configuration.maximumConnections)
        _ = dstack_curl_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections)
        _ = dstack_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, connections)
        _ = dstack_curl_multi_set_long(multi, CURLMOPT_PIPELINING, Int(CURLPIPE_NOTHING))
        let code = dstack_curl_multi_set_callbacks(
            multi,
            { _, descriptor, what, context, _ in
                guard let context else { return -1 }
                Unmanaged<TransferEngine>.fromOpaque(context).takeUnretainedValue().watch(descriptor, what)
                return 0
            },
            { _, milliseconds, context in
                guard let context else { return -1 }
                Unmanaged<TransferEngine>.fromOpaque(context).takeUnretainedValue().setTimer(milliseconds)
                return 0
            }, Unmanaged.passUnretained(self).toOpaque())
        guard code == CURLM_OK else {
            curl_multi_cleanup(multi)
            return nil
        }
    }

    /// Its last use. Connections that are kept close.
    func close() { curl_multi_cleanup(multi) }

    /// Whether nothing is under way and nothing will come.
    var isFinished: Bool { finishes && transfers.isEmpty }

    private func setTimer(_ milliseconds: Int) {
        deadline = milliseconds < 0 ? nil : MonotonicClock.now &+ UInt64(milliseconds) &* 1_000_000
    }

    /// Begins what was submitted, ends what was cancelled, and lets go on what was held up.
    func lookAtQueue() {
        let (submissions, finishes) = loop.takeWork()
        self.finishes = self.finishes || finishes
        for submission in submissions {
            if let transfer = begin(submission) { transfers[transfer.easy] = transfer }
        }
        for (easy, transfer) in transfers where transfer.isCancelled {
            curl_multi_remove_handle(multi, easy)
            transfers[easy] = nil
            transfer.cancel()
        }
        for transfer in transfers.values { transfer.resumeIfRoom() }
        timeOut()
    }

    private func begin(_ submission: TransferLoop.Submission) -> Transfer? {
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

    /// A descriptor is ready.
    func act(_ descriptor: Int32, reads: Bool, writes: Bool, failed: Bool) {
        var what: Int32 = 0
        if reads { what |= CURL_CSELECT_IN }
        if writes { what |= CURL_CSELECT_OUT }
        if failed { what |= CURL_CSELECT_ERR }
        act(descriptor, what)
    }

    /// libcurl's time has come.
    func timeOut() {
        act(CURL_SOCKET_BAD, 0)
        // It tells of a time once; whether that one has passed by its clock, too, only it knows.
        var milliseconds = -1
        curl_multi_timeout(multi, &milliseconds)
        setTimer(milliseconds)
    }

    private func act(_ descriptor: Int32, _ what: Int32) {
        var running: Int32 = 0
        curl_multi_socket_action(multi, descriptor, what, &running)
        var remaining: Int32 = 0
        while let message = curl_multi_info_read(multi, &remaining) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
            let code = message.pointee.data.result
            guard let transfer = transfers.removeValue(forKey: easy) else { continue }
            // Removed first: the handle goes with the transfer, which may go with its last use here.
            curl_multi_remove_handle(multi, easy)
            transfer.finish(code)
        }
    }

    /// libcurl wants to wait for a descriptor, or not any more; at once, because the next one may have the same number.
    private func watch(_ descriptor: Int32, _ what: Int32) {
        guard what != CURL_POLL_REMOVE else { return poller.remove(descriptor) }
        let key = UInt64(number) << 32 | UInt64(UInt32(bitPattern: descriptor))
        _ = poller.set(
            descriptor, key: key, reads: what == CURL_POLL_IN || what == CURL_POLL_INOUT,
            writes: what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
    }
}
