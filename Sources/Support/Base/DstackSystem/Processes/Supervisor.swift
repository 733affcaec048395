import DstackEncoding
import Glibc

/// Keeps programs running that outlive it: when it ends, in whatever way, they run on, and the next one finds them again.
///
/// ```swift
/// let supervisor = try Supervisor(in: "/run/machines")
/// try await supervisor.start(.init("vm-1", Launch("qemu", arguments, output: .log(log)), restart: .init(.onFailure)))
/// …
/// _ = await supervisor.stop("vm-1")
/// ```
///
/// A program's process is written down before the program does anything (``ChildProcess/init(_:record:)``), by number, start
/// time and boot, so that neither is one started twice nor a stranger with a recycled number taken for one.
package actor Supervisor {
    /// One program that is kept running.
    package struct Program: Sendable {
        /// Its name in records and events: a file name.
        package var name: String
        package var launch: Launch
        package var restart: RestartPolicy
        /// How long it, and what it has started, may take to end when they are asked to; then they are killed.
        package var grace: Duration

        package init(
            _ name: String, _ launch: Launch, restart: RestartPolicy = .never, grace: Duration = .seconds(10)
        ) {
            self.name = name
            self.launch = launch
            self.restart = restart
            self.grace = grace
        }
    }

    package enum Status: Sendable, Hashable {
        case running(ProcessIdentity)
        /// It ended, or could not be started, and will be started again.
        case waiting
        /// It ended by itself and is not started again; nil where nobody knows how.
        case ended(ProgramEnding?)
    }

    package enum Event: Sendable, Equatable {
        case started(String, ProcessIdentity)
        /// It ran already, started by an earlier supervisor.
        case found(String, ProcessIdentity)
        /// It ended without being asked to; nil where nobody knows how, as of one that was found.
        case ended(String, ProgramEnding?)
        /// It will be started again after a pause.
        case pausing(String, Duration)
        /// It could not be started, which counts as an end.
        case failed(String, SystemError)
    }

    private struct Running {
        let group: ProcessGroup
        let handle: ProcessHandle
        /// Nil for one that was found.
        let child: ChildProcess?
        let since = ContinuousClock.now
    }

    private struct Entry {
        let program: Program
        var running: Running?
        var status = Status.waiting
        var keeper: Task<Void, Never>?
    }

    private let directory: String
    private let lock: LockFile
    private let observe: @Sendable (Event) -> Void
    private var entries: [String: Entry] = [:]

    /// - Parameters:
    ///   - directory: where records are kept, and a lock: one supervisor at a time has it. It is to be on a disk or a file
    ///     system that lasts as long as the boot.
    ///   - observe: is told what happens; it must not wait.
    /// - Throws: ``SystemError``; `EWOULDBLOCK` where another supervisor has the directory.
    package init(in directory: String, observe: @escaping @Sendable (Event) -> Void = { _ in }) throws(SystemError) {
        guard let lock = try LockFile.taken(directory + "/lock") else {
            throw SystemError(
                "supervise in", directory, code: EWOULDBLOCK, reason: "another process does")
        }
        self.lock = lock
        self.directory = directory
        self.observe = observe
    }

    /// The programs that were started and not stopped, by name.
    package var status: [String: Status] { entries.mapValues(\.status) }

    /// Programs that run since an earlier supervisor started them, and that nobody has asked this one for.
    package var strangers: [String: ProcessGroup] {
        let names = ((try? File.names(in: directory)) ?? []).filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }
        var found: [String: ProcessGroup] = [:]
        for name in names.map({ String($0.dropLast(5)) }) where entries[name] == nil {
            if let group = record(name), group.isRunning { found[name] = group }
        }
        return found
    }

    // MARK: Starting

    /// Keeps a program running from now on. One that runs already, whatever it was started with, is found and not started.
    ///
    /// - Throws: ``SystemError`` where it cannot be started now, and then nothing is kept; `EEXIST` where one of that name is
    ///   kept already.
    package func start(_ program: Program) async throws(SystemError) {
        guard entries[program.name] == nil else { throw SystemError("start", program.name, code: EEXIST) }
        guard !program.name.isEmpty, !program.name.hasPrefix("."), !program.name.contains("/") else {
            throw SystemError("start", program.name, code: EINVAL, reason: "its name is no file name")
        }
        entries[program.name] = Entry(program: program)
        do throws(SystemError) {
            let found = try await find(program)
            let running = if let found { found } else { try launch(program) }
            entries[program.name]?.running = running
            entries[program.name]?.status = .running(running.group.leader)
            entries[program.name]?.keeper = Task { await self.keep(program, running) }
        } catch {
            entries[program.name] = nil
            throw error
        }
    }

    private func find(_ program: Program) async throws(SystemError) -> Running? {
        guard let group = record(program.name) else { return nil }
        guard let handle = try ProcessHandle(group.leader) else {
            // It ended while nobody looked; what it had started is not to get in the way of the next one.
            let hasEnded = (try? await group.stop(grace: program.grace)) ?? false
            guard entries[program.name] != nil, hasEnded else {
                throw SystemError(
                    "start", program.name, code: EBUSY, reason: "what it started before has not ended yet")
            }
            return nil
        }
        observe(.found(program.name, group.leader))
        return Running(group: group, handle: handle, child: nil)
    }

    private func launch(_ program: Program) throws(SystemError) -> Running {
        var group: ProcessGroup?
        do {
            let child = try ChildProcess(program.launch) { identity in
                let new = ProcessGroup(identity, controlGroup: program.launch.controlGroup)
                var writer = JSONWriter()
                writer.object { new.write(to: &$0) }
                try AtomicFile.write(writer.bytes, to: recordPath(program.name), mode: .secret)
                group = new
            }
            guard let group else { throw SystemError("record", program.name, code: ESRCH) }
            observe(.started(program.name, group.leader))
            return Running(group: group, handle: child.handle, child: child)
        } catch {
            forget(program.name)
            throw error as? SystemError ?? SystemError("start", program.name, code: EIO, reason: "\(error)")
        }
    }

    // MARK: Keeping

    private func keep(_ program: Program, _ first: Running) async {
        var backOff = RestartPolicy.BackOff(program.restart)
        var current: Running? = first
        while true {
            var ending: ProgramEnding?
            var time = Duration.zero
            if let running = current {
                guard await running.handle.ended(), !Task.isCancelled else { return }
                ending = running.child?.ending
                time = running.since.duration(to: .now)
                observe(.ended(program.name, ending))
                // What it has started goes with it, before it can get in the way of the next one; what hangs in the kernel
                // is waited for.
                do {
                    while try await !running.group.stop(grace: program.grace) {
                        // Whoever stops it is not to wait for the kernel.
                        guard !Task.isCancelled else { return }
                    }
                } catch { return }
                entries[program.name]?.running = nil
                forget(program.name)
            }
            guard let pause = backOff.pause(after: ending, running: time) else {
                entries[program.name]?.status = .ended(ending)
                return
            }
            entries[program.name]?.status = .waiting
            observe(.pausing(program.name, pause))
            guard (try? await Task.sleep(for: pause)) != nil else { return }
            do throws(SystemError) {
                let running = try launch(program)
                entries[program.name]?.running = running
                entries[program.name]?.status = .running(running.group.leader)
                current = running
            } catch {
                observe(.failed(program.name, error))
                current = nil
            }
        }
    }

    // MARK: Stopping

    /// Ends a program and all that it has started, and keeps it no more. One of an earlier supervisor is ended as well.
    ///
    /// - Returns: whether nothing of it runs; what hangs in the kernel, or belongs to somebody else, may, and is found again.
    package func stop(_ name: String) async -> Bool {
        let entry = entries[name]
        entry?.keeper?.cancel()
        await entry?.keeper?.value
        let group = entries[name]?.running?.group ?? record(name)
        // In a task of its own: whoever asks may be cancelled, and what was begun is to come to its end.
        let grace = entry?.program.grace ?? .seconds(10)
        let hasEnded = await Task { (try? await group?.stop(grace: grace)) ?? (group == nil) }.value
        if hasEnded {
            // Its place in the table of processes goes with it.
            _ = entries[name]?.running?.child?.ending
            forget(name)
        }
        entries[name] = nil
        return hasEnded
    }

    /// Lets go of everything: what runs goes on, for the next supervisor to find.
    package func leave() async {
        let keepers = entries.values.compactMap(\.keeper)
        for keeper in keepers { keeper.cancel() }
        for keeper in keepers { await keeper.value }
        entries = [:]
    }

    // MARK: Records

    private func recordPath(_ name: String) -> String { "\(directory)/\(name).json" }

    private func forget(_ name: String) { _ = unlink(recordPath(name)) }

    /// A file that is no record is none: it cannot say what to stop.
    private func record(_ name: String) -> ProcessGroup? {
        guard let bytes = try? File.readRegular(recordPath(name), limit: 65_536),
            let document = try? JSONDocument(parsing: bytes, subject: name)
        else { return nil }
        return try? ProcessGroup(document.root)
    }
}
