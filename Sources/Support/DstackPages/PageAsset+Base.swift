extension PageAsset {
    /// Colours, sizes and the shared parts. Contrast of text is at least 4.5 to 1 in both schemes (WCAG 2.1, 1.4.3).
    static let baseStyle = style(
        """
        :root {
          color-scheme: light dark;
          --page: #f6f7f9; --surface: #ffffff; --raised: #f0f2f5; --line: #dde1e7; --text: #1b1f26; --quiet: #59616e;
          --accent: #1d55b3; --good: #176b43; --good-soft: #e3f4ea; --warning: #805400; --warning-soft: #fff3d6;
          --bad: #b3261e; --bad-soft: #fde9e7; --accent-soft: #e6eefb;
          --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
          --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
          --gap: 1rem; --radius: .6rem; --width: 66rem;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --page: #0f1216; --surface: #171b21; --raised: #20262e; --line: #2d3540; --text: #e7eaee; --quiet: #9da7b4;
            --accent: #82b1ff; --good: #6fd39f; --good-soft: #15301f; --warning: #f0c05a; --warning-soft: #33280f;
            --bad: #ff938a; --bad-soft: #3a1a18; --accent-soft: #1a2940;
          }
        }
        * { box-sizing: border-box; }
        [hidden] { display: none !important; }
        html { -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
        body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.55 var(--sans); }
        a { color: var(--accent); text-underline-offset: .15em; }
        h1, h2, h3 { line-height: 1.25; margin: 0; }
        h1 { font-size: 1.6rem; overflow-wrap: anywhere; }
        h2 { font-size: 1.1rem; margin-bottom: .8rem; }
        h2 > a { color: inherit; text-decoration: none; }
        h2 > a:hover { text-decoration: underline; }
        h3 { font-size: .95rem; margin: 1.2rem 0 .5rem; }
        p { margin: .4rem 0; }
        code, pre, kbd, .log { font-family: var(--mono); font-size: .86em; }
        code { overflow-wrap: anywhere; }
        pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
        :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
        .skip { position: absolute; left: -99rem; }
        .skip:focus { left: 1rem; top: .5rem; background: var(--surface); padding: .5rem 1rem; z-index: 2; }
        .top { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; align-items: center; justify-content: space-between;
          max-width: var(--width); margin: 0 auto; padding: .9rem var(--gap); }
        .brand { display: flex; flex-wrap: wrap; gap: .3rem .6rem; align-items: center; font-weight: 600; }
        nav { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: .9rem; }
        nav a { text-decoration: none; padding: .25rem 0; }
        nav a:hover { text-decoration: underline; }
        main { max-width: var(--width); margin: 0 auto; padding: 0 var(--gap) 2rem; display: grid; gap: var(--gap); }
        main > * { min-width: 0; }
        section { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius);
          padding: 1.1rem 1.25rem; min-width: 0; }
        footer { max-width: var(--width); margin: 0 auto; padding: 0 var(--gap) 2.5rem; color: var(--quiet);
          font-size: .85rem; }
        .quiet { color: var(--quiet); }
        .lead { font-size: 1.05rem; }
        .unseen, .said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
          white-space: nowrap; }
        .badge { display: inline-block; border-radius: 99px; padding: .05rem .6rem; font-size: .78rem; font-weight: 600;
          background: var(--raised); color: var(--text); white-space: nowrap; }
        .badge.good { background: var(--good-soft); color: var(--good); }
        .badge.warning { background: var(--warning-soft); color: var(--warning); }
        .badge.bad { background: var(--bad-soft); color: var(--bad); }
        .badge.accent { background: var(--accent-soft); color: var(--accent); }
        .notice { border-radius: var(--radius); padding: .8rem 1rem; background: var(--accent-soft);
          border-left: 4px solid var(--accent); }
        .notice.good { background: var(--good-soft); border-color: var(--good); }
        .notice.warning { background: var(--warning-soft); border-color: var(--warning); }
        .notice.bad { background: var(--bad-soft); border-color: var(--bad); }
        .notice p:first-child { margin-top: 0; } .notice p:last-child { margin-bottom: 0; }
        .facts { margin: 0; display: grid; gap: .1rem; }
        .facts > div { display: grid; grid-template-columns: 11rem minmax(0, 1fr); gap: .1rem 1rem; padding: .3rem 0;
          border-top: 1px solid var(--line); }
        .facts > div:first-child { border-top: 0; }
        .facts dt { color: var(--quiet); font-size: .9rem; }
        .facts dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
        .hash { display: inline-flex; gap: .6rem; align-items: baseline; max-width: 100%; }
        .hash code { min-width: 0; } .hash.long code { max-width: 48.5ch; }
        button, .button { font: inherit; font-size: .85rem; color: var(--text); background: var(--raised);
          border: 1px solid var(--line); border-radius: .4rem; padding: .25rem .7rem; cursor: pointer;
          text-decoration: none; display: inline-block; }
        button:hover, .button:hover { border-color: var(--accent); }
        button[aria-pressed="true"] { background: var(--accent-soft); border-color: var(--accent); color: var(--accent); }
        .copy { font-size: .72rem; padding: 0 .5rem; color: var(--quiet); flex: none; white-space: nowrap; }
        .command { display: flex; gap: .6rem; align-items: start; background: var(--raised); border-radius: .4rem;
          padding: .55rem .75rem; margin: .35rem 0; }
        .command pre { flex: 1; min-width: 0; }
        .command span { display: inline-block; max-width: 100%; }
        table { width: 100%; border-collapse: collapse; font-size: .92rem; }
        th { text-align: left; color: var(--quiet); font-weight: 500; font-size: .82rem; }
        th, td { padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
          overflow-wrap: anywhere; }
        tr:last-child td { border-bottom: 0; }
        details > summary { cursor: pointer; width: fit-content; max-width: 100%; }
        .short > summary { list-style: none; border-bottom: 1px dotted var(--quiet); }
        .short > summary::-webkit-details-marker { display: none; }
        .evidence { margin-top: .8rem; }
        .evidence > pre { max-height: 26rem; overflow: auto; background: var(--raised); border-radius: .4rem;
          padding: .75rem; margin-top: .5rem; }
        .steps { list-style: none; margin: 0; padding: 0; display: grid; gap: .9rem; counter-reset: step; }
        .steps > li { display: grid; grid-template-columns: 1.7rem minmax(0, 1fr); column-gap: .75rem;
          counter-increment: step; }
        .steps > li::before { content: counter(step); grid-row: span 2; width: 1.7rem; height: 1.7rem;
          border-radius: 50%; display: grid; place-items: center; font-size: .8rem; font-weight: 700;
          background: var(--raised); color: var(--quiet); }
        .steps > .good::before { content: "✓"; background: var(--good-soft); color: var(--good); }
        .steps > .warning::before { content: "!"; background: var(--warning-soft); color: var(--warning); }
        .steps > .bad::before { content: "✗"; background: var(--bad-soft); color: var(--bad); }
        .steps .step { font-weight: 600; } .steps .detail { color: var(--quiet); font-size: .93rem; min-width: 0; }
        .steps .detail .command { color: var(--text); }
        .bar svg { display: block; width: 100%; max-width: 20rem; height: .5rem; border-radius: 99px; }
        .bar .rail { fill: var(--raised); } .bar .fill { fill: var(--accent); }
        .bar .fill.warning { fill: var(--warning); } .bar .fill.bad { fill: var(--bad); }
        .bar span { font-size: .9rem; }
        .spark { display: block; width: 100%; max-width: 15rem; height: 2.5rem; }
        .spark .line { fill: none; stroke: var(--accent); stroke-width: 1.5; }
        .spark .area { fill: var(--accent-soft); stroke: none; } .spark .dot { fill: var(--accent); }
        .graph { display: block; width: 100%; max-width: 24rem; height: auto; }
        .graph .box { fill: var(--raised); stroke: var(--line); }
        .graph .mark { fill: var(--quiet); } .graph text { fill: var(--text); font-family: var(--sans); }
        .graph .title { font-size: 13.5px; font-weight: 600; } .graph .subtitle { font-size: 11.5px; fill: var(--quiet); }
        .graph .arrow line, .graph .arrow polyline { fill: none; stroke: var(--quiet); stroke-width: 1.5; }
        .graph .relation { font-size: 11px; fill: var(--quiet); }
        .graph .good .mark { fill: var(--good); } .graph .good .box { stroke: var(--good); }
        .graph .warning .mark { fill: var(--warning); } .graph .warning .box { stroke: var(--warning); }
        .graph .bad .mark { fill: var(--bad); } .graph .bad .box { stroke: var(--bad); }
        @media (max-width: 40rem) {
          section { padding: .95rem .9rem; }
          .facts > div { grid-template-columns: minmax(0, 1fr); }
          thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
          table, tbody, tr, td { display: block; }
          tr { border-bottom: 1px solid var(--line); padding: .4rem 0; } tr:last-child { border-bottom: 0; }
          td { border: 0; padding: .12rem 0; display: grid; grid-template-columns: 6.2rem minmax(0, 1fr); gap: .6rem; }
          td::before { content: attr(data-title); color: var(--quiet); font-size: .82rem; }
        }
        @media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
        @media print { button, nav, .skip { display: none !important; } body { background: none; } }
        """)

    /// Copies what a button names, and keeps the parts marked `data-live` up to date by fetching the page again: the
    /// server renders it the same way for everybody, so there is nothing that only script can show.
    static let baseScript = script(
        """
        "use strict";
        (() => {
          const said = document.getElementById("said");
          const say = text => { said.textContent = ""; said.textContent = text; };
          const reveal = root => root.querySelectorAll(".copy[hidden]").forEach(button => { button.hidden = false; });
          const copy = async text => {
            if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
            const field = document.createElement("textarea");
            field.value = text;
            document.body.append(field);
            field.select();
            const done = document.execCommand("copy");
            field.remove();
            if (!done) throw new Error("refused");
          };
          document.addEventListener("click", event => {
            const button = event.target.closest("[data-copy]");
            if (!button) return;
            copy(button.dataset.copy).then(
              () => { button.textContent = "Copied"; say("Copied"); },
              () => { button.textContent = "Not copied"; say("The browser did not allow copying"); }
            ).finally(() => setTimeout(() => { button.textContent = "Copy"; }, 1500));
          });
          reveal(document);

          const openParts = root => new Set(Array.from(root.querySelectorAll("details[open]"), part =>
            part.querySelector("summary").textContent));
          const update = next => {
            for (const part of document.querySelectorAll("[data-live]")) {
              const name = part.dataset.live;
              const other = next.querySelector(`[data-live="${CSS.escape(name)}"]`);
              const selection = getSelection();
              if (!other || part.contains(document.activeElement)) continue;
              if (selection && !selection.isCollapsed && selection.containsNode(part, true)) continue;
              const open = openParts(part);
              for (const details of other.querySelectorAll("details"))
                if (open.has(details.querySelector("summary").textContent)) details.open = true;
              const fresh = document.adoptNode(other);
              reveal(fresh);
              if (!part.isEqualNode(fresh)) part.replaceWith(fresh);
            }
          };
          const seconds = Number(document.body.dataset.refresh || 0);
          if (!seconds || !document.querySelector("[data-live]")) return;
          const refresh = async () => {
            if (!document.hidden) {
              try {
                const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
                const type = response.headers.get("content-type") || "";
                if (type.startsWith("text/html"))
                  update(new DOMParser().parseFromString(await response.text(), "text/html"));
              } catch { /* the next round tries again */ }
            }
            setTimeout(refresh, seconds * 1000);
          };
          setTimeout(refresh, seconds * 1000);
        })();
        """)
}
