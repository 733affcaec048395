import DstackHTTP
import DstackNetwork

/// Who is at the other end: what a connection does between its handshake and its first request, and before each request.
extension ServerConnection {
    /// What is to be done before a request is taken.
    private enum Standing {
        case accepted
        case unjudged(any TLSPeerJudge)
        case refused(String)
    }

    /// By the listener's rules of now, which need not be those of the handshake.
    private var standing: Standing {
        guard rules.asksClients, let clients = rules.clients else {
            setVerdict(nil)
            return .accepted
        }
        guard let presented = peer.tls?.certificates, !presented.isEmpty else {
            // A client is asked in the handshake alone; where that was before, it has to come again.
            return clients.isRequired && tls != nil ? .refused("a client certificate is needed here") : .accepted
        }
        guard let judge = clients.judge else {
            setVerdict(nil)
            return .accepted
        }
        if let found = peer.verdict, foundBy === judge, found.holds { return .accepted }
        return .unjudged(judge)
    }

    /// After the handshake.
    func admit() {
        switch standing {
        case .accepted: beginServing()
        case .unjudged(let judge): beginJudgement(judge)
        case .refused(let reason): refuseClient(reason)
        }
    }

    /// Before a whole request goes to its handler. False where that has to wait, or will not be.
    func admitsRequest() -> Bool {
        switch standing {
        case .accepted: return true
        case .unjudged(let judge): beginJudgement(judge)
        case .refused(let reason): refuseClient(reason)
        }
        return false
    }

    private func beginJudgement(_ judge: any TLSPeerJudge) {
        setVerdict(nil)
        phase = .judging
        // As for a handshake, and in its place: who has not been let in yet must not stay longer.
        beginPhase(rules.limits.handshakeTimeout)
        let places = loop.limits.maximumJudgements
        guard loop.judgements.take(holder, of: places, share: places / 2) else {
            loop.report(.overloaded(listener: listenerName))
            let reason = "too many clients are being judged at once"
            return hasRequest ? refuse(HTTPRefusal(503, reason)) : refuseClient(reason)
        }
        requestNumber += 1
        task = loop.core.startJudgement(judge, peer.tls?.certificates ?? [], holder, exchange)
        setWriting(false)
        setReading(true)
    }

    func deliver(_ judgement: TLSJudgement, by judge: any TLSPeerJudge, for request: UInt64) {
        guard request == requestNumber, phase == .judging else { return }
        task = nil
        switch judgement {
        case .accepted(let found):
            setVerdict(found, by: judge)
            hasRequest ? continueRequest() : beginServing()
        case .refused(let reason): refuseClient(reason)
        }
    }

    /// Judging takes longer than a handshake may.
    func endJudgement() {
        task?.cancel()
        task = nil
        let reason = "judging the client took too long"
        hasRequest ? refuse(HTTPRefusal(503, reason)) : refuseClient(reason)
    }

    /// Tells a client with a request what is wrong with it. One without gets no answer, as where a handshake fails: the reason
    /// may say what would be accepted, and is for this side's log.
    private func refuseClient(_ reason: String) {
        loop.report(.clientRefused(listener: listenerName, peer: peer.address, reason: reason))
        guard !hasRequest else { return refuse(HTTPRefusal(403, reason)) }
        loop.core.counters.noteRefused()
        close()
    }
}
