import DstackKMS
import Synchronization

/// What is to be said to other replicas. Everything that a replica says holds all that it has said before, so that the latest
/// message to each is enough.
final class ReplicaOutbox: Sendable {
    private let messages = Mutex<[ReplicaID: [UInt8]]>([:])
    /// More than there may be replicas.
    private static let maximumCount = 2 * EpochTable.maximumReplicas

    /// Puts a message in the place of an older one. A question that was still to be asked stays one.
    func put(_ message: [UInt8], for replica: ReplicaID) {
        messages.withLock { messages in
            guard let older = messages[replica] else {
                if messages.count < Self.maximumCount { messages[replica] = message }
                return
            }
            messages[replica] = Self.merged(older, into: message)
        }
    }

    func take(for replica: ReplicaID) -> [UInt8]? { messages.withLock { $0.removeValue(forKey: replica) } }

    /// Puts a message back that could not be delivered, behind what came meanwhile.
    func restore(_ message: [UInt8], for replica: ReplicaID) {
        messages.withLock { messages in
            messages[replica] = messages[replica].map { Self.merged(message, into: $0) } ?? message
        }
    }

    /// The first byte says whether it is a question (``EpochMessage``).
    private static func merged(_ older: [UInt8], into newer: [UInt8]) -> [UInt8] {
        guard older.first == 1, newer.first == 0 else { return newer }
        return [1] + newer.dropFirst()
    }
}
