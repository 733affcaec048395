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
        return node(document.root, Places(source, bytes))
    }

    /// The recursion is as deep as the document, which the parser bounds.
    private static func node(_ json: JSONNode, _ places: Places) -> ConfigurationNode {
        let origin = places.origin(of: json.range.lowerBound)
        switch json.kind {
        case .object:
            var members = [String: ConfigurationNode]()
            for (name, value) in json.members { members[name] = node(value, places) }
            return ConfigurationNode(.table(members), origin)
        case .array: return ConfigurationNode(.array(json.elements.map { node($0, places) }), origin)
        case .string: return ConfigurationNode(.string((try? json.string()) ?? ""), origin)
        case .number:
            if let integer = Int64(json.numberText) { return ConfigurationNode(.integer(integer), origin) }
            return ConfigurationNode(.number(Double(json.numberText) ?? .nan), origin)
        case .boolTrue: return ConfigurationNode(.boolean(true), origin)
        case .boolFalse: return ConfigurationNode(.boolean(false), origin)
        case .null: return ConfigurationNode(.null, origin)
        }
    }

    /// Lines and columns of a text.
    private struct Places {
        let source: ConfigurationOrigin
        /// Where each line begins.
        let lines: [Int]

        init(_ source: ConfigurationOrigin, _ text: [UInt8]) {
            self.source = source
            lines = [0] + text.indices.filter { text[$0] == UInt8(ascii: "\n") }.map { $0 + 1 }
        }

        func origin(of offset: Int) -> ConfigurationOrigin {
            // The last line that begins at the offset or before it.
            var (low, high) = (0, lines.count)
            while high - low > 1 {
                let middle = (low + high) / 2
                if lines[middle] <= offset { low = middle } else { high = middle }
            }
            return ConfigurationOrigin(
                source: source.source, isDocument: true, line: low + 1, column: offset - lines[low] + 1)
        }
    }
}
