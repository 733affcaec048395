package import DstackSystem

/// One program of a system that runs on a developer's machine: what is started, what it waits for, when it is ready.
///
/// ```swift
/// Component(
///     name: "app", executable: "/usr/bin/app", arguments: ["--listen", "127.0.0.1:0"],
///     environment: ["AGENT": "/tmp/x/agent.sock"], dependencies: ["agent"], readiness: .announces("listening on "))
/// ```
package struct Component: Sendable, Hashable {
    /// A setting that whoever asks for a component may leave to it: a running one that has another value is another one only
    /// for those who name one.
    package struct Choice: Sendable, Hashable {
        /// The option on the command line of whoever asks: `--listen`.
        package let option: String
        /// What is compared.
        package let value: String
        /// How people know the value; in some it is a part of it.
        package let shown: String
        /// What says it to the program.
        package let arguments: [String]
        /// Whether somebody asked for it; else it is what is taken where nothing runs.
        package let isGiven: Bool

        package init(
            _ option: String, _ value: String, shown: String? = nil, arguments: [String], isGiven: Bool = true
        ) {
            self.option = option
            self.value = value
            self.shown = shown ?? value
            self.arguments = arguments
            self.isGiven = isGiven
        }
    }

    /// When a component may be used.
    package enum Readiness: Sendable, Hashable {
        /// A GET of a path over a Unix socket is answered with 2xx.
        case answers(socket: String, path: String)
        /// It has printed a line that begins with these words. What follows is its address.
        case announces(String)
    }

    /// Lower-case, as status lines, log files and records have it.
    package let name: String
    /// Absolute path.
    package let executable: String
    package let arguments: [String]
    /// What comes behind them.
    package let choices: [Choice]
    /// Beside what this process has itself.
    package let environment: [String: String]
    /// Components that must be ready before this one starts; they come earlier in a system's list.
    package let dependencies: [String]
    package let readiness: Readiness
    /// The words before the address of its pages in a line of its output; nil for one without pages.
    package let pages: String?
    /// What else decides whether a running one is still the right one, such as the hash of a file that it reads.
    package let revision: String

    package init(
        name: String, executable: String, arguments: [String] = [], choices: [Choice] = [],
        environment: [String: String] = [:], dependencies: [String] = [], readiness: Readiness,
        pages: String? = nil, revision: String = ""
    ) {
        self.name = name
        self.executable = executable
        self.arguments = arguments
        self.choices = choices
        self.environment = environment
        self.dependencies = dependencies
        self.readiness = readiness
        self.pages = pages
        self.revision = revision
    }
}

/// A component that runs.
package struct RunningComponent: Sendable, Hashable {
    package let name: String
    package let processID: Int32
    /// What it announced; nil for one that announces nothing.
    package let address: String?
    /// The address of its pages; nil for one that has none.
    package let pages: String?
}

/// Why a development system does not come up or go down. It ends a command as a wrong request or a failure of the world.
package struct DevelopmentError: ExplainedFailure, Sendable, CustomStringConvertible, Equatable {
    package enum Code: Sendable, Hashable {
        /// The directory or the list of components cannot work, or a component refused what it was asked for.
        case configuration
        /// A file, a process or a lock could not be had from the system.
        case system
        /// A component ended or did not become ready.
        case component
        /// Somebody asked for the end.
        case interrupted
    }

    package let code: Code
    package let reason: String
    /// What to do about it; nil if there is nothing to say.
    package let hint: String?

    package init(_ code: Code, _ reason: String, hint: String? = nil) {
        self.code = code
        self.reason = reason
        self.hint = hint
    }

    package var description: String { reason }

    package var exitStatus: ExitStatus { code == .configuration ? .wrongRequest : .worldFailed }

    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }
}
