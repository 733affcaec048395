import CEvent
import DstackCrypto
import DstackHTTP
import DstackNetwork
import Glibc

/// One client: reads requests, one at a time, and writes their responses. Lives on the loop's thread.
///
/// Input that comes while a request is being handled waits, up to a bound, and then in the socket; it is still read,
/// because that is how the end of the connection is noticed.
final class ServerConnection {
    enum Phase {
        case handshaking
        /// Who the client is, is being found out; before its first request, or before one that is whole.
        case judging
        /// Before the first byte of a request.
        case idle
        case receivingHead
        case receivingBody
        /// The handler has it.
        case handling
        /// The response is on its way.
        case responding
        /// The head of the response is out, and a task writes the body.
        case streaming
        /// Everything is said; the client gets the time to read it.
        case lingering
        case closed
    }

    let slot: Int
    let number: UInt64
    unowned let loop: ServerLoop
    let listenerName: String
    let channel: ByteChannel
    let tls: TLSServerContext?
    let rules: ListenerRules
    private(set) var peer: HTTPPeer
    /// Who found out about the client.
    private(set) var foundBy: (any TLSPeerJudge)?
    let holder: HTTPPeer.Identity
    /// What is read may hold secrets, and stays in no memory that is not wiped.
    private let receivesSecrets: Bool

    var phase: Phase
    /// When ``expire(_:)`` is due, on the monotonic clock.
    var deadline: UInt64
    /// When it began to be idle, to send the head, to send the body.
    private(set) var since: UInt64
    /// Of the body that is being received.
    var pace = BodyPace()

    private var parser: HTTPRequestParser
    /// Input that was read but not used yet.
    private(set) var pending: KeptInput
    private var readEvent: OpaquePointer?
    private var writeEvent: OpaquePointer?
    private var isReading = false
    private var isWriting = false
    /// Whether the loop comes back to what was read, without anything that is to be read.
    private var continuesInput = false
    /// Whether the last run ended before its input did, so that others get their turn.
    private var wasCutShort = false

    // Of the request at hand
    var requestNumber: UInt64 = 0
    private(set) var head: HTTPRequestHead?
    private var body: KeptInput
    private var bodyLimit = Int.max
    private var routeRules = HTTPRouteRules.none
    /// The body that a handler reads as it comes, or what an upgraded connection carries; nil once it is through.
    var incoming: IncomingBytes?
    /// How much has come of a body that is read as it comes.
    var incomingBytes = 0
    var isUpgraded = false
    var handlerDeadline = UInt64.max
    private(set) var heldBodyBytes = 0
    var task: Task<Void, Never>?

    // Of its response
    var output = OutputQueue()
    var progressSinceExtension = 0
    var responseFraming = HTTPResponseEncoder.Framing.none
    var closesAfterResponse = false
    /// Set where input is left that nobody will read: closing at once would reset the connection under the response.
    var lingers = false
    var streamEnded = false
    var streamContinuation: CheckedContinuation<Bool, Never>?
    /// How often the connection's exporter was asked for.
    private var sessionCount = 0
    /// What was read of it to no use, while it lingers.
    private var discardedBytes = 0
    /// The client sends nothing more; it may still read.
    private(set) var peerEnded = false

    static let maximumPendingBytes = 64 << 10
    /// Pipelined requests handled in one go, before other connections get their turn: so few that a crowd of connections with
    /// requests in store does not keep a new one waiting.
    private static let maximumRun = 4
    /// Parts of a body taken in one go; a chunk can be as short as a byte.
    private static let maximumParts = 256
    static let lingerNanoseconds: UInt64 = 2_000_000_000
    /// Of what a refused client still sends; enough for most to come to its end and read why.
    private static let maximumDiscardedBytes = 1 << 20

