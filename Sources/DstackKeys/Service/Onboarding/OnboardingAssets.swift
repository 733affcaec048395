import DstackPages

extension PageAsset {
    static let onboardingStyle = style(
        """
        .setup { display: grid; gap: var(--gap); grid-template-columns: minmax(0, 1fr); }
        form { display: grid; gap: 1.1rem; grid-template-columns: minmax(0, 1fr); max-width: 34rem; }
        .field { display: grid; gap: .35rem; grid-template-columns: minmax(0, 1fr); }
        .field > label { font-weight: 600; }
        .field > p { margin: 0; }
        .field > input { font: inherit; color: var(--text); background: var(--page); border: 1px solid var(--quiet);
          border-radius: .4rem; padding: .5rem .7rem; min-height: 2.75rem; width: 100%; min-width: 0; }
        .field > input:focus-visible { outline-offset: 0; }
        .field > input::placeholder { color: var(--quiet); opacity: 1; }
        .choice { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .1rem .7rem; align-items: start;
          border: 1px solid var(--line); border-radius: var(--radius); padding: .7rem .9rem; cursor: pointer; }
        .choice:has(:checked) { border-color: var(--accent); background: var(--accent-soft); }
        .choice:has(:focus-visible) { outline: 3px solid var(--accent); outline-offset: 2px; }
        .choice input { width: 1.1rem; height: 1.1rem; margin: .2rem 0 0; accent-color: var(--accent); outline: none; }
        .choice strong, .choice .small { display: block; }
        .choice .small { font-weight: 400; }
        .setup h1:focus { outline: none; }
        .setup h1 + .notice, .setup .quiet + .notice { margin-top: .8rem; }
        .actions { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; }
        button.primary { font-size: 1rem; font-weight: 600; background: var(--accent); border-color: var(--accent);
          color: var(--surface); padding: .55rem 1.2rem; min-height: 2.75rem; }
        button.primary:hover { color: var(--surface); filter: brightness(1.08); }
        button.primary:disabled { opacity: .6; cursor: progress; }
        .problem:empty { display: none; }
        """)

    /// Sends what was typed and fetches the page anew, which says what came of it. The token stays in this page's memory.
    static let onboardingScript = script(
        #"""
        "use strict";
        (() => {
          const $ = id => document.getElementById(id);
          let token = "";
          const call = async (method, body) => {
            const headers = { "Content-Type": "application/json" };
            if (token) headers.Authorization = `Bearer ${token}`;
            const response = await fetch(
              `/prpc/${method}?json`, { method: "POST", headers, body: JSON.stringify(body), cache: "no-store" });
            const text = await response.text();
            if (response.ok) return;
            if (response.status === 401) {
              $("token").closest(".field").hidden = false;
              $("token").focus();
              throw new Error(
                "The token is missing or wrong. It is in the settings, or in the log of this service's start.");
            }
            let reason = "";
            try { reason = JSON.parse(text).error; } catch { }
            throw new Error(reason || `The service answered with status ${response.status}.`);
          };
          const show = async () => {
            const response = await fetch("/", { headers: { Accept: "text/html" }, cache: "no-store" });
            const next = new DOMParser().parseFromString(await response.text(), "text/html");
            const state = next.getElementById("state");
            if (!state) throw new Error("The service shows no page any more.");
            $("state").replaceWith(document.adoptNode(state));
            for (const button of document.querySelectorAll(".copy[hidden]")) button.hidden = false;
            begin();
            const title = document.querySelector("#state h1");
            title.tabIndex = -1;
            title.focus();
            scrollTo(0, 0);
          };
          const run = async (form, progress, act) => {
            const button = form.querySelector("button.primary"), state = form.querySelector(".progress");
            const problem = form.querySelector(".problem");
            if (button.disabled) return;
            button.disabled = true;
            problem.replaceChildren();
            state.textContent = progress;
            try { await act(); }
            catch (error) {
              const text = error instanceof TypeError ? "The service does not answer." : error.message;
              const notice = Object.assign(document.createElement("div"), { className: "notice bad" });
              notice.append(Object.assign(document.createElement("p"), { textContent: text }));
              problem.append(notice);
            }
            finally { state.textContent = ""; button.disabled = false; }
          };
          const isCopy = () => Boolean($("origin-copy")?.checked);
          const choose = () => {
            const copies = isCopy();
            $("source-field").hidden = $("root-field").hidden = !copies;
            $("source").required = copies;
            $("go").textContent = copies ? "Take the keys" : "Make new keys";
          };
          const begin = () => {
            for (const part of document.querySelectorAll(".noscript")) part.hidden = true;
            for (const part of document.querySelectorAll(".by-hand")) part.open = false;
            const field = $("token");
            if (field) {
              field.value = token;
              field.addEventListener("input", () => { token = field.value.trim(); });
              field.closest(".field").hidden = Boolean(token);
              field.required = !token;
            }
            const setup = $("setup");
            if (setup) {
              setup.hidden = false;
              for (const option of setup.querySelectorAll("[name=origin]")) option.addEventListener("change", choose);
              choose();
              setup.addEventListener("submit", event => {
                event.preventDefault();
                const domain = $("domain").value.trim(), source_url = $("source").value.trim();
                const ca_pubkey = $("root").value.trim();
                run(setup, isCopy() ? "Asking the running service…" : "Making keys and evidence…", async () => {
                  await (isCopy() ? call("Onboard", { source_url, domain, ca_pubkey }) : call("Bootstrap", { domain }));
                  await show();
                });
              });
            }
            const end = $("end");
            if (end) {
              end.hidden = false;
              end.addEventListener("submit", event => {
                event.preventDefault();
                run(end, "Finishing…", async () => {
                  try { await call("Finish", {}); }
                  catch (error) { if (!(error instanceof TypeError)) throw error; }
                  const notice = Object.assign(document.createElement("div"), { className: "notice good" });
                  notice.append(Object.assign(
                    document.createElement("p"),
                    { textContent: "Set-up is finished. The service now answers by TLS at this port." }));
                  notice.tabIndex = -1;
                  end.replaceWith(notice);
                  notice.focus();
                });
              });
            }
          };
          begin();
        })();
        """#)
}
