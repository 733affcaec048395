import DstackHTTPServer
import DstackRPCServer
import DstackSystem
import Synchronization

/// Who asked for what, one line a call: method, the path's hash, the peer, how long it took and how it ended. Calls that
/// repeat are counted and summed up, so that a busy application neither fills the log nor waits for it.
final class AuditLog: Sendable {
    private struct Key: Hashable {
        let method: String
        let path: String?
        let peer: HTTPPeer.Address
        let status: Int
    }

    private struct Repetition {
        var since: ContinuousClock.Instant
        var count = 0
        var longest = Duration.zero
    }

    /// Of calls that are alike, one in this time leaves a line.
    private static let interval = Duration.seconds(10)
    private static let maximumKeys = 1_024

    /// What hands out secrets, or changes something that cannot be taken back.
    private static let sensitive: Set<String> = [
        "GetKey", "GetTlsKey", "IssueCert", "DeriveKey", "DeriveK256Key", "Sign", "EmitEvent", "AttestSession",
        "Shutdown",
    ]

    private let repetitions = Mutex<[Key: Repetition]>([:])
    private let level: GuestSettings.Audit
    private let log: Log

    init(_ level: GuestSettings.Audit, log: Log = Log("guest.audit")) {
        self.level = level
        self.log = log
    }

    /// Told of every call, on the thread that answers it.
    func note(_ outcome: RPCOutcome) {
        let isWanted =
            switch level {
            case .off: false
            case .sensitive: Self.sensitive.contains(outcome.call.method) || outcome.status == 403
            case .all: true
            }
        guard isWanted, log.isEnabled(.info) else { return }
        let key = Key(
            method: outcome.call.method, path: outcome.call.noted, peer: Self.withoutPort(outcome.call.peer.address),
            status: outcome.status)
        let now = ContinuousClock.now
        let due = repetitions.withLock { repetitions -> Repetition? in
            guard var known = repetitions[key] else {
                if repetitions.count >= Self.maximumKeys { repetitions.removeAll(keepingCapacity: true) }
                repetitions[key] = Repetition(since: now)
                return Repetition(since: now, count: 1, longest: outcome.duration)
            }
            known.count += 1
            known.longest = max(known.longest, outcome.duration)
            let isDue = known.since.duration(to: now) >= Self.interval
            repetitions[key] = isDue ? Repetition(since: now) : known
            return isDue ? known : nil
        }
        guard let due else { return }
        log.info(
            "call",
            [
                "method": outcome.call.method, "path_hash": outcome.call.noted, "listener": outcome.call.listener,
                "peer": "\(outcome.call.peer.address)", "status": outcome.status, "latency": due.longest,
                "calls": due.count, "error": outcome.error,
            ])
    }

    /// Each connection of a client has another port, and is no other client for that.
    private static func withoutPort(_ address: HTTPPeer.Address) -> HTTPPeer.Address {
        if case .internet(let host, _) = address { .internet(host: host, port: 0) } else { address }
    }
}
