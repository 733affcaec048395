/// Judges who is at the other end of a server's connection, by the certificates that it presented and has shown to have the
/// key of.
///
/// A server asks its judge after the handshake, off the thread that serves connections, and takes no request from a
/// connection before it was accepted. So a judge may compute, and wait for what it needs. What it found stays with the
/// connection and is looked at again before each request: where it does not hold any more, or the listener has another judge
/// by then, the connection is judged anew.
package protocol TLSPeerJudge: AnyObject, Sendable {
    /// The verdict. The task is cancelled when the connection ends or has waited too long.
    ///
    /// - Parameters:
    ///   - certificates: what the client presented, leaf first, DER; never empty.
    ///   - client: who the client is as far as places are shared out: the same text for all that count as one.
    func judge(_ certificates: [[UInt8]], askedBy client: String) async -> TLSJudgement
}

/// What a judge says.
package enum TLSJudgement: Sendable {
    case accepted(any TLSPeerVerdict)
    /// With the reason, for this side's log.
    case refused(String)
}

/// What a judge has found out about a client, for as long as it holds.
package protocol TLSPeerVerdict: Sendable {
    /// Whether the same would be found today, as far as that can be told at once: asked before each request, on the thread
    /// that serves connections.
    var holds: Bool { get }
}
