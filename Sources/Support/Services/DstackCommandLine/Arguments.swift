package import DstackSystem
import Glibc

/// The values of a command line, read with the declarations as keys: `arguments[quote]`.
package struct Arguments: Sendable {
    private let values: [String: any Sendable]
    private let given: Set<String>
    private let declared: [String: ArgumentSpecification]
    /// Reads standard input to its end, where `-` was given for a file.
    var standardInput: StandardInput = .process

    init(values: [String: any Sendable], given: Set<String>, declared: [ArgumentSpecification]) {
        self.values = values
        self.given = given
        self.declared = Dictionary(declared.map { ($0.name, $0) }) { first, _ in first }
    }

    package subscript(_ flag: Flag) -> Bool { value(of: flag) }

    package subscript<Value>(_ option: Option<Value>) -> Value { value(of: option) }

    package subscript<Value>(_ positional: Positional<Value>) -> Value { value(of: positional) }

    /// Whether the command line or the environment gave it, as opposed to its default.
    package func has(_ declaration: some ArgumentDeclaration) -> Bool {
        has(declaration.specification.name)
    }

    /// The same by name, which the command need not declare.
    package func has(_ name: String) -> Bool { given.contains(name) }

    /// How the command's help shows an option, with its value: `--ca FILE`; nil if it does not declare one of that name.
    package func usage(of name: String) -> String? { declared[name]?.usage }

    /// The same without the value.
    package func label(of name: String) -> String? { declared[name]?.label }

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
    /// The bytes of a file that the command line names, or of standard input for `-`.
    ///
    /// - Parameter limit: the most bytes that are accepted.
    /// - Throws: a wrong request that names the option: a file that cannot be read, or is empty, is a mistake in the command
    ///   line.
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

    /// What a path stands for, `-` included, where a file that is not there is no wrong request.
    package func content(of path: String, limit: Int) throws(SystemError) -> [UInt8] {
        path == StandardInput.name ? try standardInput.read(limit: limit) : try File.read(path, limit: limit)
    }

    /// The path for somebody who opens it; that of standard input for `-`.
    package func path(_ option: Option<String?>) -> String? {
        self[option].map { $0 == StandardInput.name ? "/dev/stdin" : $0 }
    }

    /// What messages call a file: its path, or standard input.
    package func fileName(_ option: Option<String>) -> String { Self.fileName(self[option]) }

    /// The same for an option that may be left out.
    package func fileName(_ option: Option<String?>) -> String { Self.fileName(self[option] ?? "") }

    /// The same for an argument without a name.
    package func fileName(_ positional: Positional<String>) -> String { Self.fileName(self[positional]) }

    /// How messages begin that are about the file of an option: `--quote: q.bin`; nil where it was left out.
    package func source(_ option: Option<String?>) -> String? {
        self[option].map { "\(option.specification.label): \(Self.fileName($0))" }
    }

    private static func fileName(_ path: String) -> String { path == StandardInput.name ? "standard input" : path }

    private static func hint(_ error: SystemError, _ path: String, _ specification: ArgumentSpecification) -> String? {
        switch error.code {
        // A preset with a typing error is looked for as a file.
        case ENOENT, ENOTDIR: specification.advice(path) ?? "check the path"
        case EACCES, EPERM: "check who may read it"
        case EISDIR: "name a file in the directory"
        case EFBIG: "no file of this kind is so large: check that it is the one that you mean"
        default: nil
        }
    }

    private func read(
        _ path: String, _ specification: ArgumentSpecification, _ limit: Int
    ) throws(CommandFailure) -> [UInt8] {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes =
                path == StandardInput.name ? try standardInput.read(limit: limit) : try File.read(path, limit: limit)
        } catch {
            throw CommandFailure(
                .wrongRequest, "\(specification.label): \(error)", hint: Self.hint(error, path, specification))
        }
        // Who names a file means its content; nothing must pass for having been left out.
        guard !bytes.isEmpty else {
            throw CommandFailure(
                .wrongRequest,
                "\(specification.label): \(Self.fileName(path)) is empty",
                hint: "name a file with content, or leave the argument out")
        }
        return bytes
    }
}

/// Where a command reads what `-` stands for.
package struct StandardInput: Sendable {
    /// How a command line names it.
    package static let name = "-"

    private let body: @Sendable (_ limit: Int) throws(SystemError) -> [UInt8]

    package init(_ body: @escaping @Sendable (_ limit: Int) throws(SystemError) -> [UInt8]) { self.body = body }

    /// All of it; no more bytes than the limit.
    package func read(limit: Int) throws(SystemError) -> [UInt8] { try body(limit) }

    /// That of this process.
    package static let process = StandardInput { limit throws(SystemError) in
        let number = dup(STDIN_FILENO)
        guard number >= 0 else { throw .last("read", "standard input") }
        return try FileDescriptor(owning: number, name: "standard input").readToEnd(limit: limit)
    }
}
