package import DstackSystem
import Glibc

/// Settings from files and the environment, merged, ready to be read into a type.
///
/// ```swift
/// let settings = try Configuration(
///     .file("/etc/kms/kms.toml", ifPresent: true), .file(arguments[config]),
///     .environment(prefix: "DSTACK_KMS_")
/// ).read { Settings($0) }
///
/// struct Settings {
///     let address: String
///     let port: Int
///     let admin: Admin?
///
///     init(_ reader: ConfigurationReader) {
///         address = reader.value("address", .string, default: "127.0.0.1")
///         port = reader.value("port", .integer(in: 1...65_535))
///         admin = reader.optionalTable("admin") { Admin($0) }
///     }
/// }
/// ```
package struct Configuration: Sendable {
    private let root: ConfigurationNode
    /// The files that were there, for the log.
    package let files: [String]

    /// Reads and merges the layers; later ones win, table by table and key by key.
    ///
    /// - Throws: ``ConfigurationError`` for a file that cannot be read or is not of its format.
    package init(_ layers: ConfigurationLayer...) throws(ConfigurationError) {
        try self.init(layers)
    }

    package init(_ layers: [ConfigurationLayer]) throws(ConfigurationError) {
        var root = ConfigurationNode(.table([:]), ConfigurationOrigin(source: "the configuration"))
        var files = [String]()
        for layer in layers {
            guard let node = try layer.load() else { continue }
            if case .file(let path, _, _) = layer.kind { files.append(path) }
            root = root.overlaid(with: node)
        }
        self.root = root
        self.files = files
    }

    /// What happens to keys that nobody reads.
    package enum UnknownKeys: Sendable {
        /// They are problems like any other: most are mistyped, and then what was meant is not in force.
        case refused
        /// They are handed over, for a shell that must start with files written for other versions;
        /// but those that look like a restriction are problems (``ConfigurationReader/restricting(_:)``).
        case reported(to: @Sendable (ConfigurationProblem) -> Void)
    }

    /// Makes a value from the configuration.
    ///
    /// - Parameter make: only takes values from the reader. It must not act on them: where something is wrong, the
    ///   reader hands out stand-ins, and the value that was made of them is thrown away.
    /// - Throws: ``ConfigurationError`` with everything that is wrong, not just the first.
    package func read<Settings>(
        unknownKeys: UnknownKeys = .refused, _ make: (ConfigurationReader) -> Settings
    ) throws(ConfigurationError) -> Settings {
        let reader = ConfigurationReader(root)
        let settings = make(reader)
        try reader.finish(unknownKeys: unknownKeys)
        return settings
    }
}

