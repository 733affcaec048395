import DstackSystem

/// The values of a command line, read with the declarations as keys: `arguments[quote]`.
package struct Arguments: Sendable {
    private let values: [String: any Sendable]
    private let given: Set<String>

    init(values: [String: any Sendable], given: Set<String>) {
        self.values = values
        self.given = given
    }

    package subscript(_ flag: Flag) -> Bool { value(of: flag) }

    package subscript<Value>(_ option: Option<Value>) -> Value { value(of: option) }

    package subscript<Value>(_ positional: Positional<Value>) -> Value { value(of: positional) }

    /// Whether the command line or the environment gave it, as opposed to its default.
    package func has(_ declaration: some ArgumentDeclaration) -> Bool {
        given.contains(declaration.specification.name)
    }

    private func value<Value>(of declaration: some ArgumentDeclaration) -> Value {
        let name = declaration.specification.name
        // The parser has made a value for every declaration of the command. To ask for another one is a mistake in the
        // shell, which its first run shows; no input can cause it.
        guard let value = values[name] as? Value else {
            preconditionFailure("\(declaration.specification.label) is not declared by the command that asks for it")
        }
        return value
    }
}

extension Arguments {
    /// The bytes of a file that the command line names.
    ///
    /// - Parameter limit: the most bytes that are accepted.
    /// - Throws: a wrong request that names the option: a file that cannot be read is a mistake in the command line.
    package func read(_ option: Option<String>, limit: Int) throws(CommandFailure) -> [UInt8] {
        try read(self[option], option.specification, limit)
    }

    /// The same for an option that may be left out.
    package func read(_ option: Option<String?>, limit: Int) throws(CommandFailure) -> [UInt8]? {
        guard let path = self[option] else { return nil }
        return try read(path, option.specification, limit)
    }

    /// The same for an argument without a name.
    package func read(_ positional: Positional<String>, limit: Int) throws(CommandFailure) -> [UInt8] {
        try read(self[positional], positional.specification, limit)
    }

    private func read(
        _ path: String, _ specification: ArgumentSpecification, _ limit: Int
    ) throws(CommandFailure) -> [UInt8] {
        do throws(SystemError) {
            return try File.read(path, limit: limit)
        } catch {
            throw CommandFailure(
                .wrongRequest, "\(specification.label): \(error)", hint: "check the path and who may read it")
        }
    }
}
