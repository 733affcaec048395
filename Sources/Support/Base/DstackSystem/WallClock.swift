import Glibc
import Synchronization

/// The time of day, as certificates, collateral and logs need it. For intervals use `ContinuousClock` instead: this
/// one jumps when it is set.
package protocol WallClock: Sendable {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    var unixMilliseconds: Int64 { get }
}

extension WallClock {
    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    package var unixSeconds: Int64 {
        wholeSeconds(unixMilliseconds)
    }
}

/// Rounded down, also before 1970.
func wholeSeconds(_ milliseconds: Int64) -> Int64 {
    milliseconds / 1_000 - (milliseconds % 1_000 < 0 ? 1 : 0)
}

/// The system's clock.
package struct SystemWallClock: WallClock {
    package init() {}

    package var unixMilliseconds: Int64 {
        var time = timespec()
        // Cannot fail: the clock exists on every Linux and the pointer is valid.
        _ = clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}

extension WallClock where Self == SystemWallClock {
    package static var system: SystemWallClock { SystemWallClock() }
}

/// A clock that stands still until it is moved; for tests and for judging "as of" another time.
package final class FixedWallClock: WallClock {
    private let milliseconds: Atomic<Int64>

    /// - Parameter unixSeconds: saturates where milliseconds do not fit (some 292 million years from now).
    package init(unixSeconds: Int64) {
        milliseconds = Atomic(Self.milliseconds(unixSeconds))
    }

    package var unixMilliseconds: Int64 { milliseconds.load(ordering: .relaxed) }

    package func set(unixSeconds: Int64) {
        milliseconds.store(Self.milliseconds(unixSeconds), ordering: .relaxed)
    }

    package func advance(bySeconds seconds: Int64) {
        let (sum, overflow) = unixSeconds.addingReportingOverflow(seconds)
        set(unixSeconds: overflow ? (seconds < 0 ? Int64.min : Int64.max) : sum)
    }

    private static func milliseconds(_ seconds: Int64) -> Int64 {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
        return overflow ? (seconds < 0 ? Int64.min : Int64.max) : product
    }
}
