(() => {
  const root = document.getElementById("fronts-chart");
  if (!root || !data.fronts.length) return;
  const state = { benchmark: 0, x: 0, y: 1, at: 0, hidden: new Set(), row: null };
  const benchmark = () => data.fronts[state.benchmark];
  const caption = h("figcaption", { id: "fronts-caption" });
  const plot = h("svg", { class: "plot", role: "img", tabindex: 0, "aria-describedby": "fronts-cell",
    onpointermove: point, onpointerdown: point, onkeydown: walk });
  const slider = h("input", { type: "range", id: "fronts-time", min: 0, oninput: () => { state.at = Number(slider.value); draw(); } });
  const time = h("output", { for: "fronts-time" });
  const legend = h("div", { class: "scroll legend", role: "region", "aria-label": "Configurations that runs hold", tabindex: 0 });
  const card = h("div", { class: "card", id: "fronts-cell", "aria-live": "polite" });
  const note = h("p", { class: "note" });
  const controls = h("form", { class: "controls", "aria-label": "What the fronts show" });
  const cursor = h("g", {});
  let dots = [];

  /** Places on the two axes that are shown, in the order of the first. */
  const placed = (row) => { const p = benchmark().points[row]; return [p[state.x], p[state.y]]; };

  function choices() {
    const names = benchmark().objectives.map(({ name }) => name);
    const parts = [];
    if (data.fronts.length > 1) {
      parts.push(choice("Benchmark", "front-benchmark", data.fronts.map(({ title }) => title), state.benchmark, (value) => {
        Object.assign(state, { benchmark: value, x: 0, y: 1, at: benchmark().times.length - 1, row: null });
        choices();
      }));
    }
    if (names.length > 2) {
      for (const axis of ["x", "y"]) {
        parts.push(choice(axis === "x" ? "Across" : "Upwards", `front-${axis}`, names, state[axis], (value) => {
          const other = axis === "x" ? "y" : "x";
          if (state[other] === value) state[other] = state[axis];
          state[axis] = value;
          choices();
        }));
      }
    }
    controls.replaceChildren(...parts);
    list();
    draw();
  }

  function choice(label, id, texts, chosen, act) {
    const options = texts.map((text, i) => h("option", { value: i, selected: i === chosen }, text));
    const select = h("select", { id, onchange: () => act(Number(select.value)) }, ...options);
    return h("label", { class: "choice" }, h("span", {}, label), select);
  }

  /** The table that is legend, choice of algorithms and count in one. */
  function list() {
    const rows = benchmark().curves.map(({ label }, i) => {
      const dot = h("circle", { cx: 15, cy: 6, r: 5, class: `dot c${data.looks[label].colour}` });
      const sample = h("svg", { viewBox: "0 0 30 12", class: "sample", "aria-hidden": "true" }, dot);
      const box = h("input", { type: "checkbox", id: `fronts-${i}`, checked: !state.hidden.has(label),
        onchange: () => { state.hidden[box.checked ? "delete" : "add"](label); draw(); } });
      return h("tr", { "data-label": label }, h("th", { scope: "row" }, h("label", {}, box, sample, h("span", {}, label))),
        h("td", { class: "number" }), h("td", { class: "number" }));
    });
    const head = ["algorithm", "configurations that runs hold", "of the true front"];
    const top = head.map((text, i) => h("th", { scope: "col", class: i > 0 && "number" }, text));
    legend.replaceChildren(h("table", { "aria-labelledby": "fronts-caption" }, h("thead", {}, h("tr", {}, ...top)), h("tbody", {}, ...rows)));
  }

  function domain(values, log) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = log ? (high / low) ** 0.05 : 0.05 * (high - low) || 0.05 * Math.abs(high) || 1;
    return log ? [low / room, high * room] : [low - room, high + room];
  }

  function draw() {
    const { title, objectives, times, unit, curves, points } = benchmark();
    slider.max = times.length - 1;
    slider.value = state.at;
    const told = clock(unit)(times[state.at]);
    slider.setAttribute("aria-valuetext", told);
    time.textContent = told;
    const width = Math.max(root.clientWidth || 700, 240);
    const height = width < 560 ? 320 : 430;
    const box = { left: 72, right: width - 12, top: 12, bottom: height - 46 };
    const shown = curves.filter(({ label }) => !state.hidden.has(label));
    const best = benchmark().true;
    const span = Object.keys(points).map(placed).filter(([x, y]) => x !== null && y !== null);
    const [ox, oy] = [objectives[state.x], objectives[state.y]];
    const X = scale(ox.log ? "log" : "linear", domain(span.map(([x]) => x), ox.log), [box.left, box.right]);
    const Y = scale(oy.log ? "log" : "linear", domain(span.map(([, y]) => y), oy.log), [box.bottom, box.top]);
    const at = (row) => { const [x, y] = placed(row); return x === null || y === null ? null : [X.place(x), Y.place(y)]; };
    const parts = [];
    for (const [value, labelled] of ticks(X, Math.max(2, (box.right - box.left) / 90))) {
      if (!labelled) continue;
      parts.push(h("line", { class: "grid", x1: X.place(value), x2: X.place(value), y1: box.top, y2: box.bottom }));
      parts.push(h("text", { x: X.place(value), y: box.bottom + 20, "text-anchor": "middle" }, tickText(value, X.log)));
    }
    for (const [value, labelled] of ticks(Y, 7)) {
      if (!labelled) continue;
      parts.push(h("line", { class: "grid", x1: box.left, x2: box.right, y1: Y.place(value), y2: Y.place(value) }));
      parts.push(h("text", { x: box.left - 9, y: Y.place(value) + 4, "text-anchor": "end" }, tickText(value, Y.log)));
    }
    parts.push(h("path", { class: "axis", d: `M${box.left},${box.top}V${box.bottom}H${box.right}` }));
    parts.push(h("text", { class: "title", x: (box.left + box.right) / 2, y: height - 8, "text-anchor": "middle" }, ox.label));
    parts.push(h("text", { class: "title", transform: `translate(14,${(box.top + box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, oy.label));
    const places = best.map(at).filter(Boolean).sort((a, b) => (ox.more ? b[0] - a[0] : a[0] - b[0]));
    if (objectives.length === 2) {
      const path = places.map(([x, y], i) => `${i ? `H${x.toFixed(1)}V` : `M${x.toFixed(1)},`}${y.toFixed(1)}`).join("");
      parts.push(h("path", { class: "truth", d: path }));
    }
    parts.push(...places.map(([x, y]) => h("circle", { class: "truth", cx: x.toFixed(1), cy: y.toFixed(1), r: 2.5 })));
    dots = best.filter((row) => at(row)).map((row) => ({ row, at: at(row) }));
    for (const { label, held, seeds } of shown) {
      for (const [row, runs] of held[state.at]) {
        const spot = at(row);
        if (!spot) continue;
        const radius = 2 + 5 * Math.sqrt(runs / seeds);
        parts.push(h("circle", { class: `held c${data.looks[label].colour}`, "data-row": row, cx: spot[0].toFixed(1), cy: spot[1].toFixed(1), r: radius.toFixed(1) }));
        dots.push({ row, at: spot });
      }
    }
    curves.forEach(({ label, all, best: hit }, i) => {
      const row = legend.querySelectorAll("tbody tr")[i];
      row.classList.toggle("hidden", state.hidden.has(label));
      const [first, second] = row.querySelectorAll("td");
      first.textContent = all[state.at];
      second.textContent = `${hit[state.at]} of ${best.length}`;
    });
    caption.textContent = `${title}: what runs hold at ${told}`;
    note.textContent = "Dots are configurations by their mean objectives; their area grows with the share of runs that hold them, " +
      `of each algorithm those 300 at most that most runs hold. Grey is the exact front of the table, of ${best.length} configurations. ` +
      "Point at one, or walk along the exact front with the arrow keys, to see it.";
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.setAttribute("aria-label", `${caption.textContent}, ${oy.label} over ${ox.label}. The table below counts configurations.`);
    plot.replaceChildren(...parts, cursor);
    show(state.row !== null && points[state.row] ? state.row : best[0]);
  }

  /** Show the configuration nearest to the pointer. */
  function point(event) {
    const bounds = plot.getBoundingClientRect();
    const zoom = plot.viewBox.baseVal.width / bounds.width;
    const [x, y] = [(event.clientX - bounds.left) * zoom, (event.clientY - bounds.top) * zoom];
    const far = ({ at }) => (at[0] - x) ** 2 + (at[1] - y) ** 2;
    const nearest = dots.reduce((a, b) => (far(b) < far(a) ? b : a));
    if (far(nearest) < 40 ** 2) show(nearest.row);
  }

  function walk(event) {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const order = [...benchmark().true].sort((a, b) => placed(a)[0] - placed(b)[0]);
    const now = order.indexOf(state.row);
    show(order[Math.min(order.length - 1, Math.max(0, now < 0 ? 0 : now + step))]);
  }

  function show(row) {
    const { objectives, points, told, cells, curves } = benchmark();
    state.row = row;
    const dot = dots.find((one) => one.row === row);
    cursor.replaceChildren(...(dot ? [h("circle", { class: "chosen", cx: dot.at[0], cy: dot.at[1], r: 9 })] : []));
    const facts = objectives.flatMap(({ label }, i) => [h("dt", {}, label), h("dd", {}, points[row][i] === null ? "–" : number(points[row][i]))]);
    for (const { label, held, seeds } of curves) {
      const runs = held[state.at].find(([r]) => r === row)?.[1] ?? 0;
      const few = !runs && held[state.at].length < benchmark().curves.find((one) => one.label === label).all[state.at];
      facts.push(h("dt", {}, label), h("dd", {}, few ? "not among those drawn" : `${runs} of ${seeds} runs hold it`));
    }
    const heading = h("h3", {}, `Row ${row}${benchmark().true.includes(row) ? ", of the exact front" : ""}`);
    card.replaceChildren(heading, ...(cells ? [drawing(cells, row)] : []), h("p", { class: "name" }, told[row]), h("dl", {}, ...facts));
  }

  function drawing({ pieces, rows }, row) {
    const [box, ...parts] = rows[row];
    const text = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}">${parts.map((i) => pieces[i]).join("")}</svg>`;
    const found = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
    found.setAttribute("role", "img");
    found.setAttribute("aria-label", benchmark().told[row]);
    return found;
  }

  state.at = benchmark().times.length - 1;
  const reading = h("div", { class: "reading" }, h("label", { for: "fronts-time" }, "At time"), slider, time);
  root.replaceChildren(controls, h("figure", {}, caption, plot, reading, legend, note), h("div", { class: "cells" }, card));
  choices();
  let width = root.clientWidth;
  new ResizeObserver(() => { if (root.clientWidth !== width) { width = root.clientWidth; draw(); } }).observe(root);
})();
