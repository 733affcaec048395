package import DstackCrypto
import DstackEncoding

/// The variables of an application's environment, of those that its compose file allows: each name once, in order.
package struct EnvironmentVariables: Sendable {
    package struct Variable: Sendable {
        package let name: String
        /// UTF-8.
        package let value: SharedSecret
    }

    /// By name, byte by byte.
    package let variables: [Variable]

    /// As many as are read, allowed or not.
    package static let maximumCount = 1024
    /// What Linux takes for a name, nearly.
    package static let maximumNameBytes = 255
    package static let maximumValueBytes = 128 << 10
    /// Names and values of all that are allowed.
    package static let maximumTotalBytes = 1 << 20

    /// Reads `{"env":[{"key":"NAME","value":"…"},…]}` and keeps what is allowed; of several of one name the last.
    ///
    /// - Parameters:
    ///   - text: as it was decrypted.
    ///   - allowed: names, from the compose file (`allowed_envs`). Others are left out: the compose file is measured, and who
    ///     encrypts an environment is not known.
    /// - Throws: ``KeysError/Code/invalidEnvironment`` for a text of another form, and for an allowed variable that no
    ///   environment can have. It tells names, and never values.
    package init(decoding text: RawSpan, allowed: Set<String>) throws(KeysError) {
        let read: [(name: String, value: SharedSecret)]
        do throws(DecodingFailure) {
            read = try Self.read(text, allowed)
        } catch {
            throw KeysError(.invalidEnvironment, error)
        }
        var total = 0
        var kept: [String: SharedSecret] = [:]
        for (name, value) in read {
            guard Self.isName(name) else {
                throw KeysError(
                    .invalidEnvironment, subject: "environment variable",
                    reason:
                        "a name has 1 to \(Self.maximumNameBytes) letters, digits and underscores, and no digit first")
            }
            guard value.count <= Self.maximumValueBytes else {
                throw KeysError(
                    .invalidEnvironment, subject: "environment variable \(name)",
                    reason: "\(value.count) bytes, at most \(Self.maximumValueBytes) are taken")
            }
            total += name.utf8.count + value.count
            guard total <= Self.maximumTotalBytes else {
                throw KeysError(
                    .invalidEnvironment, subject: "environment",
                    reason: "more than \(Self.maximumTotalBytes) bytes of names and values")
            }
            kept[name] = value
        }
        variables = kept.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            .map { Variable(name: $0.key, value: $0.value) }
    }

    private static func read(
        _ text: RawSpan, _ allowed: Set<String>
    ) throws(DecodingFailure) -> [(name: String, value: SharedSecret)] {
        let root = try JSONOutline(of: text, subject: "environment").root
        let elements = try root.member("env", in: text).elements()
        guard elements.count <= maximumCount else {
            throw root.failure("\(elements.count) variables, at most \(maximumCount) are read")
        }
        var read: [(name: String, value: SharedSecret)] = []
        for element in elements {
            let name = try SecretJSON(text, element.member("key", in: text)).publicString()
            let value = try SecretJSON(text, element.member("value", in: text)).string()
            if allowed.contains(name) { read.append((name, SharedSecret(value))) }
        }
        return read
    }

    private static func isName(_ text: String) -> Bool {
        guard (1...maximumNameBytes).contains(text.utf8.count), let first = text.utf8.first else { return false }
        let isDigit = { (byte: UInt8) in (0x30...0x39).contains(byte) }
        return !isDigit(first)
            && text.utf8.allSatisfy { byte in
                isDigit(byte) || byte == UInt8(ascii: "_") || (0x61...0x7A).contains(byte | 0x20)
            }
    }

    /// The text that ``init(decoding:allowed:)`` reads.
    ///
    /// - Parameter variables: values are UTF-8.
    package static func encode(_ variables: [(name: String, value: SharedSecret)]) -> SecretBytes {
        var text = SecretText()
        text.append("{\"env\":[")
        for (index, variable) in variables.enumerated() {
            text.append(index == 0 ? "{\"key\":" : ",{\"key\":")
            text.appendString(Array(variable.name.utf8).span.bytes)
            text.append(",\"value\":")
            variable.value.withBytes { text.appendString($0) }
            text.append("}")
        }
        text.append("]}")
        return text.bytes.duplicate()
    }
}
