import CEvent
import DstackHTTP
import DstackNetwork
import Glibc

/// The thread of a server: libevent's loop, the listeners, and the table of connections. Everything here is touched
/// by that thread alone.
final class ServerLoop {
    let core: ServerCore
    private(set) var limits: HTTPServerLimits
    /// Where reads land; what a connection wants to keep, it copies.
    let scratch: UnsafeMutableRawBufferPointer
    private(set) var listeners: [ActiveListener] = []
    var encoder = HTTPResponseEncoder()
    /// Of all connections together.
    var bufferedBodyBytes = 0 {
        didSet { core.counters.setBufferedBodyBytes(bufferedBodyBytes) }
    }
    /// Requests with a handler.
    var requests = ClientPlaces() {
        didSet { core.counters.setRequestsInFlight(requests.count) }
    }

    var judgements = ClientPlaces() {
        didSet { core.counters.setJudgements(judgements.count) }
    }

    private let base: OpaquePointer
    private var mailEvent: OpaquePointer?
    private var tickEvent: OpaquePointer?
    private var connections: [ServerConnection?] = []
    private var freeSlots: [Int] = []
    private var connectionCount = 0 {
        didSet { core.counters.setConnections(connectionCount) }
    }
    private var connectionNumber: UInt64 = 0
    private var stopDeadline: UInt64?
    private var isTicking = false
    private var evictions = EvictionQueue()

    var isStopping: Bool { stopDeadline != nil }
    var bound: [HTTPBoundListener] { listeners.map(\.bound) }

    /// How often deadlines are looked at.
    private static let tickMicroseconds: UInt32 = 100_000
    private static let scratchBytes = 64 << 10
    /// Where the memory for bodies is full, this part of it is freed beyond what is needed.
    private static let sparePart = 64

    init(_ core: ServerCore) throws(HTTPServerError) {
        LoopThread.prepare("http-server", niceness: core.configuration.threads?.niceness ?? 0)
        guard core.mailbox.descriptor >= 0, let base = dstack_loop_new() else {
            throw HTTPServerError(.system, "server", "no event loop: \(String(cString: strerror(errno)))")
        }
        self.core = core
        self.base = base
        limits = core.configuration.limits
        scratch = .allocate(byteCount: Self.scratchBytes, alignment: 16)
        for listener in core.configuration.listeners {
            listeners.append(try ActiveListener(listener, self))
        }
        let context = Unmanaged.passUnretained(self).toOpaque()
        mailEvent = dstack_event_new(
            base, DSTACK_EVENT_READ, core.mailbox.descriptor, { ServerLoop.at($0).readMail() }, context)
        tickEvent = dstack_event_new(base, DSTACK_EVENT_TIMER, -1, { ServerLoop.at($0).tick() }, context)
        guard let mailEvent, tickEvent != nil, dstack_event_add(mailEvent, 0), listeners.allSatisfy({ $0.open() })
        else { throw HTTPServerError(.system, "server", "no memory for events") }
    }

    deinit {
        listeners = []
        connections = []
        if let mailEvent { dstack_event_free(mailEvent) }
        if let tickEvent { dstack_event_free(tickEvent) }
        dstack_loop_free(base)
        scratch.deallocate()
    }

    func run() {
        dstack_loop_run(base)
        for connection in connections { connection?.close() }
        listeners = []
    }

    private static func at(_ context: UnsafeMutableRawPointer) -> ServerLoop {
        Unmanaged<ServerLoop>.fromOpaque(context).takeUnretainedValue()
    }

    // MARK: Connections

    func makeEvent(
        _ kind: dstack_event_kind, _ descriptor: Int32, _ context: UnsafeMutableRawPointer,
        _ callback: @escaping dstack_event_callback
    ) -> OpaquePointer? {
        dstack_event_new(base, kind, descriptor, callback, context)
    }

    func makeListener(
        _ descriptor: Int32, _ context: UnsafeMutableRawPointer, accepted: @escaping dstack_accept_callback,
        failed: @escaping dstack_event_callback
    ) -> OpaquePointer? {
        dstack_listener_new(base, descriptor, accepted, failed, context)
    }

