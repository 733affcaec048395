package import DstackHTTP
package import DstackHTTPServer

/// A whole page: head, navigation, content, and the headers that keep it what it is.
///
///     let page = Page(title: "Gateway", name: "dstack gateway", refresh: .seconds(5)) { … }
///     return page.response(200)
///
/// It is complete without script. With script, hashes can be copied and everything marked ``HTMLAttribute/live(_:)`` is
/// replaced with what the server says now, every `refresh`.
package struct Page: Sendable {
    package var title: String
    /// What serves the page, shown beside the title.
    package var name: String
    /// Beside the name.
    package var badges: [HTML]
    package var navigation: [(title: String, link: PageLink)]
    /// How often live parts are fetched; nil for never.
    package var refresh: Duration?
    /// Beside those of every page.
    package var assets: [PageAsset]
    package var content: HTML
    package var footer: HTML

    package init(
        title: String, name: String, badges: [HTML] = [],
        navigation: [(title: String, link: PageLink)] = [], refresh: Duration? = nil, assets: [PageAsset] = [],
        footer: HTML = .empty, @HTMLBuilder content: () -> HTML
    ) {
        self.title = title
        self.name = name
        self.badges = badges
        self.navigation = navigation
        self.refresh = refresh
        self.assets = assets
        self.content = content()
        self.footer = footer
    }

    /// UTF-8.
    package var bytes: [UInt8] {
        var writer = HTMLWriter()
        writer.fixed("<!doctype html>\n")
        writer.write(.element(.html, .lang("en")) { head + body })
        return writer.bytes
    }

    package func response(_ status: Int = 200) -> HTTPServerResponse {
        HTTPServerResponse(status, headers: headers, body: bytes)
    }

    /// The content type, and what a browser must not let happen to the page.
    package var headers: HTTPHeaders {
        [
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": contentSecurityPolicy,
            // For browsers that do not know frame-ancestors.
            "X-Frame-Options": "DENY",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        ]
    }

    /// Nothing but the page's own style and script, and requests to its own server.
    package var contentSecurityPolicy: String {
        let styles = styles.map(\.source).joined(separator: " ")
        let scripts = scripts.map(\.source).joined(separator: " ")
        return
            "default-src 'none'; style-src \(styles); script-src \(scripts); connect-src 'self'; img-src data:; "
            + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    }

    private var styles: [PageAsset] { [.baseStyle] + assets.filter { $0.kind == .style } }
    private var scripts: [PageAsset] { [.baseScript] + assets.filter { $0.kind == .script } }

    private var head: [HTML] {
        let head = HTML.element(.head) {
            HTML.element(.meta, HTMLAttribute("charset", "utf-8"))
            HTML.element(
                .meta, HTMLAttribute("name", "viewport"),
                HTMLAttribute("content", "width=device-width, initial-scale=1"))
            HTML.element(.meta, HTMLAttribute("name", "color-scheme"), HTMLAttribute("content", "light dark"))
            HTML.element(.link, HTMLAttribute("rel", "icon"), .href(.noIcon))
            HTML.element(.title) { title }
            styles.map { HTML.asset($0) }
        }
        return [head]
    }

    private var body: [HTML] {
        let refresh = refresh.map { HTMLAttribute.data("data-refresh", "\($0.components.seconds)") }
        let body = HTML.element(.body, refresh) {
            HTML.element(.a, .class("skip"), .href(.here("content"))) { "Skip to content" }
            HTML.element(.header, .class("top")) {
                HTML.element(.div, .class("brand")) {
                    HTML.element(.span, .class("name")) { name }
                    badges
                }
                if !navigation.isEmpty {
                    HTML.element(.nav, .ariaLabel("Sections")) {
                        navigation.map { item in HTML.element(.a, .href(item.link)) { item.title } }
                    }
                }
            }
            // Where script says that the page is no longer of now; there from the beginning, so that it is read out.
            if refresh != nil { HTML.element(.div, .id("stale"), .role("status")) }
            HTML.element(.main, .id("content")) { content }
            HTML.element(.footer) { footer }
            HTML.element(.div, .id("said"), .class("said"), .role("status"), .ariaLive("polite"))
            scripts.map { HTML.asset($0) }
        }
        return [body]
    }
}
