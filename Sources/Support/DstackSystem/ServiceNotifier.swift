import Glibc

/// Tells systemd how a service fares (`sd_notify(3)`, `Type=notify`); does nothing where no one asks.
package struct ServiceNotifier: Sendable {
    private let socket: String?
    /// Within which time systemd wants to hear ``keepAlive()`` (`WatchdogSec=`); nil where it does not.
    package let watchdogInterval: Duration?

    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    package init(environment: Environment = .process) {
        socket = environment["NOTIFY_SOCKET"].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
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
    package func keepAlive() async {
        guard let watchdogInterval, isActive else { return }
        while !Task.isCancelled {
            watchdog()
            try? await Task.sleep(for: watchdogInterval / 2)
        }
    }

    /// A service does not fail because its manager cannot be told; systemd notices by its own timeouts.
    private func send(_ text: String) {
        guard let path = socket, var address = UnixAddress(notifyPath: path) else { return }
        let number = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return }
        let descriptor = FileDescriptor(owning: number, name: path)
        let bytes = Array(text.utf8)
        _ = withUnsafePointer(to: &address.storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                retryingInterrupts {
                    sendto(descriptor.number, bytes, bytes.count, Int32(MSG_NOSIGNAL), pointer, address.length)
                }
            }
        }
    }
}

/// The address of a Unix socket by path, or by name in the abstract space, where `@` stands for the leading NUL byte.
private struct UnixAddress {
    var storage = sockaddr_un()
    let length: socklen_t

    /// Nil where the path is too long for an address.
    init?(notifyPath path: String) {
        var bytes = Array(path.utf8)
        let isAbstract = bytes.first == UInt8(ascii: "@")
        if isAbstract { bytes[0] = 0 }
        let capacity = MemoryLayout.size(ofValue: storage.sun_path)
        // A path needs room for its NUL; an abstract name is as long as the address says.
        guard !bytes.isEmpty, bytes.count < capacity else { return nil }
        storage.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &storage.sun_path) { $0.copyBytes(from: bytes) }
        let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        length = socklen_t(offset + bytes.count + (isAbstract ? 0 : 1))
    }
}