    /// Takes the descriptor over, also where it fails (memory).
    init?(
        _ loop: ServerLoop, slot: Int, number: UInt64, descriptor: Int32, peer: HTTPPeer.Address,
        listener: ActiveListener
    ) {
        self.loop = loop
        self.slot = slot
        self.number = number
        self.peer = HTTPPeer(address: peer, process: listener.process(of: descriptor, peer))
        holder = peer.identity
        listenerName = listener.name
        rules = listener.rules
        receivesSecrets = listener.receivesSecrets
        pending = KeptInput(isSecret: receivesSecrets)
        body = KeptInput(isSecret: receivesSecrets)
        tls = rules.tls
        channel = ByteChannel(descriptor: descriptor, tls: tls)
        let limits = rules.limits
        // Routes may allow for larger bodies than the listener; those are counted here then.
        let bodyBytes = loop.core.configuration.route == nil ? limits.maximumBodyBytes : Int.max
        parser = HTTPRequestParser(
            limits: .init(
                headerBytes: limits.maximumHeaderBytes, headerCount: limits.maximumHeaderCount,
                bodyBytes: bodyBytes),
            requiresHost: listener.requiresHost)
        phase = tls == nil ? .idle : .handshaking
        let now = MonotonicClock.now
        deadline = now &+ (tls == nil ? limits.headerTimeout : limits.handshakeTimeout).wholeNanoseconds
        since = now
        guard channel.isWhole else { return nil }
        let context = Unmanaged.passUnretained(self).toOpaque()
        readEvent = loop.makeEvent(DSTACK_EVENT_READ, descriptor, context) { ServerConnection.at($0).readable() }
        writeEvent = loop.makeEvent(DSTACK_EVENT_WRITE, descriptor, context) { ServerConnection.at($0).writable() }
        if readEvent == nil || writeEvent == nil { return nil }
    }

    deinit { freeEvents() }

    private static func at(_ context: UnsafeMutableRawPointer) -> ServerConnection {
        Unmanaged<ServerConnection>.fromOpaque(context).takeUnretainedValue()
    }

    private func freeEvents() {
        if let readEvent { dstack_event_free(readEvent) }
        if let writeEvent { dstack_event_free(writeEvent) }
        readEvent = nil
        writeEvent = nil
    }

    var exchange: ExchangeID { ExchangeID(slot: slot, connection: number, request: requestNumber) }

    // MARK: Life

    func begin() { setReading(true) }

    func close() {
        guard phase != .closed else { return }
        phase = .closed
        freeEvents()
        task?.cancel()
        task = nil
        streamContinuation?.resume(returning: false)
        streamContinuation = nil
        endIncoming(.failure(.clientGone))
        releaseBody()
        loop.remove(self)
    }

    /// The server stops: an idle connection goes now, any other after its response.
    func finishSoon() {
        switch phase {
        case .idle, .handshaking: close()
        case .judging where !hasRequest: close()
        default:
            closesAfterResponse = true
            // Nothing else tells the handler of such a connection that it is to come to its end.
            if isUpgraded { incoming?.end(.success(())) }
        }
    }

    func expire(_ now: UInt64) {
        switch phase {
        case .receivingHead: refuse(HTTPRefusal(408, "the header took too long"))
        case .receivingBody: continueBody(now)
        case .judging: endJudgement()
        case .handling where now < handlerDeadline: continueIncoming(now)
        case .handling:
            task?.cancel()
            task = nil
            // A late answer of the handler finds another request number.
            requestNumber += 1
            closesAfterResponse = true
            respond(.text(504, "the request took too long\n"))
        default: close()
        }
    }

    func setDeadline(_ duration: Duration) { deadline = MonotonicClock.now &+ duration.wholeNanoseconds }

    func beginPhase(_ limit: Duration) {
        since = MonotonicClock.now
        deadline = since &+ limit.wholeNanoseconds
    }

