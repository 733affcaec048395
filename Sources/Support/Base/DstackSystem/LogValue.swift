package import DstackEncoding

/// What can stand in a field of a log line.
///
/// Only types that were made loggable on purpose can: neither byte arrays nor the types that hold secrets are, so that
/// a key cannot get into a log by way of a description.
package protocol Loggable {
    var logValue: LogValue { get }
}

/// A field's value, as JSON tells them apart.
package enum LogValue: Sendable, Equatable {
    case text(String)
    case integer(Int64)
    case number(Double)
    case boolean(Bool)
    case null
}

extension String: Loggable {
    package var logValue: LogValue { .text(self) }
}

extension Substring: Loggable {
    package var logValue: LogValue { .text(String(self)) }
}

extension Bool: Loggable {
    package var logValue: LogValue { .boolean(self) }
}

extension Double: Loggable {
    package var logValue: LogValue { .number(self) }
}

extension Int: Loggable {
    package var logValue: LogValue { .integer(Int64(self)) }
}

extension Int32: Loggable {
    package var logValue: LogValue { .integer(Int64(self)) }
}

extension Int64: Loggable {
    package var logValue: LogValue { .integer(self) }
}

extension UInt16: Loggable {
    package var logValue: LogValue { .integer(Int64(self)) }
}

extension UInt32: Loggable {
    package var logValue: LogValue { .integer(Int64(self)) }
}

extension UInt64: Loggable {
    /// Numbers that do not fit a signed integer are text, since readers of JSON would round them.
    package var logValue: LogValue { Int64(exactly: self).map { .integer($0) } ?? .text(String(self)) }
}

extension Duration: Loggable {
    package var logValue: LogValue { .text(DurationText.format(self)) }
}

extension FixedBytes: Loggable {
    package var logValue: LogValue { .text(hex) }
}

extension Optional: Loggable where Wrapped: Loggable {
    package var logValue: LogValue { map(\.logValue) ?? .null }
}
