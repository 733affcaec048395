/// Why a measurement could not be computed: what it was computed from, and what is wrong with that.
package struct MeasurementFailure: Error, Equatable, CustomStringConvertible {
    /// What is wrong, in the words of the format: "memory_size", "TD HOB ranges", "kernel".
    package let subject: String
    /// What is wrong and what would be right, lower-case, without a full stop.
    package let reason: String

    package init(_ subject: String, _ reason: String) {
        self.subject = subject
        self.reason = reason
    }

    package var description: String { "\(subject): \(reason)" }
}
