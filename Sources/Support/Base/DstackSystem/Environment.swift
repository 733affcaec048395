@preconcurrency import Glibc

/// Environment variables, taken once, so that later reads cannot race with a change.
package struct Environment: Sendable, Equatable {
    /// All variables by name.
    package let variables: [String: String]

    package init(_ variables: [String: String]) { self.variables = variables }

    /// The variables of this process. Bytes that are not UTF-8 become U+FFFD.
    package static var process: Environment {
        var variables = [String: String]()
        var entry = environ
        while let text = entry.pointee {
            let line = String(cString: text)
            if let equals = line.utf8.firstIndex(of: UInt8(ascii: "=")) {
                variables[String(line[..<equals])] = String(line[line.utf8.index(after: equals)...])
            }
            entry += 1
        }
        return Environment(variables)
    }

    /// The value of a variable; nil if it is not set or empty. For those whose convention is that both mean the same, and that
    /// restrict nothing; settings and options tell them apart.
    package subscript(name: String) -> String? {
        guard let value = variables[name], !value.isEmpty else { return nil }
        return value
    }
}
