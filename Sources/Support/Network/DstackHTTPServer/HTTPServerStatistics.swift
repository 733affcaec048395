import Synchronization

/// Numbers that anybody may read while the server runs.
final class ServerCounters: Sendable {
    private let connections = Atomic<Int>(0)
    private let acceptedConnections = Atomic<Int>(0)
    private let requestsInFlight = Atomic<Int>(0)
    private let bufferedBodyBytes = Atomic<Int>(0)
    private let judgements = Atomic<Int>(0)
    private let answeredRequests = Atomic<Int>(0)
    private let refusedRequests = Atomic<Int>(0)
    private let evictedConnections = Atomic<Int>(0)

    func noteAccepted() { acceptedConnections.add(1, ordering: .relaxed) }
    func noteAnswered() { answeredRequests.add(1, ordering: .relaxed) }
    func noteEvicted(_ count: Int) { evictedConnections.add(count, ordering: .relaxed) }
    func noteRefused() { refusedRequests.add(1, ordering: .relaxed) }
    func setConnections(_ count: Int) { connections.store(count, ordering: .relaxed) }
    func setBufferedBodyBytes(_ count: Int) { bufferedBodyBytes.store(count, ordering: .relaxed) }
    func setJudgements(_ count: Int) { judgements.store(count, ordering: .relaxed) }
    func setRequestsInFlight(_ count: Int) { requestsInFlight.store(count, ordering: .relaxed) }

    var snapshot: HTTPServerStatistics {
        HTTPServerStatistics(
            connections: connections.load(ordering: .relaxed),
            acceptedConnections: acceptedConnections.load(ordering: .relaxed),
            requestsInFlight: requestsInFlight.load(ordering: .relaxed),
            bufferedBodyBytes: bufferedBodyBytes.load(ordering: .relaxed),
            judgements: judgements.load(ordering: .relaxed),
            answeredRequests: answeredRequests.load(ordering: .relaxed),
            refusedRequests: refusedRequests.load(ordering: .relaxed),
            evictedConnections: evictedConnections.load(ordering: .relaxed))
    }
}

/// A server's numbers at one moment.
package struct HTTPServerStatistics: Sendable, Hashable {
    /// Open now.
    package let connections: Int
    package let acceptedConnections: Int
    /// With a handler now.
    package let requestsInFlight: Int
    /// Of request bodies, over all connections.
    package let bufferedBodyBytes: Int
    /// Clients that are being judged now (``TLSPeerJudge``).
    package let judgements: Int
    package let answeredRequests: Int
    /// Refused before they reached a handler: malformed, too large, too slow, too many.
    package let refusedRequests: Int
    /// Closed so that others could have their places.
    package let evictedConnections: Int
}
