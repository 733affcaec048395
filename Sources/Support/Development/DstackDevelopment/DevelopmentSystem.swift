import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackSystem
import Glibc

/// A system of programs on a developer's machine, kept in a directory: brought up, looked at and ended by commands that
/// themselves come and go.
///
/// ```swift
/// let system = DevelopmentSystem(try DevelopmentDirectory(path), note: { console.note($0) })
/// let running = try await system.up([agent, app])
/// …
/// try await system.down()
/// ```
///
/// Whatever is started is recorded with its start time before anything else happens, so that it can be found and ended
/// later, and nothing else ever is.
package struct DevelopmentSystem: Sendable {
    package let directory: DevelopmentDirectory
    /// How long a component may take to become ready.
    package var readyTimeout = Duration.seconds(60)
    /// How long a component may take to end when it is asked to; then it is killed.
    package var stopTimeout = Duration.seconds(10)
    /// How long another command may hold the directory.
    package var lockTimeout = Duration.seconds(120)
    private let note: @Sendable (String) -> Void
    private static let interval = Duration.milliseconds(20)

    /// - Parameter note: is told of progress, a line at a time.
    package init(_ directory: DevelopmentDirectory, note: @escaping @Sendable (String) -> Void = { _ in }) {
        self.directory = directory
        self.note = note
    }

    // MARK: Up

    /// What becomes of components that run and are not those that are wanted.
    package enum Others: Sendable {
        /// They are ended, and the wanted ones started.
        case ended
        /// They are left alone, and ``up(_:others:prepare:)`` throws. Those of another build of the program are not others.
        /// Where a wanted one is refused for what was asked of it, nothing that came into being for it is left either.
        case left
    }

    /// Starts the components one after the other, each when those before it are ready.
    ///
    /// If the wanted components run already they are left alone; choices that nobody made are satisfied by what runs. If one
    /// fails, or the task is cancelled, all of them are ended before this throws.
    ///
    /// - Parameter prepare: makes files that the components need; called only when they are started, while nothing runs.
    package func up(
        _ components: [Component], others: Others = .ended, prepare: () async throws -> Void = {}
    ) async throws -> (components: [RunningComponent], isReused: Bool) {
        try check(components)
        let made = try directory.create()
        let lock = try await lock()
        defer { withExtendedLifetime(lock) {} }
        // Who had the lock before may have taken everything back.
        _ = try directory.create()
        let records = directory.records
        let found = components.compactMap { component in
            records[component.name].flatMap { $0.isReady && $0.isRunning ? (component, $0) : nil }
        }
        // Where others are left alone, the record of one that was left from something else is no reason to end anything.
        if found.count == components.count, others == .left || records.count == components.count {
            let differences = found.flatMap { component, record in component.differences(from: record) }
            let isOtherBuild = found.contains { component, record in record.program != component.program }
            if differences.isEmpty, others == .left || !isOtherBuild {
                if isOtherBuild {
                    note("what runs is of another build; `dstack dev down` ends it, and then this one can start")
                }
                return (found.map { Self.running($0.1) }, true)
            }
            if others == .left {
                throw DevelopmentError(
                    .configuration,
                    "\(found.map(\.1.name).joined(separator: " and ")) runs in \(directory.path) already, "
                        + differences.joined(separator: " and "),
                    hint: "leave the option out, or end what runs: dstack dev down --dir "
                        + ShellWord.quoted(directory.path))
            }
        }
        if records.values.contains(where: { $0.isRunning }) {
            note("ending what runs in \(directory.path), which is not what is wanted now")
        }
        try await stopAll()
        do {
            try await prepare()
            var running: [RunningComponent] = []
            for component in components { running.append(try await start(component)) }
            return (running, false)
        } catch {
            // In a task of its own: this one may be cancelled, and nothing must be left running.
            try await Task { try await stopAll() }.value
            if others == .left, let refusal = error as? DevelopmentError, refusal.code == .configuration {
                directory.remove(made)
                // The log went with the rest, if it was new.
                throw made.isEmpty ? refusal : DevelopmentError(.configuration, refusal.reason)
            }
            throw error is CancellationError
                ? DevelopmentError(.interrupted, "interrupted; nothing is left running") : error
        }
    }

    private func check(_ components: [Component]) throws(DevelopmentError) {
        var seen = Set<String>()
        for component in components {
            guard access(component.executable, X_OK) == 0 else {
                throw DevelopmentError(
                    .configuration, "\(component.name): \(SystemError.last("start", component.executable))",
                    hint: "build it: make build")
            }
            guard component.dependencies.allSatisfy(seen.contains), seen.insert(component.name).inserted else {
                throw DevelopmentError(
                    .configuration, "\(component.name) stands twice in the list, or before what it depends on")
            }
        }
    }

    private func start(_ component: Component) async throws -> RunningComponent {
        try Task.checkCancellation()
        directory.rotateLog(of: component.name)
        let clock = ContinuousClock()
        let began = clock.now
        var (child, record) = try launch(component)
        while try await !isReady(component, &record.address) {
            if let ending = child.ending { throw ended(component, ending) }
            guard clock.now - began < readyTimeout else {
                throw DevelopmentError(
                    .component,
                    "\(component.name) was not ready within \(DurationText.format(readyTimeout))" + tail(component),
                    hint: "look at \(directory.log(of: component.name))")
            }
            try await Task.sleep(for: Self.interval)
        }
        record.isReady = true
        // What is printed before a component answers may still be on its way to the log; and who answers may be another
        // one, while this one ends because the place is taken.
        for _ in 0..<50 where component.pages != nil && record.pages == nil {
            if let ending = child.ending { throw ended(component, ending) }
            record.pages = component.pages.flatMap { announced(by: component, $0) }
            if record.pages == nil { try await Task.sleep(for: Self.interval) }
        }
        try directory.write(record)
        return Self.running(record)
    }

    /// Starts a component in a session of its own, so that neither Ctrl-C nor a terminal that closes reaches it, and records
    /// it before it does anything.
    private func launch(
        _ component: Component
    ) throws(DevelopmentError) -> (ChildProcess, DevelopmentDirectory.Record) {
        var launch = Launch(
            component.executable, component.arguments + component.choices.flatMap(\.arguments),
            environment: Launch.inheritedEnvironment.merging(component.environment) { $1 },
            output: .log(directory.log(of: component.name)))
        launch.hasSession = true
        do {
            var record: DevelopmentDirectory.Record?
            let child = try ChildProcess(launch) { process in
                let new = DevelopmentDirectory.Record(
                    name: component.name, process: ProcessGroup(process), fingerprint: component.fingerprint,
                    program: component.program,
                    choices: component.choices.map { .init(option: $0.option, value: $0.value, shown: $0.shown) })
                try directory.write(new)
                record = new
            }
            guard let record else {
                throw DevelopmentError(.system, "\(component.name): its process was not recorded")
            }
            return (child, record)
        } catch let error as DevelopmentError {
            throw error
        } catch {
            throw DevelopmentError(.system, "\(component.name): \(error)")
        }
    }

    private func ended(_ component: Component, _ ending: ProgramEnding) -> DevelopmentError {
        DevelopmentError(
            // A program said that what it was asked for makes no sense.
            ending == .exit(code: ExitStatus.wrongRequest.rawValue) ? .configuration : .component,
            "\(component.name) \(ending)" + tail(component),
            hint: "look at \(directory.log(of: component.name))")
    }

    /// The last lines of a component's log, which usually say why.
    private func tail(_ component: Component) -> String {
        let lines = directory.logText(of: component.name).split(separator: "\n").suffix(5)
        return lines.isEmpty ? "" : "; it said last:\n" + lines.map { "  \($0)" }.joined(separator: "\n")
    }

    private func isReady(_ component: Component, _ address: inout String?) async throws -> Bool {
        switch component.readiness {
        case .answers(let socket, let path):
            guard access(socket, F_OK) == 0 else { return false }
            let limits = HTTPClientLimits(
                maximumBodyBytes: 1 << 20, connectTimeout: .seconds(2), totalTimeout: .seconds(5))
            let client = HTTPClient(HTTPClientConfiguration(transport: .unix(path: socket), limits: limits))
            return (try? await client.send(HTTPRequest(.get, "http://component\(path)")))?.isSuccess ?? false
        case .announces(let words):
            guard let announced = announced(by: component, words) else { return false }
            address = announced
            return true
        }
    }

    /// What follows some words at the beginning of a line of a component's output.
    private func announced(by component: Component, _ words: String) -> String? {
        // A line that is not whole yet may still grow.
        let lines = directory.logText(of: component.name).split(separator: "\n", omittingEmptySubsequences: false)
        return lines.dropLast().first { $0.hasPrefix(words) }.map { String($0.dropFirst(words.count)) }
    }

    private static func running(_ record: DevelopmentDirectory.Record) -> RunningComponent {
        RunningComponent(
            name: record.name, processID: record.process.leader.processID, address: record.address, pages: record.pages)
    }

    // MARK: Status and down

    /// The components that run, in the order of their starts, and those that were started and run no more.
    package var status: (running: [RunningComponent], ended: [String]) {
        let records = directory.records.values.sorted { $0.process.leader.startedBefore($1.process.leader) }
        return (
            records.filter(\.isRunning).map(Self.running),
            records.filter { !$0.isRunning }.map(\.name)
        )
    }

    /// Ends everything that runs in the directory. Nothing running is fine.
    ///
    /// - Returns: what was ended.
    package func down() async throws -> [RunningComponent] {
        // Nothing was ever started there, and nothing is left behind there either.
        guard directory.isUsed else { return [] }
        let lock = try await lock()
        defer { withExtendedLifetime(lock) {} }
        let running = status.running
        try await stopAll()
        return running
    }

    /// The last that was started ends first, because it uses those before it.
    private func stopAll() async throws {
        for record in directory.records.values.sorted(by: { $1.process.leader.startedBefore($0.process.leader) }) {
            try await stop(record)
        }
    }

    private func stop(_ record: DevelopmentDirectory.Record) async throws {
        guard try await record.process.stop(grace: stopTimeout) else {
            throw DevelopmentError(
                .system, "\(record.name) (process \(record.process.leader.processID)) cannot be ended",
                hint: "it belongs to another user, or hangs in the kernel")
        }
        directory.remove(record)
    }

    // MARK: Lock

    private func lock() async throws -> DevelopmentDirectory.Lock {
        let clock = ContinuousClock()
        let began = clock.now
        var isWaiting = false
        while true {
            if let lock = try DevelopmentDirectory.Lock(directory) { return lock }
            if !isWaiting { note("another command works in \(directory.path); waiting for it") }
            isWaiting = true
            guard clock.now - began < lockTimeout else {
                throw DevelopmentError(
                    .system, "another command has worked in \(directory.path) for \(DurationText.format(lockTimeout))",
                    hint: "end it, or name another directory")
            }
            do {
                try await Task.sleep(for: Self.interval)
            } catch {
                throw DevelopmentError(.interrupted, "interrupted; nothing was started")
            }
        }
    }
}
