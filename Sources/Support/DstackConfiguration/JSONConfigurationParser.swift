import DstackEncoding

/// JSON text as a tree, for settings that another program writes.
enum JSONConfigurationParser {
    static func parse(_ bytes: [UInt8], source: ConfigurationOrigin) throws(ConfigurationError) -> ConfigurationNode {
        let document: JSONDocument
        do {
            document = try JSONDocument(
                parsing: bytes, subject: source.source, maximumDepth: 32, maximumValues: 1 << 16)
        } catch {
            throw ConfigurationError([
                ConfigurationProblem(origin: nil, path: "", message: "this is not JSON: \(error)")
            ])
        }
        guard document.root.kind == .object else {
            throw ConfigurationError([
                ConfigurationProblem(
                    origin: source, path: "", message: "an object expected, found \(document.root.kindName)")
            ])
        }
        return node(document.root, source, bytes) ?? ConfigurationNode(.table([:]), source)
    }

    /// Nil for `null`, which stands for a key that is not there. The recursion is as deep as the document, which the
    /// parser bounds.
    private static func node(
        _ json: JSONNode, _ source: ConfigurationOrigin, _ text: [UInt8]
    ) -> ConfigurationNode? {
        let origin = place(json.range.lowerBound, source, text)
        switch json.kind {
        case .object:
            var members = [String: ConfigurationNode]()
            for (name, value) in json.members { members[name] = node(value, source, text) }
            return ConfigurationNode(.table(members), origin)
        case .array:
            return ConfigurationNode(.array(json.elements.compactMap { node($0, source, text) }), origin)
        case .string: return ConfigurationNode(.string((try? json.string()) ?? ""), origin)
        case .number:
            if let integer = Int64(json.numberText) { return ConfigurationNode(.integer(integer), origin) }
            return ConfigurationNode(.number(Double(json.numberText) ?? .nan), origin)
        case .boolTrue: return ConfigurationNode(.boolean(true), origin)
        case .boolFalse: return ConfigurationNode(.boolean(false), origin)
        case .null: return nil
        }
    }

    private static func place(_ offset: Int, _ source: ConfigurationOrigin, _ text: [UInt8]) -> ConfigurationOrigin {
        let before = text[..<min(offset, text.count)]
        let line = before.count { $0 == UInt8(ascii: "\n") } + 1
        let column = before.reversed().prefix { $0 != UInt8(ascii: "\n") }.count + 1
        return ConfigurationOrigin(source: source.source, isDocument: true, line: line, column: column)
    }
}