    /// Takes an accepted socket over.
    func accepted(
        _ descriptor: Int32, _ address: UnsafePointer<sockaddr>?, _ length: socklen_t, by listener: ActiveListener
    ) {
        core.counters.noteAccepted()
        if connectionCount >= max(1, limits.maximumConnections) {
            report(.overloaded(listener: listener.name))
            guard makeRoom() else { return turnAway(descriptor, listener) }
        }
        connectionNumber += 1
        let slot = freeSlots.popLast() ?? connections.count
        let peer = listener.address(of: descriptor, address, length)
        guard
            let connection = ServerConnection(
                self, slot: slot, number: connectionNumber, descriptor: descriptor, peer: peer, listener: listener)
        else {
            freeSlots.append(slot)
            if slot == connections.count { connections.append(nil) }
            return
        }
        if slot == connections.count {
            connections.append(connection)
        } else {
            connections[slot] = connection
        }
        connectionCount += 1
        setTicking(true)
        connection.begin()
    }

    func remove(_ connection: ServerConnection) {
        guard connections[connection.slot] === connection else { return }
        connections[connection.slot] = nil
        freeSlots.append(connection.slot)
        connectionCount -= 1
        stopIfDone()
    }

    /// Makes room for a new connection at the cost of one that wastes its place.
    private func makeRoom() -> Bool {
        let now = MonotonicClock.now
        let victim = evictions.next(now) { candidate in
            guard let connection = connections[candidate.slot], connection.number == candidate.number else {
                return nil
            }
            return connection.evictionCandidate(now)
        } all: {
            connections.compactMap { $0?.evictionCandidate(now) }
        }
        guard let victim else { return false }
        connections[victim]?.close()
        core.counters.noteEvicted(1)
        return true
    }

    /// Ends a share of the connections that waste their descriptors: more than one, since accepting pauses for a moment.
    func makeRoomForDescriptors() {
        let now = MonotonicClock.now
        let victims = PlaceEviction.victims(of: connections.compactMap { $0?.evictionCandidate(now) })
        for victim in victims { connections[victim.slot]?.close() }
        core.counters.noteEvicted(victims.count)
    }

    /// Makes room in the memory for bodies (``BodyEviction``).
    ///
    /// - Returns: whether there is enough now.
    func makeRoomForBody(_ count: Int, of asker: ServerConnection) -> Bool {
        let now = MonotonicClock.now
        let maximum = limits.maximumBufferedBodyBytes
        let victims = BodyEviction.victims(
            of: connections.compactMap { $0 === asker ? nil : $0?.bodyHolding(now) },
            asker: (asker.holder, asker.heldBodyBytes + count), needed: bufferedBodyBytes - (maximum - count),
            spare: maximum / Self.sparePart)
        for slot in victims {
            guard let connection = connections[slot] else { continue }
            connection.releaseBody()
            connection.refuse(.tooMuchAtOnce)
        }
        return bufferedBodyBytes <= maximum - count
    }

    private func turnAway(_ descriptor: Int32, _ listener: ActiveListener) {
        if !listener.hasTLS {
            let answer = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            _ = Array(answer.utf8).withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        }
        Glibc.close(descriptor)
    }

    func report(_ event: HTTPServerEvent) { core.configuration.observer?(event) }

    // MARK: Messages

