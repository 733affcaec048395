import Glibc
import Synchronization

/// Where log lines go, which of them, and in which form.
package final class LogOutput: Sendable {
    private struct Settings {
        var filter: LogFilter
        var format: LogFormat
    }

    private let settings: Mutex<Settings>
    /// The lowest level that any component logs, one above ``LogLevel/error`` for none: what is below it is turned
    /// away without taking the lock.
    private let lowest: Atomic<UInt8>
    private let sink: any ByteSink
    private let clock: any WallClock

    package init(
        filter: LogFilter = LogFilter(from: .info), format: LogFormat = .text,
        sink: any ByteSink = DescriptorSink.standardError, clock: any WallClock = .system
    ) {
        settings = Mutex(Settings(filter: filter, format: format))
        lowest = Atomic(Self.lowest(filter))
        self.sink = sink
        self.clock = clock
    }

    /// Standard error, as `DSTACK_LOG` (``LogFilter``) and `DSTACK_LOG_FORMAT` (``LogFormat``) say; without them from
    /// `info` on, for a person where a terminal shows it and as text elsewhere.
    ///
    /// A variable that is not understood does not stop a service: the default holds and a warning says so.
    package convenience init(environment: Environment, sink: any ByteSink, terminal: Terminal, clock: any WallClock) {
        var filter = LogFilter(from: .info)
        var format = terminal.isInteractive && terminal.usesColor ? LogFormat.terminal : .text
        var complaints = [String]()
        if let text = environment["DSTACK_LOG"] {
            do throws(InvalidLogFilter) {
                filter = try LogFilter(parsing: text)
            } catch {
                complaints.append("DSTACK_LOG is ignored: \(error)")
            }
        }
        if let text = environment["DSTACK_LOG_FORMAT"] {
            if let known = LogFormat(rawValue: text) {
                format = known
            } else {
                let known = LogFormat.allCases.map(\.rawValue).joined(separator: ", ")
                complaints.append("DSTACK_LOG_FORMAT is ignored: it needs one of \(known)")
            }
        }
        self.init(filter: filter, format: format, sink: sink, clock: clock)
        for complaint in complaints { write(.warn, "log", complaint, []) }
    }

    /// The output of this process.
    package static let shared = LogOutput(
        environment: .process, sink: DescriptorSink.standardError,
        terminal: Terminal(descriptor: STDERR_FILENO, environment: .process), clock: .system)

    /// Changes filter or form from the next event on.
    package func configure(filter: LogFilter? = nil, format: LogFormat? = nil) {
        settings.withLock { settings in
            if let format { settings.format = format }
            guard let filter else { return }
            settings.filter = filter
            lowest.store(Self.lowest(filter), ordering: .relaxed)
        }
    }

    @inline(__always)
    func mayLog(_ level: LogLevel) -> Bool { level.rawValue >= lowest.load(ordering: .relaxed) }

    func logs(_ level: LogLevel, _ component: String) -> Bool {
        guard mayLog(level) else { return false }
        let threshold = settings.withLock { $0.filter }.threshold(of: component)
        return threshold.map { level >= $0 } ?? false
    }

    func write(_ level: LogLevel, _ component: String, _ message: String, _ fields: [(key: String, value: LogValue)]) {
        let event = LogEvent(
            unixMilliseconds: clock.unixMilliseconds, level: level, component: component, message: message,
            fields: fields)
        let line = event.line(settings.withLock { $0.format })
        // One write for the whole line keeps lines of several threads and processes apart. There is nobody to tell
        // that the log itself cannot be written.
        try? sink.write(Array(line.utf8))
    }

    private static func lowest(_ filter: LogFilter) -> UInt8 {
        filter.lowestThreshold?.rawValue ?? LogLevel.error.rawValue + 1
    }
}
