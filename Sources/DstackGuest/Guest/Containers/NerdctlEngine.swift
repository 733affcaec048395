import DstackConcurrency
import DstackEncoding
import DstackSystem
import Synchronization

/// containerd, through nerdctl's command line: it has no interface for programs.
///
/// Each question is a process, which costs much more than a request to Docker. The public may ask, so that lists are
/// shared among those who ask at about the same time, and fewer logs are read at once.
///
/// Facts are of nerdctl 2.2 and later (`cmd/nerdctl/container`, `pkg/logging`).
package struct NerdctlEngine: ContainerEngine {
    /// Its name or path.
    package let program: String
    private let namespace: String
    private let scope: ContainerScope
    private let logPatience: Duration
    private let places: LogPlaces
    /// Failures are for those who wait for them alone: the next caller asks again.
    private let lists = RecentValue<Result<[Container], GuestError>>(maximumAge: .seconds(1)) { result in
        if case .success = result { true } else { false }
    }
    private let version = Version()

    /// The namespace in which a guest runs its application.
    package static let standardNamespace = "dstack"

    /// What it is called where it is found by `PATH`.
    package static let standardProgram = "nerdctl"

    /// - Parameters:
    ///   - program: its name or path.
    ///   - namespace: of containerd.
    ///   - maximumStreams: logs that strangers read at once, each of which is a process.
    ///   - logPatience: after so long without output a log ends, even one that is followed.
    package init(
        _ program: String = standardProgram, namespace: String = standardNamespace, scope: ContainerScope,
        maximumStreams: Int = 16, logPatience: Duration = .seconds(600)
    ) {
        self.program = program
        self.namespace = namespace
        self.scope = scope
        self.logPatience = logPatience
        places = LogPlaces(maximumStreams, own: max(2, maximumStreams / 4))
    }

    package var isPresent: Bool { RunningProgram.isInstalled(program) }

    // MARK: Containers

    package func list() async throws(GuestError) -> [Container] { try await list(.shared) }

    private func list(_ age: RecentValue<Result<[Container], GuestError>>.Age) async throws(GuestError) -> [Container] {
        let list = await lists.value(age) {
            do throws(GuestError) {
                let output = try await run(["ps", "--all", "--no-trunc", "--format", NerdctlListing.template])
                return .success(
                    try decoding { () throws(DecodingFailure) in try NerdctlListing.containers(output) })
            } catch {
                return .failure(error)
            }
        }
        return try (list ?? .failure(.cancelled)).get().filter { container in
            switch scope {
            case .engine: true
            case .project(let name): container.project == name
            }
        }
    }

    package func health() async throws(GuestError) -> [ContainerHealth] {
        do {
            return try await health(of: try await list())
        } catch {
            // nerdctl tells nothing of the others where one of the containers went meanwhile.
            return try await health(of: try await list(.fresh))
        }
    }

    private func health(of containers: [Container]) async throws(GuestError) -> [ContainerHealth] {
        guard !containers.isEmpty else { return [] }
        let output = try await run(["container", "inspect", "--mode", "dockercompat"] + containers.map(\.id))
        return try decoding { () throws(DecodingFailure) in
            var health: [ContainerHealth] = []
            for node in try JSONDocument(parsing: output, subject: "containers").root.array() {
                let id = try node.member("Id").string()
                guard let container = containers.first(where: { $0.id == id }),
                    let problem = try ContainerHealth.problem(node)
                else { continue }
                health.append(ContainerHealth(name: container.displayName, problem: problem))
            }
            return health
        }
    }

    // MARK: Logs

    package func logs(
        of container: Container, _ query: LogQuery, for reader: LogReader
    ) async throws(GuestError) -> ContainerLogs {
        let place = try places.take(reader, container)
        let reading = NerdctlReading(query, now: SystemWallClock().unixSeconds)
        guard let options = reading.options else { return ContainerLogs(EmptyLog(), place: place) }
        let splitsLines = await splitsLines()
        let running: RunningProgram
        do {
            running = try RunningProgram(program, globalOptions + ["logs"] + options + [container.id])
        } catch {
            throw unavailable(error.reason)
        }
        let logs = NerdctlLogs(running, reading, patience: logPatience, splitsLines: splitsLines)
        try await logs.begin(container)
        return ContainerLogs(logs, place: place)
    }

    /// A log of which nothing was asked for.
    private struct EmptyLog: LogSource {
        func next() async throws(GuestError) -> LogFrame? { nil }
        func stop() {}
    }

    /// Whether nerdctl keeps the parts in which a line was written, each with its time: since 2.3.4.
    private func splitsLines() async -> Bool {
        if let known = version.value { return known }
        // Where it does not tell, the log is what matters.
        guard
            let output = try? await ProgramOutput.of(
                program, ["--version"], limit: 64 << 10, patience: .seconds(10)
            ).output
        else { return false }
        let word = String(decoding: output, as: UTF8.self).split { $0.isWhitespace }.last ?? ""
        let numbers = word.drop { $0 == "v" }.split(separator: ".").map {
            Int($0.prefix { $0.isASCII && $0.isNumber }) ?? 0
        }
        let splits = !numbers.lexicographicallyPrecedes([2, 3, 4])
        version.value = splits
        return splits
    }

    /// What has been found out about nerdctl's version.
    private final class Version: Sendable {
        private let splitsLines = Mutex<Bool?>(nil)

        var value: Bool? {
            get { splitsLines.withLock { $0 } }
            set { splitsLines.withLock { $0 = newValue } }
        }
    }

    // MARK: The program

    private var globalOptions: [String] { ["--namespace", namespace] }

    private func run(_ arguments: [String]) async throws(GuestError) -> [UInt8] {
        do {
            return try await ProgramOutput.of(
                program, globalOptions + arguments, limit: 16 << 20, patience: .seconds(20)
            ).output
        } catch {
            switch error.kind {
            case .failed: throw unavailable(NerdctlMessage.last(in: error.output.errors) ?? error.reason)
            case .notStarted, .stopped, .cancelled: throw unavailable(error.reason)
            }
        }
    }

    private func unavailable(_ reason: String) -> GuestError {
        GuestError(.engineUnavailable, subject: "container engine \(program)", reason: reason)
    }

    private func decoding<Value>(_ body: () throws(DecodingFailure) -> Value) throws(GuestError) -> Value {
        do {
            return try body()
        } catch {
            throw unavailable("\(error)")
        }
    }
}

/// What nerdctl says of itself at standard error: lines of `time="…" level=fatal msg="…"`.
enum NerdctlMessage {
    /// The text of the last line, safe to show; nil where there is none.
    static func last(in errors: some Collection<UInt8>) -> String? {
        guard let line = errors.split(separator: UInt8(ascii: "\n")).last else { return nil }
        let text = String(decoding: line, as: UTF8.self)
        guard let start = text.firstRange(of: " msg=\"") else { return SafeText.line(text.trimmed, limit: 300) }
        var message = ""
        var isEscaped = false
        for character in text[start.upperBound...] {
            if isEscaped {
                message.append(character == "n" ? " " : character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                break
            } else {
                message.append(character)
            }
        }
        return SafeText.line(message.trimmed, limit: 300)
    }
}
