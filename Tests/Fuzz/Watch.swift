import FuzzSupport
import Glibc
import Synchronization

/// Knows which case each thread is at, so that a case that traps or never ends can be named.
final class Watch: Sendable {
    /// The case a thread is at: kind and number packed, and since when.
    private final class Slot: Sendable {
        let work = Atomic<UInt64>(0)
        let start = Atomic<Int64>(0)
    }

    private static let slots = (0..<256).map { _ in Slot() }
    private static let runSeed = Atomic<UInt64>(0)
    private static let isBusy: UInt64 = 1 << 63

    /// Ends the process with status 1 when a case takes longer than `limit`.
    init(limit: Duration) {
        let bound = limit.components.seconds
        let thread = UnsafeMutablePointer<pthread_t>.allocate(capacity: 1)
        let box = Unmanaged.passRetained(Bound(seconds: bound))
        pthread_create(
            thread, nil,
            { pointer in
                guard let pointer else { return nil }
                let bound = Unmanaged<Bound>.fromOpaque(pointer).takeRetainedValue()
                while true {
                    sleep(1)
                    Watch.look(bound.seconds)
                }
            }, box.toOpaque())
        thread.deallocate()
    }

    private final class Bound: Sendable {
        let seconds: Int64
        init(seconds: Int64) { self.seconds = seconds }
    }

    private static func look(_ bound: Int64) {
        let now = Int64(time(nil))
        for slot in slots {
            let work = slot.work.load(ordering: .acquiring)
            guard work & isBusy != 0, now - slot.start.load(ordering: .relaxed) > bound else { continue }
            write("a case does not end\n")
            writeCases()
            _exit(1)
        }
    }

    func begin(_ worker: Int, _ kind: FuzzKind, _ number: Int) {
        let slot = Self.slots[worker % Self.slots.count]
        let index = UInt64(FuzzKind.allCases.firstIndex(of: kind) ?? 0)
        slot.start.store(Int64(time(nil)), ordering: .relaxed)
        slot.work.store(Self.isBusy | index << 48 | UInt64(number), ordering: .releasing)
    }

    func end(_ worker: Int) { Self.slots[worker % Self.slots.count].work.store(0, ordering: .releasing) }

    // MARK: Crashes

    /// Names the cases in progress when the process traps.
    static func reportCrashes(seed: UInt64) {
        runSeed.store(seed, ordering: .relaxed)
        _ = slots.count
        _ = names.count
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT] {
            signal(number) { number in
                Watch.write("a case crashed (signal)\n")
                Watch.writeCases()
                signal(number, SIG_DFL)
                raise(number)
            }
        }
    }

    private static let names: [StaticString] = FuzzKind.allCases.map { kind in
        switch kind {
        case .quoteBytes: "quote-bytes"
        case .quoteFields: "quote-fields"
        case .collateralJSON: "collateral-json"
        case .collateralMembers: "collateral-members"
        case .chains: "chains"
        case .documents: "documents"
        case .certificates: "certificates"
        case .revocationLists: "revocation-lists"
        case .levels: "levels"
        case .time: "time"
        case .evidence: "evidence"
        case .eventLog: "event-log"
        case .ccel: "ccel"
        case .envelope: "envelope"
        case .appCompose: "app-compose"
        case .policy: "policy"
        case .configuration: "vm-config"
        }
    }

    private static func writeCases() {
        for slot in slots {
            let work = slot.work.load(ordering: .acquiring)
            guard work & isBusy != 0 else { continue }
            write("one of: --seed ")
            write(runSeed.load(ordering: .relaxed))
            write(" --kind ")
            let index = Int(work >> 48 & 0xFF)
            if names.indices.contains(index) { write(names[index]) }
            write(" --count 1 --first ")
            write(work & 0xFFFF_FFFF_FFFF)
            write("\n")
        }
    }

    // Nothing below allocates: a signal handler may not.

    private static func write(_ text: StaticString) {
        _ = Glibc.write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
    }

    private static func write(_ number: UInt64) {
        var divisor: UInt64 = 1
        while number / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            var digit = UInt8(ascii: "0") + UInt8(number / divisor % 10)
            _ = Glibc.write(STDERR_FILENO, &digit, 1)
            divisor /= 10
        }
    }
}
