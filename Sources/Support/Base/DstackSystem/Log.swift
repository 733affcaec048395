/// The log of one component: one line an event, on standard error.
///
/// ```swift
/// let log = Log("gateway.acme")
/// log.info("certificate renewed", ["domain": domain, "days": daysLeft])
/// ```
///
/// The message says what happened and stays the same every time; what differs stands in fields, whose names are
/// constants. Neither can break out of its place, whatever a peer has sent (``SafeText``). An event that is filtered
/// out costs a load and a comparison; its message and fields are not made.
package struct Log: Sendable {
    /// Names, in the order in which they are written. `time`, `level`, `component` and `message` are taken.
    package typealias Fields = KeyValuePairs<StaticString, any Loggable>

    private let component: String
    private let output: LogOutput

    /// - Parameter component: the part of the product that speaks, dots between levels.
    package init(_ component: String, to output: LogOutput = .shared) {
        self.component = component
        self.output = output
    }

    package func trace(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
        log(.trace, message, fields)
    }

    package func debug(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
        log(.debug, message, fields)
    }

    package func info(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
        log(.info, message, fields)
    }

    package func warn(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
        log(.warn, message, fields)
    }

    package func error(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
        log(.error, message, fields)
    }

    /// Whether events of a level are written, for the rare case that preparing one needs more than an expression.
    package func isEnabled(_ level: LogLevel) -> Bool { output.logs(level, component) }

    @inline(__always)
    private func log(_ level: LogLevel, _ message: () -> String, _ fields: () -> Fields) {
        guard output.mayLog(level) else { return }
        write(level, message, fields)
    }

    @inline(never)
    private func write(_ level: LogLevel, _ message: () -> String, _ fields: () -> Fields) {
        guard output.logs(level, component) else { return }
        output.write(level, component, message(), fields().map { ("\($0.key)", $0.value.logValue) })
    }
}
