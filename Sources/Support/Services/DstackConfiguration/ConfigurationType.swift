import DstackEncoding
import DstackSystem

/// What a key takes: how it is read, and how messages describe it.
package struct ConfigurationType<Value> {
    /// What is right, as it follows "expected": `an integer from 1 to 65535`.
    package let expectation: String
    /// Whether messages must not repeat what was found.
    package let isSecret: Bool
    /// Handed out in place of a value that is wrong or missing; it never gets out of ``Configuration/read(unknownKeys:_:)``.
    let standIn: Value
    /// Nil where the node is no such value.
    let decode: (ConfigurationNode) -> Value?

    init(
        expecting expectation: String, isSecret: Bool = false, standIn: Value,
        decode: @escaping (ConfigurationNode) -> Value?
    ) {
        self.expectation = expectation
        self.isSecret = isSecret
        self.standIn = standIn
        self.decode = decode
    }

    /// A value with a text form of its own.
    ///
    /// - Parameters:
    ///   - expectation: as it follows "expected": `an address such as 10.0.0.1:443`.
    ///   - standIn: any value; it is used where the text is wrong, and what is made of it is thrown away.
    ///   - parse: nil where the text is wrong.
    package static func text(
        expecting expectation: String, standIn: Value, parse: @escaping (String) -> Value?
    ) -> ConfigurationType {
        ConfigurationType(expecting: expectation, standIn: standIn) { $0.text.flatMap(parse) }
    }
}

extension ConfigurationNode {
    /// The text of a string, or of an environment variable that is not a quoted string.
    fileprivate var text: String? {
        if case .string(let text) = value { text } else { raw }
    }
}

extension ConfigurationType<String> {
    /// Any text, the empty one too.
    package static var string: ConfigurationType {
        ConfigurationType(expecting: "a string", standIn: "") { $0.text }
    }

    package static var nonEmptyString: ConfigurationType {
        ConfigurationType(expecting: "a string that is not empty", standIn: "") { node in
            node.text.flatMap { $0.isEmpty ? nil : $0 }
        }
    }

    /// A text that no message repeats.
    package static var secret: ConfigurationType {
        ConfigurationType(expecting: "a string that is not empty", isSecret: true, standIn: "") { node in
            node.text.flatMap { $0.isEmpty ? nil : $0 }
        }
    }

    /// The same where an empty text stands for none.
    package static var secretOrEmpty: ConfigurationType {
        ConfigurationType(expecting: "a string", isSecret: true, standIn: "") { $0.text }
    }

    /// The path of a file or directory, relative to the working directory.
    package static var path: ConfigurationType {
        ConfigurationType(expecting: "a path", standIn: "") { node in
            node.text.flatMap { $0.isEmpty || $0.utf8.contains(0) ? nil : $0 }
        }
    }

    /// One of some words.
    package static func choice(_ words: [String]) -> ConfigurationType {
        let listed = words.map { "\"\($0)\"" }.joined(separator: ", ")
        return ConfigurationType(expecting: "one of " + listed, standIn: "") { node in
            node.text.flatMap { words.contains($0) ? $0 : nil }
        }
    }
}

extension ConfigurationType where Value: RawRepresentable<String> & CaseIterable {
    /// One of the cases of an enumeration.
    ///
    /// - Parameter standIn: any case.
    package static func choice(standIn: Value) -> ConfigurationType {
        let listed = Value.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
        return ConfigurationType(expecting: "one of " + listed, standIn: standIn) { node in
            node.text.flatMap { Value(rawValue: $0) }
        }
    }
}

extension ConfigurationType<Bool> {
    package static var boolean: ConfigurationType {
        ConfigurationType(expecting: "true or false", standIn: false) { node in
            if case .boolean(let value) = node.value { value } else { nil }
        }
    }
}

extension ConfigurationType<Int> {
    package static func integer(in range: ClosedRange<Int>) -> ConfigurationType {
        ConfigurationType(
            expecting: "an integer from \(range.lowerBound) to \(range.upperBound)", standIn: range.lowerBound
        ) { node in
            guard case .integer(let value) = node.value, let integer = Int(exactly: value), range ~= integer else {
                return nil
            }
            return integer
        }
    }

    /// A number of bytes: an integer, or a text such as `10MiB`.
    package static var byteCount: ConfigurationType {
        ConfigurationType(expecting: ByteCountText.expectation, standIn: 0) { node in
            switch node.value {
            case .integer(let value): value >= 0 ? Int(exactly: value) : nil
            case .string(let text): ByteCountText.parse(text)
            default: nil
            }
        }
    }
}

extension ConfigurationType<Double> {
    /// A finite number; an integer will do.
    package static func number(in range: ClosedRange<Double>) -> ConfigurationType {
        ConfigurationType(
            expecting: "a number from \(range.lowerBound) to \(range.upperBound)", standIn: range.lowerBound
        ) { node in
            switch node.value {
            case .integer(let value): range ~= Double(value) ? Double(value) : nil
            case .number(let value): range ~= value ? value : nil
            default: nil
            }
        }
    }
}

extension ConfigurationType<Duration> {
    package static var duration: ConfigurationType {
        ConfigurationType(expecting: DurationText.expectation, standIn: .zero) { node in
            if case .string(let text) = node.value { DurationText.parse(text) } else { nil }
        }
    }
}

extension ConfigurationType<Duration?> {
    /// A duration, or `never`, which is nil.
    package static var durationOrNever: ConfigurationType {
        ConfigurationType(expecting: DurationText.expectation + ", or never", standIn: nil) { node in
            guard case .string(let text) = node.value else { return nil }
            if text == "never" { return .some(nil) }
            return DurationText.parse(text).map { .some($0) }
        }
    }
}

extension ConfigurationType<[UInt8]> {
    /// Bytes in hexadecimal, as many as given, or any number.
    package static func hex(bytes count: Int? = nil) -> ConfigurationType {
        let expectation = count.map { "\($0) bytes in hexadecimal (\(2 * $0) digits)" } ?? "bytes in hexadecimal"
        return ConfigurationType(expecting: expectation, standIn: []) { node in
            guard let text = node.text, let bytes = try? Hex.decode(text, prefix: .optional, subject: "bytes") else {
                return nil
            }
            return count.map { $0 == bytes.count } ?? true ? bytes : nil
        }
    }
}
