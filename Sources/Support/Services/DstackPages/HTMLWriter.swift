import DstackSystem

/// Writes markup. The only place where text meets markup.
struct HTMLWriter {
    private(set) var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(32 << 10) }

    mutating func write(_ html: HTML) {
        switch html.node {
        case .text(let text): self.text(text)
        case .group(let pieces): for piece in pieces { write(piece) }
        case .element(let tag, let attributes, let content): element(tag, attributes, content)
        case .asset(let asset):
            // The text of an asset is part of the program, so there is nothing to escape; that it does not end its own
            // element, `PageAsset` checks.
            fixed("<\(asset.kind.rawValue)>")
            fixed(asset.text)
            fixed("</\(asset.kind.rawValue)>")
        }
    }

    private mutating func element(_ tag: HTML.Tag, _ attributes: [HTMLAttribute], _ content: [HTML]) {
        fixed("<" + tag.rawValue)
        for attribute in attributes {
            fixed(" \(attribute.name)")
            guard let value = attribute.value else { continue }
            fixed("=\"")
            text(value)
            fixed("\"")
        }
        fixed(">")
        guard !tag.isVoid else { return }
        for piece in content { write(piece) }
        fixed("</" + tag.rawValue + ">")
    }

    mutating func fixed(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// Escapes for text and for attributes in double quotes alike.
    ///
    /// Characters that are not plainly visible are shown as what they are (`\u{202e}`): a name must not turn the text
    /// around it, hide, or look like another one.
    private mutating func text(_ text: String) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": fixed("&amp;")
            case "<": fixed("&lt;")
            case ">": fixed("&gt;")
            case "\"": fixed("&quot;")
            case "'": fixed("&#39;")
            case "\n", "\t": bytes.append(UInt8(truncatingIfNeeded: scalar.value))
            case _ where scalar.isASCII && scalar.value >= 0x20 && scalar.value != 0x7F:
                bytes.append(UInt8(truncatingIfNeeded: scalar.value))
            case "\u{A0}", "\u{2009}": bytes.append(contentsOf: String(scalar).utf8)
            case _ where SafeText.isPlain(scalar): bytes.append(contentsOf: String(scalar).utf8)
            default: fixed("\\u{" + String(scalar.value, radix: 16) + "}")
            }
        }
    }
}
