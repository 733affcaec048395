import DstackKMS
import Synchronization

/// What is to be said to other replicas. Everything that a replica says holds all that it has said before, so that the latest
/// message to each is enough.
final class ReplicaOutbox: Sendable {
    private let messages = Mutex<[ReplicaID: EpochMessage]>([:])
    /// More than there may be replicas.
    private static let maximumCount = 2 * EpochTable.maximumReplicas

    /// Puts a message in the place of an older one. A question that was still to be asked stays one.
    func put(_ message: EpochMessage, for replica: ReplicaID) {
        messages.withLock { messages in
            guard let older = messages[replica] else {
                if messages.count < Self.maximumCount { messages[replica] = message }
                return
            }
            messages[replica] = Self.merged(older, into: message)
        }
    }

    func take(for replica: ReplicaID) -> EpochMessage? { messages.withLock { $0.removeValue(forKey: replica) } }

    /// Puts a message back that could not be delivered, behind what came meanwhile.
    func restore(_ message: EpochMessage, for replica: ReplicaID) {
        messages.withLock { messages in
            messages[replica] = messages[replica].map { Self.merged(message, into: $0) } ?? message
        }
    }

    private static func merged(_ older: EpochMessage, into newer: EpochMessage) -> EpochMessage {
        EpochMessage(newer.table, isQuestion: newer.isQuestion || older.isQuestion)
    }
}
