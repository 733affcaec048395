/// Something that a command can be given: a ``Flag``, an ``Option`` or a ``Positional``.
///
/// A declaration is also the key under which ``Arguments`` has the value, with its type.
package protocol ArgumentDeclaration: Sendable {
    var specification: ArgumentSpecification { get }
}

/// The part of a declaration that parser, help and completion need; the same for all kinds and types.
package struct ArgumentSpecification: Sendable {
    package enum Kind: Sendable, Equatable {
        case flag
        case option
        case positional
    }

    package let kind: Kind
    /// Without dashes: `event-log`.
    package let name: String
    package let short: Character?
    package let help: String
    package let placeholder: String
    package let expectation: String
    package let completion: ArgumentCompletion
    package let isInput: Bool
    package let isSecret: Bool
    package let isRequired: Bool
    package let isRepeated: Bool
    /// The variable that is used where the command line says nothing.
    package let environment: String?
    /// As help shows it.
    package let defaultText: String?
    /// What to do about a text that is no value; nil where there is nothing to say.
    let advice: @Sendable (String) -> String?
    /// Turns the texts that were given, maybe none, into the value; nil with the position of the first wrong text.
    let read: @Sendable ([String]) -> ReadValue

    enum ReadValue {
        case value(any Sendable)
        case wrong(index: Int)
    }

    /// `--event-log`, or the placeholder of a positional.
    package var label: String { kind == .positional ? placeholder : "--\(name)" }

    /// `--event-log FILE`.
    package var usage: String { kind == .option ? "--\(name) \(placeholder)" : label }
}

/// `--json`: given or not.
package struct Flag: ArgumentDeclaration {
    package let specification: ArgumentSpecification

    package init(_ name: String, short: Character? = nil, environment: String? = nil, _ help: String) {
        specification = ArgumentSpecification(
            kind: .flag, name: name, short: short, help: help, placeholder: "", expectation: "", completion: .nothing,
            isInput: false, isSecret: false, isRequired: false, isRepeated: false, environment: environment,
            defaultText: nil, advice: { _ in nil }
        ) { .value(!$0.isEmpty) }
    }

    /// For every command that has a result: one object for a program in place of lines for a person. The shell itself
    /// then answers failures in the same way.
    package static let json = Flag("json", "print one JSON object")

    var label: String { specification.label }

    /// Built into every command.
    package static let quiet = Flag("quiet", short: "q", "say nothing but results, warnings and errors")
}

/// `--quote FILE`. `Value` is what ``Arguments`` answers: `String?` where it may be missing, `String` where it must be
/// given or has a default, `[String]` where it may be given several times.
package struct Option<Value: Sendable>: ArgumentDeclaration {
    package let specification: ArgumentSpecification
}

extension Option {
    /// An option that may be left out.
    package init<Element: Sendable>(
        _ name: String, _ type: ArgumentType<Element>, short: Character? = nil, environment: String? = nil,
        _ help: String
    ) where Value == Element? {
        specification = ArgumentSpecification(
            .option, name, type, short: short, environment: environment, help, read: type.readOptional)
    }

    /// An option without which the command makes no sense.
    package init(
        required name: String, _ type: ArgumentType<Value>, short: Character? = nil, environment: String? = nil,
        _ help: String
    ) {
        specification = ArgumentSpecification(
            .option, name, type, short: short, environment: environment, isRequired: true, help,
            read: type.readRequired)
    }

    /// An option with a value for when it is left out.
    ///
    /// - Parameter shown: the default as help shows it, and as it could be given.
    package init(
        _ name: String, _ type: ArgumentType<Value>, short: Character? = nil, environment: String? = nil,
        default value: Value, shown: String, _ help: String
    ) {
        specification = ArgumentSpecification(
            .option, name, type, short: short, environment: environment, defaultText: shown, help
        ) { texts in texts.isEmpty ? .value(value) : type.readRequired(texts) }
    }

    /// An option that may be given several times, in the order given. From the environment, one value.
    package init<Element: Sendable>(
        repeated name: String, _ type: ArgumentType<Element>, short: Character? = nil, environment: String? = nil,
        atLeastOne isRequired: Bool = false, _ help: String
    ) where Value == [Element] {
        specification = ArgumentSpecification(
            .option, name, type, short: short, environment: environment, isRequired: isRequired, isRepeated: true,
            help, read: type.readAll)
    }
}

extension Option<String> {
    package init(
        _ name: String, _ type: ArgumentType<Value>, short: Character? = nil, environment: String? = nil,
        default value: String, _ help: String
    ) {
        self.init(name, type, short: short, environment: environment, default: value, shown: value, help)
    }
}

/// An argument without a name in front. `Value` is as in ``Option``.
package struct Positional<Value: Sendable>: ArgumentDeclaration {
    package let specification: ArgumentSpecification
}

extension Positional {
    /// An argument that may be left out.
    package init<Element: Sendable>(_ type: ArgumentType<Element>, _ help: String) where Value == Element? {
        specification = ArgumentSpecification(.positional, type.placeholder, type, help, read: type.readOptional)
    }

    /// An argument that must be given.
    package init(required type: ArgumentType<Value>, _ help: String) {
        specification = ArgumentSpecification(
            .positional, type.placeholder, type, isRequired: true, help, read: type.readRequired)
    }

    /// All arguments that are left; only as the last.
    package init<Element: Sendable>(
        repeated type: ArgumentType<Element>, atLeastOne isRequired: Bool = false, _ help: String
    ) where Value == [Element] {
        specification = ArgumentSpecification(
            .positional, type.placeholder, type, isRequired: isRequired, isRepeated: true, help, read: type.readAll)
    }
}

extension ArgumentSpecification {
    fileprivate init<Element>(
        _ kind: Kind, _ name: String, _ type: ArgumentType<Element>, short: Character? = nil,
        environment: String? = nil, isRequired: Bool = false, isRepeated: Bool = false, defaultText: String? = nil,
        _ help: String, read: @escaping @Sendable ([String]) -> ReadValue
    ) {
        self.init(
            kind: kind, name: name, short: short, help: help, placeholder: type.placeholder,
            expectation: type.expectation, completion: type.completion, isInput: type.isInput,
            isSecret: type.isSecret, isRequired: isRequired, isRepeated: isRepeated, environment: environment,
            defaultText: defaultText, advice: type.advice, read: read)
    }
}

extension ArgumentType {
    fileprivate var readOptional: @Sendable ([String]) -> ArgumentSpecification.ReadValue {
        { texts in
            guard let text = texts.first else { return .value(Value?.none) }
            return parse(text).map { .value(Value?.some($0)) } ?? .wrong(index: 0)
        }
    }

    fileprivate var readRequired: @Sendable ([String]) -> ArgumentSpecification.ReadValue {
        { texts in texts.first.flatMap(parse).map { .value($0) } ?? .wrong(index: 0) }
    }

    fileprivate var readAll: @Sendable ([String]) -> ArgumentSpecification.ReadValue {
        { texts in
            var values = [Value]()
            for (index, text) in texts.enumerated() {
                guard let value = parse(text) else { return .wrong(index: index) }
                values.append(value)
            }
            return .value(values)
        }
    }
}
