/// A log for what strangers cause (``LimitedReports``): it cannot be flooded, says how many lines were left out, and is not
/// written on the thread where an event happens.
///
/// ```swift
/// let log = LimitedLog(Log("verifier"))
/// log.info("refused", ["peer": "\(peer)", "reason": reason])
/// ```
package final class LimitedLog: Sendable {
    /// Makes the fields of a line, where it is written.
    package typealias Fields = @Sendable () -> Log.Fields

    /// For what no stranger causes.
    package let log: Log
    private let reports: LimitedReports

    /// - Parameter reports: how many lines of one message are written.
    package init(_ log: Log, _ reports: LimitedReports = LimitedReports()) {
        self.log = log
        self.reports = reports
    }

    package func info(_ message: StaticString, _ fields: @autoclosure @escaping Fields = [:]) {
        note(.info, message, fields)
    }

    package func warn(_ message: StaticString, _ fields: @autoclosure @escaping Fields = [:]) {
        note(.warn, message, fields)
    }

    package func error(_ message: StaticString, _ fields: @autoclosure @escaping Fields = [:]) {
        note(.error, message, fields)
    }

    private func note(_ level: LogLevel, _ message: StaticString, _ fields: @escaping Fields) {
        guard log.isEnabled(level) else { return }
        reports.add(message) { [log] in
            log.write(level, "\(message)", fields())
        } sum: { [log] count in
            log.write(level, "lines were left out", ["of": "\(message)", "count": count])
        }
    }
}

extension Log {
    fileprivate func write(_ level: LogLevel, _ message: String, _ fields: Fields) {
        switch level {
        case .trace: trace(message, fields)
        case .debug: debug(message, fields)
        case .info: info(message, fields)
        case .warn: warn(message, fields)
        case .error: error(message, fields)
        }
    }
}
