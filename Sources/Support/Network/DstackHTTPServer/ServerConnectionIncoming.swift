import DstackHTTP
import DstackNetwork

/// What a handler reads as it comes: a request's body, or what an upgraded connection carries.
extension ServerConnection {
    func beginIncoming() {
        incoming = loop.core.makeIncoming(exchange)
        incomingBytes = 0
        deadline = min(deadline, pace.begin(MonotonicClock.now, rules.limits))
    }

    /// The connection carries another protocol.
    func upgrade(_ incoming: IncomingBytes) {
        self.incoming = incoming
        isUpgraded = true
    }

    func endIncoming(_ outcome: Result<Void, IncomingFailure>) {
        guard let incoming else { return }
        incoming.end(outcome)
        self.incoming = nil
        if phase == .handling { deadline = handlerDeadline }
    }

    /// What is wrong with a body that a handler reads already is answered in its place.
    func failIncoming(_ failure: IncomingFailure, _ refusal: HTTPRefusal) {
        endIncoming(.failure(failure))
        guard phase == .handling else {
            // A part of the handler's answer is out.
            channel.resetWhenClosed()
            return close()
        }
        task?.cancel()
        task = nil
        refuse(refusal)
    }

    /// Whether a body that is read as it comes comes fast enough, unless it is the handler that holds it up.
    func continueIncoming(_ now: UInt64) {
        guard let incoming else { return deadline = handlerDeadline }
        if !incoming.takesMore {
            deadline = min(handlerDeadline, pace.begin(now, rules.limits, from: incomingBytes))
        } else if let next = pace.next(now, now, incomingBytes, rules.limits) {
            deadline = min(handlerDeadline, next)
        } else {
            failIncoming(.tooSlow, HTTPRefusal(408, "the body took too long"))
        }
    }

    /// A reader has made room.
    func resumeIncoming() {
        guard incoming != nil, waitsForInput else { return }
        // Also without anything that waits: the end of the body may be all that is left.
        usePending()
        guard phase != .closed else { return }
        if !peerEnded {
            if pending.count < Self.maximumPendingBytes { setReading(true) }
        } else if isUpgraded {
            if pending.isEmpty { endIncoming(.success(())) }
        } else if incoming != nil, waitsForInput {
            // All that came before the end was read, and it is not the whole body.
            close()
        }
    }
}
