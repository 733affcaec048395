package import DstackHTTPServer
import Synchronization

/// On whose behalf a log is read.
package enum LogReader: Sendable, Hashable {
    /// This program itself, for all who look at its pages: it reads the end of a log and is done.
    case own
    /// Whoever asks over a connection.
    case stranger(HTTPPeer.Identity)
}

/// How many logs may be read at once, each of which holds something on both sides: a connection, a process.
///
/// Whoever asks gets a place. Where strangers have them all, the address that has most loses the one that it has had for
/// longest; so one host only ever takes places from itself once others want some, and nobody is refused for what others
/// hold. The program's own reading has places beside.
final class LogPlaces: Sendable {
    fileprivate struct State {
        /// The longest held first.
        var held: [(place: LogPlace.Identity, reader: LogReader)] = []
    }

    private let state = Mutex(State())
    private let count: Int
    private let ownCount: Int

    /// - Parameters:
    ///   - count: for strangers.
    ///   - own: for the program itself.
    init(_ count: Int, own: Int) {
        self.count = max(1, count)
        ownCount = max(1, own)
    }

    /// A place for a container's log.
    ///
    /// - Throws: where the program's own are taken, which are soon free again.
    func take(_ reader: LogReader, _ container: Container) throws(GuestError) -> LogPlace {
        let (place, lost) = state.withLock { state -> (LogPlace?, LogPlace.Identity?) in
            var lost: LogPlace.Identity?
            if reader == .own {
                guard state.held.count(where: { $0.reader == .own }) < ownCount else { return (nil, nil) }
            } else if state.held.count(where: { $0.reader != .own }) >= count {
                lost = state.takeFromTheRichest()
            }
            let identity = LogPlace.Identity()
            state.held.append((identity, reader))
            return (LogPlace(identity) { [self] in giveBack(identity) }, lost)
        }
        // Outside the lock: it ends a reading, which gives back what it has.
        lost?.lose()
        guard let place else {
            throw GuestError(
                .engineUnavailable, subject: "logs of \(container.displayName)",
                reason: "too many logs are being read at once")
        }
        return place
    }

    private func giveBack(_ identity: LogPlace.Identity) {
        state.withLock { state in state.held.removeAll { $0.place === identity } }
    }
}

extension LogPlaces.State {
    /// Ends the holding of the place that the address with most of them has had for longest; of addresses with as many, the
    /// one that began first.
    fileprivate mutating func takeFromTheRichest() -> LogPlace.Identity? {
        var counts: [LogReader: Int] = [:]
        for (_, reader) in held where reader != .own { counts[reader, default: 0] += 1 }
        let most = counts.values.max() ?? 0
        guard let index = held.firstIndex(where: { counts[$0.reader] == most }) else { return nil }
        return held.remove(at: index).place
    }
}

/// One of the logs that may be read at once; given back when it goes, unless somebody else has it by then.
final class LogPlace: Sendable {
    /// What the list of places knows of one.
    final class Identity: Sendable {
        private struct State {
            var isLost = false
            var stop: (@Sendable () -> Void)?
        }

        private let state = Mutex(State())

        var isLost: Bool { state.withLock { $0.isLost } }

        func lose() {
            let stop = state.withLock { state in
                state.isLost = true
                return state.stop.take()
            }
            stop?()
        }

        func whenLost(_ stop: @escaping @Sendable () -> Void) {
            let isLost = state.withLock { state in
                if !state.isLost { state.stop = stop }
                return state.isLost
            }
            if isLost { stop() }
        }

        func forget() { state.withLock { $0.stop = nil } }
    }

    private let identity: Identity
    private let giveBack: @Sendable () -> Void

    init(_ identity: Identity, _ giveBack: @escaping @Sendable () -> Void) {
        self.identity = identity
        self.giveBack = giveBack
    }

    deinit {
        identity.forget()
        giveBack()
    }

    /// Whether somebody else has it.
    var isLost: Bool { identity.isLost }

    /// Calls something once when somebody else gets the place; at once where that is so already.
    func whenLost(_ stop: @escaping @Sendable () -> Void) { identity.whenLost(stop) }
}
