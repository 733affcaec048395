import CEvent
import DstackHTTP
import DstackNetwork
import DstackSystem
import Glibc

/// A listener at work. Lives on the loop's thread; its socket closes with it.
final class ActiveListener {
    let name: String
    let place: ListeningPlace
    let bound: HTTPBoundListener
    let requiresHost: Bool
    let receivesSecrets: Bool
    let rules: ListenerRules
    private let clientsAreLocal: Bool
    private let identifiesProcesses: Bool
    private let isTCP: Bool
    private unowned let loop: ServerLoop
    private var handle: OpaquePointer?
    private let socket: ListeningSocket
    private var resumesAt: UInt64?

    var hasTLS: Bool { rules.tls != nil }
    var isPaused: Bool { resumesAt != nil }

    init(_ listener: HTTPListener, _ loop: ServerLoop) throws(HTTPServerError) {
        rules = try ListenerRules(listener, loop.limits)
        do throws(ListenFailure) {
            socket = try ListeningSocket(listener.endpoint)
        } catch {
            throw HTTPServerError(error.isSystems ? .system : .listen, listener.name, error.reason, hint: error.hint)
        }
        name = listener.name
        place = listener.endpoint
        bound = HTTPBoundListener(listener, socket)
        requiresHost = listener.requiresHost
        receivesSecrets = listener.receivesSecrets
        identifiesProcesses = listener.identifiesProcesses
        let family = socket.address?.family
        clientsAreLocal = family == AF_UNIX
        isTCP = family == AF_INET || family == AF_INET6
        self.loop = loop
    }

    deinit { closeHandle() }

    func open() -> Bool {
        handle = loop.makeListener(
            socket.descriptor, Unmanaged.passUnretained(self).toOpaque(),
            accepted: { ActiveListener.at($0).accept($1, $2, $3) },
            failed: { ActiveListener.at($0).pause() })
        return handle != nil
    }

    private static func at(_ context: UnsafeMutableRawPointer) -> ActiveListener {
        Unmanaged<ActiveListener>.fromOpaque(context).takeUnretainedValue()
    }

    private func closeHandle() {
        if let handle { dstack_listener_free(handle) }
        handle = nil
    }

    private func accept(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>?, _ length: Int32) {
        // A response goes out at once, not when the last one is acknowledged.
        if isTCP { AcceptedSocket.sendAtOnce(descriptor) }
        loop.accepted(descriptor, address, socklen_t(max(0, length)), by: self)
    }

    func address(
        of descriptor: Int32, _ address: UnsafePointer<sockaddr>?, _ length: socklen_t
    ) -> HTTPPeer.Address {
        if clientsAreLocal { return AcceptedSocket.credentials(descriptor).map { .init($0) } ?? .unknown }
        return address.flatMap { RemoteAddress($0, Int(length)) }.map { .init($0) } ?? .unknown
    }

    func process(of descriptor: Int32, _ address: HTTPPeer.Address) -> PeerProcess? {
        guard identifiesProcesses, case .unix(let processID, _, _) = address else { return nil }
        return AcceptedSocket.process(descriptor, processID)
    }

    /// Out of descriptors or memory: the waiting connection stays ready, so trying again at once would spin.
    private func pause() {
        let reason = String(cString: strerror(errno))
        // Without descriptors nobody could come any more, so those that waste theirs go.
        if errno == EMFILE { loop.makeRoomForDescriptors() }
        if let handle { dstack_listener_set_enabled(handle, false) }
        resumesAt = MonotonicClock.now + 200_000_000
        loop.setTicking(true)
        loop.report(.acceptFailed(listener: name, reason: reason))
    }

    func resumeIfDue(_ now: UInt64) {
        guard let resumesAt, resumesAt <= now, let handle else { return }
        self.resumesAt = nil
        dstack_listener_set_enabled(handle, true)
    }
}
