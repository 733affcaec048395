import DstackEncoding
import DstackSystem
import Glibc

/// What an option or a positional argument takes: how its text becomes a value, how help and completion show it.
package struct ArgumentType<Value: Sendable>: Sendable {
    /// In capitals, or the words themselves with `|` between: `FILE`, `authentic|standard`.
    package let placeholder: String
    /// What is right, as it follows "needs": `a whole number from 1 to 65535`.
    package let expectation: String
    package let completion: ArgumentCompletion
    /// Whether it names a file to be read, for which `-` stands for standard input.
    package let isInput: Bool
    /// Whether a wrong value must not be shown in the error.
    package let isSecret: Bool
    /// What to do about a text that is no such value, where its mistake can be told; a hint.
    let advice: @Sendable (String) -> String?
    /// Nil where the text is no such value.
    package let parse: @Sendable (String) -> Value?

    package init(
        _ placeholder: String, expecting expectation: String, completion: ArgumentCompletion = .nothing,
        isInput: Bool = false, isSecret: Bool = false,
        advice: @escaping @Sendable (String) -> String? = { _ in nil }, parse: @escaping @Sendable (String) -> Value?
    ) {
        self.placeholder = placeholder
        self.expectation = expectation
        self.completion = completion
        self.isInput = isInput
        self.isSecret = isSecret
        self.advice = advice
        self.parse = parse
    }

    /// The same values under another placeholder.
    package func named(_ placeholder: String) -> ArgumentType {
        ArgumentType(
            placeholder, expecting: expectation, completion: completion, isInput: isInput, isSecret: isSecret,
            advice: advice,
            parse: parse)
    }
}

/// What a shell can offer while the value is being typed.
package enum ArgumentCompletion: Sendable, Equatable {
    case nothing
    case files
    case directories
    case words([String])
    /// Fixed words, or a file.
    case wordsOrFiles([String])
}

extension ArgumentType<String> {
    /// Any text but the empty one.
    package static func text(_ placeholder: String) -> ArgumentType {
        ArgumentType(placeholder, expecting: "a text that is not empty") { $0.isEmpty ? nil : $0 }
    }

    /// A text that no message repeats. Prefer a file or the environment: arguments are visible to other users.
    package static func secret(_ placeholder: String) -> ArgumentType {
        ArgumentType(placeholder, expecting: "a text that is not empty", isSecret: true) { $0.isEmpty ? nil : $0 }
    }

    /// The path of a file to be read, or `-` for standard input; ``Arguments/read(_:limit:)-(Option<String>,_)`` does.
    /// Whether it can be opened is found out when it is.
    package static var file: ArgumentType {
        ArgumentType("FILE", expecting: "the path of a file", completion: .files, isInput: true) {
            $0.isEmpty ? nil : $0
        }
    }

    /// The path of a file to be written.
    package static var outputFile: ArgumentType {
        ArgumentType("FILE", expecting: "the path of a file", completion: .files) { $0.isEmpty ? nil : $0 }
    }

    /// Where to listen: an IP address or a host's name, a colon, and a port; port 0 stands for any free one.
    package static var listenAddress: ArgumentType {
        ArgumentType("ADDRESS:PORT", expecting: "an address and a port such as 127.0.0.1:8443 or [::1]:0") { text in
            guard let colon = text.lastIndex(of: ":") else { return nil }
            let (host, port) = (text[..<colon], text[text.index(after: colon)...])
            let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
            let isPlain = host.unicodeScalars.allSatisfy { scalar in
                scalar.isASCII && (scalar.properties.isAlphabetic || "0123456789.-".unicodeScalars.contains(scalar))
            }
            guard isBracketed || (!host.isEmpty && isPlain) else { return nil }
            if isBracketed {
                var address = in6_addr()
                guard inet_pton(AF_INET6, String(host.dropFirst().dropLast()), &address) == 1 else { return nil }
            }
            guard port.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), UInt16(port) != nil else { return nil }
            return text
        }
    }

    package static var directory: ArgumentType {
        ArgumentType("DIRECTORY", expecting: "the path of a directory", completion: .directories) {
            $0.isEmpty ? nil : $0
        }
    }

    /// One of some words.
    package static func choice(_ words: [String]) -> ArgumentType {
        ArgumentType(
            words.joined(separator: "|"), expecting: "one of " + words.joined(separator: ", "),
            completion: .words(words), advice: { wordAdvice($0, among: words) }
        ) { words.contains($0) ? $0 : nil }
    }

    /// One of some words, or else the path of a file. A word in other letters (`STRICT`) is refused rather than taken for a
    /// file: such a file is `./STRICT`.
    package static func choiceOrFile(_ words: [String]) -> ArgumentType {
        ArgumentType(
            (words + ["FILE"]).joined(separator: "|"),
            expecting: "one of \(words.joined(separator: ", ")), or the path of a file",
            completion: .wordsOrFiles(words), isInput: true, advice: { wordAdvice($0, among: words) }
        ) { text in
            guard !text.isEmpty else { return nil }
            return words.contains(text) || !words.contains(text.lowercased()) ? text : nil
        }
    }
}

