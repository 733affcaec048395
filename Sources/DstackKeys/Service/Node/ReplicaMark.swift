import DstackKMS
import DstackSystem
import Glibc

/// Beside the root keys: that there has been a store with epochs.
///
/// Keys without a store are those of a service that never had one: upstream's, or one whose keys were restored from a copy
/// without it. The two must not be mixed up. The first begins with epoch 0 and nothing else. If the second did so, it would give keys of
/// epoch 0 where others of its kind give those of a later one. With this mark it is known, and waits until another replica has
/// told it the epochs; or until an operator restores the store, or takes the mark away because there were no other epochs.
struct ReplicaMark {
    static let name = "replica-id"
    private let path: String

    init(_ directory: String) { path = "\(directory)/\(Self.name)" }

    /// Where epochs begin that are not in the store.
    func beginning() -> Epochs.Beginning { access(path, F_OK) == 0 ? .joining : .founding }

    func leave(_ replica: ReplicaID) throws(KMSStateError) {
        guard access(path, F_OK) != 0 else { return }
        do throws(SystemError) {
            try AtomicFile.write("\(replica)\n", to: path, mode: .readable)
        } catch {
            throw KMSStateError(error, path)
        }
    }
}
