import DstackPages

extension PageAsset {
    static let dashboardStyle = style(
        """
        .links { display: flex; flex-wrap: wrap; gap: .2rem .9rem; }
        .links a { min-height: 24px; min-width: 24px; }
        .problem { display: grid; grid-template-columns: minmax(0, 1fr); gap: .9rem; justify-items: start; }
        .problem > * { margin: 0; }
        #events .notice { margin-bottom: .8rem; }
        .container h1 + p { margin: .3rem 0 .6rem; }
        .logs { display: grid; grid-template-columns: minmax(0, 1fr); gap: .6rem; }
        .logs h2 { margin: 0; }
        .tools { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; }
        .tools input { font: inherit; font-size: var(--small); min-height: 24px; color: var(--text); background: var(--raised);
          border: 1px solid var(--line); border-radius: .4rem; padding: .25rem .6rem; flex: 1 1 8rem; min-width: 0; }
        .log { background: var(--raised); border-radius: .4rem; padding: .6rem; max-height: 70vh;
          overflow: auto; line-height: 1.5; overscroll-behavior: contain; }
        .line { white-space: pre-wrap; overflow-wrap: anywhere; padding-left: .5rem;
          border-left: 3px solid transparent; }
        .nowrap .line { white-space: pre; overflow-wrap: normal; width: max-content; min-width: 100%; }
        .line.stderr { border-left-color: var(--warning); }
        .line time { color: var(--quiet); margin-right: .8rem; }
        .line b { color: var(--warning); margin-right: .6rem; font-weight: 600; }
        .notimes .line time { display: none; }
        .line:hover { background: var(--surface); }
        """)

    /// Follows the log over `/logs/<name>`, which gives one object a line; builds every line from text nodes.
    static let logScript = script(
        #"""
        "use strict";
        (() => {
          const box = document.getElementById("lines");
          const state = document.getElementById("state");
          if (!box || !window.ReadableStream) return;
          const most = 5000;
          const $ = id => document.getElementById(id);
          for (const id of ["follow", "wrap", "times", "filter"]) $(id).hidden = false;
          const isPressed = button => button.getAttribute("aria-pressed") === "true";
          const toggle = (button, act) => button.addEventListener("click", () => {
            button.setAttribute("aria-pressed", String(!isPressed(button)));
            act(isPressed(button));
          });
          const filter = $("filter");
          const matches = line => !filter.value || line.textContent.toLowerCase().includes(filter.value.toLowerCase());
          filter.addEventListener("input", () => {
            for (const line of box.querySelectorAll(".line")) line.hidden = !matches(line);
          });
          toggle($("wrap"), on => box.classList.toggle("nowrap", !on));
          toggle($("times"), on => box.classList.toggle("notimes", !on));

          const escapes = /\u001b(?:\[[0-?]*[ -\/]*[@-~]|[\]PX^_][^\u0007\u001b\n]*(?:\u0007|\u001b\\)?|[ -\/]*[0-~])/g;
          const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
          const element = (name, text, properties) =>
            Object.assign(document.createElement(name), { textContent: text }, properties);
          const makeLine = (channel, raw) => {
            const text = raw.replace(escapes, "").replace(controls, "");
            const found = /^(\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\S*) ?(.*)$/s.exec(text);
            const line = element("div", "", { className: channel === "stderr" ? "line stderr" : "line" });
            if (found) line.append(element("time", found[2], { dateTime: found[1], title: found[1] }));
            if (channel === "stderr") line.append(element("b", "err"));
            line.append(element("span", found ? found[3] : text));
            line.hidden = !matches(line);
            return line;
          };

          const queue = [];
          let drawing = 0, fresh = false;
          const draw = () => {
            drawing = 0;
            const isAtEnd = fresh || box.scrollHeight - box.scrollTop - box.clientHeight < 40;
            if (fresh) { box.replaceChildren(); fresh = false; }
            box.querySelector(".nothing")?.remove();
            box.append(...queue.splice(0).slice(-most));
            while (box.childElementCount > most) box.firstElementChild.remove();
            if (isAtEnd) box.scrollTop = box.scrollHeight;
          };
          const show = line => { queue.push(line); drawing ||= setTimeout(draw, 60); };

          let current = null;
          const follow = async () => {
            const stop = current = new AbortController();
            const path = `/logs/${encodeURIComponent(box.dataset.name)}?text&timestamps&follow&tail=500`;
            while (!stop.signal.aborted) {
              try {
                const response = await fetch(path, { signal: stop.signal, cache: "no-store" });
                if (!response.ok) throw new Error(`status ${response.status}`);
                state.textContent = "Following. Times are in UTC.";
                const open = {};
                let rest = "", isFirst = true;
                const decoder = new TextDecoder();
                const reader = response.body.getReader();
                for (;;) {
                  const { done, value } = await reader.read();
                  if (done) break;
                  if (isFirst) { queue.length = 0; fresh = true; isFirst = false; }
                  rest += decoder.decode(value, { stream: true });
                  const pieces = rest.split("\n");
                  rest = pieces.pop();
                  for (const piece of pieces) {
                    const { channel, message, error } = JSON.parse(piece);
                    if (error) throw new Error(error);
                    const lines = ((open[channel] || "") + message).split("\n");
                    open[channel] = lines.pop();
                    for (const line of lines) show(makeLine(channel, line));
                  }
                }
                state.textContent = "The log has ended. Looking again in a few seconds.";
              } catch (problem) {
                if (stop.signal.aborted) return;
                state.textContent = `Not following (${problem.message}). Trying again in a few seconds.`;
              }
              await new Promise(done => setTimeout(done, 4000));
            }
          };
          toggle($("follow"), on => {
            if (on) return void follow();
            current?.abort();
            state.textContent = "Paused.";
          });
          box.scrollTop = box.scrollHeight;
          follow();
        })();
        """#)
}
