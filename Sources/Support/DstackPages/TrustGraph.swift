/// A chain of trust, from what one has to believe down to what one wants to know, drawn as boxes with arrows.
///
/// The picture is 340 units wide and grows downwards, so that it reads the same on a phone.
package struct TrustGraph: Sendable {
    package struct Link: Sendable {
        /// "Intel's root key"
        package var title: String
        /// One line below the title, such as a short digest; what does not fit is cut.
        package var subtitle: String
        package var tone: HTML.Tone
        /// Beside the arrow that leads here from above: "signs", "measures".
        package var relation: String

        package init(_ title: String, _ subtitle: String, _ tone: HTML.Tone, relation: String = "") {
            self.title = title
            self.subtitle = subtitle
            self.tone = tone
            self.relation = relation
        }
    }

    package var links: [Link]
    /// The same in words.
    package var label: String

    package init(_ links: [Link], label: String) {
        self.links = links
        self.label = label
    }

    private static let width = 340
    private static let boxHeight = 52
    private static let gap = 34

    package var html: HTML {
        let height = max(1, links.count * (Self.boxHeight + Self.gap) - Self.gap + 4)
        return .element(.svg, .class("graph"), HTML.viewBox(Self.width, height), .role("img"), .ariaLabel(label)) {
            links.enumerated().map { index, link in
                HTML.group {
                    if index > 0 { Self.arrow(above: Self.top(index), link.relation) }
                    Self.box(link, top: Self.top(index))
                }
            }
        }
    }

    private static func top(_ index: Int) -> Int { 2 + index * (boxHeight + gap) }

    private static func box(_ link: Link, top: Int) -> HTML {
        HTML.element(.g, toneClass(link.tone)) {
            HTML.element(
                .rect, .class("box"), .svg("x", 1), .svg("y", top), .svg("width", width - 2),
                .svg("height", boxHeight), .svg("rx", 8))
            HTML.element(.circle, .class("mark"), .svg("cx", 20), .svg("cy", top + boxHeight / 2), .svg("r", 5))
            HTML.element(.text, .class("title"), .svg("x", 38), .svg("y", top + 22)) { cut(link.title, 40) }
            HTML.element(.text, .class("subtitle"), .svg("x", 38), .svg("y", top + 40)) { cut(link.subtitle, 44) }
        }
    }

    private static func arrow(above top: Int, _ relation: String) -> HTML {
        HTML.element(.g, .class("arrow")) {
            HTML.element(
                .line, .svg("x1", 20), .svg("y1", top - gap + 2), .svg("x2", 20), .svg("y2", top - 7))
            HTML.element(.polyline, .svg("points", numbers: [15, top - 11, 20, top - 4, 25, top - 11]))
            HTML.element(.text, .class("relation"), .svg("x", 38), .svg("y", top - 12)) { cut(relation, 48) }
        }
    }

    private static func toneClass(_ tone: HTML.Tone) -> HTMLAttribute {
        switch tone {
        case .neutral, .accent: .class("link")
        case .good: .class("link good")
        case .warning: .class("link warning")
        case .bad: .class("link bad")
        }
    }

    private static func cut(_ text: String, _ most: Int) -> String {
        text.count <= most ? text : text.prefix(most - 1) + "…"
    }
}
