import DstackHTTP
import DstackHTTPServer
import DstackPages
import Foundation
import TestKit
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
    }

    @Test("a chain of trust is a list of its links, in which long names are cut")
    func chain() {
        let chain = TrustChain([.init(String(repeating: "x", count: 400), "<s>", .bad, relation: "r")], label: "g")
        #expect(text(chain.html).hasPrefix("<ol class=\"chain\" aria-label=\"g\"><li class=\"bad\">"))
        #expect(text(chain.html).contains("&lt;s&gt;"))
        #expect(!text(chain.html).contains(String(repeating: "x", count: 90)))
    }

    @Test(
        "a page is for clients that name HTML and nothing that programs read with more weight",
        arguments: [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", true), ("text/html", true),
            ("application/xhtml+xml;q=0.5, */*", true), ("TEXT/HTML ; Q=0.3", true), ("*/*", false), (nil, false),
            ("", false), ("application/json", false), ("application/json, text/html;q=0.5", false),
            ("text/html;q=0", false), ("text/html;q=x", false), ("text/plain, text/html", true), ("text/*", false),
        ] as [(String?, Bool)])
    func preference(accept: String?, page: Bool) {
        #expect(PagePreference.prefersPage(accept: accept) == page)
    }

    @Test(
        "a host that a client claims becomes part of a command only if it is a host",
        arguments: [
            ("127.0.0.1:8090", false, "http://127.0.0.1:8090"), ("[::1]:80", false, "http://[::1]:80"),
            ("app.example.org", false, "https://app.example.org"),
            ("app.example.org:8443", true, "https://app.example.org:8443"),
            ("x;reboot", true, nil), ("a b", true, nil), ("$(x)", true, nil), ("", true, nil), (nil, true, nil),
            ("x'y", true, nil), ("a/b", true, nil), ("a@b", true, nil), (String(repeating: "a", count: 256), true, nil),
        ] as [(String?, Bool, String?)])
    func address(host: String?, isTLS: Bool, url: String?) {
        #expect(PageAddress.url(host: host, isTLS: isTLS) == url)
    }

    @Test("commands name what they are given, as a shell takes it, and nothing else")
    func commands() {
        var commands = VerificationCommands()
        #expect(commands.hash == "sha256sum app-compose.json")
        #expect(commands.connection(to: "https://a") == "dstack verify https://a --app-compose app-compose.json")
        #expect(
            commands.evidence(from: "http://a:1").contains("&& dstack-verifier verify --quote quote.json --fetch "))
        commands.appCompose = "/my dir/it's.json"
        commands.trustRoot = "/r.pem"
        commands.collateral = "/c.json"
        #expect(
            commands.connection(to: "https://a:1")
                == "dstack verify https://a:1 --app-compose '/my dir/it'\\''s.json' --trust-root /r.pem "
                + "--collateral /c.json")
        #expect(!commands.evidence(from: "http://a:1").contains("--fetch"))
        #expect(VerificationCommands.simulation(in: "/nonexistent") == nil)
    }

    @Test("a table says so when it is empty, and carries the titles for narrow screens")
    func tables() {
        #expect(text(HTML.table(caption: "c", columns: ["A"], rows: [], empty: "no <b>")).contains("no &lt;b&gt;"))
        let table = text(HTML.table(caption: "c", columns: ["A", "B"], rows: [[.text("1"), .text("2")]]))
        #expect(table.contains("<td data-title=\"B\"><div>2</div></td>"))
    }
}
