import DstackConcurrency
import DstackHTTP
import DstackNetwork
import DstackSystem
import Synchronization

/// What a server's thread, its tasks and its owner share.
final class ServerCore: Sendable {
    typealias Handler = @Sendable (HTTPServerRequest) async -> HTTPServerResponse
    typealias ImmediateHandler = @Sendable (HTTPServerRequest) -> HTTPServerResponse?

    typealias Producer = @Sendable (HTTPBodyWriter) async throws -> Void

    private enum Life {
        case new
        case running
        case ended
    }

    private struct State {
        var life = Life.new
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    let configuration: HTTPServerConfiguration
    let immediate: ImmediateHandler?
    let handler: Handler
    let mailbox = ServerMailbox()
    let counters = ServerCounters()
    private let state = Mutex(State())

    init(
        _ configuration: HTTPServerConfiguration, immediate: ImmediateHandler?, handler: @escaping Handler
    ) {
        self.configuration = configuration
        self.immediate = immediate
        self.handler = handler
    }

    /// Starts the thread, which opens the listeners and then says how that went.
    func start() async throws(HTTPServerError) -> [HTTPBoundListener] {
        let isNew = state.withLock { state in
            guard case .new = state.life else { return false }
            state.life = .running
            return true
        }
        guard isNew else { throw HTTPServerError(.state, "server", "it was started before") }
        let result = await withCheckedContinuation { continuation in
            guard DetachedThread.start({ [self] in runThread(continuation) }) == 0 else {
                end()
                return continuation.resume(
                    returning: .failure(HTTPServerError(.system, "server", "no thread could be started")))
            }
        }
        return try result.get()
    }

    func waitUntilEnded() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard case .running = state.life else { return true }
                state.waiters.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    private func runThread(_ continuation: CheckedContinuation<Result<[HTTPBoundListener], HTTPServerError>, Never>) {
        do throws(HTTPServerError) {
            let loop = try ServerLoop(self)
            continuation.resume(returning: .success(loop.bound))
            loop.run()
            end()
        } catch {
            end()
            continuation.resume(returning: .failure(error))
        }
    }

    // MARK: Tasks

    func startHandler(
        _ request: HTTPServerRequest, _ holder: HTTPPeer.Identity, _ exchange: ExchangeID
    ) -> Task<Void, Never> {
        guard let threads = configuration.threads else { return Task { await handle(request, holder, exchange) } }
        return Task(executorPreference: threads) { [self] in await handle(request, holder, exchange) }
    }

    private func handle(_ request: HTTPServerRequest, _ holder: HTTPPeer.Identity, _ exchange: ExchangeID) async {
        let response = await handler(request)
        let (produce, incoming) = producer(of: response, exchange)
        mailbox.post(.response(exchange, holder, response, incoming))
        if let produce, request.method != .head { await run(produce, exchange) }
    }

    /// Who writes what follows the head of a response, and what the client of an upgraded connection sends to him.
    func producer(of response: HTTPServerResponse, _ exchange: ExchangeID) -> (Producer?, IncomingBytes?) {
        switch response.body {
        case .bytes, .secret: return (nil, nil)
        case .stream(let produce): return (produce, nil)
        case .upgrade(let serve):
            let incoming = makeIncoming(exchange)
            return ({ try await serve(HTTPUpgradedConnection(incoming: incoming, writer: $0)) }, incoming)
        }
    }

    func makeIncoming(_ exchange: ExchangeID) -> IncomingBytes {
        let mailbox = mailbox
        return IncomingBytes { mailbox.post(.roomMade(exchange)) }
    }

    func startJudgement(
        _ judge: any TLSPeerJudge, _ certificates: [[UInt8]], _ holder: HTTPPeer.Identity, _ exchange: ExchangeID
    ) -> Task<Void, Never> {
        let mailbox = mailbox
        let body = { @Sendable in
            let judgement = await judge.judge(certificates, askedBy: "\(holder)")
            // Also where nobody waits any more: the place is counted until then.
            mailbox.post(.judged(exchange, holder, judge, judgement))
        }
        guard let threads = configuration.threads else { return Task { await body() } }
        return Task(executorPreference: threads) { await body() }
    }

    /// Not on the threads of ``HTTPServerConfiguration/threads``, which are what others may fill.
    func startProbe(_ request: HTTPServerRequest, _ answer: @escaping @Sendable (HTTPServerResponse?) -> Void) {
        Task { answer(await handler(request)) }
    }

    func startProducer(_ produce: @escaping Producer, _ exchange: ExchangeID) -> Task<Void, Never> {
        guard let threads = configuration.threads else { return Task { await run(produce, exchange) } }
        return Task(executorPreference: threads) { [self] in await run(produce, exchange) }
    }

    private func run(_ produce: Producer, _ exchange: ExchangeID) async {
        do {
            try await produce(HTTPBodyWriter(exchange: exchange, mailbox: mailbox))
            mailbox.post(.bodyEnd(exchange, isComplete: true))
        } catch {
            mailbox.post(.bodyEnd(exchange, isComplete: false))
        }
    }

    // MARK: End

    private func end() {
        mailbox.close()
        let waiters = state.withLock { state in
            defer { state.waiters = [] }
            state.life = .ended
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
