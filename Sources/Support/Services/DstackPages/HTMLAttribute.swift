import DstackHTTP

/// One attribute of an element. There is none that holds code: no event handler, no style, no document.
package struct HTMLAttribute: Sendable {
    let name: StaticString
    /// Nil for a flag.
    let value: String?

    init(_ name: StaticString, _ value: String?) {
        self.name = name
        self.value = value
    }

    private init(_ name: StaticString, fixed value: StaticString) { self.init(name, "\(value)") }

    /// Classes, separated by spaces.
    package static func `class`(_ names: StaticString) -> HTMLAttribute { HTMLAttribute("class", fixed: names) }
    package static func id(_ id: String) -> HTMLAttribute { HTMLAttribute("id", id) }
    package static func title(_ text: String) -> HTMLAttribute { HTMLAttribute("title", text) }
    package static func lang(_ language: StaticString) -> HTMLAttribute { HTMLAttribute("lang", fixed: language) }
    package static func href(_ link: PageLink) -> HTMLAttribute { HTMLAttribute("href", link.text) }
    /// The machine-readable form of a `time` element.
    package static func dateTime(_ text: String) -> HTMLAttribute { HTMLAttribute("datetime", text) }
    package static func type(_ type: StaticString) -> HTMLAttribute { HTMLAttribute("type", fixed: type) }
    package static func placeholder(_ text: String) -> HTMLAttribute { HTMLAttribute("placeholder", text) }
    package static func name(_ name: StaticString) -> HTMLAttribute { HTMLAttribute("name", fixed: name) }
    package static func value(_ text: String) -> HTMLAttribute { HTMLAttribute("value", text) }
    package static let checked = HTMLAttribute("checked", nil)
    package static let required = HTMLAttribute("required", nil)
    /// Whether a browser fills it in by itself, as `off`.
    package static func autocomplete(_ how: StaticString) -> HTMLAttribute { HTMLAttribute("autocomplete", fixed: how) }
    /// For names and addresses, which keyboards of phones must not write as sentences.
    package static let verbatim = [
        HTMLAttribute("autocapitalize", "none"), HTMLAttribute("spellcheck", "false"),
        HTMLAttribute("inputmode", "url"),
    ]
    package static func `for`(_ id: String) -> HTMLAttribute { HTMLAttribute("for", id) }
    package static func scope(_ scope: StaticString) -> HTMLAttribute { HTMLAttribute("scope", fixed: scope) }
    package static func role(_ role: StaticString) -> HTMLAttribute { HTMLAttribute("role", fixed: role) }
    package static func ariaLabel(_ text: String) -> HTMLAttribute { HTMLAttribute("aria-label", text) }
    package static func ariaLive(_ how: StaticString) -> HTMLAttribute { HTMLAttribute("aria-live", fixed: how) }
    package static func ariaPressed(_ pressed: Bool) -> HTMLAttribute { HTMLAttribute("aria-pressed", "\(pressed)") }
    /// The element that says more about this one.
    package static func ariaDescribedBy(_ id: String) -> HTMLAttribute { HTMLAttribute("aria-describedby", id) }
    package static let ariaHidden = HTMLAttribute("aria-hidden", "true")
    package static let open = HTMLAttribute("open", nil)
    /// Not shown; scripts show what is of no use without them.
    package static let hidden = HTMLAttribute("hidden", nil)
    /// Reached by the Tab key in document order (for regions that scroll).
    package static let focusable = HTMLAttribute("tabindex", "0")
    /// What the part called ``PageAsset/liveScript`` replaces with the newer one; the name is unique on the page.
    package static func live(_ name: StaticString) -> HTMLAttribute { HTMLAttribute("data-live", fixed: name) }

    /// `data-` attributes, for scripts.
    ///
    /// - Parameter name: the whole name, with `data-`.
    package static func data(_ name: StaticString, _ value: String) -> HTMLAttribute {
        assert("\(name)".hasPrefix("data-"), "only data attributes may be named freely")
        return HTMLAttribute(name, value)
    }

    /// A presentation attribute of SVG, whose value is a number.
    static func svg(_ name: StaticString, _ number: Int) -> HTMLAttribute { HTMLAttribute(name, "\(number)") }
    static func svg(_ name: StaticString, _ text: StaticString) -> HTMLAttribute { HTMLAttribute(name, fixed: text) }
    /// Coordinates that were made from numbers.
    static func svg(_ name: StaticString, numbers: [Int]) -> HTMLAttribute {
        HTMLAttribute(name, numbers.map { "\($0)" }.joined(separator: " "))
    }
}

/// Where a link leads: a place on this server or this page, or an `https` address. Nothing else can be one, so no value
/// from outside becomes a `javascript:` link.
package struct PageLink: Sendable {
    let text: String

    private init(text: String) { self.text = text }

    /// A path on this server, from its decoded segments.
    ///
    /// - Parameter part: an element of the page there.
    package static func path(
        _ segments: String..., query: [(name: String, value: String)] = [], part: String? = nil
    ) -> PageLink {
        let path = "/" + segments.map { percentEncoded($0) }.joined(separator: "/")
        if let part { return PageLink(text: path + "#" + percentEncoded(part)) }
        guard !query.isEmpty else { return PageLink(text: path) }
        let pairs = query.map { item in
            let name = percentEncoded(item.name)
            return item.value.isEmpty ? name : "\(name)=\(percentEncoded(item.value))"
        }
        return PageLink(text: path + "?" + pairs.joined(separator: "&"))
    }

    /// An element of this page.
    package static func here(_ id: String) -> PageLink { PageLink(text: "#" + percentEncoded(id)) }

    /// Another site. Nil unless the text is printable ASCII that begins with `https://`.
    package static func https(_ address: String) -> PageLink? {
        guard address.hasPrefix("https://"), address.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else { return nil }
        return PageLink(text: address)
    }

    /// No picture: keeps browsers from asking for `/favicon.ico`.
    static let noIcon = PageLink(text: "data:,")

    private static func percentEncoded(_ text: String) -> String {
        // A segment of dots alone would climb.
        if text == "." || text == ".." { return text.replacing(".", with: "%2E") }
        return HTTPSyntax.percentEncoded(text)
    }
}
