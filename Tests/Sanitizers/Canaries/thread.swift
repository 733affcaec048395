// Threads that count together: `race` without a lock, anything else with one that they wait for each other at.
import Glibc
import Synchronization

final class Counter: @unchecked Sendable {
    private let lock = Mutex(())
    private let isLocked: Bool
    private(set) var value = 0

    init(isLocked: Bool) { self.isLocked = isLocked }

    func count() {
        for _ in 0..<2_000 {
            if isLocked { lock.withLock { _ in value += 1 } } else { value += 1 }
        }
    }
}

let counter = Counter(isLocked: CommandLine.arguments.last != "race")
let threads = (0..<8).map { _ in
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { context in
            if let context { Unmanaged<Counter>.fromOpaque(context).takeUnretainedValue().count() }
            return nil
        }, Unmanaged.passUnretained(counter).toOpaque())
    return thread
}
for thread in threads { pthread_join(thread, nil) }
print(counter.value)
