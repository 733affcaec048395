package import DstackSystem

/// Why a configuration cannot be used: everything that is wrong with it, in the order of the files.
///
/// The texts repeat names and, to a bounded length, values, but never those that were read as secrets.
package struct ConfigurationError: ExplainedFailure, Equatable, CustomStringConvertible {
    package let problems: [ConfigurationProblem]

    package init(_ problems: [ConfigurationProblem]) { self.problems = problems }

    package var exitStatus: ExitStatus { .wrongRequest }

    package var hint: String? {
        problems.allSatisfy(\.isUnreadable)
            ? "check the path, and who may read it" : "correct the configuration and try again"
    }

    /// One line for one problem; else a first line with their number and a line for each.
    package var description: String {
        guard problems.count > 1 else { return problems.map(\.description).joined() }
        let lines = problems.map { "\n  \($0)" }.joined()
        return "the configuration has \(problems.count) problems:" + lines
    }
}

/// One thing that is wrong in a configuration.
package struct ConfigurationProblem: Sendable, Equatable, CustomStringConvertible {
    /// Where it stands; nil for what stands nowhere because it is missing.
    package let origin: ConfigurationOrigin?
    /// `core.admin.port`, `peer[2].name`; empty for the file as a whole.
    package let path: String
    /// What was expected and found.
    package let message: String
    /// Whether nothing of a file could be read.
    package let isUnreadable: Bool

    package init(origin: ConfigurationOrigin?, path: String, message: String, isUnreadable: Bool = false) {
        self.origin = origin
        self.path = path
        self.message = message
        self.isUnreadable = isUnreadable
    }

    /// `kms.toml:3:7: core.admin.port: expected …, found …`
    package var description: String {
        [origin.map { "\($0)" }, path.isEmpty ? nil : path, message].compactMap { $0 }.joined(separator: ": ")
    }
}
