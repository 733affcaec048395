import Glibc

/// What an output stream can show.
package struct Terminal: Sendable, Equatable {
    /// Whether a person looks at it, as opposed to a pipe or a file.
    package let isInteractive: Bool
    /// Columns; 80 where nothing is known.
    package let width: Int
    /// Whether colour is welcome: a terminal that can show it, and nobody said no (https://no-color.org).
    package let usesColor: Bool
    /// Whether it shows more than ASCII: not where the locale is said to be of another encoding than UTF-8, as `LC_ALL=C`
    /// does. Where nothing is said, as in most containers, terminals of today do.
    package let isUnicode: Bool

    package init(isInteractive: Bool, width: Int = 80, usesColor: Bool, isUnicode: Bool = true) {
        self.isInteractive = isInteractive
        self.width = width
        self.usesColor = usesColor
        self.isUnicode = isUnicode
    }

    /// Asks the system about a descriptor, usually 1 or 2.
    package init(descriptor: Int32, environment: Environment) {
        let isInteractive = isatty(descriptor) == 1
        let isDumb = environment["TERM"].map { $0 == "dumb" } ?? true
        self.init(
            isInteractive: isInteractive, width: Self.width(of: descriptor, environment),
            usesColor: isInteractive && environment["NO_COLOR"] == nil && !isDumb,
            isUnicode: Self.isUnicode(environment))
    }

    /// By the first of the variables that is set, as POSIX has it.
    private static func isUnicode(_ environment: Environment) -> Bool {
        guard let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap({ environment[$0] }).first else {
            return true
        }
        let encoding = locale.lowercased().filter { $0 != "-" }
        return encoding.contains("utf8")
    }

    /// A pipe or a file: 80 columns, no colour.
    package static let plain = Terminal(isInteractive: false, usesColor: false)

    private static func width(of descriptor: Int32, _ environment: Environment) -> Int {
        let sensible = 20...1_000
        var size = winsize()
        if ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, sensible ~= Int(size.ws_col) { return Int(size.ws_col) }
        if let columns = environment["COLUMNS"].flatMap({ Int($0) }), sensible ~= columns { return columns }
        return 80
    }
}
