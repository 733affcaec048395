import Glibc

/// Tells systemd how a service fares (`sd_notify(3)`, `Type=notify`); does nothing where no one asks.
package struct ServiceNotifier: Sendable {
    private let socket: String?
    private let channel: NotifyChannel?
    /// Within which time systemd wants to hear ``keepAlive()`` (`WatchdogSec=`); nil where it does not.
    package let watchdogInterval: Duration?

    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    package init(environment: Environment = .process) {
        socket = environment["NOTIFY_SOCKET"].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
        channel = socket.flatMap { NotifyChannel($0) }
        let isMeant = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap { Int64($0) } ?? 0
        watchdogInterval = isMeant && microseconds > 0 ? .microseconds(microseconds) : nil
    }

    /// Whether somebody listens.
    package var isActive: Bool { socket != nil }

    /// The service answers requests now.
    package func ready(status: String) { send("READY=1\nSTATUS=\(SafeText.line(status))") }

    /// What the service is doing, for `systemctl status`.
    package func status(_ text: String) { send("STATUS=\(SafeText.line(text))") }

    /// The configuration is being read again; ``ready(status:)`` follows.
    package func reloading() {
        var time = timespec()
        _ = clock_gettime(CLOCK_MONOTONIC, &time)
        send("RELOADING=1\nMONOTONIC_USEC=\(Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)")
    }

    /// The service drains and will end.
    package func stopping() { send("STOPPING=1") }

    /// One sign of life.
    package func watchdog() { send("WATCHDOG=1") }

    /// Signs of life, twice as often as asked for, until the task is cancelled.
    ///
    /// They come from a thread of their own: whatever fills the threads that tasks share does not silence them.
    ///
    /// - Parameter probe: finds out whether there is life, and calls back with the answer, from wherever it likes. One that
    ///   has not called back is waited for, and not asked again before. It must not depend on anything that strangers can
    ///   fill.
    package func keepAlive(probe: @escaping ServiceWatchdog.Probe = { $0(true) }) async {
        guard let watchdogInterval, isActive else { return }
        let asking = ServiceWatchdog(every: watchdogInterval / 2, probe) { [self] in watchdog() }
        await withTaskCancellationHandler {
            await asking.run()
        } onCancel: {
            asking.stop()
        }
    }

    /// A service does not fail because its manager cannot be told; systemd notices by its own timeouts.
    private func send(_ text: String) { channel?.send(text) }
}

/// The socket that the service manager is told by. Opened once, so that telling it takes no descriptor when there may be none
/// left.
private final class NotifyChannel: Sendable {
    private let descriptor: FileDescriptor
    private let address: UnixAddress

    init?(_ path: String) {
        // `@` stands for the zero byte before a name in the abstract space.
        let named = path.hasPrefix("@") ? UnixAddress(abstractName: String(path.dropFirst())) : UnixAddress(path: path)
        guard let address = named else { return nil }
        let number = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return nil }
        descriptor = FileDescriptor(owning: number, name: path)
        self.address = address
        // A manager that does not read must not keep a service from ending.
        var patience = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = address.withSockaddr { pointer, length in
            retryingInterrupts {
                sendto(descriptor.number, bytes, bytes.count, Int32(MSG_NOSIGNAL), pointer, length)
            }
        }
    }
}
