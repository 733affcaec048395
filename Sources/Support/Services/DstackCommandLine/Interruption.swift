import DstackSystem

/// Ctrl-C and other requests to end, as the cancellation of a task.
package enum Interruption {
    /// Runs a body that is cancelled by SIGINT, SIGTERM and SIGHUP. They have no other effect until it has returned, so that
    /// an impatient second Ctrl-C does not keep it from cleaning up.
    package static func watch<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws
        -> Value
    {
        let signals = try Signals.stream(of: .interrupt, .terminate, .hangup)
        let task = Task { try await body() }
        let watcher = Task { for await _ in signals { task.cancel() } }
        defer { watcher.cancel() }
        return try await task.value
    }
}