    /// What it is to lose if places are short; nil while it is being served.
    func evictionCandidate(_ now: UInt64) -> EvictionCandidate? {
        func candidate(_ rank: EvictionCandidate.Rank, _ lateness: Int64) -> EvictionCandidate {
            EvictionCandidate(
                slot: slot, number: number, holder: holder, rank: rank, lateness: max(0, lateness), since: since)
        }
        func slowAfterPatience(_ late: Int64, _ usual: EvictionCandidate.Rank = .young) -> EvictionCandidate {
            candidate(late > BodyPace.patience ? .slow : usual, late)
        }
        let elapsed = Int64(clamping: now) - Int64(clamping: since)
        switch phase {
        case .handshaking, .judging: return slowAfterPatience(elapsed)
        case .receivingHead:
            let behind = BodyPace.behind(elapsed, pending.count, rules.limits.minimumBytesPerSecond)
            return candidate(
                behind > BodyPace.patience ? .slow : .young, BodyPace.lateness(elapsed, pending.count, rules.limits))
        case .receivingBody:
            return candidate(
                pace.isSlow(now, body.count, rules.limits) ? .slow : .young,
                pace.lateness(now, body.count, rules.limits))
        case .idle:
            guard pending.isEmpty else { return nil }
            guard requestNumber > 0 else { return slowAfterPatience(elapsed) }
            // One that has just been answered may be about to ask.
            return candidate(elapsed > 250_000_000 ? .idle : .young, elapsed)
        case .lingering: return candidate(.slow, elapsed)
        case .responding, .streaming:
            if deadline == .max { return phase == .streaming ? candidate(.streaming, elapsed) : nil }
            // Set when it stopped taking.
            let limit = Int64(clamping: rules.limits.writeTimeout.wholeNanoseconds)
            let late = limit - (Int64(clamping: deadline) - Int64(clamping: now))
            return slowAfterPatience(late, phase == .streaming ? .streaming : .young)
        case .handling:
            // Served, as long as it sends what its handler wants to read.
            guard let incoming, incoming.takesMore, pace.isSlow(now, incomingBytes, rules.limits) else { return nil }
            return candidate(.slow, pace.lateness(now, incomingBytes, rules.limits))
        case .closed: return nil
        }
    }

    /// What it has in the memory for bodies; nil for nothing.
    func bodyHolding(_ now: UInt64) -> BodyHolding? {
        guard heldBodyBytes > 0 else { return nil }
        return BodyHolding(
            holder: holder, bytes: heldBodyBytes, arrival: phase == .receivingBody ? evictionCandidate(now) : nil)
    }

    // MARK: Input

    func setReading(_ wanted: Bool) {
        guard wanted != isReading, let readEvent else { return }
        isReading = wanted
        let isDone = wanted ? dstack_event_add(readEvent, 0) : dstack_event_remove(readEvent)
        if !isDone { close() }
    }

    func setWriting(_ wanted: Bool) {
        guard wanted != isWriting, let writeEvent else { return }
        isWriting = wanted
        let isDone = wanted ? dstack_event_add(writeEvent, 0) : dstack_event_remove(writeEvent)
        if !isDone { close() }
    }

    private func readable() {
        switch phase {
        case .closed: break
        case .handshaking: handshake()
        case .lingering: discard()
        default:
            if continuesInput {
                continuesInput = false
                usePending()
            } else {
                receive()
            }
        }
    }

    func handshake() {
        switch channel.handshake() {
        case .bytes:
            peer = HTTPPeer(address: peer.address, tls: channel.tlsPeer, process: peer.process)
            admit()
        case .blocked(let untilReadable): setWriting(!untilReadable)
        case .ended, .failed:
            let reason = tls?.takeFailure() ?? "the connection was closed"
            loop.report(.handshakeFailed(listener: listenerName, peer: peer.address, reason: reason))
            close()
        }
    }

    /// From now on requests are taken.
    func beginServing() {
        phase = .idle
        beginPhase(rules.limits.headerTimeout)
        setWriting(false)
        setReading(true)
        pending.isEmpty ? receive() : usePending()
    }

    func setVerdict(_ found: (any TLSPeerVerdict)?, by judge: (any TLSPeerJudge)? = nil) {
        guard foundBy != nil || judge != nil else { return }
        foundBy = judge
        peer.verdict = found
    }

