/// A piece of a page: text, an element, or several of them.
///
///     HTML.element(.p, .class("lead")) {
///         "Served by "
///         HTML.element(.code) { hostName }
///     }
///
/// There is no way to put markup in as a string: whatever is a `String` becomes text or the value of an attribute, and is
/// escaped when the page is written. Names of elements, attributes and classes are fixed when the program is built.
package struct HTML: Sendable {
    indirect enum Node: Sendable {
        case text(String)
        case element(Tag, [HTMLAttribute], [HTML])
        case group([HTML])
        /// A style sheet or a script that is part of the program.
        case asset(PageAsset)
    }

    let node: Node

    init(_ node: Node) { self.node = node }

    /// Nothing.
    package static let empty = HTML(.group([]))

    /// Text, whatever is in it.
    package static func text(_ text: String) -> HTML { HTML(.text(text)) }

    /// Several pieces one after the other.
    package static func group(_ pieces: [HTML]) -> HTML { HTML(.group(pieces)) }

    /// Several pieces one after the other.
    package static func group(@HTMLBuilder _ content: () -> HTML) -> HTML { content() }

    /// An element with what is in it. Void elements have no content: it is dropped.
    package static func element(
        _ tag: Tag, _ attributes: HTMLAttribute?..., @HTMLBuilder content: () -> HTML = { .empty }
    ) -> HTML {
        HTML(.element(tag, attributes.compactMap { $0 }, [content()]))
    }

    /// An element whose attributes are a list.
    package static func element(
        _ tag: Tag, attributes: [HTMLAttribute], @HTMLBuilder content: () -> HTML = { .empty }
    ) -> HTML {
        HTML(.element(tag, attributes, [content()]))
    }

    static func asset(_ asset: PageAsset) -> HTML { HTML(.asset(asset)) }

    /// The elements that pages use. `script` and `style` are not among them: only ``PageAsset`` makes those.
    package enum Tag: String, Sendable {
        case a, abbr, article, aside, b, bdi, body, br, button, caption, code, dd, details, div, dl, dt, em, footer,
            form
        case h1, h2, h3, head, header, hr, html, input, kbd, label, li, link, main, meta, nav, ol, option, output, p,
            pre
        case section, select, small, span, strong, summary, table, tbody, td, th, thead, time, title, tr, ul
        // SVG
        case svg, g, path, rect, line, circle, polyline, text, tspan, desc

        var isVoid: Bool {
            switch self {
            case .br, .hr, .input, .link, .meta: true
            default: false
            }
        }
    }

    /// The markup as UTF-8.
    package var bytes: [UInt8] {
        var writer = HTMLWriter()
        writer.write(self)
        return writer.bytes
    }
}

/// Collects the pieces of a closure: strings become text.
@resultBuilder
package enum HTMLBuilder {
    package static func buildExpression(_ piece: HTML) -> HTML { piece }
    package static func buildExpression(_ text: String) -> HTML { .text(text) }
    package static func buildExpression(_ pieces: [HTML]) -> HTML { .group(pieces) }
    package static func buildBlock(_ pieces: HTML...) -> HTML { pieces.count == 1 ? pieces[0] : .group(pieces) }
    package static func buildOptional(_ piece: HTML?) -> HTML { piece ?? .empty }
    package static func buildEither(first piece: HTML) -> HTML { piece }
    package static func buildEither(second piece: HTML) -> HTML { piece }
    package static func buildArray(_ pieces: [HTML]) -> HTML { .group(pieces) }
}
