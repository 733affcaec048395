package import DstackCrypto
package import DstackEncoding

/// Remembers how far the logs of other services had come, so that one that goes back is noticed: what a service's own disk
/// cannot prove, since whoever has it can put back an older one.
package struct AuditWitness: Sendable {
    package enum Observation: Sendable, Hashable {
        /// The first head of this log.
        case first
        /// The log has grown, or is as it was.
        case good
        /// An older head came late: it was signed before the one that is known.
        case late
        /// Signed later, and there are fewer entries than there were: some were cut off.
        case cutOff(SignedAuditHead)
        /// As many entries as at another time, and another last one.
        case forked(SignedAuditHead)
    }

    /// The highest head of each log.
    package private(set) var heads: [FixedBytes<16>: SignedAuditHead] = [:]

    /// - Parameter heads: what was kept; verified when it came.
    package init(heads: [SignedAuditHead] = []) {
        for head in heads { _ = observe(verified: head) }
    }

    /// Looks at a head that a service gave.
    ///
    /// What goes back is not remembered: the highest head stays what all that comes is compared with.
    ///
    /// - Throws: ``KMSStateError/Code/notAuthentic`` for one that no service under the root signed.
    package mutating func observe(
        _ head: SignedAuditHead, root: P256.PublicKey
    ) throws(KMSStateError) -> Observation {
        try head.verify(root: root)
        return observe(verified: head)
    }

    private mutating func observe(verified head: SignedAuditHead) -> Observation {
        guard let known = heads[head.log] else {
            heads[head.log] = head
            return .first
        }
        if head.count == known.count {
            guard head.hash == known.hash else { return .forked(known) }
            if Self.isLater(head, known) { heads[head.log] = head }
            return .good
        }
        if head.count > known.count {
            heads[head.log] = head
            return .good
        }
        return Self.isLater(head, known) ? .cutOff(known) : .late
    }

    /// Times in canonical form of one length sort as texts.
    private static func isLater(_ left: SignedAuditHead, _ right: SignedAuditHead) -> Bool { left.time > right.time }
}
