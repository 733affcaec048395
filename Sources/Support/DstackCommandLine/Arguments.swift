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
