import DstackHTTPServer
import DstackRPCServer
import DstackSystem
import Synchronization

/// Who asked for what, one line a call: method, the path's hash, the peer, how long it took and how it ended. Calls that
/// repeat are counted and summed up, so that a busy application neither fills the log nor waits for it.
final class CallLog: Sendable {
    private struct Key: Hashable {
        let method: String
        let path: String?
        let peer: HTTPPeer.Address
        let status: Int
    }

    private struct Repetition: Sendable {
        let key: Key
        var since: ContinuousClock.Instant
        var count = 0
        var longest = Duration.zero
    }

    /// Of calls that are alike, one in this time leaves a line.
    private static let interval = Duration.seconds(10)
    private static let maximumKeys = 1_024

    private struct State {
        var repetitions: [Repetition] = []
        /// Where each stands.
        var places: [Key: Int] = [:]
        /// The one that was counted last, to be compared with before anything is hashed.
        var last = 0

        /// Where a call's repetitions are counted; nil if it is the first.
        mutating func place(of key: Key) -> Int? {
            if last < repetitions.count, repetitions[last].key == key { return last }
            guard let place = places[key] else { return nil }
            last = place
            return place
        }

        mutating func begin(_ key: Key, at now: ContinuousClock.Instant) {
            if repetitions.count >= CallLog.maximumKeys {
                repetitions.removeAll(keepingCapacity: true)
                places.removeAll(keepingCapacity: true)
            }
            places[key] = repetitions.count
            repetitions.append(Repetition(key: key, since: now))
        }
    }

    private let state = Mutex(State())
    private let level: GuestSettings.Audit
    private let log: Log
    private let refusals: LimitedLog

    init(_ level: GuestSettings.Audit, log: Log = Log("guest.audit")) {
        self.level = level
        self.log = log
        refusals = LimitedLog(log)
    }

    /// Whether a method hands out secrets, or changes something that cannot be taken back.
    private static func isSensitive(_ method: String) -> Bool {
        switch method {
        case "GetKey", "GetTlsKey", "IssueCert", "DeriveKey", "DeriveK256Key", "Sign", "EmitEvent", "AttestSession",
            "Shutdown":
            true
        default: false
        }
    }

    /// Told of every call, on the thread that answers it.
    func note(_ outcome: RPCOutcome) {
        let isWanted =
            switch level {
            case .off: false
            case .sensitive: Self.isSensitive(outcome.call.method) || outcome.status == 403
            case .all: true
            }
        guard isWanted, log.isEnabled(.info) else { return }
        let key = Key(
            method: outcome.call.method, path: outcome.call.noted, peer: Self.withoutPort(outcome.call.peer.address),
            status: outcome.status)
        let now = ContinuousClock.now
        let due = state.withLock { state -> Repetition? in
            guard let place = state.place(of: key) else {
                state.begin(key, at: now)
                return Repetition(key: key, since: now, count: 1, longest: outcome.duration)
            }
            state.repetitions[place].count += 1
            state.repetitions[place].longest = max(state.repetitions[place].longest, outcome.duration)
            let counted = state.repetitions[place]
            guard counted.since.duration(to: now) >= Self.interval else { return nil }
            state.repetitions[place] = Repetition(key: key, since: now)
            return counted
        }
        guard let due else { return }
        // Each process that is refused is another one to whoever starts them, and its line as good as the one before.
        guard outcome.status != 403 else { return refusals.info("call", Self.fields(outcome, due)) }
        log.info("call", Self.fields(outcome, due))
    }

    private static func fields(_ outcome: RPCOutcome, _ due: Repetition) -> Log.Fields {
        [
            "method": outcome.call.method, "path_hash": outcome.call.noted, "listener": outcome.call.listener,
            "peer": "\(outcome.call.peer.address)", "status": outcome.status, "latency": due.longest,
            "calls": due.count, "error": outcome.error,
        ]
    }

    /// Each connection of a client has another port, and is no other client for that.
    private static func withoutPort(_ address: HTTPPeer.Address) -> HTTPPeer.Address {
        if case .internet(let host, _) = address { .internet(host: host, port: 0) } else { address }
    }
}
