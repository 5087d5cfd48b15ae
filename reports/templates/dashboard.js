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
  const low = (i, r) => lowCode.length && median(i, r) ? median(i, r) / factor(lowCode, i, r) : null, high = (i, r) => highCode.length && median(i, r) ? median(i, r) * factor(highCode, i, r) : null;
  const word = (kind, i) => data.words[kind][S[kind][i]];
  const newest = Array.from({ length: N }, (_, i) => { for (let r = R - 1; r >= 0; r--) if (medianCode[i * R + r]) return r; return -1; });

  const stepsOf = new Map(); for (const c of data.changes) { if (!stepsOf.has(c.series)) stepsOf.set(c.series, []); stepsOf.get(c.series).push(c); } for (const own of stepsOf.values()) own.sort((a, b) => a.run - b.run);
  const keyOf = (o) => [o.workload, o.what, o.label, o.dtype, o.size].join("\u0000"), seriesKey = (i) => keyOf({ workload: word("workload", i), what: word("what", i), label: word("label", i), dtype: word("dtype", i), size: S.size[i] });
  const newestOf = new Map(); for (let i = 0; i < N; i++) newestOf.set(seriesKey(i), Math.max(newest[i], newestOf.get(seriesKey(i)) ?? -1));
  const compared = new Map(); for (const c of data.comparisons) compared.set(keyOf(c), c);
  const lacking = data.left_out.filter((e) => e.run >= (newestOf.get(keyOf(e)) ?? -1)), lackingAt = new Map(lacking.map((e) => [keyOf(e), e]));
  const wrongWord = (e) => e.kind === "refused" ? e.reason.startsWith("wrong") ? "wrong" : "broke" : e.kind;

  // -- state: one object, in the fragment of the address
  const VIEWS = { heat: "Tools by workload", size: "Time against size", ratio: "Gradient / value", history: "History", changes: "Changes", error: "Error against time", memory: "Tape memory", table: "Table" };
  const defaults = () => ({ view: "heat", workload: "", what: pickWhat(), dtype: data.words.dtype.includes("float64") ? "float64" : data.words.dtype[0] || "", conditions: "", size: "", verdict: "", find: "", tools: "", sort: "workload" });
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
  // Tools differ by marker and dash as well as by colour; the legend shows the marker.
  const MARKS = ["●", "■", "▲", "◆", "▼", "✚", "✖", "★"];
  const corners = (n, turn, inner = 1) => Array.from({ length: n }, (_, k) => { const a = 2 * Math.PI * (k + turn) / n, r = k % 2 ? inner : 1; return [r * Math.sin(a), -r * Math.cos(a)]; });
  const plus = [[-.3, -1], [.3, -1], [.3, -.3], [1, -.3], [1, .3], [.3, .3], [.3, 1], [-.3, 1], [-.3, .3], [-1, .3], [-1, -.3], [-.3, -.3]], turned = ([x, y]) => [(x - y) * Math.SQRT1_2, (x + y) * Math.SQRT1_2];
  const SHAPES = [corners(16, 0), corners(4, 0.5), corners(3, 0), corners(4, 0), corners(3, 0.5), plus, plus.map(turned), corners(10, 0, 0.45)];
  const markers = (tool) => (u, s, first, last) => {
    const path = new Path2D(), r = 4.5 * devicePixelRatio, xs = u.data[0], ys = u.data[s];
    for (let k = first; k <= last; k++) { if (ys[k] === null || ys[k] === undefined) continue; const x = u.valToPos(xs[k], "x", true), y = u.valToPos(ys[k], u.series[s].scale, true); SHAPES[tool % 8].forEach(([dx, dy], j) => path[j ? "lineTo" : "moveTo"](x + r * dx, y + r * dy)); path.closePath(); }
    return { fill: path, stroke: null, clip: null, flags: 3 };
  };
  const toolNumber = (label) => data.words.label.indexOf(label);
  const tools = () => state.tools ? state.tools.split("|") : data.words.label;
  const note = (text) => el("p", { class: "note" }, text);
  const empty = () => note("Nothing passes the filters.");

  // What a filter by verdict goes by: the newest comparison of a series, whether it has a step of its own, and whether its newest value was refused.
  const VERDICTS = ["slower", "faster", "no change", "cannot tell", "stepped", "wrong or broke"];
  const verdictsOf = (i) => { const found = [], c = compared.get(seriesKey(i)); if (c) found.push(c.verdict); if ((stepsOf.get(i) || []).some((s) => !s.common)) found.push("stepped"); const e = lackingAt.get(seriesKey(i)); if (e && e.kind === "refused") found.push("wrong or broke"); return found; };
  const passesAs = (o, { anyWhat = false, anySize = false } = {}) =>
    tools().includes(o.label) && (anyWhat || !state.what || o.what === state.what) && (!state.dtype || o.dtype === state.dtype) &&
    (!state.workload || o.workload === state.workload) && (anySize || !state.size || String(o.size) === state.size) &&
    (!state.find || o.workload.toLowerCase().includes(state.find.toLowerCase()));
  const asObject = (i) => ({ workload: word("workload", i), what: word("what", i), label: word("label", i), dtype: word("dtype", i), size: S.size[i] });
  const passes = (i, options) => passesAs(asObject(i), options) && (!state.conditions || word("conditions", i) === state.conditions) && (!state.verdict || verdictsOf(i).includes(state.verdict));
  const under = (i) => data.words.conditions.length > 1 ? `, ${word("conditions", i)}` : "";
  const chosen = (options) => { const found = []; for (let i = 0; i < N; i++) if (newest[i] >= 0 && passes(i, options)) found.push(i); return found; };
  const group = (list, key) => { const m = new Map(); for (const i of list) { const k = key(i); if (!m.has(k)) m.set(k, []); m.get(k).push(i); } return m; };
  const quoted = (text) => /^[\w.,:\/=+@%-]+$/.test(text) ? text : `'${String(text).replaceAll("'", "'\\''")}'`;
  const again = (o, asked, against) => o.what === "call" ? `pytest ${quoted(o.workload)} --benchmark-only` : !o.dtype ? "" : `adjudge bench ${against ? `--against ${quoted(against)} ` : ""}--families all --workloads ${quoted(o.workload)}${asked ? ` --sizes ${asked}` : ""} --what ${quoted(o.what)} --backends ${quoted(o.label.replace(" ", "-"))} --dtype ${quoted(o.dtype)}`;
  const repeat = (i) => again(asObject(i), S.asked[i]);
  const command = (text) => el("td", {}, text ? el("code", { class: "repeat" }, text) : "");

  // -- filters
  const select = (name, label, values, all) => { const s = el("select", { id: `f-${name}`, onchange: (e) => set(name, e.target.value) }); if (all) s.append(el("option", { value: "" }, all)); for (const v of values) s.append(el("option", { value: v }, v)); s.value = state[name]; return el("div", {}, el("label", { for: `f-${name}` }, label), s); };
  const drawFilters = () => {
    const form = document.getElementById("filters"), focus = document.activeElement && document.activeElement.id;
    const sizes = [...new Set(S.size)].sort((a, b) => a - b).map(String);
    const box = el("fieldset", {}, el("legend", {}, "Tools"));
    data.words.label.forEach((label, k) => box.append(el("label", {}, el("input", { type: "checkbox", id: `tool-${k}`, checked: tools().includes(label), onchange: (e) => { const kept = data.words.label.filter((l) => l === label ? e.target.checked : tools().includes(l)); set("tools", kept.length === data.words.label.length ? "" : kept.join("|") || "none"); } }), label)));
    form.replaceChildren(box, select("workload", "Workload", data.words.workload, "all"), select("what", "Question", data.words.what, "all"), select("dtype", "Dtype", data.words.dtype, "all"), select("size", "Size (elements)", sizes, "all"),
      ...(data.words.conditions.length > 1 ? [select("conditions", "Conditions", data.words.conditions, "all")] : []), select("verdict", "Verdict", VERDICTS, "all"),
      el("div", {}, el("label", { for: "f-find" }, "Workload contains"), el("input", { type: "search", id: "f-find", value: state.find, oninput: (e) => set("find", e.target.value) })),
      el("button", { type: "button", id: "csv", onclick: download }, "Table as CSV"), el("button", { type: "button", id: "reset", onclick: () => { const view = state.view; state = defaults(); state.view = view; writeState(); draw(); } }, "Reset"));
    form.onsubmit = (e) => e.preventDefault();
    if (focus && document.getElementById(focus)) { const f = document.getElementById(focus); f.focus(); if (f.type === "search") f.setSelectionRange(f.value.length, f.value.length); }
  };
  const drawTabs = () => {
    const names = Object.keys(VIEWS), list = document.getElementById("tabs");
    const move = (e, k) => { const to = e.key === "ArrowRight" ? k + 1 : e.key === "ArrowLeft" ? k - 1 : e.key === "Home" ? 0 : e.key === "End" ? names.length - 1 : null; if (to !== null) e.preventDefault(); if (to === null) return; set("view", names[(to + names.length) % names.length]); document.getElementById(`tab-${state.view}`).focus(); };
    list.replaceChildren(...names.map((v, k) => el("button", { role: "tab", id: `tab-${v}`, type: "button", "aria-selected": String(v === state.view), "aria-controls": "panel", tabindex: v === state.view ? "0" : "-1", onclick: () => set("view", v), onkeydown: (e) => move(e, k) }, VIEWS[v])));
  };

  // -- plots (uPlot), each with its numbers in a table below
  const logTicks = (u, splits) => { const few = splits.length && Math.log10(splits[splits.length - 1] / splits[0]) < 2; return splits.map((v) => { const lead = Math.round(v / 10 ** Math.floor(Math.log10(v) + 1e-9)); return lead === 1 || (few && (lead === 2 || lead === 5)) ? v : null; }); };
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
      options.series.push({ label: `${MARKS[line.tool % 8]} ${line.label}`, stroke: colour, width: line.scattered ? 0 : 2, dash: dashes[line.tool % 8], spanGaps: true, points: { show: true, size: 6, fill: colour, paths: markers(line.tool) }, value: (u, v) => v === null ? "–" : yFormat(v) });
      columns.push(line.ys);
      if (line.high) {
        options.series.push({ label: `${line.label} above`, class: "quartile", stroke: "transparent", points: { show: false }, spanGaps: true, value: (u, v) => v === null ? "–" : yFormat(v) }, { label: `${line.label} below`, class: "quartile", stroke: "transparent", points: { show: false }, spanGaps: true, value: (u, v) => v === null ? "–" : yFormat(v) });
        columns.push(line.high, line.low); options.bands.push({ series: [k + 1, k + 2], fill: colour + "33" });
      }
    }
    options.hooks.draw.push((u) => { const c = u.ctx; c.save(); c.strokeStyle = css("--ink"); c.fillStyle = css("--ink"); c.lineWidth = 1.5; c.font = `${12 * devicePixelRatio}px system-ui`; c.textAlign = "left"; c.textBaseline = "alphabetic"; if (flat) { const y = u.valToPos(flat.at, "y", true); if (y > u.bbox.top && y < u.bbox.top + u.bbox.height) { c.setLineDash([6, 4]); c.beginPath(); c.moveTo(u.bbox.left, y); c.lineTo(u.bbox.left + u.bbox.width, y); c.stroke(); c.fillText(flat.label, u.bbox.left + 6, y - 5); } } marks.forEach((m, k) => { const x = u.valToPos(m.x, "x", true), left = x > u.bbox.left + 0.75 * u.bbox.width; c.setLineDash(m.common ? [1, 6] : [5, 4]); c.beginPath(); c.moveTo(x, u.bbox.top); c.lineTo(x, u.bbox.top + u.bbox.height); c.stroke(); c.textAlign = left ? "right" : "left"; c.fillText(m.label, x + (left ? -4 : 4), u.bbox.top + (14 + 15 * (k % 6)) * devicePixelRatio); }); c.restore(); });
    const figure = el("div", { role: "img", "aria-label": `${title}; the numbers are in the table below` });
    host.append(el("h3", {}, title), figure);
    const made = new uPlot(options, columns, figure);
    figure.querySelectorAll(".u-series").forEach((row, k) => { if (k && !row.classList.contains("quartile")) row.querySelector(".u-label").style.color = options.series[k].stroke; });
    return made;
  };
  const table = (heads, rows, caption) => { const t = el("table", {}, el("caption", {}, caption)); t.append(el("thead", {}, el("tr", {}, ...heads.map((h) => h instanceof Node ? h : el("th", { scope: "col" }, h))))); t.append(el("tbody", {}, ...rows.map((r) => el("tr", {}, ...r.map((c) => c instanceof Node ? c : el("td", {}, String(c))))))); return el("div", { class: "scroll", tabindex: "0" }, t); };
  const numbers = (list) => el("details", {}, el("summary", {}, `Numbers (${list.length} series)`), seriesTable(list));

  // -- views
  const bySize = (host, list, { y, yLabel, yFormat, flat, spread, title, text }) => {
    const groups = group(list, (i) => `${word("workload", i)}, ${word("what", i)}, ${word("dtype", i)}${under(i)}`);
    if (!groups.size) return host.append(empty());
    host.append(note(text));
    let shown = 0;
    for (const [name, members] of groups) {
      if (++shown > 12) { host.append(note(`${groups.size - 12} more; choose a workload.`)); break; }
      const sizes = [...new Set(members.map((i) => S.size[i]))].sort((a, b) => a - b);
      const lines = [...group(members, (i) => word("label", i))].map(([label, own]) => {
        const at = new Map(own.map((i) => [S.size[i], i])), take = (f) => sizes.map((s) => at.has(s) ? f(at.get(s)) : null);
        const fit = data.exponents.find((e) => e.workload === word("workload", own[0]) && e.what === word("what", own[0]) && e.label === label && e.dtype === word("dtype", own[0]) && e.conditions === word("conditions", own[0]));
        return { label: label + (spread && fit ? ` ~ n^${fit.exponent.toFixed(2)}` : ""), tool: toolNumber(label), ys: take(y), ...(spread ? { high: take((i) => high(i, newest[i])), low: take((i) => low(i, newest[i])) } : {}) };
      }).filter((l) => l.ys.some((v) => v !== null && v > 0));
      if (lines.length) plot(host, `${title}: ${name}`, sizes, lines, { xLabel: "size (elements)", yLabel, yFormat, flat });
    }
    if (spread) { const fits = data.exponents.filter((e) => passesAs({ ...e, size: "" }, { anySize: true })); if (fits.length) host.append(table(["workload", "question", "tool", "dtype", "exponent", "from", "to", "sizes"], fits.map((e) => [e.workload, e.what, e.label, e.dtype, e.exponent.toFixed(3), e.low.toFixed(3), e.high.toFixed(3), e.sizes]), `Fitted exponents: time grows as size to that power, by least squares on logarithms, sizes from 100 on; from and to are one standard error away. ${fits.length} series.`)); }
    host.append(numbers(list));
  };
  const valueKey = (i) => [S.workload[i], S.label[i], S.dtype[i], S.conditions[i], S.size[i]].join(), valueOf = new Map(); for (let i = 0; i < N; i++) if (word("what", i) === "value") valueOf.set(valueKey(i), i);
  const overValue = (i) => { const v = valueOf.get(valueKey(i)); if (v === undefined || newest[i] < 0) return null; const r = newest[i], d = median(v, r); return d ? median(i, r) / d : null; };
  const views = {
    heat(host) {
      const list = chosen(), labels = data.words.label.filter((l) => tools().includes(l)), SEP = "\u0000";
      const place = (o, conditions) => [o.workload, o.size, o.what, o.dtype, conditions].join(SEP);
      const cells = new Map(), row = (key) => { if (!cells.has(key)) cells.set(key, new Map()); return cells.get(key); };
      for (const i of list) row(place(asObject(i), word("conditions", i))).set(word("label", i), { i });
      const refused = lacking.filter((e) => passesAs(e) && (!state.verdict || (state.verdict === "wrong or broke" && e.kind === "refused")));
      for (const e of refused) { const rows = [...cells.keys()].filter((k) => k.startsWith(place(e, ""))); for (const k of rows.length ? rows : [place(e, "")]) { const own = row(k); if (!own.has(e.label) || e.kind === "refused") own.set(e.label, { e }); } }
      if (!cells.size) return host.append(empty());
      host.append(note("Newest median of each tool, and how many times the fastest tool of the row that is. Darker is slower. Hatched and marked with a cross: its newest value was wrong, or it broke, and so it has no time. A dash: not timed."));
      const body = [...cells].sort((p, q) => p[0] < q[0] ? -1 : 1).slice(0, 400).map(([key, own]) => {
        const [workload, size, what, dtype, conditions] = key.split(SEP), extra = [data.words.dtype.length > 1 && !state.dtype ? dtype : "", data.words.conditions.length > 1 && !state.conditions ? conditions : ""].filter(Boolean).join(", ");
        const times = labels.map((l) => { const c = own.get(l); return c && c.i !== undefined ? median(c.i, newest[c.i]) : null; }), best = Math.min(...times.filter((t) => t !== null));
        return [el("th", { scope: "row" }, `${workload}${+size ? ` (${size})` : ""} ${what}${extra ? `, ${extra}` : ""}`), ...times.map((t, k) => {
          const c = own.get(labels[k]);
          if (c && c.e) return c.e.kind === "refused" ? el("td", { class: "refused", title: c.e.reason }, `✗ ${wrongWord(c.e)}`) : el("td", { class: "lacking", title: c.e.reason }, c.e.kind);
          if (t === null) return el("td", { "aria-label": "not timed" }, "–");
          const times_ = t / best, depth = Math.min(Math.log2(times_) / 8, 1); return el("td", { style: `background: rgba(var(--right), ${(0.06 + 0.5 * depth).toFixed(2)})`, title: seconds(t) }, `${seconds(t)} `, el("small", {}, `×${times_ < 10 ? times_.toFixed(1) : times_.toFixed(0)}`));
        })];
      });
      const t = table(["workload (size) question", ...labels], body, `${cells.size} rows${cells.size > 400 ? ", the first 400 shown" : ""}`); t.firstChild.className = "heat"; host.append(t);
      const bad = refused.filter((e) => e.kind === "refused");
      if (bad.length) host.append(el("h3", {}, "Wrong or broken"), table(["workload", "size", "question", "tool", "dtype", "why", "run", "again"], bad.map((e) => [e.workload, e.size, e.what, e.label, e.dtype, e.reason, data.runs[e.run].run_id, command(again(e, e.asked))]), `${bad.length} series without a time in the newest run that asked for them`));
    },
    size(host) { bySize(host, chosen({ anySize: true }), { y: (i) => median(i, newest[i]), yLabel: "seconds a call", spread: true, title: "Time", text: "Newest median with its quartiles (shaded), and the exponent fitted to sizes from 100 on." }); },
    ratio(host) { bySize(host, chosen({ anySize: true }).filter((i) => word("what", i) !== "value"), { y: overValue, yLabel: "times the value", yFormat: number, flat: { at: data.factor, label: `factor ${data.factor} (Griewank and Walther 2008)` }, title: "Over the value", text: "Newest median over the newest median of the value, same tool, dtype and size. A gradient costs often within a factor of 5 of its function." }); },
    history(host) {
      const list = chosen(); if (!list.length) return host.append(empty());
      if (R < 2) host.append(note("One run: a history needs more."));
      const wide = `${(100 * data.rule.least).toFixed(0)} % or ${data.rule.noise} robust standard deviations, whichever is more`;
      host.append(note(`Medians by run, oldest first. Dashed verticals: change points (dotted: many series stepped together). Shaded: the noise band, ${wide}, around the median between change points; no step within it is called.`), note(data.rule.rates));
      const groups = group(list, (i) => `${word("workload", i)}${S.size[i] ? ` (${S.size[i]})` : ""}, ${[word("what", i), word("dtype", i)].filter(Boolean).join(", ")}${under(i)}`), xs = data.runs.map((_, r) => r), names = data.runs.map((r) => r.started.slice(0, 10));
      const news = (own) => Math.max(0, ...own.flatMap((i) => (stepsOf.get(i) || []).filter((c) => !c.common).map((c) => Math.abs(Math.log(c.ratio)))));
      const steps = list.flatMap((i) => stepsOf.get(i) || []).sort((a, b) => a.common - b.common || Math.abs(Math.log(b.ratio)) - Math.abs(Math.log(a.ratio)));
      if (steps.length) host.append(stepTable(steps));
      else if (R >= 2) host.append(note("No change points among these series."));
      let shown = 0;
      for (const [name, own] of [...groups].sort((p, q) => news(q[1]) - news(p[1]))) {
        if (++shown > 12) { host.append(note(`${groups.size - 12} more; choose a workload, a size or the verdict "stepped".`)); break; }
        const marks = own.flatMap((i) => stepsOf.get(i) || []).map((c) => ({ x: c.run, label: `${word("label", c.series)} ×${c.ratio.toFixed(2)}`, common: c.common })).sort((a, b) => a.x - b.x);
        const lines = own.map((i) => { const ys = xs.map((r) => median(i, r)); return { label: word("label", i), tool: S.label[i], ys, ...noiseBand(i, ys) }; });
        const all = lines.flatMap((l) => l.ys.filter((y) => y)), yLog = Math.max(...all) > 3 * Math.min(...all);
        plot(host, `History: ${name}`, xs, lines, { xLabel: "run", yLabel: "seconds a call", xLog: false, yLog, xNames: names, marks });
      }
      host.append(numbers(list), runsTable());
    },
    changes(host) {
      const list = chosenChanges(), rest = data.comparisons.length - list.length;
      if (rest && data.comparisons.length) host.append(el("p", { class: "note" }, `${rest} of ${data.comparisons.length} comparisons do not pass the filters. `, el("button", { type: "button", id: "all-changes", onclick: () => { const view = state.view; state = { ...defaults(), view, what: "", dtype: "" }; writeState(); draw(); } }, "Show all")));
      if (!list.length) return host.append(note(data.comparisons.length ? "Nothing passes the filters." : "No comparison yet: adjudge bench --against REV makes one."));
      const reach = Math.max(0.1, ...list.flatMap((c) => [c.ratio, c.low, c.high].filter((v) => v).map((v) => Math.abs(Math.log(v))))), at = (v) => `${(50 + 48 * Math.max(-1, Math.min(1, Math.log(v) / reach))).toFixed(2)}%`;
      host.append(note(`Time after / time before with its interval; left is faster. The scale reaches from ×${Math.exp(-reach).toFixed(2)} to ×${Math.exp(reach).toFixed(2)}; grey: the change that counts. Squares are slower, diamonds faster, dots no change, rings cannot tell.`));
      host.append(table(["series", "verdict", "change", "ratio", "interval", "could have seen", "counts", "before", "after", "accepted", "again"], list.slice().sort((a, b) => (b.ratio || 0) - (a.ratio || 0)).slice(0, 500).map((c) => {
        const bar = el("div", { class: "forest", "aria-hidden": "true" }); if (c.threshold) bar.append(el("i", { style: `left:${at(1 / (1 + c.threshold))};right:calc(100% - ${at(1 + c.threshold)})` })); bar.append(el("em", { style: "left:50%" })); if (c.ratio) bar.append(el("span", { style: `left:${at(c.low || c.ratio)};right:calc(100% - ${at(c.high || c.ratio)})` }), el("b", { class: c.verdict.split(" ")[0], style: `left:${at(c.ratio)}` }));
        return [el("th", { scope: "row" }, c.series), c.verdict + (c.reason ? `: ${c.reason}` : ""), el("td", {}, bar), number(c.ratio), `${number(c.low)} – ${number(c.high)}`, c.smallest_effect === null ? "–" : `${(100 * c.smallest_effect).toPrecision(2)} %`, c.counts, c.before, c.after, c.accepted, command(again(c, c.asked_size, c.before))];
      }), `${list.length} comparisons${list.length > 500 ? ", the 500 with the largest ratios shown" : ""}`));
    },
    error(host) {
      const list = chosen().filter((i) => S.error[i] !== null); if (!list.length) return host.append(note("No series carries an error."));
      host.append(note("Largest relative difference from the reference's value against the newest median. Errors of 0 are drawn at 1e-17."));
      const order = list.slice().sort((a, b) => median(a, newest[a]) - median(b, newest[b])), xs = order.map((i) => median(i, newest[i]));
      plot(host, "Error against time", xs, data.words.label.filter((l) => order.some((i) => word("label", i) === l)).map((l) => ({ label: l, tool: toolNumber(l), scattered: true, ys: order.map((i) => word("label", i) === l ? Math.max(S.error[i], 1e-17) : null) })), { xLabel: "seconds a call", yLabel: "relative error", xFormat: seconds, yFormat: (v) => v.toExponential(0) });
      host.append(numbers(list));
    },
    memory(host) {
      const list = chosen({ anySize: true }), kinds = [["Tape", S.saved, "bytes kept for backward", "Bytes of the distinct arrays that the tape keeps for backward, in the newest run."], ["Peak", S.peak, "bytes at the peak", "Most bytes that Python and NumPy have allocated at once in one call, in the newest run."]];
      let any = false;
      for (const [title, values, yLabel, text] of kinds) { const own = list.filter((i) => values[i] >= 0); if (!own.length) continue; any = true; host.append(el("h2", {}, title === "Tape" ? "Tape memory" : "Peak memory")); bySize(host, own, { y: (i) => Math.max(values[i], 1), yLabel, yFormat: memory, title, text }); }
      if (!any) host.append(note("No series of these counts its memory."));
    },
    table(host) { const list = chosen(); host.append(list.length ? seriesTable(list) : empty(), runsTable()); },
  };
  const COLUMNS = { workload: (i) => word("workload", i), size: (i) => S.size[i], question: (i) => word("what", i), tool: (i) => word("label", i), dtype: (i) => word("dtype", i), median: (i) => median(i, newest[i]), q25: (i) => low(i, newest[i]), q75: (i) => high(i, newest[i]), n: (i) => S.n[i], ratio: overValue, error: (i) => S.error[i], tape_bytes: (i) => S.saved[i], peak_bytes: (i) => S.peak[i], ...(data.words.conditions.length > 1 ? { conditions: (i) => word("conditions", i) } : {}), verdict: (i) => verdictsOf(i).join(", ") };
  // Half the width of the noise band follows the rule that calls steps; each stretch between two of them has its own.
  const noiseBand = (i, ys) => {
    const high = ys.map(() => null), low = high.slice(), ends = [0, ...(stepsOf.get(i) || []).map((c) => c.run), R], middle = (v) => { const s = v.slice().sort((a, b) => a - b), k = s.length >> 1; return s.length % 2 ? s[k] : (s[k - 1] + s[k]) / 2; };
    for (let k = 0; k + 1 < ends.length; k++) {
      const logs = ys.slice(ends[k], ends[k + 1]).filter((y) => y).map(Math.log); if (logs.length < 3) continue;
      const m = middle(logs), half = Math.max(Math.log1p(data.rule.least), data.rule.noise * 1.4826 * middle(logs.map((x) => Math.abs(x - m))));
      for (let r = ends[k]; r < ends[k + 1]; r++) { high[r] = Math.exp(m + half); low[r] = Math.exp(m - half); }
    }
    return { high, low };
  };
  const STEPS = { series: (c) => [word("workload", c.series), S.size[c.series] || "", word("what", c.series), word("label", c.series), word("dtype", c.series)].filter(Boolean).join("/") + under(c.series), moment: (c) => data.runs[c.run].started, commits: (c) => `${c.revision_before || "?"} → ${c.revision || "?"}`, ratio: (c) => c.ratio, low: (c) => c.low, high: (c) => c.high, before: (c) => c.before, after: (c) => c.after, noise: (c) => c.noise, common: (c) => c.common ? "common" : "own" };
  const stepTable = (steps) => {
    const show = { ratio: number, low: number, high: number, before: seconds, after: seconds, noise: (v) => `${(100 * v).toFixed(1)} %`, moment: (v) => v.slice(0, 19) };
    return el("section", { "aria-label": "Change points" }, el("h3", {}, "Change points"), table([...Object.keys(STEPS), "again"], steps.slice(0, 200).map((c) => [...Object.entries(STEPS).map(([k, f]) => show[k] ? show[k](f(c)) : f(c)), command(repeat(c.series))]), `${steps.length} change points, largest first${steps.length > 200 ? ", the first 200 shown" : ""}; moment and commits: of the first run after it; interval: 95 % as if runs were independent`), el("button", { type: "button", id: "steps-csv", onclick: () => save("change-points", [Object.keys(STEPS), ...steps.map((c) => Object.values(STEPS).map((f) => f(c)))]) }, "Change points as CSV"));
  };
  const chosenChanges = () => data.comparisons.filter((c) => passesAs(c) && (!state.verdict || c.verdict === state.verdict));
  const seriesTable = (list) => {
    const key = state.sort.replace(/^-/, ""), by = COLUMNS[key] || COLUMNS.workload, sign = state.sort.startsWith("-") ? -1 : 1;
    const sorted = list.slice().sort((a, b) => { const p = by(a), q = by(b); return sign * (p === q ? a - b : p === null ? 1 : q === null ? -1 : p < q ? -1 : 1); });
    const heads = Object.keys(COLUMNS).map((c) => el("th", { scope: "col", "aria-sort": c === key ? sign > 0 ? "ascending" : "descending" : false }, el("button", { type: "button", onclick: () => set("sort", state.sort === c ? "-" + c : c) }, c)));
    const show = { median: seconds, q25: seconds, q75: seconds, ratio: number, error: (v) => v === null ? "–" : v.toExponential(1), tape_bytes: memory, peak_bytes: memory };
    return table([...heads, "again"], sorted.slice(0, 1000).map((i) => [...Object.entries(COLUMNS).map(([c, f]) => { const v = f(i); return show[c] ? show[c](v) : v; }), command(repeat(i))]), `${list.length} series, newest run of each${list.length > 1000 ? ", the first 1,000 shown" : ""}`);
  };
  const runsTable = () => el("details", {}, el("summary", {}, `Runs (${R})`), table(["run", "started", "processor", "cores", "threads", "commit", "versions"], data.runs.slice().reverse().slice(0, 400).map((r) => [r.run_id, r.started, r.cpu, r.cores, r.threads, r.commit, r.versions]), "newest first"));
  // A text that a spreadsheet would take for a formula begins with an apostrophe.
  const save = (name, rows) => {
    const quote = (v) => { let t = v === null || v === undefined ? "" : String(v); if (/^[=+\-@\t\r]/.test(t) && typeof v === "string") t = "'" + t; return /[",\n\r]/.test(t) ? `"${t.replaceAll('"', '""')}"` : t; };
    const link = el("a", { href: URL.createObjectURL(new Blob([rows.map((r) => r.map(quote).join(",")).join("\n") + "\n"], { type: "text/csv" })), download: `adjudge-${name}.csv` }); document.body.append(link); link.click(); link.remove();
  };
  const download = () => {
    if (state.view !== "changes") return save(state.view, [Object.keys(COLUMNS), ...chosen().map((i) => Object.values(COLUMNS).map((f) => f(i)))]);
    save("changes", [Object.keys(data.comparisons[0] || { series: "" }), ...chosenChanges().map((c) => Object.values(c))]);
  };
  const draw = () => { drawFilters(); drawTabs(); const panel = document.getElementById("panel"); panel.setAttribute("aria-labelledby", `tab-${state.view}`); panel.replaceChildren(); panel.dataset.view = state.view; views[state.view](panel); panel.dataset.ready = "yes"; };
  addEventListener("hashchange", () => { readState(); draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  readState(); draw();
})();
