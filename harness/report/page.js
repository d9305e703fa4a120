(() => {
  const state = { benchmark: 0, kind: "val", statistic: data.statistic, band: "sem", spread: "quartiles", x: "log", y: "log", hidden: new Set() };
  const first = { ...state };
  const charts = [];
  let paper = false;

  // What the charts show: `x` ascending, and for each algorithm its value from each x on, null before it begins.

  const benchmark = () => data.benchmarks[state.benchmark];

  // Choices are in the fragment of the address, so that it can be kept and sent: #regret?benchmark=nb201/cifar10&x=linear

  const words = {
    kind: ["val", "test"], statistic: ["mean", "median"], band: ["off", "sem", "simultaneous"], spread: ["off", "quartiles"],
    x: ["log", "linear"], y: ["log", "linear"],
  };

  function recall() {
    const [place, said] = location.hash.split("?");
    if (!said) return;
    const chosen = new URLSearchParams(said);
    for (const [name, known] of Object.entries(words)) if (known.includes(chosen.get(name))) state[name] = chosen.get(name);
    state.benchmark = Math.max(0, data.benchmarks.findIndex(({ name }) => name === chosen.get("benchmark")));
    state.hidden = new Set(chosen.getAll("hide"));
    document.getElementById(place.slice(1))?.scrollIntoView();
  }

  function remember() {
    const chosen = new URLSearchParams({ benchmark: benchmark().name });
    for (const [name, known] of Object.entries(words)) if (state[name] !== first[name]) chosen.set(name, state[name]);
    for (const label of state.hidden) chosen.append("hide", label);
    history.replaceState(null, "", `#regret?${chosen}`);
  }

  /** The band of what is drawn: a mean has other ones than a median. */
  const band = () => (state.statistic === "mean" ? state.band : state.spread);
  const kindOf = (curves) => (curves.some((curve) => curve[state.kind]) ? state.kind : "val");

  function regretModel(of = benchmark()) {
    const { title, against, times, unit, time, curves, seeds, regret } = of;
    const kind = kindOf(curves);
    const widths = [];
    const series = curves.filter((curve) => curve[kind]).map((curve) => {
      const { mean, sem, median, q25, q75, width } = curve[kind];
      const across = state.band === "simultaneous" ? width : 2;
      widths.push(`${width} for ${curve.label}`);
      const late = new Array(curve.from).fill(null);
      if (state.statistic === "median") return { label: curve.label, y: [...late, ...median], low: [...late, ...q25], high: [...late, ...q75] };
      const side = (sign) => [...late, ...mean.map((value, i) => value + sign * across * sem[i])];
      return { label: curve.label, y: [...late, ...mean], low: side(-1), high: side(1), half: [...late, ...sem.map((s) => across * s)] };
    });
    const bands = {
      off: "No band is drawn: the lines alone do not say how sure they are.",
      sem: "Bands are ±2 standard errors of the mean at each time by itself: at any one time some 95 % of such intervals " +
        "hold the true mean, over a whole curve fewer. They are not the spread of single runs.",
      simultaneous: "Bands hold the whole mean curve, at all drawn times at once, with 95 % confidence (sup-t, from a " +
        `bootstrap over whole seeds). Their half widths in standard errors: ${widths.join(", ")}. They are not the ` +
        "spread of single runs.",
      quartiles: "Bands hold the middle half of the runs at each time: they are the spread of single runs, and do not say " +
        "how sure the median is.",
    };
    const told = { off: [], quartiles: ["quartiles"] }[band()] ?? ["half width of the band"];
    const median = state.statistic === "median" ? " --statistic median" : "";
    return {
      title: `${title}: ${state.statistic} ${regret[kind]} of ${seeds} runs`,
      note: `Regret is against ${against[kind]}. Curves are exact at ${times.length} times, and each value is held ` +
        `until the next: nothing is interpolated. ${bands[band()]}` +
        (state.y === "log" && series.some((one) => one.y.includes(0)) ? ` A ${state.statistic} of 0 is drawn at the lower edge.` : ""),
      x: times, xLabel: time, yLabel: regret[kind], xScale: state.x, yScale: state.y, series,
      band: band() !== "off", at: clock(unit),
      head: [`${state.statistic} ${regret[kind]}`, ...told],
      read: (one, i) => [number(one.y[i]), ...told.map(() => (one.half ? `± ${number(one.half[i], 2)}` : `${number(one.low[i])} to ${number(one.high[i])}`))],
      command: (i) => `harness show ${data.results} --at ${times[i]}${median}`,
    };
  }

  function ranksModel() {
    const { labels, x, seconds, unit, time, regret, average, low, high } = data.ranks[state.kind] ?? data.ranks.val;
    const drawn = band() !== "off";
    return {
      title: data.benchmarks.length > 1 ? `Rank of the mean ${regret}, averaged over benchmarks`
        : `Rank of each run among those of its seed by ${regret}, averaged over seeds`,
      note: "1 is best. " + (drawn
        ? "Bands hold 95 % of the ranks that resampled seeds give at each time: they speak of other seeds on these benchmarks, not of other benchmarks."
        : "No band is drawn: the lines alone do not say how sure they are."),
      x, xLabel: seconds ? time : "share of the budget", yLabel: "average rank",
      xScale: state.x, yScale: "linear", yDomain: [0.8, labels.length + 0.2], yTicks: labels.map((_, i) => i + 1),
      series: labels.map((label, i) => ({ label, y: average[i], low: low[i], high: high[i] })), band: drawn,
      at: seconds ? clock(unit) : (share) => `${(100 * share).toPrecision(3)} % of the budget`,
      head: ["average rank", ...(drawn ? ["95 % of resamples"] : [])],
      read: (one, i) => [one.y[i].toFixed(2), ...(drawn ? [`${one.low[i].toFixed(2)} to ${one.high[i].toFixed(2)}`] : [])],
    };
  }

  function yDomain(model, shown) {
    if (model.yDomain) return model.yDomain;
    const values = shown.flatMap((one) => one.y.filter((v) => v !== null));
    const tops = model.band ? shown.flatMap((one) => one.high.filter((v) => v !== null)) : values;
    const high = Math.max(...tops);
    if (model.yScale === "linear") return [Math.min(0, ...values), high > 0 ? high * 1.03 : 1];
    const positive = values.filter((v) => v > 0);
    const low = positive.length ? Math.min(...positive) / 1.5 : 1e-12;
    return [low, Math.max(high * 1.1, low * 10)];
  }

  /** A step function as a path: each value is held until the next x. */
  function steps(x, y, X, Y, clamp) {
    let path = "";
    y.forEach((value, i) => {
      if (value === null) return;
      path += `${path ? "H" : "M"}${X(x[i]).toFixed(1)}${path ? "V" : ","}${clamp(Y(value)).toFixed(1)}`;
    });
    return path;
  }

  function area(x, low, high, X, Y, clamp) {
    const there = x.map((_, i) => i).filter((i) => low[i] !== null);
    const up = steps(x, high, X, Y, clamp);
    let back = "";
    for (let j = there.length - 1; j >= 0; j--) {
      const y = clamp(Y(low[there[j]])).toFixed(1);
      back += `V${y}H${X(x[there[j]]).toFixed(1)}`;
    }
    return `${up}${back}Z`;
  }

  class Chart {
    constructor(root, name, model) {
      Object.assign(this, { root, name, model, labels: "", at: null });
      this.caption = h("figcaption", { id: `${name}-caption` });
      this.plot = h("svg", { class: "plot", role: "img", onpointermove: (e) => this.point(e), onpointerdown: (e) => this.point(e) });
      this.slider = h("input", { type: "range", id: `${name}-time`, min: 0, oninput: () => this.read(Number(this.slider.value)) });
      this.time = h("output", { for: `${name}-time` });
      this.legend = h("div", { class: "scroll legend", role: "region", "aria-label": `Values of ${name} at the chosen time`, tabindex: 0 });
      this.note = h("p", { class: "note" });
      const reading = h("div", { class: "reading" }, h("label", { for: `${name}-time` }, "Read at time"), this.slider, this.time);
      root.replaceChildren(h("figure", {}, this.caption, this.plot, reading, this.legend, this.note));
      new ResizeObserver(() => { if (!paper && root.clientWidth !== this.width) this.draw(); }).observe(root);
    }

    update() {
      this.now = this.model();
      const { x, series, note, title, head } = this.now;
      this.caption.textContent = title;
      this.note.textContent = note;
      if (this.slider.max !== String(x.length - 1) || this.at === null) {
        this.slider.max = x.length - 1;
        this.at = x.length - 1;
      }
      const labels = JSON.stringify([series.map((one) => one.label), head]);
      if (labels !== this.labels) this.list();
      this.labels = labels;
      this.draw();
    }

    /** The table that is legend, choice of algorithms and read-out in one. */
    list() {
      const focused = document.activeElement?.id;
      const { series, head } = this.now;
      this.rows = series.map(({ label }, i) => {
        const { colour, dash } = data.looks[label];
        const line = h("path", { d: "M0 6H30", class: `line c${colour}`, "stroke-dasharray": scaled(dash) });
        const sample = h("svg", { viewBox: "0 0 30 12", class: "sample", "aria-hidden": "true" }, line);
        const box = h("input", { type: "checkbox", id: `${this.name}-${i}`, onchange: () => toggle(label, box.checked) });
        const cells = head.map(() => h("td", { class: "number" }));
        return { label, box, cells, row: h("tr", {}, h("th", { scope: "row" }, h("label", {}, box, sample, h("span", {}, label))), ...cells) };
      });
      const top = ["algorithm", ...head].map((text, i) => h("th", { scope: "col", class: i > 0 && "number" }, text));
      this.legend.replaceChildren(h("table", { "aria-labelledby": `${this.name}-caption` }, h("thead", {}, h("tr", {}, ...top)), h("tbody", {}, ...this.rows.map((r) => r.row))));
      if (focused) document.getElementById(focused)?.focus();
    }

    draw() {
      if (!this.now) return;
      const { x, series, xScale, yScale, xLabel, yLabel, band, yTicks } = this.now;
      this.width = paper ? 700 : this.root.clientWidth;
      const [width, height] = [Math.max(this.width, 240), this.width < 560 ? 300 : this.width < 800 ? 360 : 430];
      const box = { left: 64, right: width - 12, top: 12, bottom: height - 46 };
      const visible = series.filter((one) => !state.hidden.has(one.label));
      const shown = visible.length ? visible : series;
      const start = xScale === "log" ? x[0] : 0;
      this.X = scale(xScale, [start, x.at(-1)], [box.left, box.right]);
      this.Y = scale(yScale, yDomain(this.now, shown), [box.bottom, box.top]);
      const [X, Y] = [this.X.place, this.Y.place];
      const clamp = (y) => (Number.isFinite(y) ? Math.min(Math.max(y, box.top - 5), box.bottom) : box.bottom);
      const parts = [];
      for (const [value, labelled] of ticks(this.X, Math.max(2, (box.right - box.left) / 90))) {
        if (labelled) parts.push(h("line", { class: "grid", x1: X(value), x2: X(value), y1: box.top, y2: box.bottom }));
        parts.push(h("line", { class: "axis", x1: X(value), x2: X(value), y1: box.bottom, y2: box.bottom + (labelled ? 6 : 3) }));
        if (labelled) parts.push(h("text", { x: Math.min(X(value), width - 16), y: box.bottom + 20, "text-anchor": "middle" }, tickText(value, this.X.log)));
      }
      for (const [value, labelled] of yTicks?.map((tick) => [tick, true]) ?? ticks(this.Y, 7)) {
        if (labelled) parts.push(h("line", { class: "grid", x1: box.left, x2: box.right, y1: Y(value), y2: Y(value) }));
        parts.push(h("line", { class: "axis", x1: box.left - (labelled ? 6 : 3), x2: box.left, y1: Y(value), y2: Y(value) }));
        if (labelled) parts.push(h("text", { x: box.left - 9, y: Y(value) + 4, "text-anchor": "end" }, tickText(value, this.Y.log)));
      }
      parts.push(h("path", { class: "axis", fill: "none", d: `M${box.left},${box.top}V${box.bottom}H${box.right}` }));
      parts.push(h("text", { class: "title", x: (box.left + box.right) / 2, y: height - 8, "text-anchor": "middle" }, xLabel));
      parts.push(h("text", { class: "title", transform: `translate(14,${(box.top + box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel));
      for (const one of visible) {
        const { colour, dash } = data.looks[one.label];
        if (band) parts.push(h("path", { class: `band c${colour}`, d: area(x, one.low, one.high, X, Y, clamp) }));
        parts.push(h("path", { class: `line c${colour}`, "stroke-dasharray": scaled(dash), "data-label": one.label, d: steps(x, one.y, X, Y, clamp) }));
      }
      if (!visible.length) parts.push(h("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "No algorithm is chosen."));
      this.cursor = h("g", {});
      this.clamp = clamp;
      this.box = box;
      this.plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.plot.setAttribute("aria-label", `${this.caption.textContent}, over ${xLabel}: ${visible.map((one) => one.label).join(", ")}. The table below has the values at the chosen time.`);
      this.plot.replaceChildren(...parts, this.cursor);
      this.read(this.at);
    }

    /** Move the cursor to the last time at or before the pointer. */
    point(event) {
      const bounds = this.plot.getBoundingClientRect();
      const time = this.X.back(((event.clientX - bounds.left) / bounds.width) * this.plot.viewBox.baseVal.width);
      const { x } = this.now;
      let i = x.findIndex((t) => t > time * (1 + 1e-9));
      this.read(i < 0 ? x.length - 1 : Math.max(0, i - 1));
    }

    read(i) {
      const { x, series, read, at, command } = this.now;
      this.at = i;
      this.slider.value = i;
      const told = at(x[i]);
      this.slider.setAttribute("aria-valuetext", told);
      this.time.textContent = told;
      const place = this.X.place(x[i]);
      const marks = [h("line", { class: "cursor", x1: place, x2: place, y1: this.box.top, y2: this.box.bottom })];
      this.rows.forEach(({ label, box, cells, row }, k) => {
        const hidden = state.hidden.has(label);
        const there = series[k].y[i] !== null;
        box.checked = !hidden;
        row.classList.toggle("hidden", hidden);
        const texts = there ? read(series[k], i) : ["no result of every run yet"];
        cells.forEach((cell, c) => { cell.textContent = texts[c] ?? ""; });
        if (there && !hidden) {
          const y = this.clamp(this.Y.place(series[k].y[i]));
          marks.push(h("circle", { class: `dot c${data.looks[label].colour}`, cx: place, cy: y, r: 4.5 }));
        }
      });
      this.cursor.replaceChildren(...marks);
      if (command) document.getElementById("at-cursor").textContent = command(i);
    }
  }

  function toggle(label, shown) {
    if (shown) state.hidden.delete(label);
    else state.hidden.add(label);
    charts.forEach((chart) => chart.draw());
    remember();
  }

  function choose(setting, value) {
    state[setting] = value;
    remember();
    allow();
    charts.forEach((chart) => chart.update());
  }

  function segments(legend, setting, options) {
    const labels = options.map(([value, text]) => {
      const box = h("input", { type: "radio", name: setting, value, checked: state[setting] === value, onchange: () => choose(setting, value) });
      return h("label", {}, box, h("span", {}, text));
    });
    return h("fieldset", {}, h("legend", {}, legend), h("div", { class: "segments" }, ...labels));
  }

  /** Only choices that there are: no test regret where there is none, and the bands of the statistic that is drawn. */
  function allow() {
    for (const [name, statistic] of [["band", "mean"], ["spread", "median"]]) {
      document.querySelector(`input[name=${name}]`).closest("fieldset").hidden = state.statistic !== statistic;
    }
    const test = document.querySelector("input[name=kind][value=test]");
    const there = benchmark().curves.some((curve) => curve.test);
    test.disabled = !there;
    test.parentElement.title = there ? "" : "The table of this benchmark has no test metric.";
  }

  function controls() {
    const names = data.benchmarks.map(({ title }, i) => h("option", { value: i, selected: i === state.benchmark }, title));
    const select = h("select", { id: "benchmark", onchange: () => choose("benchmark", Number(select.value)) }, ...names);
    return h("form", { class: "controls", "aria-label": "What the curves show" },
      h("label", { class: "choice" }, h("span", {}, "Benchmark"), select),
      segments("Regret", "kind", [["val", "Validation"], ["test", "Test"]]),
      segments("Curve", "statistic", [["mean", "Mean"], ["median", "Median"]]),
      segments("Time axis", "x", [["log", "Log"], ["linear", "Linear"]]),
      segments("Regret axis", "y", [["log", "Log"], ["linear", "Linear"]]),
      segments("Band", "band", [["off", "Off"], ["sem", "±2 SEM"], ["simultaneous", "Whole curve"]]),
      segments("Band", "spread", [["off", "Off"], ["quartiles", "Quartiles"]]));
  }

  const root = document.getElementById("regret-chart");
  const place = h("div", {});
  recall();
  root.replaceChildren(controls(), place);
  document.querySelector("#regret .reproduce pre").append("\n", h("span", { id: "at-cursor" }));
  charts.push(new Chart(place, "regret", () => regretModel()));
  const ranks = document.getElementById("ranks-chart");
  if (ranks && data.ranks) charts.push(new Chart(ranks, "ranks", ranksModel));
  allow();
  charts.forEach((chart) => chart.update());
  addEventListener("beforeprint", () => {
    paper = true;
    data.benchmarks.forEach((one, i) => {
      if (i === state.benchmark) return;
      const chart = new Chart(h("div", { class: "printed" }), `regret-${i}`, () => ({ ...regretModel(one), command: null }));
      root.append(chart.root);
      chart.update();
    });
    document.querySelectorAll("details").forEach((one) => { one.open = true; });
    charts.forEach((chart) => chart.draw());
  });
  addEventListener("afterprint", () => {
    paper = false;
    document.querySelectorAll(".printed").forEach((one) => one.remove());
    charts.forEach((chart) => chart.draw());
  });
})();
