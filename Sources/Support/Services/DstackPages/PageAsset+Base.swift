extension PageAsset {
    /// Colours, sizes and the shared parts. Contrast of text is at least 4.5 to 1 in both schemes (WCAG 2.2, 1.4.3), what is
    /// clicked is 24 pixels high and wide (2.5.8), and nothing scrolls sideways at 320 pixels with letters of twice the size
    /// (1.4.4, 1.4.10): distances are bounded by the window's width. There are four sizes of letters.
    static let baseStyle = style(
        """
        :root {
          color-scheme: light dark;
          --page: #f6f7f9; --surface: #ffffff; --raised: #f0f2f5; --line: #dde1e7; --text: #1b1f26; --quiet: #59616e;
          --accent: #1d55b3; --good: #176b43; --good-soft: #e3f4ea; --warning: #805400; --warning-soft: #fff3d6;
          --bad: #b3261e; --bad-soft: #fde9e7; --accent-soft: #e6eefb;
          --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
          --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
          --title: 1.5rem; --heading: 1.125rem; --small: .875rem;
          --gap: min(1rem, 4vw); --inset: min(1.25rem, 4vw); --radius: .6rem; --width: 66rem;
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
        body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 var(--sans); overflow-wrap: break-word; }
        a { color: var(--accent); text-underline-offset: .15em; }
        h1, h2, h3 { line-height: 1.25; margin: 0; text-wrap: balance; hyphens: auto; }
        h1 { font-size: var(--title); overflow-wrap: anywhere; }
        h2 { font-size: var(--heading); margin-bottom: .8rem; }
        h2 > a { color: inherit; text-decoration: none; }
        h2 > a:hover { text-decoration: underline; }
        h3 { font-size: 1rem; margin: 1.2rem 0 .5rem; }
        p { margin: .4rem 0; }
        ul { margin: .4rem 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
        code, pre, kbd, .log { font-family: var(--mono); font-size: var(--small); }
        code { overflow-wrap: anywhere; }
        pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
        :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
        .skip { position: absolute; left: -99rem; }
        .skip:focus { left: 1rem; top: .5rem; background: var(--surface); padding: .5rem 1rem; z-index: 2; }
        .top { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; align-items: center; justify-content: space-between;
          max-width: var(--width); margin: 0 auto; padding: .9rem var(--gap); }
        .brand { display: flex; flex-wrap: wrap; gap: .3rem .6rem; align-items: center; font-weight: 600; }
        nav { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: var(--small); }
        nav a { text-decoration: none; padding: .25rem 0; min-width: 24px; min-height: 24px; }
        nav a:hover { text-decoration: underline; }
        #stale { position: sticky; top: 0; z-index: 1; max-width: var(--width); margin: 0 auto; padding: 0 var(--gap); }
        #stale .notice { margin: 0 0 .6rem; }
        main { max-width: var(--width); margin: 0 auto; padding: 0 var(--gap) 2rem; display: grid; gap: var(--gap); }
        main > * { min-width: 0; }
        section { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius);
          padding: var(--inset); min-width: 0; }
        footer { max-width: var(--width); margin: 0 auto; padding: 0 var(--gap) 2.5rem; color: var(--quiet);
          font-size: var(--small); overflow-wrap: anywhere; }
        .quiet { color: var(--quiet); }
        .small { font-size: var(--small); }
        .unseen, .said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
          white-space: nowrap; }
        .badge { display: inline-block; border-radius: 1rem; padding: 0 .6rem; font-size: var(--small); font-weight: 600;
          background: var(--raised); color: var(--text); max-width: 100%; overflow-wrap: anywhere; }
        .badge.good { background: var(--good-soft); color: var(--good); }
        .badge.warning { background: var(--warning-soft); color: var(--warning); }
        .badge.bad { background: var(--bad-soft); color: var(--bad); }
        .badge.accent { background: var(--accent-soft); color: var(--accent); }
        .notice { border-radius: var(--radius); padding: .7rem var(--gap); background: var(--accent-soft);
          border-left: 4px solid var(--accent); overflow-wrap: anywhere; }
        .notice.good { background: var(--good-soft); border-color: var(--good); }
        .notice.warning { background: var(--warning-soft); border-color: var(--warning); }
        .notice.bad { background: var(--bad-soft); border-color: var(--bad); }
        .notice > :first-child { margin-top: 0; } .notice > :last-child { margin-bottom: 0; }
        .facts { margin: 0; display: grid; grid-template-columns: minmax(0, 1fr); }
        .facts > div { display: grid; grid-template-columns: 11rem minmax(0, 1fr); gap: .1rem 1rem; padding: .4rem 0;
          border-top: 1px solid var(--line); }
        .facts > div:first-child { border-top: 0; }
        .facts dt { color: var(--quiet); font-size: var(--small); line-height: 24px; overflow-wrap: anywhere; }
        .facts dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
        .hash { display: inline-flex; flex-wrap: wrap; gap: .1rem .6rem; align-items: center; max-width: 100%; }
        .hash code { min-width: 0; } .hash.long code { max-width: 48.5ch; }
        button, .button { font: inherit; font-size: var(--small); line-height: 1.4; color: var(--text);
          background: var(--raised); border: 1px solid var(--line); border-radius: .4rem; padding: .25rem .7rem;
          min-height: 24px; min-width: 24px; cursor: pointer; text-decoration: none; display: inline-block; }
        button:hover, .button:hover { border-color: var(--accent); color: var(--accent); }
        button[aria-pressed="true"] { background: var(--accent-soft); border-color: var(--accent); color: var(--accent); }
        .copy { padding: .05rem .6rem; color: var(--quiet); flex: none; }
        .command { display: flex; flex-wrap: wrap; gap: .4rem .6rem; align-items: start; justify-content: flex-end;
          background: var(--raised); border-radius: .4rem; padding: .5rem .7rem; margin: .4rem 0; }
        .command pre { flex: 1 1 12rem; min-width: 0; align-self: center; }
        .command span { display: inline-block; max-width: 100%; }
        table { width: 100%; border-collapse: collapse; }
        th { text-align: left; color: var(--quiet); font-weight: 500; font-size: var(--small); }
        th, td { padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
          overflow-wrap: anywhere; }
        tr:last-child td { border-bottom: 0; }
        details > summary { cursor: pointer; width: fit-content; max-width: 100%; min-height: 24px; min-width: 24px; }
        .short > summary { list-style: none; }
        .short > summary code { border-bottom: 1px dotted var(--quiet); }
        .short > summary:hover code { border-bottom-style: solid; }
        .short > summary::-webkit-details-marker { display: none; }
        .evidence { margin-top: .8rem; }
        .evidence > pre { max-height: 26rem; overflow: auto; background: var(--raised); border-radius: .4rem;
          padding: .75rem; margin-top: .5rem; }
        .steps { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: minmax(0, 1fr); gap: .9rem;
          counter-reset: step; }
        .steps > li { display: grid; grid-template-columns: 1.75rem minmax(0, 1fr); column-gap: .75rem;
          counter-increment: step; }
        .steps > li::before { content: counter(step); grid-row: span 2; width: 1.75rem; height: 1.75rem;
          border-radius: 50%; display: grid; place-items: center; font-size: var(--small); font-weight: 700;
          background: var(--raised); color: var(--quiet); }
        .steps > .good::before { content: "✓"; background: var(--good-soft); color: var(--good); }
        .steps > .warning::before { content: "!"; background: var(--warning-soft); color: var(--warning); }
        .steps > .bad::before { content: "✗"; background: var(--bad-soft); color: var(--bad); }
        .steps .step { font-weight: 600; } .steps .detail { color: var(--quiet); min-width: 0; }
        .steps .detail .command { color: var(--text); }
        .bar svg { display: block; width: 100%; max-width: 20rem; height: .5rem; border-radius: .25rem; margin: .4rem 0; }
        .bar .rail { fill: var(--raised); } .bar .fill { fill: var(--accent); }
        .bar .fill.warning { fill: var(--warning); } .bar .fill.bad { fill: var(--bad); }
        .spark { display: block; width: 100%; max-width: 20rem; height: 2.5rem; }
        .spark .line { fill: none; stroke: var(--accent); stroke-width: 1.5; }
        .spark .area { fill: var(--accent-soft); stroke: none; } .spark .dot { fill: var(--accent); }
        .chain { list-style: none; margin: 0; padding: 0; width: 100%; max-width: 22rem; overflow-wrap: anywhere; }
        .chain .link { display: block; position: relative; padding: .5rem .75rem .5rem 2.2rem; line-height: 1.35;
          background: var(--raised); border: 1px solid var(--line); border-radius: var(--radius); }
        .chain .link > * { display: block; }
        .chain .link::before { content: ""; position: absolute; left: .85rem; top: calc(50% - .3rem); width: .6rem;
          height: .6rem; border-radius: 50%; background: var(--quiet); }
        .chain .relation { display: block; position: relative; padding: .4rem 0 .4rem 2.2rem; color: var(--quiet);
          font-size: var(--small); line-height: 1.3; }
        .chain .relation::before { content: ""; position: absolute; left: 1.1rem; top: 0; bottom: 0;
          border-left: 1px solid var(--quiet); }
        .chain .relation::after { content: ""; position: absolute; left: .9rem; bottom: .15rem; width: .4rem;
          height: .4rem; border: solid var(--quiet); border-width: 0 1px 1px 0; transform: rotate(45deg); }
        .chain .good .link { border-color: var(--good); } .chain .good .link::before { background: var(--good); }
        .chain .warning .link { border-color: var(--warning); }
        .chain .warning .link::before { background: var(--warning); }
        .chain .bad .link { border-color: var(--bad); } .chain .bad .link::before { background: var(--bad); }
        .answer { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.5rem; }
        .answer .words > * { margin: 0 0 1rem; } .answer .words > :last-child { margin-bottom: 0; }
        .answer .words > h1 { margin-bottom: .3rem; } .answer .words > h2 { margin: 1.5rem 0 .8rem; }
        .answer .facts > div { grid-template-columns: minmax(0, 1fr); }
        .problems:empty { display: none; } .problems { display: grid; gap: .6rem; grid-template-columns: minmax(0, 1fr); }
        .compare { border: 1px dashed var(--line); border-radius: var(--radius); padding: .7rem var(--gap); }
        .compare.over { border-color: var(--accent); background: var(--accent-soft); }
        .compare label { display: block; font-weight: 600; margin-bottom: .4rem; }
        .compare input { font: inherit; font-size: var(--small); color: var(--quiet); width: 100%; min-height: 24px; }
        .compare .notice { margin-top: .7rem; }
        ::file-selector-button { font: inherit; color: var(--text); background: var(--raised);
          border: 1px solid var(--line); border-radius: .4rem; padding: .25rem .7rem; margin-right: .7rem;
          cursor: pointer; }
        @media (min-width: 56rem) {
          .answer { grid-template-columns: minmax(0, 1fr) 20rem; padding: 1.75rem; align-items: start; }
        }
        @media (max-width: 40rem) {
          .command pre { flex-basis: 100%; }
          .facts > div { grid-template-columns: minmax(0, 1fr); }
          .facts dt { line-height: inherit; }
          thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
          table, tbody, tr, td { display: block; }
          tr { border-bottom: 1px solid var(--line); padding: .4rem 0; } tr:last-child { border-bottom: 0; }
          td { border: 0; padding: .12rem 0; display: grid; grid-template-columns: 6.2rem minmax(0, 1fr); gap: .6rem; }
          td::before { content: attr(data-title); color: var(--quiet); font-size: var(--small); line-height: 1.7; }
        }
        @media (min-width: 18.01rem) and (max-width: 29rem) {
          nav { display: grid; grid-template-columns: repeat(3, auto); column-gap: 1.5rem; }
        }
        @media (max-width: 18rem) {
          td { grid-template-columns: minmax(0, 1fr); gap: 0; }
          .steps > li { grid-template-columns: minmax(0, 1fr); row-gap: .3rem; }
          .chain .link, .chain .relation { padding-left: 1.6rem; }
          .chain .link::before { left: .5rem; }
          .chain .relation::before { left: .8rem; } .chain .relation::after { left: .6rem; }
          ::file-selector-button { display: block; white-space: normal; margin: 0 0 .3rem; max-width: 100%; }
        }
        @media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
        @media print { button, nav, .skip { display: none !important; } body { background: none; } }
        """)

    /// Copies what a button names, and keeps the parts marked `data-live` up to date by fetching the page again: the
    /// server renders it the same way for everybody, so there is nothing that only script can show. As soon as a refresh
    /// fails, a line at the top says of when the page is: old numbers must not pass for those of now.
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
          const stale = document.getElementById("stale");
          const clock = () => new Date().toTimeString().slice(0, 8);
          let last = clock();
          const tell = problem => {
            const text = problem && `${problem} since ${last}; what is below is of then.`;
            // Said once, not with every round.
            if ((stale.textContent || "") === (text || "")) return;
            stale.replaceChildren();
            if (text)
              stale.append(Object.assign(document.createElement("p"), { className: "notice warning", textContent: text }));
          };
          const load = async () => {
            const stop = new AbortController();
            // A server that hangs is as good as none.
            const patience = setTimeout(() => stop.abort(), Math.max(seconds, 5) * 1000);
            try {
              const response = await fetch(
                location.href, { headers: { Accept: "text/html" }, cache: "no-store", signal: stop.signal });
              const next = new DOMParser().parseFromString(await response.text(), "text/html");
              // Somebody in between may answer in the server's place, and an error is no news of these parts.
              if (!next.querySelector("[data-live]")) return tell(`Nothing new (status ${response.status})`);
              update(next);
              last = clock();
              tell();
            } catch { tell("No answer"); }
            finally { clearTimeout(patience); }
          };
          let timer = 0, isLoading = false;
          const refresh = async () => {
            clearTimeout(timer);
            if (isLoading) return;
            isLoading = true;
            if (!document.hidden) await load();
            isLoading = false;
            timer = setTimeout(refresh, seconds * 1000);
          };
          // Whoever comes back to the page sees what is now.
          document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
          timer = setTimeout(refresh, seconds * 1000);
        })();
        """)
}
