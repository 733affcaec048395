import CTOML

/// TOML 1.0 text as a tree, by way of toml++.
enum TOMLParser {
    /// - Parameter source: where the text comes from; its values get the same with their lines and columns.
    static func parse(_ bytes: [UInt8], source: ConfigurationOrigin) throws(ConfigurationError) -> ConfigurationNode {
        var failure = dstack_toml_failure()
        let document = bytes.withUnsafeBytes { buffer in
            dstack_toml_parse(buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count, &failure)
        }
        guard let document else { throw error(failure, source: source) }
        defer { dstack_toml_free(document) }
        var count = 0
        guard let start = dstack_toml_nodes(document, &count) else { return ConfigurationNode(.table([:]), source) }
        return node(UnsafeBufferPointer(start: start, count: count)[...], source: source)
    }

    /// The node that a list begins with. The recursion is as deep as the tree, which the parser bounds.
    private static func node(
        _ nodes: Slice<UnsafeBufferPointer<dstack_toml_node>>, source: ConfigurationOrigin
    ) -> ConfigurationNode {
        let node = nodes[nodes.startIndex]
        let origin = source.at(line: node.line, column: node.column)
        switch node.kind {
        case DSTACK_TOML_TABLE:
            var members = [String: ConfigurationNode]()
            for child in children(of: nodes) {
                members[text(child.first?.key, child.first?.key_length)] = self.node(child, source: source)
            }
            return ConfigurationNode(.table(members), origin)
        case DSTACK_TOML_ARRAY:
            return ConfigurationNode(.array(children(of: nodes).map { self.node($0, source: source) }), origin)
        case DSTACK_TOML_INTEGER:
            return ConfigurationNode(.integer(node.integer), origin)
        case DSTACK_TOML_NUMBER:
            return ConfigurationNode(.number(node.number), origin)
        case DSTACK_TOML_BOOLEAN:
            return ConfigurationNode(.boolean(node.integer != 0), origin)
        case DSTACK_TOML_TIME:
            return ConfigurationNode(.time(text(node.text, node.text_length)), origin)
        default:
            return ConfigurationNode(.string(text(node.text, node.text_length)), origin)
        }
    }

    private static func children(
        of nodes: Slice<UnsafeBufferPointer<dstack_toml_node>>
    ) -> [Slice<UnsafeBufferPointer<dstack_toml_node>>] {
        var children = [Slice<UnsafeBufferPointer<dstack_toml_node>>]()
        var rest = nodes.prefix(nodes[nodes.startIndex].extent).dropFirst()
        while let first = rest.first {
            children.append(rest.prefix(first.extent))
            rest = rest.dropFirst(max(1, first.extent))
        }
        return children
    }

    private static func text(_ start: UnsafePointer<CChar>?, _ length: Int?) -> String {
        guard let start, let length else { return "" }
        return start.withMemoryRebound(to: UInt8.self, capacity: length) {
            String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
        }
    }

    private static func error(_ failure: dstack_toml_failure, source: ConfigurationOrigin) -> ConfigurationError {
        let message = withUnsafeBytes(of: failure.message) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        let origin = source.at(line: failure.line, column: failure.column)
        return ConfigurationError([
            ConfigurationProblem(origin: origin, path: "", message: "this is not TOML: " + redacted(message))
        ])
    }

    /// The parser's message without its set phrase, and without the values that it quotes: a mistyped secret is a
    /// secret too. Names of keys stay.
    private static func redacted(_ message: String) -> String {
        let phrase = "Error while parsing "
        let message = message.hasPrefix(phrase) ? "in a " + message.dropFirst(phrase.count) : message[...]
        let namesKeys = ["in a key", "in a table", "in a root table"].contains { message.hasPrefix($0) }
        guard !namesKeys else { return String(message) }
        // Single characters tell what is wrong and give nothing away.
        let parts = message.split(separator: "'", omittingEmptySubsequences: false)
        guard parts.count > 2 else { return String(message) }
        return parts.enumerated().map { index, part in
            index.isMultiple(of: 2) || part.count <= 2 ? String(part) : "…"
        }.joined(separator: "'")
    }
}

extension ConfigurationOrigin {
    /// A place in it, as the parser counts: 0 is unknown.
    fileprivate func at(line: UInt32, column: UInt32) -> ConfigurationOrigin {
        guard line > 0 else { return self }
        return ConfigurationOrigin(source: source, isDocument: isDocument, line: Int(line), column: Int(column))
    }
}
