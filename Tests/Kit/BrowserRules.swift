/// What every page keeps to, whoever serves it: expressions that a ``Browser`` evaluates.
package enum BrowserRules {
    /// Elements that are broader than the window.
    package static let widest = """
        Array.from(document.querySelectorAll("body *")).filter(e => e.getBoundingClientRect().right > screen.width + .5
          && !e.closest(".unseen,.said,.skip,pre,.log")).map(e => e.tagName + "." + e.className).slice(-5).join(" ")
        """

    /// What is clicked and is smaller than 24 pixels either way, but for links inside a sentence (WCAG 2.2, 2.5.8).
    package static let smallTargets = """
        Array.from(document.querySelectorAll("button, input, summary, nav a, .links a, a.button")).filter(e => {
          const box = e.getBoundingClientRect();
          return box.width && (box.width < 24 || box.height < 24); }).map(e => e.outerHTML.slice(0, 80)).join(" ")
        """

    /// Headings that are more than a level below the one before, and a page without exactly one of the first level.
    package static let headingJumps = """
        (() => { const levels = Array.from(document.querySelectorAll("h1,h2,h3,h4"), e => Number(e.tagName[1]));
          const jumps = levels.filter((level, i) => level > (i ? levels[i - 1] : 0) + 1);
          return (levels.filter(l => l === 1).length === 1 ? "" : "not one h1 ") + jumps.join(" "); })()
        """

    package static let fontSizes = """
        (() => { const sizes = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walker.nextNode()) {
            const e = walker.currentNode.parentElement;
            if (walker.currentNode.data.trim() && !e.closest("script,style,.unseen,.said"))
              sizes.add(getComputedStyle(e).fontSize); }
          return Array.from(sizes).join(" "); })()
        """

    /// The lowest contrast of any text with what is behind it, by WCAG's formula, measured where it is drawn.
    package static func lowestContrast(_ browser: Browser) async throws -> Double {
        let expression = """
            (() => {
              const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
              const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
                return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return .2126*r + .7152*g + .0722*b; };
              const behind = e => { for (; e; e = e.parentElement) {
                const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c; }
                return [255, 255, 255]; };
              let lowest = 21;
              const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
              while (walker.nextNode()) {
                const e = walker.currentNode.parentElement;
                if (!walker.currentNode.data.trim() || e.closest("script,style,svg,[hidden],.unseen,.said,.skip")) continue;
                const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
                lowest = Math.min(lowest, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
              }
              return lowest;
            })()
            """
        return Double(try await browser.evaluate(expression)) ?? 0
    }
}