    private func readMail() {
        for message in core.mailbox.takeAll() {
            switch message {
            case .response(let exchange, let holder, let response, let incoming):
                requests.leave(holder)
                guard let connection = connection(of: exchange),
                    connection.deliver(response, incoming, for: exchange.request)
                else {
                    incoming?.end(.failure(.clientGone))
                    continue
                }
            case .roomMade(let exchange): connection(of: exchange)?.resumeIncoming()
            case .bodyPart(let exchange, let bytes, let continuation):
                guard let connection = connection(of: exchange) else {
                    continuation.resume(returning: false)
                    continue
                }
                connection.stream(bytes, for: exchange.request, continuation)
            case .bodyEnd(let exchange, let isComplete):
                connection(of: exchange)?.endStream(for: exchange.request, isComplete: isComplete)
            case .judged(let exchange, let holder, let judge, let judgement):
                judgements.leave(holder)
                connection(of: exchange)?.deliver(judgement, by: judge, for: exchange.request)
            case .session(let exchange, let label, let limit, let continuation):
                continuation.resume(
                    returning: connection(of: exchange)?.session(label, limit: limit) ?? .unavailable)
            case .changeTLS(let name, let change, let continuation):
                continuation.resume(returning: changeTLS(of: name, change))
            case .reload(let configuration, let continuation):
                continuation.resume(returning: Result { () throws(HTTPServerError) in try reload(configuration) })
            case .probe(let request, let answer): core.startProbe(request, answer)
            case .stop(let deadline): stop(deadline)
            }
        }
    }

    private func connection(of exchange: ExchangeID) -> ServerConnection? {
        guard connections.indices.contains(exchange.slot), let connection = connections[exchange.slot],
            connection.number == exchange.connection
        else { return nil }
        return connection
    }

    private func changeTLS(of name: String, _ change: (inout HTTPServerTLS) -> Void) -> HTTPServerError? {
        guard let listener = listeners.first(where: { $0.name == name && $0.hasTLS }) else {
            return HTTPServerError(.state, name, "there is no TLS listener of this name")
        }
        do throws(HTTPServerError) {
            try listener.rules.changeTLS(change, listener: name)
            return nil
        } catch {
            return error
        }
    }

    /// Changes addresses, TLS and limits; nothing, where one of them cannot be had.
    private func reload(_ configuration: HTTPServerConfiguration) throws(HTTPServerError) -> [HTTPBoundListener] {
        guard !isStopping else { throw HTTPServerError(.state, "server", "it is stopping") }
        var next: [ActiveListener] = []
        var changes: [(ListenerRules, ListenerRules.Prepared, HTTPServerLimits)] = []
        for listener in configuration.listeners {
            guard let known = listeners.first(where: { $0.name == listener.name && $0.place == listener.endpoint })
            else {
                let new = try ActiveListener(listener, self)
                new.rules.limits = listener.limits ?? configuration.limits
                guard new.open() else { throw HTTPServerError(.system, listener.name, "no memory for events") }
                next.append(new)
                continue
            }
            let prepared = try ListenerRules.prepare(listener.tls, listener.name)
            changes.append((known.rules, prepared, listener.limits ?? configuration.limits))
            next.append(known)
        }
        for (rules, prepared, limits) in changes {
            rules.use(prepared)
            rules.limits = limits
        }
        limits = configuration.limits
        // Those that are not among them close; their connections stay.
        listeners = next
        return bound
    }

    // MARK: Time

    private func tick() {
        let now = MonotonicClock.now
        for listener in listeners { listener.resumeIfDue(now) }
        for case let connection? in connections where connection.deadline <= now { connection.expire(now) }
        if let stopDeadline, stopDeadline <= now { dstack_loop_break(base) }
        if connectionCount == 0, !isStopping, !listeners.contains(where: \.isPaused) { setTicking(false) }
    }

    /// The clock runs while there is a deadline that could pass; an idle server sleeps.
    func setTicking(_ wanted: Bool) {
        guard wanted != isTicking, let tickEvent else { return }
        isTicking = wanted
        _ = wanted ? dstack_event_add(tickEvent, Self.tickMicroseconds) : dstack_event_remove(tickEvent)
    }

    private func stop(_ deadline: UInt64) {
        stopDeadline = min(deadline, stopDeadline ?? .max)
        setTicking(true)
        // Their sockets and files go now: a successor may already be waiting for them.
        listeners = []
        for connection in connections { connection?.finishSoon() }
        stopIfDone()
        if deadline <= MonotonicClock.now { dstack_loop_break(base) }
    }

    private func stopIfDone() {
        if isStopping, connectionCount == 0 { dstack_loop_break(base) }
    }
}
