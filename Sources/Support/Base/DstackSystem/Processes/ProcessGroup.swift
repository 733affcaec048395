package import DstackEncoding
import Glibc

/// A process and what it has started: the process group that it leads and, where it has one of its own, its control group.
///
/// What is known of it can be written down, and read by another process after this one has ended.
package struct ProcessGroup: Sendable, Hashable {
    package let leader: ProcessIdentity
    /// The directory of a control group (version 2) which is this one's alone; nil for none. Nothing in it escapes, whatever
    /// sessions and groups it makes for itself.
    package let controlGroup: String?

    package init(_ leader: ProcessIdentity, controlGroup: String? = nil) {
        self.leader = leader
        self.controlGroup = controlGroup
    }

    /// Whether any of it runs.
    package var isRunning: Bool { leader.hasRunningGroup || isControlGroupPopulated }

    private var isControlGroupPopulated: Bool {
        // A group of an earlier boot is not this one's, whatever its name.
        guard let controlGroup, leader.isOfThisBoot,
            let text = try? File.readText(controlGroup + "/cgroup.events", limit: 4_096)
        else { return false }
        return text.split(separator: "\n").contains("populated 1")
    }

    /// Ends all of it: asks first, and kills what is left after a while.
    ///
    /// - Parameters:
    ///   - grace: how long it may take to end when it is asked to (`SIGTERM`).
    ///   - killing: how long to wait for the end of what is killed; what hangs in the kernel can take longer.
    /// - Returns: whether nothing of it is left.
    package func stop(grace: Duration, killing: Duration = .seconds(10)) async throws(CancellationError) -> Bool {
        for (signal, patience) in [(SIGTERM, grace), (SIGKILL, killing)] {
            // Only a group that is known to be the process's is ever signalled.
            if leader.hasRunningGroup { kill(-leader.processID, signal) }
            if signal == SIGKILL { killControlGroup() }
            if try await hasEnded(within: patience) { return true }
        }
        return false
    }

    private func killControlGroup() {
        guard let controlGroup, isControlGroupPopulated,
            let file = try? FileDescriptor(opening: controlGroup + "/cgroup.kill", flags: O_WRONLY)
        else { return }
        // What it cannot be told shows: the group stays populated.
        try? file.writeAll([UInt8(ascii: "1")].span.bytes)
    }

    private func hasEnded(within patience: Duration) async throws(CancellationError) -> Bool {
        let deadline = ContinuousClock.now + patience
        while isRunning {
            guard ContinuousClock.now < deadline else { return false }
            do { try await Task.sleep(for: .milliseconds(20)) } catch { throw CancellationError() }
        }
        return true
    }

    // MARK: Written down

    /// Adds what finds it again to a record.
    package func write(to object: inout JSONWriter.Object) {
        object.member("pid", leader.processID)
        object.member("start_time", leader.startTime)
        object.member("boot_id", leader.bootID)
        if let controlGroup { object.member("control_group", controlGroup) }
    }

    /// Reads it from a record.
    package init(_ record: JSONNode) throws(DecodingFailure) {
        leader = ProcessIdentity(
            processID: try record.member("pid").integer(), startTime: try record.member("start_time").integer(),
            bootID: try record.member("boot_id").string())
        controlGroup = try record.optionalMember("control_group")?.string()
    }
}
