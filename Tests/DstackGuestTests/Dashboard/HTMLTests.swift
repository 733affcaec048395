import DstackHTTP
import DstackHTTPServer
import DstackPages
import Foundation
import Testing

@Suite("Pages")
struct HTMLTests {
    private func text(_ html: HTML) -> String { String(decoding: html.bytes, as: UTF8.self) }

    @Test(
        "text and attributes cannot become markup",
        arguments: [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("a & b", "a &amp; b"), ("\" onload=\"x", "&quot; onload=&quot;x"), ("'", "&#39;"),
            ("&lt;", "&amp;lt;"), ("line\nbreak\ttab", "line\nbreak\ttab"), ("日本語 é", "日本語 é"),
        ])
    func escaping(raw: String, escaped: String) {
        #expect(text(HTML.element(.p, .title(raw)) { raw }) == "<p title=\"\(escaped)\">\(escaped)</p>")
    }

    @Test(
        "characters that would turn, hide or forge text are shown as what they are",
        arguments: [
            ("a\u{202E}b", "a\\u{202e}b"), ("a\u{0}b", "a\\u{0}b"), ("\u{200B}", "\\u{200b}"), ("\r", "\\u{d}"),
        ])
    func invisible(raw: String, shown: String) {
        #expect(text(.text(raw)) == shown)
    }

    @Test("whatever bytes a name has, a page around it has the same elements")
    func hostileNames() {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 1...40, using: &random)).map { _ -> UInt8 in
                Bool.random(using: &random)
                    ? "<>\"'&/=`;!-[]".utf8.randomElement(using: &random) ?? 0
                    : UInt8.random(in: .min ... .max, using: &random)
            }
            let name = String(decoding: bytes, as: UTF8.self)
            let markup = text(
                HTML.element(.div, .id(name), .title(name)) { HTML.element(.a, .href(.path("x", name))) { name } })
            #expect(markup.utf8.count(where: { $0 == UInt8(ascii: "<") }) == 4, "\(name.debugDescription)")
            #expect(markup.utf8.count(where: { $0 == UInt8(ascii: "\"") }) == 6, "\(name.debugDescription)")
        }
    }

    @Test("a link leads to this server, this page or an https address, never to a script")
    func links() {
        let link = { (link: PageLink) in text(HTML.element(.a, .href(link))) }
        #expect(link(.path("logs", "../x?y#z")) == "<a href=\"/logs/..%2Fx%3Fy%23z\"></a>")
        #expect(link(.path("..")) == "<a href=\"/%2E%2E\"></a>")
        #expect(link(.path("/evil.example")) == "<a href=\"/%2Fevil.example\"></a>")
        #expect(
            link(.path("logs", "a", query: [("text", ""), ("tail", "2 0&x")]))
                == "<a href=\"/logs/a?text&amp;tail=2%200%26x\"></a>")
        #expect(link(.here("a\"b")) == "<a href=\"#a%22b\"></a>")
        #expect(PageLink.https("javascript:alert(1)") == nil)
        #expect(PageLink.https("http://example.org") == nil)
        #expect(PageLink.https("https://example.org/a b") == nil)
        #expect(PageLink.https("https://example.org/") != nil)
    }

    @Test("void elements have no content and no end")
    func voidElements() {
        #expect(text(HTML.element(.br) { "lost" }) == "<br>")
        #expect(text(HTML.element(.input, .hidden)) == "<input hidden>")
    }

    @Test("a page allows its own style and script by their hashes, and nothing else")
    func policy() throws {
        let response = Page(title: "T", name: "N") { HTML.element(.p) { "x" } }.response()
        let policy = try #require(response.headers["Content-Security-Policy"])
        #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-"))
        #expect(!policy.contains("unsafe"))
        for directive in [
            "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
        ] { #expect(policy.contains(directive)) }
        #expect(response.headers["X-Frame-Options"] == "DENY")
        #expect(response.headers["X-Content-Type-Options"] == "nosniff")
        #expect(response.headers["Content-Type"] == "text/html; charset=utf-8")
        #expect(response.headers["Cache-Control"] == "no-store")
    }

    @Test("a page has one main part, a title, and a link past the navigation")
    func shell() {
        let page = Page(title: "<T>", name: "N", navigation: [("A", .here("a"))]) { HTML.element(.p) { "x" } }
        let markup = String(decoding: page.bytes, as: UTF8.self)
        #expect(markup.hasPrefix("<!doctype html>\n<html lang=\"en\">"))
        #expect(markup.contains("<title>&lt;T&gt;</title>"))
        #expect(markup.contains("<main id=\"content\"><p>x</p></main>"))
        #expect(markup.contains("<a class=\"skip\" href=\"#content\">"))
        #expect(markup.contains("name=\"viewport\""))
    }

    @Test("pictures are made of finite numbers only, whatever they are given")
    func pictures() {
        let wild: [Double] = [1, .nan, .infinity, -.infinity, -5, 1e308, 0, .leastNonzeroMagnitude]
        let line = text(HTML.sparkline(wild, floor: 1, label: "l"))
        #expect(line.contains("<polyline"))
        #expect(text(HTML.sparkline([1], floor: 1, label: "l")).isEmpty)
        #expect(text(HTML.sparkline([], floor: 1, label: "l")).isEmpty)
        for share in wild { #expect(text(HTML.bar(share: share, "w")).contains("<rect")) }
        let graph = TrustGraph([.init(String(repeating: "x", count: 400), "<s>", .bad, relation: "r")], label: "g")
        #expect(text(graph.html).contains("&lt;s&gt;"))
        #expect(!text(graph.html).contains(String(repeating: "x", count: 60)))
    }

    @Test("a table says so when it is empty, and carries the titles for narrow screens")
    func tables() {
        #expect(text(HTML.table(caption: "c", columns: ["A"], rows: [], empty: "no <b>")).contains("no &lt;b&gt;"))
        let table = text(HTML.table(caption: "c", columns: ["A", "B"], rows: [[.text("1"), .text("2")]]))
        #expect(table.contains("<td data-title=\"B\"><div>2</div></td>"))
    }
}
