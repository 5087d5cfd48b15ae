"use strict";
// The dashboard: reads the payload, keeps the whole state in the address, draws one view at a time. Text reaches the page
// through textContent alone.
(() => {
  const data = JSON.parse(document.getElementById("payload").textContent);
  const S = data.series, N = S.size.length, R = data.runs.length, scale = data.scale;
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const words16 = (text) => { const b = bytes(text); return new Uint16Array(b.buffer, 0, b.length / 2); };
  const medianCode = words16(data.median), lowCode = bytes(data.low), highCode = bytes(data.high);
  const median = (i, r) => { const c = medianCode[i * R + r]; return c ? 2 ** (scale.lowest + (c - 1) / (scale.levels - 1) * scale.octaves) : null; };
  const factor = (code, i, r) => 2 ** (code[i * R + r] / 255 * scale.spread);
  const low = (i, r) => median(i, r) / factor(lowCode, i, r), high = (i, r) => median(i, r) * factor(highCode, i, r);
  const word = (kind, i) => data.words[kind][S[kind][i]];
  const newest = Array.from({ length: N }, (_, i) => { for (let r = R - 1; r >= 0; r--) if (medianCode[i * R + r]) return r; return -1; });

  // -- state: one object, in the fragment of the address
  const VIEWS = { heat: "Tools by workload", size: "Time against size", ratio: "Gradient / value", history: "History", changes: "Changes", error: "Error against time", memory: "Tape memory", table: "Table" };
  const defaults = () => ({ view: "heat", workload: "", what: pickWhat(), dtype: data.words.dtype.includes("float64") ? "float64" : data.words.dtype[0] || "", size: "", verdict: "", find: "", tools: "", sort: "workload" });
  const pickWhat = () => data.words.what.includes("gradient") ? "gradient" : data.words.what[0] || "";
  let state = defaults();
  const readState = () => { state = defaults(); new URLSearchParams(location.hash.slice(1)).forEach((v, k) => { if (k in state) state[k] = v; }); if (!(state.view in VIEWS)) state.view = "heat"; };
  const writeState = () => { const base = defaults(), q = new URLSearchParams(); for (const k in state) if (state[k] !== base[k]) q.set(k, state[k]); const next = "#" + q; if (location.hash !== next && !(next === "#" && !location.hash)) history.replaceState(null, "", location.pathname + location.search + (next === "#" ? "" : next)); };
  const set = (k, v) => { state[k] = v; writeState(); draw(); };

  // -- small helpers
  const el = (tag, attributes = {}, ...children) => { const e = document.createElement(tag); for (const [k, v] of Object.entries(attributes)) { if (k.startsWith("on")) e.addEventListener(k.slice(2), v); else if (v !== false && v !== null) e.setAttribute(k, v === true ? "" : v); } for (const c of children) e.append(c); return e; };
  const seconds = (v) => { if (v === null || !isFinite(v)) return "–"; const [n, u] = v < 1e-6 ? [v * 1e9, "ns"] : v < 1e-3 ? [v * 1e6, "µs"] : v < 1 ? [v * 1e3, "ms"] : [v, "s"]; return `${n.toPrecision(3)} ${u}`; };
  const number = (v) => v === null || !isFinite(v) ? "–" : Math.abs(v) >= 1e5 || (v && Math.abs(v) < 1e-3) ? v.toExponential(2) : String(+v.toPrecision(4));
  const memory = (v) => v < 0 ? "not counted" : v < 1024 ? `${v} B` : v < 2 ** 20 ? `${(v / 1024).toPrecision(3)} KiB` : `${(v / 2 ** 20).toPrecision(3)} MiB`;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colours = () => [1, 2, 3, 4, 5, 6, 7, 0].map((k) => css(`--s${k}`));
  const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3], [4, 4], [12, 4], [1, 2], [6, 2, 2, 2]];
  const toolNumber = (label) => data.words.label.indexOf(label);
  const tools = () => state.tools ? state.tools.split("|") : data.words.label;
  const note = (text) => el("p", { class: "note" }, text);
  const empty = () => note("Nothing passes the filters.");

  const passes = (i, { anyWhat = false, anySize = false } = {}) =>
    tools().includes(word("label", i)) && (anyWhat || !state.what || word("what", i) === state.what) && (!state.dtype || word("dtype", i) === state.dtype) &&
    (!state.workload || word("workload", i) === state.workload) && (anySize || !state.size || String(S.size[i]) === state.size) &&
    (!state.find || word("workload", i).toLowerCase().includes(state.find.toLowerCase()));
  const chosen = (options) => { const found = []; for (let i = 0; i < N; i++) if (newest[i] >= 0 && passes(i, options)) found.push(i); return found; };
  const group = (list, key) => { const m = new Map(); for (const i of list) { const k = key(i); if (!m.has(k)) m.set(k, []); m.get(k).push(i); } return m; };
  const repeat = (i) => { const [b] = word("label", i).split(" "); const jit = word("label", i).includes("jit") && !b.includes("jit") ? "-jit" : ""; return `adjudge bench --families all --workloads ${word("workload", i)} --sizes ${S.size[i]} --what ${word("what", i)} --backends ${b}${jit} --dtype ${word("dtype", i)}`; };

  // -- filters
  const select = (name, label, values, all) => { const s = el("select", { id: `f-${name}`, onchange: (e) => set(name, e.target.value) }); if (all) s.append(el("option", { value: "" }, all)); for (const v of values) s.append(el("option", { value: v }, v)); s.value = state[name]; return el("div", {}, el("label", { for: `f-${name}` }, label), s); };
  const drawFilters = () => {
    const form = document.getElementById("filters"), focus = document.activeElement && document.activeElement.id;
    const sizes = [...new Set(S.size)].sort((a, b) => a - b).map(String);
    const box = el("fieldset", {}, el("legend", {}, "Tools"));
    data.words.label.forEach((label, k) => box.append(el("label", {}, el("input", { type: "checkbox", id: `tool-${k}`, checked: tools().includes(label), onchange: (e) => { const kept = data.words.label.filter((l) => l === label ? e.target.checked : tools().includes(l)); set("tools", kept.length === data.words.label.length ? "" : kept.join("|") || "none"); } }), label)));
    form.replaceChildren(box, select("workload", "Workload", data.words.workload, "all"), select("what", "Question", data.words.what, "all"), select("dtype", "Dtype", data.words.dtype, "all"), select("size", "Size (elements)", sizes, "all"),
      select("verdict", "Change", ["slower", "faster", "no change", "cannot tell"], "all"),
      el("div", {}, el("label", { for: "f-find" }, "Workload contains"), el("input", { type: "search", id: "f-find", value: state.find, oninput: (e) => set("find", e.target.value) })),
      el("button", { type: "button", id: "csv", onclick: download }, "Table as CSV"), el("button", { type: "button", id: "reset", onclick: () => { const view = state.view; state = defaults(); state.view = view; writeState(); draw(); } }, "Reset"));
    form.onsubmit = (e) => e.preventDefault();
    if (focus && document.getElementById(focus)) { const f = document.getElementById(focus); f.focus(); if (f.type === "search") f.setSelectionRange(f.value.length, f.value.length); }
  };
  const drawTabs = () => {
    const names = Object.keys(VIEWS), list = document.getElementById("tabs");
    const move = (e, k) => { const to = e.key === "ArrowRight" ? k + 1 : e.key === "ArrowLeft" ? k - 1 : null; if (to === null) return; set("view", names[(to + names.length) % names.length]); document.getElementById(`tab-${state.view}`).focus(); };
    list.replaceChildren(...names.map((v, k) => el("button", { role: "tab", id: `tab-${v}`, type: "button", "aria-selected": String(v === state.view), "aria-controls": "panel", tabindex: v === state.view ? "0" : "-1", onclick: () => set("view", v), onkeydown: (e) => move(e, k) }, VIEWS[v])));
  };

  // -- plots (uPlot), each with its numbers in a table below
  const logTicks = (u, splits) => splits.map((v) => Math.abs(Math.log10(v) % 1) < 1e-9 ? v : null);
  const axis = (label, format) => ({ label, stroke: css("--ink"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid") }, font: "12px system-ui", labelFont: "13px system-ui", size: 64, values: (u, splits) => splits.map((v) => v === null ? "" : format(v)) });
  const plot = (host, title, xs, lines, { xLabel, yLabel, xFormat = number, yFormat = seconds, xLog = true, yLog = true, flat = null, marks = [], xNames = null }) => {
    const palette = colours(), width = Math.min(document.body.clientWidth - 32, 1100);
    const options = { width: Math.max(width, 300), height: 380, legend: { live: true }, cursor: { points: { size: 8 } },
      scales: { x: { time: false, distr: xLog ? 3 : 1 }, y: { distr: yLog ? 3 : 1 } },
      axes: [{ ...axis(xLabel, xFormat), ...(xLog ? { filter: logTicks } : {}), ...(xNames ? { space: 110, values: (u, splits) => splits.map((v) => Number.isInteger(v) && xNames[v] ? xNames[v] : "") } : {}) }, { ...axis(yLabel, yFormat), ...(yLog ? { filter: logTicks } : {}), size: 84 }],
      series: [{ label: xLabel, value: (u, v) => v === null ? "–" : xNames ? xNames[v] || "" : xFormat(v) }], bands: [], hooks: { draw: [] } };
    const columns = [xs];
    for (const line of lines) {
      const colour = palette[line.tool % 8], k = options.series.length;
      options.series.push({ label: line.label, stroke: colour, width: line.scattered ? 0 : 2, dash: dashes[line.tool % 8], spanGaps: true, points: { show: true, size: 6, fill: colour }, value: (u, v) => v === null ? "–" : yFormat(v) });
      columns.push(line.ys);
      if (line.high) {
        options.series.push({ label: `${line.label} q75`, class: "quartile", stroke: "transparent", points: { show: false }, spanGaps: true, value: (u, v) => v === null ? "–" : yFormat(v) }, { label: `${line.label} q25`, class: "quartile", stroke: "transparent", points: { show: false }, spanGaps: true, value: (u, v) => v === null ? "–" : yFormat(v) });
        columns.push(line.high, line.low); options.bands.push({ series: [k + 1, k + 2], fill: colour + "33" });
      }
    }
    options.hooks.draw.push((u) => { const c = u.ctx; c.save(); c.strokeStyle = css("--ink"); c.fillStyle = css("--ink"); c.lineWidth = 1.5; c.font = "12px system-ui"; if (flat) { const y = u.valToPos(flat.at, "y", true); if (y > u.bbox.top && y < u.bbox.top + u.bbox.height) { c.setLineDash([6, 4]); c.beginPath(); c.moveTo(u.bbox.left, y); c.lineTo(u.bbox.left + u.bbox.width, y); c.stroke(); c.fillText(flat.label, u.bbox.left + 6, y - 5); } } c.setLineDash([2, 3]); for (const m of marks) { const x = u.valToPos(m.x, "x", true); c.beginPath(); c.moveTo(x, u.bbox.top); c.lineTo(x, u.bbox.top + u.bbox.height); c.stroke(); c.fillText(m.label, x + 4, u.bbox.top + 14); } c.restore(); });
    const figure = el("div", { role: "img", "aria-label": `${title}; the numbers are in the table below` });
    host.append(el("h3", {}, title), figure);
    new uPlot(options, columns, figure);
  };
  const table = (heads, rows, caption) => { const t = el("table", {}, el("caption", {}, caption)); t.append(el("thead", {}, el("tr", {}, ...heads.map((h) => h instanceof Node ? h : el("th", { scope: "col" }, h))))); t.append(el("tbody", {}, ...rows.map((r) => el("tr", {}, ...r.map((c) => c instanceof Node ? c : el("td", {}, String(c))))))); return el("div", { class: "scroll", tabindex: "0" }, t); };
  const numbers = (list) => el("details", {}, el("summary", {}, `Numbers (${list.length} series)`), seriesTable(list));

  // -- views
  const bySize = (host, list, { y, yLabel, yFormat, flat, spread, title, text }) => {
    const groups = group(list, (i) => `${word("workload", i)}, ${word("what", i)}, ${word("dtype", i)}`);
    if (!groups.size) return host.append(empty());
    host.append(note(text));
    let shown = 0;
    for (const [name, members] of groups) {
      if (++shown > 12) { host.append(note(`${groups.size - 12} more; choose a workload.`)); break; }
      const sizes = [...new Set(members.map((i) => S.size[i]))].sort((a, b) => a - b);
      const lines = [...group(members, (i) => word("label", i))].map(([label, own]) => {
        const at = new Map(own.map((i) => [S.size[i], i])), take = (f) => sizes.map((s) => at.has(s) ? f(at.get(s)) : null);
        const fit = data.exponents.find((e) => e.workload === word("workload", own[0]) && e.what === word("what", own[0]) && e.label === label && e.dtype === word("dtype", own[0]));
        return { label: label + (spread && fit ? ` ~ n^${fit.exponent.toFixed(2)}` : ""), tool: toolNumber(label), ys: take(y), ...(spread ? { high: take((i) => high(i, newest[i])), low: take((i) => low(i, newest[i])) } : {}) };
      }).filter((l) => l.ys.some((v) => v !== null && v > 0));
      if (lines.length) plot(host, `${title}: ${name}`, sizes, lines, { xLabel: "size (elements)", yLabel, yFormat, flat });
    }
    host.append(numbers(list));
  };
  const valueOf = new Map(); for (let i = 0; i < N; i++) if (word("what", i) === "value") valueOf.set([S.workload[i], S.label[i], S.dtype[i], S.size[i]].join(), i);
  const overValue = (i) => { const v = valueOf.get([S.workload[i], S.label[i], S.dtype[i], S.size[i]].join()); if (v === undefined || newest[i] < 0) return null; const r = newest[i], d = median(v, r); return d ? median(i, r) / d : null; };
  const views = {
    heat(host) {
      const list = chosen({ anySize: false }), labels = data.words.label.filter((l) => tools().includes(l));
      const rows = group(list, (i) => `${word("workload", i)}|${S.size[i]}|${word("what", i)}`);
      if (!rows.size) return host.append(empty());
      host.append(note("Newest median of each tool, and how many times the fastest tool of the row that is. Darker is slower. A dash: not timed, or its value was not right, for which no time is kept."));
      const body = [...rows].slice(0, 400).map(([name, own]) => {
        const [workload, size, what] = name.split("|"), at = new Map(own.map((i) => [word("label", i), i]));
        const times = labels.map((l) => at.has(l) ? median(at.get(l), newest[at.get(l)]) : null), best = Math.min(...times.filter((t) => t !== null));
        return [el("th", { scope: "row" }, `${workload} (${size}) ${what}`), ...times.map((t) => { if (t === null) return el("td", { "aria-label": "not timed or not right" }, "–"); const times_ = t / best, depth = Math.min(Math.log2(times_) / 8, 1); return el("td", { style: `background: rgba(var(--right), ${(0.06 + 0.5 * depth).toFixed(2)})`, title: seconds(t) }, `${seconds(t)} `, el("small", {}, `×${times_ < 10 ? times_.toFixed(1) : times_.toFixed(0)}`)); })];
      });
      const t = table(["workload (size) question", ...labels], body, `${rows.size} rows${rows.size > 400 ? ", the first 400 shown" : ""}`); t.firstChild.className = "heat"; host.append(t);
    },
    size(host) { bySize(host, chosen({ anySize: true }), { y: (i) => median(i, newest[i]), yLabel: "seconds a call", spread: true, title: "Time", text: "Newest median with its quartiles (shaded), and the exponent fitted to sizes from 100 on." }); },
    ratio(host) { bySize(host, chosen({ anySize: true }).filter((i) => word("what", i) !== "value"), { y: overValue, yLabel: "times the value", yFormat: number, flat: { at: data.factor, label: `factor ${data.factor} (Griewank and Walther 2008)` }, title: "Over the value", text: "Newest median over the newest median of the value, same tool, dtype and size. A gradient costs often within a factor of 5 of its function." }); },
    history(host) {
      const list = chosen(); if (!list.length) return host.append(empty());
      if (R < 2) host.append(note("One run: a history needs more."));
      host.append(note("Medians by run, oldest first, quartiles shaded. Dashed verticals: change points."));
      const groups = group(list, (i) => `${word("workload", i)} (${S.size[i]}), ${word("what", i)}, ${word("dtype", i)}`), xs = data.runs.map((_, r) => r), names = data.runs.map((r) => r.started.slice(0, 10));
      let shown = 0;
      for (const [name, own] of groups) {
        if (++shown > 12) { host.append(note(`${groups.size - 12} more; choose a workload or a size.`)); break; }
        const marks = data.changes.filter((c) => own.some((i) => c.workload === word("workload", i) && c.what === word("what", i) && c.label === word("label", i) && c.dtype === word("dtype", i) && c.size === S.size[i])).map((c) => ({ x: c.run, label: `${c.label} ×${c.ratio.toFixed(2)}` }));
        plot(host, `History: ${name}`, xs, own.map((i) => ({ label: word("label", i), tool: S.label[i], ys: xs.map((r) => median(i, r)), high: xs.map((r) => median(i, r) && high(i, r)), low: xs.map((r) => median(i, r) && low(i, r)) })), { xLabel: "run", yLabel: "seconds a call", xLog: false, xNames: names, marks });
      }
      host.append(numbers(list), runsTable());
    },
    changes(host) {
      const list = data.comparisons.filter((c) => (!state.verdict || c.verdict === state.verdict) && (!state.find || c.series.toLowerCase().includes(state.find.toLowerCase())) && (!state.workload || c.series.startsWith(state.workload + "/")));
      if (!list.length) return host.append(note(data.comparisons.length ? "Nothing passes the filters." : "No comparison yet: adjudge bench --against REV makes one."));
      const reach = Math.max(0.1, ...list.flatMap((c) => [c.low, c.high].filter((v) => v).map((v) => Math.abs(Math.log(v))))), at = (v) => `${(50 + 48 * Math.max(-1, Math.min(1, Math.log(v) / reach))).toFixed(2)}%`;
      host.append(note(`Time after / time before with its interval; left is faster. The scale reaches from ×${Math.exp(-reach).toFixed(2)} to ×${Math.exp(reach).toFixed(2)}.`));
      host.append(table(["series", "verdict", "ratio", "interval", "", "could have seen", "counts", "accepted"], list.slice().sort((a, b) => (b.ratio || 0) - (a.ratio || 0)).slice(0, 500).map((c) => {
        const bar = el("div", { class: "forest", "aria-hidden": "true" }, el("em", { style: "left:50%" })); if (c.ratio) bar.append(el("span", { style: `left:${at(c.low || c.ratio)};right:calc(100% - ${at(c.high || c.ratio)})` }), el("b", { class: c.verdict.split(" ")[0], style: `left:${at(c.ratio)}` }));
        return [el("th", { scope: "row" }, c.series), c.verdict + (c.reason ? `: ${c.reason}` : ""), number(c.ratio), `${number(c.low)} – ${number(c.high)}`, el("td", {}, bar), c.smallest_effect === null ? "–" : `${(100 * c.smallest_effect).toPrecision(2)} %`, c.counts, c.accepted];
      }), `${list.length} comparisons`));
    },
    error(host) {
      const list = chosen().filter((i) => S.error[i] !== null); if (!list.length) return host.append(note("No series carries an error."));
      host.append(note("Largest relative difference from the reference's value against the newest median. Errors of 0 are drawn at 1e-17."));
      const order = list.slice().sort((a, b) => median(a, newest[a]) - median(b, newest[b])), xs = order.map((i) => median(i, newest[i]));
      plot(host, "Error against time", xs, data.words.label.filter((l) => order.some((i) => word("label", i) === l)).map((l) => ({ label: l, tool: toolNumber(l), scattered: true, ys: order.map((i) => word("label", i) === l ? Math.max(S.error[i], 1e-17) : null) })), { xLabel: "seconds a call", yLabel: "relative error", xFormat: seconds, yFormat: (v) => v.toExponential(0) });
      host.append(numbers(list));
    },
    memory(host) { const list = chosen({ anySize: true }).filter((i) => S.saved[i] >= 0); if (!list.length) return host.append(note("No series counts its tape.")); bySize(host, list, { y: (i) => Math.max(S.saved[i], 1), yLabel: "bytes kept for backward", yFormat: memory, title: "Tape", text: "Bytes of the distinct arrays that the tape keeps for backward, in the newest run." }); },
    table(host) { const list = chosen(); host.append(list.length ? seriesTable(list) : empty(), runsTable()); },
  };
  const COLUMNS = { workload: (i) => word("workload", i), size: (i) => S.size[i], question: (i) => word("what", i), tool: (i) => word("label", i), dtype: (i) => word("dtype", i), median: (i) => median(i, newest[i]), q25: (i) => low(i, newest[i]), q75: (i) => high(i, newest[i]), n: (i) => S.n[i], ratio: overValue, error: (i) => S.error[i], tape_bytes: (i) => S.saved[i] };
  const seriesTable = (list) => {
    const key = state.sort.replace(/^-/, ""), by = COLUMNS[key] || COLUMNS.workload, sign = state.sort.startsWith("-") ? -1 : 1;
    const sorted = list.slice().sort((a, b) => { const p = by(a), q = by(b); return sign * (p === q ? a - b : p === null ? 1 : q === null ? -1 : p < q ? -1 : 1); });
    const heads = Object.keys(COLUMNS).map((c) => el("th", { scope: "col", "aria-sort": c === key ? sign > 0 ? "ascending" : "descending" : false }, el("button", { type: "button", onclick: () => set("sort", state.sort === c ? "-" + c : c) }, c)));
    const show = { median: seconds, q25: seconds, q75: seconds, ratio: number, error: (v) => v === null ? "–" : v.toExponential(1), tape_bytes: memory };
    return table([...heads, "again"], sorted.slice(0, 1000).map((i) => [...Object.entries(COLUMNS).map(([c, f]) => { const v = f(i); return show[c] ? show[c](v) : v; }), el("td", {}, el("code", { class: "repeat" }, repeat(i)))]), `${list.length} series, newest run of each${list.length > 1000 ? ", the first 1,000 shown" : ""}`);
  };
  const runsTable = () => el("details", {}, el("summary", {}, `Runs (${R})`), table(["run", "started", "processor", "cores", "threads", "commit", "versions"], data.runs.slice().reverse().slice(0, 400).map((r) => [r.run_id, r.started, r.cpu, r.cores, r.threads, r.commit, r.versions]), "newest first"));
  const download = () => {
    const quote = (v) => { let t = v === null || v === undefined ? "" : String(v); if (/^[=+\-@\t]/.test(t) && typeof v === "string") t = "'" + t; return /[",\n]/.test(t) ? `"${t.replaceAll('"', '""')}"` : t; };
    const rows = state.view === "changes" ? [Object.keys(data.comparisons[0] || { series: "" }), ...data.comparisons.map((c) => Object.values(c))] : [Object.keys(COLUMNS), ...chosen().map((i) => Object.values(COLUMNS).map((f) => f(i)))];
    const link = el("a", { href: URL.createObjectURL(new Blob([rows.map((r) => r.map(quote).join(",")).join("\n") + "\n"], { type: "text/csv" })), download: `adjudge-${state.view}.csv` }); document.body.append(link); link.click(); link.remove();
  };
  const draw = () => { drawFilters(); drawTabs(); const panel = document.getElementById("panel"); panel.setAttribute("aria-labelledby", `tab-${state.view}`); panel.replaceChildren(); panel.dataset.view = state.view; views[state.view](panel); panel.dataset.ready = "yes"; };
  addEventListener("hashchange", () => { readState(); draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  readState(); draw();
})();
