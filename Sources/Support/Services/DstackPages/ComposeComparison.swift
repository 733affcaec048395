extension HTML {
    /// Where a reader gives an own compose file to be compared with a hash. The file is hashed in the page and sent nowhere:
    /// the page's policy allows no form to be sent, and there is none. Without script it is not shown.
    ///
    /// Where the page has the measured text, in an element named `compose`, a file that differs is told where.
    ///
    /// - Parameter composeHash: hexadecimal.
    static func comparison(with composeHash: String) -> HTML {
        .element(.div, .class("compare"), .id("compare"), .data("data-hash", composeHash), .hidden) {
            HTML.element(.label, .for("own-file")) { "Compare your own copy of the compose file" }
            HTML.element(.input, .id("own-file"), .type("file"), .ariaDescribedBy("own-file-note"))
            HTML.element(.p, .class("quiet small"), .id("own-file-note")) {
                "Choose it, or drop it here. It is hashed in this page and not sent anywhere."
            }
            HTML.element(.div, .id("comparison"), .role("status"), .ariaLive("polite"))
        }
    }
}

extension PageAsset {
    /// Hashes a file of the reader's and says how it stands to the measured one. Browsers have SHA-256 only for pages that
    /// came over a secure connection, so that there is one here as well (FIPS 180-4 section 6.2).
    static let comparisonScript = script(
        #"""
        "use strict";
        (() => {
          const part = document.getElementById("compare");
          if (!part || !window.File || !File.prototype.arrayBuffer) return;
          const input = document.getElementById("own-file"), out = document.getElementById("comparison");
          part.hidden = false;

          const primes = [];
          for (let n = 2; primes.length < 64; n++) if (primes.every(p => n % p)) primes.push(n);
          const fraction = x => ((x - Math.floor(x)) * 2 ** 32) | 0;
          const constants = primes.map(p => fraction(Math.cbrt(p)));
          const sha256 = bytes => {
            const state = primes.slice(0, 8).map(p => fraction(Math.sqrt(p)));
            const whole = bytes.length & ~63, rest = bytes.length - whole;
            const tail = new Uint8Array(rest < 56 ? 64 : 128);
            tail.set(bytes.subarray(whole));
            tail[rest] = 0x80;
            const view = new DataView(tail.buffer);
            view.setUint32(tail.length - 8, Math.floor(bytes.length / 2 ** 29));
            view.setUint32(tail.length - 4, bytes.length << 3);
            const w = new Int32Array(64);
            const block = data => {
              for (let i = 0; i < 16; i++) w[i] = data.getInt32(4 * i);
              for (let i = 16; i < 64; i++) {
                const x = w[i - 15], y = w[i - 2];
                const s = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3;
                const t = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10;
                w[i] = w[i - 16] + s + w[i - 7] + t | 0;
              }
              let [a, b, c, d, e, f, g, h] = state;
              for (let i = 0; i < 64; i++) {
                const s = (e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7);
                const x = h + s + (e & f ^ ~e & g) + constants[i] + w[i] | 0;
                const t = (a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10);
                const y = t + (a & b ^ a & c ^ b & c) | 0;
                h = g; g = f; f = e; e = d + x | 0; d = c; c = b; b = a; a = x + y | 0;
              }
              [a, b, c, d, e, f, g, h].forEach((value, i) => { state[i] = state[i] + value | 0; });
            };
            for (let at = 0; at < whole; at += 64) block(new DataView(bytes.buffer, bytes.byteOffset + at, 64));
            for (let at = 0; at < tail.length; at += 64) block(new DataView(tail.buffer, at, 64));
            return state.map(value => (value >>> 0).toString(16).padStart(8, "0")).join("");
          };
          const hash = async bytes => {
            if (!window.crypto || !crypto.subtle) return sha256(bytes);
            const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
            return Array.from(digest, byte => byte.toString(16).padStart(2, "0")).join("");
          };

          const sorted = value => {
            if (Array.isArray(value)) return value.map(sorted);
            if (value === null || typeof value !== "object") return value;
            const result = Object.create(null);
            for (const key of Object.keys(value).sort()) result[key] = sorted(value[key]);
            return result;
          };
          const parsed = text => { try { return JSON.parse(text); } catch { return undefined; } };
          const isObject = value => value !== null && typeof value === "object" && !Array.isArray(value);
          // What upstream's tools leave out of the file when they normalise it.
          const withoutIdle = value => {
            const result = { ...value };
            if (value.runner === "bash") delete result.docker_compose_file;
            if (["docker-compose", "nerdctl-compose"].includes(value.runner)) delete result.bash_script;
            if (!value.pre_launch_script) delete result.pre_launch_script;
            return result;
          };
          const forms = function* (text) {
            if (text.startsWith("\ufeff")) yield ["without the byte order mark at its beginning", text = text.slice(1)];
            const unix = text.replace(/\r\n?/g, "\n");
            yield ["with a line feed at its end", text + "\n"];
            yield ["without the line end at its end", text.replace(/\r?\n$/, "")];
            yield ["without white space at its end", text.trimEnd()];
            yield ["with line feeds as line ends (LF)", unix];
            yield ["with line feeds as line ends (LF), and none at its end", unix.trimEnd()];
            yield ["with line feeds as line ends (LF), and one at its end", unix.trimEnd() + "\n"];
            yield ["with CR LF as line ends", unix.replace(/\n/g, "\r\n")];
            yield ["with CR LF as line ends, and none at its end", unix.trimEnd().replace(/\n/g, "\r\n")];
            const value = parsed(text);
            if (!isObject(value)) return;
            const shapes = [
              ["as compact JSON", JSON.stringify(value)],
              ["as compact JSON with its members sorted", JSON.stringify(sorted(value))],
              ["normalised (members without effect left out, the others sorted)",
                JSON.stringify(sorted(withoutIdle(value)))],
              ["as JSON indented by two", JSON.stringify(value, null, 2)],
              ["as JSON indented by four", JSON.stringify(value, null, 4)],
            ];
            yield* shapes;
            for (const [name, shape] of shapes) yield [name + ", with a line feed at its end", shape + "\n"];
          };

          // What else people have beside it, by its first bytes or its members; undefined for what may be a compose file.
          const other = (bytes, text, value) => {
            const head = Array.from(bytes.slice(0, 4), byte => byte.toString(16).padStart(2, "0")).join("");
            const isQuote = digits => /^0[345]000[23]00/.test(digits);
            if (isQuote(head) && bytes.length > 400) return "a quote";
            if (text === undefined) return "no text, and a compose file is JSON";
            const word = text.trim();
            if (isQuote(word.toLowerCase().replace(/^0x/, "")) && /^[\da-fx\s]{800,}$/i.test(word))
              return "a quote, in hexadecimal";
            if (/^(AwAC|AwAD|BAAC|BAAD|BQAC|BQAD)[\w+\/=\s]{500,}$/.test(word)) return "a quote, in Base64";
            if (word.startsWith("-----BEGIN CERTIFICATE")) return "a certificate";
            if (/^(services|version|volumes|networks):/m.test(word))
              return "a Docker Compose file, which stands inside the app compose file (docker_compose_file)";
            if (Array.isArray(value)) return value.some(item => isObject(item) && "imr" in item) ? "an event log" : "a list";
            if (!isObject(value) || "manifest_version" in value || "docker_compose_file" in value) return undefined;
            const has = (...names) => names.every(name => name in value);
            if (has("tcb_info", "qe_identity")) return "collateral";
            if (has("quote")) return "an agent's answer with a quote";
            if (has("attestation")) return "an agent's answer with an attestation";
            if (has("tcb_info", "app_id")) return "what an agent says of itself (Info)";
            if (has("os_image_hash") || has("cpu_count")) return "a VM configuration";
            return undefined;
          };

          const quoted = line => line === undefined ? "nothing" : JSON.stringify(line.slice(0, 120));
          const difference = (own, measured) => {
            if (!isObject(own) || !isObject(measured)) return [];
            const same = (a, b) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
            return Array.from(new Set([...Object.keys(measured), ...Object.keys(own)])).filter(
              name => !(name in own && name in measured && same(own[name], measured[name]))
            ).slice(0, 12).map(name => {
              const shown = JSON.stringify(name).slice(1, -1);
              if (!(name in own)) return `${shown}: not in your file`;
              if (!(name in measured)) return `${shown}: only in your file`;
              const [a, b] = [own[name], measured[name]];
              if (typeof a !== "string" || typeof b !== "string")
                return `${shown}: yours ${JSON.stringify(a).slice(0, 120)}, measured ${JSON.stringify(b).slice(0, 120)}`;
              const [mine, theirs] = [a.split("\n"), b.split("\n")];
              let line = 0;
              while (mine[line] === theirs[line]) line++;
              return `${shown}, line ${line + 1}: yours ${quoted(mine[line])}, measured ${quoted(theirs[line])}`;
            });
          };

          const element = (name, text, className) =>
            Object.assign(document.createElement(name), { textContent: text, className: className || "" });
          const show = (tone, strong, text, rest = []) => {
            const box = element("div", "", "notice " + tone);
            const paragraph = element("p", "");
            paragraph.append(element("strong", strong), " " + text);
            box.append(paragraph, ...rest);
            out.replaceChildren(box);
          };
          let round = 0;
          const compare = async file => {
            const current = ++round;
            const isOld = () => current !== round;
            const expected = part.dataset.hash;
            if (file.size > 50 * 2 ** 20) return show("warning", "Not compared.", "No compose file is over 50 MiB.");
            out.replaceChildren(element("p", "Hashing…", "quiet"));
            let bytes;
            try { bytes = new Uint8Array(await file.arrayBuffer()); }
            catch { return show("warning", "Not compared.", "The browser cannot read this file."); }
            const own = await hash(bytes);
            if (isOld()) return;
            if (own === expected)
              return show("good", "The same.", "Your file has the compose hash that this page claims. Whether the machine "
                + "has measured it, the commands below find out.");
            let text;
            try { text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes); } catch { }
            if (text !== undefined && bytes.length <= 4 * 2 ** 20) {
              for (const [name, form] of forms(text)) {
                const isSame = await hash(new TextEncoder().encode(form)) === expected;
                if (isOld()) return;
                if (isSame)
                  return show("warning", "The same, in another form.",
                    `Your file has the compose hash that this page claims ${name}. Give verifiers the file in that form.`);
              }
            }
            const value = text === undefined ? undefined : parsed(text);
            const found = bytes.length ? other(bytes, text, value) : undefined;
            if (found)
              return show("bad", "Not a compose file.", `This is ${found}. Choose the app-compose.json that you expect.`);
            const rest = [element("p", "Its hash: "), element("ul", "")];
            rest[0].append(element("code", own));
            const measured = document.querySelector("#compose pre");
            if (text !== undefined && measured)
              rest[1].append(...difference(value, parsed(measured.textContent)).map(line => element("li", line)));
            show("bad", bytes.length ? "Not the same." : "Empty.", bytes.length
              ? "Your file is not the one whose hash this page claims." : "There is nothing in your file.",
              rest.filter(part => part.childNodes.length));
          };
          input.addEventListener("change", () => { if (input.files[0]) compare(input.files[0]); });
          part.addEventListener("dragover", event => { event.preventDefault(); part.classList.add("over"); });
          part.addEventListener("dragleave", () => part.classList.remove("over"));
          part.addEventListener("drop", event => {
            event.preventDefault();
            part.classList.remove("over");
            if (event.dataTransfer.files[0]) compare(event.dataTransfer.files[0]);
          });
        })();
        """#)
}
