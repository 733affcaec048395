import Glibc

/// What an output stream can show.
package struct Terminal: Sendable, Equatable {
    /// Whether a person looks at it, as opposed to a pipe or a file.
    package let isInteractive: Bool
    /// Columns; 80 where nothing is known.
    package let width: Int
    /// Whether colour is welcome: a terminal that can show it, and nobody said no (https://no-color.org).
    package let usesColor: Bool

    package init(isInteractive: Bool, width: Int = 80, usesColor: Bool) {
        self.isInteractive = isInteractive
        self.width = width
        self.usesColor = usesColor
    }

    /// Asks the system about a descriptor, usually 1 or 2.
    package init(descriptor: Int32, environment: Environment) {
        let isInteractive = isatty(descriptor) == 1
        let isDumb = environment["TERM"].map { $0 == "dumb" } ?? true
        self.init(
            isInteractive: isInteractive, width: Self.width(of: descriptor, environment),
            usesColor: isInteractive && environment["NO_COLOR"] == nil && !isDumb)
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
