package import DstackAuthorization
import DstackConcurrency
import DstackEncoding
import Synchronization

/// Bounds how many refusals of one machine are entries of the audit log.
///
/// Each entry is written to the disk before the answer, and never shortened: whoever has any genuine machine could fill the disk
/// with them. What is left out is counted, and the machine's next entry says how many there were. Nobody is answered otherwise
/// for it: whoever decides is asked each time, and one application's refusals hold up no other one of the same host.
package final class RefusalLimit: Sendable {
    /// What asks: the same code that asks again and again is worth fewer entries than one that was not seen before.
    private struct Asker: Hashable {
        let device: FixedBytes<32>
        let subject: BootSubject
        let appID: FixedBytes<20>
        let composeHash: FixedBytes<32>
    }

    private struct Machine {
        var entries: TokenBucket
        /// Since the last entry.
        var leftOut: UInt64 = 0
    }

    private struct State {
        var machines: LRUCache<FixedBytes<32>, Machine>
        var askers: LRUCache<Asker, TokenBucket>
    }

    /// How many entries at once, and how many a second then.
    package struct Rate: Sendable {
        let burst: Double
        let perSecond: Double

        package init(burst: Double, perSecond: Double) { (self.burst, self.perSecond) = (burst, perSecond) }

        var bucket: TokenBucket { TokenBucket(burst: burst, perSecond: perSecond) }
    }

    private let state: Mutex<State>
    private let (ofMachine, ofAsker): (Rate, Rate)

    /// - Parameters:
    ///   - ofMachine: entries about a machine, whatever it says that it runs: some megabytes a day at most.
    ///   - ofAsker: entries about one application's code on a machine.
    package init(
        ofMachine: Rate = Rate(burst: 60, perSecond: 1.0 / 30), ofAsker: Rate = Rate(burst: 5, perSecond: 1.0 / 600),
        capacity: Int = 4_096
    ) {
        (self.ofMachine, self.ofAsker) = (ofMachine, ofAsker)
        state = Mutex(State(machines: LRUCache(capacity: capacity), askers: LRUCache(capacity: capacity)))
    }

    /// Notes a refusal.
    ///
    /// - Returns: how many of the machine's were left out before this one, which is to be an entry; nil where it is not.
    package func note(_ boot: BootInfo, as subject: BootSubject) -> UInt64? {
        let asker = Asker(
            device: boot.deviceID, subject: subject, appID: boot.appID, composeHash: boot.composeHash)
        return state.withLock { state in
            var machine = state.machines.value(of: boot.deviceID) ?? Machine(entries: ofMachine.bucket)
            var own = state.askers.value(of: asker) ?? ofAsker.bucket
            let isEntry = own.allows() && machine.entries.take() && own.take()
            defer {
                machine.leftOut = isEntry ? 0 : machine.leftOut + 1
                state.machines.insert(machine, for: boot.deviceID)
                state.askers.insert(own, for: asker)
            }
            return isEntry ? machine.leftOut : nil
        }
    }
}