    /// Reads once: the loop comes back as long as there is more, after the others had their turn.
    private func receive() {
        guard pending.count < Self.maximumPendingBytes else { return setReading(false) }
        switch channel.read(into: loop.scratch) {
        case .bytes(let count):
            take(UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]))
            wipeRead(count)
        case .blocked(let untilReadable): if !untilReadable { setWriting(true) }
        case .ended:
            peerEnded = true
            setReading(false)
            // A client that reads a stream has no reason to half-close, so this is its way to go.
            if isUpgraded {
                // What waits for its reader comes first.
                if pending.isEmpty { endIncoming(.success(())) }
                return
            }
            if waitsForInput || phase == .streaming || phase == .judging && !hasRequest { close() }
        case .failed: close()
        }
    }

    /// The memory that all connections read into has nothing secret in it when the next one's turn comes.
    private func wipeRead(_ count: Int) {
        if receivesSecrets { wipe(UnsafeMutableRawBufferPointer(rebasing: loop.scratch[..<count])) }
    }

    var waitsForInput: Bool {
        switch phase {
        case .idle, .receivingHead, .receivingBody: true
        case .handling, .responding, .streaming: incoming?.takesMore ?? false
        default: false
        }
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        if waitsForInput, pending.isEmpty {
            let used = use(Span(_unsafeElements: bytes.bindMemory(to: UInt8.self)))
            pending.append(UnsafeRawBufferPointer(rebasing: bytes[used...]))
        } else {
            pending.append(bytes)
            if waitsForInput { usePending() }
        }
        scheduleRest()
    }

    /// Goes on with input that waited.
    func usePending() {
        // Taken out while it is used: a request that it holds may be answered, and answering looks at this connection.
        var input = pending
        pending.removeAll()
        input.use { use($0) }
        pending = input
        scheduleRest()
    }

    /// If the run was cut short, comes back after the others had their turn.
    private func scheduleRest() {
        guard wasCutShort, waitsForInput, !pending.isEmpty, let readEvent else { return }
        continuesInput = true
        dstack_event_trigger(readEvent)
    }

    /// Parses and acts until more is needed or a request waits for its handler. Returns how much was used.
    private func use(_ input: Span<UInt8>) -> Int {
        var position = 0
        var (requests, parts) = (0, 0)
        wasCutShort = false
        while waitsForInput {
            let rest = input.extracting(position..<input.count)
            if isUpgraded {
                rest.withUnsafeBufferPointer { incoming?.append($0) }
                return input.count
            }
            let (consumed, event) = parser.advance(rest)
            switch event {
            case .needsMore:
                position += consumed
                if phase == .idle, position < input.count { beginHead() }
                return position
            case .head(let head):
                if phase == .idle { beginHead() }
                beginBody(head, bodyFollows: consumed < rest.count)
                if routeRules.streamsBody, phase == .receivingBody { dispatch() }
            case .body(let range):
                rest.extracting(range).withUnsafeBufferPointer { append($0) }
                parts += 1
            case .end where incoming != nil: endIncoming(.success(()))
            case .end where routeRules.streamsBody: break
            case .end:
                dispatch()
                requests += 1
            case .refused(let refusal):
                incoming == nil ? refuse(refusal) : failIncoming(.clientGone, refusal)
            }
            position += consumed
            if requests >= Self.maximumRun || parts >= Self.maximumParts {
                wasCutShort = true
                break
            }
        }
        return position
    }

    private func beginHead() {
        phase = .receivingHead
        beginPhase(rules.limits.headerTimeout)
    }

    private func beginBody(_ head: HTTPRequestHead, bodyFollows: Bool) {
        self.head = head
        phase = .receivingBody
        closesAfterResponse = !head.keepsAlive || loop.isStopping
        routeRules = loop.core.configuration.route?(head, listenerName) ?? .none
        guard head.framing != .none else {
            routeRules.streamsBody = false
            return
        }
        let most = rules.limits.maximumBodyBytes
        let limit = routeRules.maximumBodyBytes ?? most
        bodyLimit = routeRules.streamsBody ? limit : min(limit, most)
        if case .length(let length) = head.framing {
            guard length <= bodyLimit else { return refuse(.bodyTooLarge(bodyLimit)) }
            if !routeRules.streamsBody { body.reserveCapacity(min(length, 64 << 10)) }
        }
        since = MonotonicClock.now
        deadline = pace.begin(since, rules.limits)
        if head.expectsContinue, !bodyFollows {
            output.append(HTTPResponseEncoder.continueHead)
            flush()
        }
    }

    /// Whether a body that is not complete yet comes fast enough.
    private func continueBody(_ now: UInt64) {
        guard let next = pace.next(now, since, body.count, rules.limits) else {
            return refuse(HTTPRefusal(408, "the body took too long"))
        }
        deadline = next
    }

    private func append(_ part: UnsafeBufferPointer<UInt8>) {
        if let incoming {
            guard part.count <= bodyLimit - incomingBytes else {
                return failIncoming(.tooLarge, .bodyTooLarge(bodyLimit))
            }
            incomingBytes += part.count
            return incoming.append(part)
        }
        guard part.count <= bodyLimit - body.count else { return refuse(.bodyTooLarge(bodyLimit)) }
        guard
            loop.bufferedBodyBytes <= loop.limits.maximumBufferedBodyBytes - part.count
                || loop.makeRoomForBody(part.count, of: self)
        else { return refuse(.tooMuchAtOnce) }
        heldBodyBytes += part.count
        loop.bufferedBodyBytes += part.count
        body.append(UnsafeRawBufferPointer(part))
    }

    func releaseBody() {
        if heldBodyBytes > 0 { loop.bufferedBodyBytes -= heldBodyBytes }
        heldBodyBytes = 0
        body.removeAll()
    }

    /// Reads what the client still sends, so that it can read what was said before the connection closes.
    private func discard() {
        switch channel.read(into: loop.scratch) {
        case .bytes(let count):
            wipeRead(count)
            discardedBytes += count
            if discardedBytes >= Self.maximumDiscardedBytes { setReading(false) }
        case .blocked(let untilReadable): if !untilReadable { close() }
        case .ended, .failed: close()
        }
    }

    // MARK: Requests

    /// Whether there is one that is whole, or is being handled.
    var hasRequest: Bool { head != nil }

    private func dispatch() {
        if admitsRequest() { handle() }
    }

    /// Goes on with a whole request that waited for a verdict on its client.
    func continueRequest() {
        handle()
        resumeInput()
    }

    private func handle() {
        guard let head else { return close() }
        requestNumber += 1
        phase = .handling
        deadline =
            (routeRules.handlerTimeout ?? rules.limits.handlerTimeout).map { MonotonicClock.now &+ $0.wholeNanoseconds }
            ?? .max
        handlerDeadline = deadline
        if routeRules.streamsBody { beginIncoming() }
        let (bytes, secret) = body.take()
        let request = HTTPServerRequest(
            head: head, body: bytes, secretBody: secret, incoming: incoming, listener: listenerName, peer: peer,
            origin: .init(exchange: exchange, mailbox: loop.core.mailbox))
        if let response = loop.core.immediate?(request) { return respond(response) }
        guard loop.requests.take(holder, of: loop.limits.maximumRequestsInFlight, share: requestShare) else {
            loop.core.counters.noteRefused()
            var response = HTTPServerResponse.text(503, "too many requests\n")
            response.headers["Retry-After"] = "1"
            return respond(response)
        }
        task = loop.core.startHandler(request, holder, exchange)
    }

    /// Who comes over a network may be a stranger, and gets no more than three quarters; users of the machine are its owner's.
    private var requestShare: Int {
        let maximum = loop.limits.maximumRequestsInFlight
        return if case .network = holder { maximum - maximum / 4 } else { maximum }
    }

    func session(_ label: String, limit: Int) -> HTTPTLSSession.Answer {
        guard sessionCount < limit else { return .exhausted }
        sessionCount += 1
        guard let exporter = channel.export(label), let key = channel.localKey else { return .unavailable }
        return .session(HTTPTLSSession(exporter: exporter, publicKey: key))
    }

    /// The exchange is over; the next one may begin.
    func finishExchange() {
        task = nil
        head = nil
        releaseBody()
        if incoming != nil || isUpgraded {
            // Where the next request would begin is not known before the rest of the body has come.
            closesAfterResponse = true
            lingers = !isUpgraded
            endIncoming(.failure(.answered))
        }
        if closesAfterResponse { return finishConnection() }
        phase = .idle
        beginPhase(rules.limits.idleTimeout)
    }

    /// After a response that did not go out within ``use(_:)``: goes on with what came in the meantime.
    func resumeInput() {
        guard phase == .idle else { return }
        if !pending.isEmpty { usePending() }
        guard waitsForInput else { return }
        if peerEnded {
            // Half-closed after its last complete request.
            if !continuesInput { finishConnection() }
        } else if pending.count < Self.maximumPendingBytes {
            setReading(true)
        }
    }

    private func finishConnection() {
        guard lingers || !pending.isEmpty, !peerEnded else {
            channel.endWriting()
            return close()
        }
        channel.endWriting()
        phase = .lingering
        pending.removeAll()
        since = MonotonicClock.now
        deadline = since &+ Self.lingerNanoseconds
        setReading(true)
    }
}