extension ArgumentType where Value: CaseIterable & RawRepresentable<String> {
    /// One of the cases of an enumeration.
    package static var choice: ArgumentType {
        let words = Value.allCases.map(\.rawValue)
        return ArgumentType(
            words.joined(separator: "|"), expecting: "one of " + words.joined(separator: ", "),
            completion: .words(words), advice: { wordAdvice($0, among: words) }
        ) { Value(rawValue: $0) }
    }
}

/// What was meant by a text that is none of some words.
private func wordAdvice(_ text: String, among words: [String]) -> String? {
    let lowered = text.lowercased()
    if words.contains(lowered) { return "write it in lower case: \(lowered)" }
    return Suggestion.closest(to: text, among: words).map { "did you mean \($0)?" }
}

extension ArgumentType<Int> {
    /// A decimal number within a range.
    package static func integer(_ placeholder: String, in range: ClosedRange<Int>) -> ArgumentType {
        ArgumentType(
            placeholder, expecting: "a whole number from \(range.lowerBound) to \(range.upperBound)"
        ) { text in
            // Int also reads "+5", which nobody means.
            guard !text.hasPrefix("+"), let number = Int(text), range ~= number else { return nil }
            return number
        }
    }

    /// A number of bytes: `4096`, `10MiB`.
    package static var byteCount: ArgumentType {
        ArgumentType("SIZE", expecting: ByteCountText.expectation) { ByteCountText.parse($0) }
    }
}

extension ArgumentType<Int64> {
    /// A moment, in seconds since 1970: a number, or an RFC 3339 time, of which a fraction is dropped.
    ///
    /// A number beyond the year 5138 counts smaller units: milliseconds, as JavaScript and Java count, have passed it since
    /// 1973.
    package static var time: ArgumentType {
        ArgumentType(
            "UNIX-SECONDS|RFC3339",
            expecting: "seconds since 1970 or a time such as 2025-03-01T12:00:00Z", advice: timeAdvice
        ) { text in
            if text.hasPrefix("+") { return nil }
            if let seconds = Int64(text) {
                return (1 - leastMilliseconds..<leastMilliseconds).contains(seconds) ? seconds : nil
            }
            return try? RFC3339.parse(text)
        }
    }

    private static var leastMilliseconds: Int64 { 100_000_000_000 }

    /// Whether a number counts milliseconds, microseconds or nanoseconds, each a thousand times as many.
    @Sendable
    private static func timeAdvice(_ text: String) -> String? {
        if let number = Int64(text), number >= leastMilliseconds {
            var (seconds, rest) = (number / 1000, ["milliseconds", "microseconds", "nanoseconds"][...])
            while seconds >= leastMilliseconds, rest.count > 1 { (seconds, rest) = (seconds / 1000, rest.dropFirst()) }
            return "this counts \(rest.first ?? "smaller units"): in seconds it is \(seconds)"
        }
        if text.contains("."), let number = Double(text), number >= 0, number < Double(leastMilliseconds) {
            return "leave out the fraction: \(Int64(number))"
        }
        // 2025-03-01, and a time without its zone.
        for completed in [text + "T00:00:00Z", text + "Z"] where (try? RFC3339.parse(completed)) != nil {
            return "say the whole of it, with the zone: \(completed)"
        }
        return nil
    }
}

extension ArgumentType<Duration> {
    package static var duration: ArgumentType {
        ArgumentType("DURATION", expecting: DurationText.expectation) { DurationText.parse($0) }
    }
}

extension ArgumentType<[UInt8]> {
    /// Bytes in hexadecimal, of which there must be as many as given, or any number.
    package static func hex(_ placeholder: String, bytes count: Int? = nil) -> ArgumentType {
        let expectation = count.map { "\($0) bytes in hexadecimal (\(2 * $0) digits)" } ?? "bytes in hexadecimal"
        return ArgumentType(placeholder, expecting: expectation) { text in
            guard let bytes = try? Hex.decode(text, prefix: .optional, subject: placeholder) else { return nil }
            return count.map { $0 == bytes.count } ?? true ? bytes : nil
        }
    }

    /// As many bytes in hexadecimal as the range says.
    package static func hex(_ placeholder: String, bytes range: ClosedRange<Int>) -> ArgumentType {
        ArgumentType(
            placeholder, expecting: "\(range.lowerBound) to \(range.upperBound) bytes in hexadecimal"
        ) { text in
            guard let bytes = try? Hex.decode(text, prefix: .optional, subject: placeholder) else { return nil }
            return range ~= bytes.count ? bytes : nil
        }
    }
}
