import DstackConcurrency
import Glibc
import Synchronization

/// A signal that a service answers.
package enum Signal: Int32, Sendable, CaseIterable {
    /// Ctrl-C.
    case interrupt = 2
    /// systemd, docker and kill ask to end.
    case terminate = 15
    /// Reload.
    case hangup = 1
    case user1 = 10
    case user2 = 12
}

/// Signals as a stream, so that a service can await them like anything else.
///
/// ```swift
/// for await signal in Signals.stream(of: .interrupt, .terminate, .hangup) {
///     if signal == .hangup { await service.reload() } else { break }
/// }
/// await service.drain()
/// ```
package enum Signals {
    /// The signals that arrive from now on.
    ///
    /// While a stream lives, its signals do nothing else. After the last stream for a signal has ended (by leaving the
    /// loop or by cancellation), the signal has its old effect again: a second Ctrl-C ends a service whose draining
    /// takes too long.
    ///
    /// - Throws: ``SystemError`` where the process has no descriptors left.
    package static func stream(of signals: Signal...) throws(SystemError) -> AsyncStream<Signal> {
        try SignalHub.shared.stream(of: Set(signals))
    }
}

/// The descriptor that the handler writes to. Handlers may interrupt anything, so they get by with one atomic load and
/// one write; it is first touched before a handler can run, hence never initialised inside one.
private let handlerDescriptor = Atomic<Int32>(-1)

private func handle(_ number: Int32) {
    let saved = errno
    var byte = UInt8(truncatingIfNeeded: number)
    // The pipe does not block. When it is full there are signals enough waiting in it.
    _ = write(handlerDescriptor.load(ordering: .relaxed), &byte, 1)
    errno = saved
}

/// Hands signals from the handler, through a pipe and a thread that reads it, to the streams.
private final class SignalHub: Sendable {
    private struct State {
        var isRunning = false
        var nextID: UInt64 = 0
        var streams = [UInt64: (signals: Set<Signal>, continuation: AsyncStream<Signal>.Continuation)]()
        /// How signals were handled before.
        var replaced: [Signal: sigaction] = [:]
    }

    static let shared = SignalHub()
    private let state = Mutex(State())

    func stream(of signals: Set<Signal>) throws(SystemError) -> AsyncStream<Signal> {
        let (stream, continuation) = AsyncStream.makeStream(of: Signal.self, bufferingPolicy: .bufferingNewest(16))
        let added = state.withLock { state in
            Result { () throws(SystemError) in
                if !state.isRunning { try self.start() }
                state.isRunning = true
                state.nextID += 1
                state.streams[state.nextID] = (signals, continuation)
                for signal in signals where state.replaced[signal] == nil {
                    var action = sigaction()
                    action.__sigaction_handler.sa_handler = handle
                    action.sa_flags = SA_RESTART
                    var old = sigaction()
                    _ = sigaction(signal.rawValue, &action, &old)
                    state.replaced[signal] = old
                }
                return state.nextID
            }
        }
        let id = try added.get()
        continuation.onTermination = { [self] _ in remove(id) }
        return stream
    }

    private func remove(_ id: UInt64) {
        state.withLock { state in
            guard let ended = state.streams.removeValue(forKey: id) else { return }
            for signal in ended.signals where !state.streams.values.contains(where: { $0.signals.contains(signal) }) {
                if var old = state.replaced.removeValue(forKey: signal) { _ = sigaction(signal.rawValue, &old, nil) }
            }
        }
    }

    private func deliver(_ signal: Signal) {
        let continuations = state.withLock { state in
            state.streams.values.filter { $0.signals.contains(signal) }.map(\.continuation)
        }
        // Outside the lock: yielding may run code that ends a stream, which takes it.
        for continuation in continuations { continuation.yield(signal) }
    }

    /// Opens the pipe and starts the thread, once for the life of the process.
    private func start() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .last("open a pipe for signals") }
        let (reading, writing) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(writing, F_SETFL, fcntl(writing, F_GETFL) | O_NONBLOCK)
        handlerDescriptor.store(writing, ordering: .relaxed)
        let code = DetachedThread.start { [self] in read(reading) }
        guard code == 0 else { throw SystemError("start a thread for signals", code: code) }
    }

    private func read(_ descriptor: Int32) {
        var byte: UInt8 = 0
        while retryingInterrupts({ Glibc.read(descriptor, &byte, 1) }) == 1 {
            if let signal = Signal(rawValue: Int32(byte)) { deliver(signal) }
        }
    }
}