/// One source of settings.
package struct ConfigurationLayer: Sendable {
    /// How a file is written.
    package enum Format: Sendable {
        case toml
        /// One object. `null` stands for a key that is not there, but where ``ConfigurationReader/refuseNull(_:)`` says so.
        case json
    }

    enum Kind: Sendable {
        case file(path: String, ifPresent: Bool, Format)
        case text(String, source: String)
        case environment(prefix: String, ignoring: Set<String>, Environment)
    }

    /// Settings are small; what is larger is not a configuration.
    private static let fileLimit = 1 << 20

    let kind: Kind

    /// A file of at most 1 MiB, and not empty.
    ///
    /// - Parameter ifPresent: whether it may be missing. Any other reason not to read it is an error all the same.
    package static func file(
        _ path: String, ifPresent: Bool = false, format: Format = .toml
    ) -> ConfigurationLayer {
        ConfigurationLayer(kind: .file(path: path, ifPresent: ifPresent, format))
    }

    /// TOML text, for defaults.
    package static func text(_ toml: String, source: String) -> ConfigurationLayer {
        ConfigurationLayer(kind: .text(toml, source: source))
    }

    /// Environment variables with a prefix: `DSTACK_KMS_CORE__ADMIN__PORT=1` is `core.admin.port = 1`.
    ///
    /// Names are lower-cased, `__` goes one table deeper. A value that is TOML (a number, a boolean, a quoted string, an
    /// array, an inline table) is taken as such, and any other as a string; a number is also taken as a string where
    /// one is expected. A variable that is set and empty is an empty string, which most keys refuse: whoever writes
    /// `DSTACK_X_POLICY__FILE=` had something to state and lost it, and taking it for unset would lift a restriction.
    ///
    /// - Parameter ignoring: variables with that prefix that mean something else.
    package static func environment(
        prefix: String, ignoring: Set<String> = [], from environment: Environment = .process
    ) -> ConfigurationLayer {
        ConfigurationLayer(kind: .environment(prefix: prefix, ignoring: ignoring, environment))
    }

    /// Nil for a file that may be missing and is.
    func load() throws(ConfigurationError) -> ConfigurationNode? {
        switch kind {
        case .file(let path, let ifPresent, let format):
            let bytes: [UInt8]
            do throws(SystemError) {
                bytes = try File.read(path, limit: Self.fileLimit)
            } catch {
                if ifPresent, error.code == ENOENT { return nil }
                throw ConfigurationError([
                    ConfigurationProblem(
                        origin: nil, path: "", message: "the configuration cannot be used: \(error)", isUnreadable: true
                    )
                ])
            }
            let origin = ConfigurationOrigin(source: path, isDocument: true)
            // A file that lost its content, by a disk that was full or a template that failed, would lift what it set, the
            // restrictions among it. /dev/null is said on purpose.
            guard path == "/dev/null" || bytes.contains(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) else {
                throw ConfigurationError([
                    ConfigurationProblem(
                        origin: nil, path: "",
                        message: "the configuration cannot be used: \(path) is empty; leave it out for the defaults")
                ])
            }
            switch format {
            case .toml: return try TOMLParser.parse(bytes, source: origin)
            case .json: return try JSONConfigurationParser.parse(bytes, source: origin)
            }
        case .text(let text, let source):
            return try TOMLParser.parse(Array(text.utf8), source: ConfigurationOrigin(source: source, isDocument: true))
        case .environment(let prefix, let ignored, let environment):
            return try Self.overrides(prefix, ignored, environment)
        }
    }

    private static func overrides(
        _ prefix: String, _ ignored: Set<String>, _ environment: Environment
    ) throws(ConfigurationError) -> ConfigurationNode {
        var root = ConfigurationNode(.table([:]), ConfigurationOrigin(source: "the environment"))
        // Sorted, so that of two variables for the same key the same one wins every time.
        for (name, text) in environment.variables.sorted(by: { $0.key < $1.key })
        where name.hasPrefix(prefix) && !ignored.contains(name) {
            let origin = ConfigurationOrigin(source: "the environment variable \(name)")
            let path = splitName(name.dropFirst(prefix.count).lowercased())
            guard path.count <= 16, !path.contains("") else {
                throw ConfigurationError([
                    ConfigurationProblem(
                        origin: origin, path: "",
                        message: "its name needs a key after \(prefix), with `__` only between the names of tables")
                ])
            }
            var node = ConfigurationNode(value(text, origin), origin, raw: text)
            for name in path.reversed() { node = ConfigurationNode(.table([name: node]), origin) }
            root = root.overlaid(with: node)
        }
        return root
    }

    private static func splitName(_ name: String) -> [String] {
        var parts = [""]
        var rest = name[...]
        while let character = rest.popFirst() {
            if character == "_", rest.first == "_" {
                rest.removeFirst()
                parts.append("")
            } else {
                parts[parts.count - 1].append(character)
            }
        }
        return parts
    }

    private static func value(_ text: String, _ origin: ConfigurationOrigin) -> ConfigurationNode.Value {
        // A line break would let the value bring keys of its own.
        guard !text.utf8.contains(where: { $0 == 10 || $0 == 13 }),
            let parsed = try? TOMLParser.parse(Array("v = \(text)".utf8), source: origin),
            let value = parsed.table?["v"]
        else { return .string(text) }
        return relocated(value, to: origin).value
    }

    /// Lines and columns within a variable help nobody.
    private static func relocated(_ node: ConfigurationNode, to origin: ConfigurationOrigin) -> ConfigurationNode {
        switch node.value {
        case .table(let members):
            ConfigurationNode(.table(members.mapValues { relocated($0, to: origin) }), origin)
        case .array(let elements):
            ConfigurationNode(.array(elements.map { relocated($0, to: origin) }), origin)
        default:
            ConfigurationNode(node.value, origin)
        }
    }
}
