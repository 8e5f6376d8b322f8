// Draws confusion matrices and the chart of costs from the data in the page; sorts and filters the table of models.
"use strict";

const COSTS = {
  flash: "flash: bytes of .tflite",
  arena: "arena: bytes on a 64-bit host",
  macs: "multiply-accumulates a decision",
  parameters: "parameters",
};
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999"]; // Okabe and Ito's

// Plotly's megabytes are fetched when a figure is seen: most pages have none.
const PLOTLY = new URL("plotly.min.js", document.currentScript.src).href;
let plotly;
function loadPlotly() {
  plotly ??= new Promise((onload, onerror) => add(document.head, "script", { src: PLOTLY, onload, onerror }));
  return plotly;
}

function dataOf(element) {
  return JSON.parse(document.getElementById(element.dataset.source).textContent);
}

function add(parent, tag, properties = {}) {
  return parent.appendChild(Object.assign(document.createElement(tag), properties));
}

function choice(parent, name, options, onchange) {
  const label = add(parent, "label", { textContent: `${name} ` });
  const select = add(label, "select", { name, onchange });
  for (const [value, text] of options) add(select, "option", { value, textContent: text });
  return select;
}

// Plotly cannot read the theme's colours by itself.
function layout(element) {
  const colour = getComputedStyle(element).color;
  const axis = { color: colour, gridcolor: "rgba(128,128,128,0.3)", zeroline: false, automargin: true };
  return {
    axis,
    common: {
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { color: colour, size: 12 },
      margin: { l: 10, r: 10, t: 10, b: 10 },
    },
  };
}
const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };

function drawMatrix(element) {
  const { classes, matrices } = dataOf(element);
  const choices = add(element, "span", { className: "hz-choices" });
  const unique = (key) => [...new Set(matrices.map((m) => m[key]))].map((value) => [value, value]);
  const draw = () => {
    const found = matrices.find((m) => m.split === split.value && m.file === file.value);
    const percent = found.counts.map((row) => {
      const total = row.reduce((sum, n) => sum + n, 0);
      return row.map((n) => (total ? (100 * n) / total : 0));
    });
    const text = found.counts.map((row, i) =>
      row.map((n, j) => (unit.value === "counts" ? n.toLocaleString("en") : `${percent[i][j].toFixed(1)} %`))
    );
    const { axis, common } = layout(element);
    Plotly.react(
      plot,
      [
        {
          type: "heatmap",
          x: classes,
          y: classes,
          z: percent,
          zmin: 0,
          zmax: 100,
          text,
          texttemplate: "%{text}",
          customdata: found.counts,
          colorscale: [[0, "#f7fbff"], [1, "#08306b"]],
          showscale: false,
          hovertemplate: "true %{y}, called %{x}: %{customdata:,} (%{z:.1f} % of true %{y})<extra></extra>",
        },
      ],
      {
        ...common,
        xaxis: { ...axis, title: { text: "predicted" }, type: "category" },
        yaxis: { ...axis, title: { text: "true" }, type: "category", autorange: "reversed" },
      },
      { ...CONFIG, displayModeBar: false }
    );
  };
  const split = choice(choices, "split", unique("split"), draw);
  const file = choice(choices, "file", unique("file"), draw);
  const unit = choice(choices, "show", [["counts", "counts"], ["percent", "percent of the true class"]], draw);
  const plot = add(element, "span", { className: "plot" });
  add(element, "small", { textContent: "The darker, the larger the share of the true class." });
  draw();
  return draw;
}

function drawCosts(element) {
  const { models, published } = dataOf(element);
  const choices = add(element, "span", { className: "hz-choices" });
  const groups = [...new Set(models.map((m) => m.group))].sort();
  const trace = (points, name, cost, marker, bars) => ({
    type: "scatter",
    mode: "markers",
    name,
    x: points.map((p) => p[cost]),
    y: points.map((p) => p.value),
    text: points.map((p) => `${p.name}<br>${p.note}`),
    hovertemplate: "%{text}<br>%{y:.3f} at %{x:,}<extra></extra>",
    marker: { size: 9, ...marker },
    ...(bars && {
      error_y: {
        type: "data",
        symmetric: false,
        array: points.map((p) => p.high - p.value),
        arrayminus: points.map((p) => p.value - p.low),
        thickness: 1,
        width: 2,
      },
    }),
  });
  const draw = () => {
    const known = (points) => points.filter((p) => p[cost.value] != null);
    const traces = groups.map((group, i) =>
      trace(known(models.filter((m) => m.group === group)), group, cost.value, { color: COLOURS[i % COLOURS.length] }, true)
    );
    traces.push(
      trace(known(published), "published by others", cost.value, { symbol: "diamond-open", color: "#888888", size: 11 }, false)
    );
    const { axis, common } = layout(element);
    Plotly.react(
      plot,
      traces,
      {
        ...common,
        xaxis: { ...axis, type: "log", title: { text: COSTS[cost.value] } },
        yaxis: { ...axis, title: { text: "macro-F1" } },
        legend: { orientation: "h", y: -0.2 },
      },
      CONFIG
    );
  };
  const cost = choice(choices, "cost", Object.entries(COSTS), draw);
  const plot = add(element, "span", { className: "plot" });
  draw();
  return draw;
}

function sortTable(table, column, descending) {
  const kind = table.tHead.rows[0].cells[column].dataset.kind;
  const value = (row) => row.cells[column].dataset.value;
  const compare = (a, b) => {
    if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === ""); // what is absent comes last
    const order = kind === "number" ? value(a) - value(b) : value(a).localeCompare(value(b));
    return descending ? -order : order;
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  [...table.tHead.rows[0].cells].forEach((cell, i) => {
    cell.setAttribute("aria-sort", i === column ? (descending ? "descending" : "ascending") : "none");
  });
}

function setUpTable(table) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    cell.querySelector("button").onclick = () => {
      const first = cell.dataset.kind === "number" && cell.textContent.startsWith("macro-F1"); // best first
      const now = cell.getAttribute("aria-sort");
      sortTable(table, column, now === "ascending" || (now !== "descending" && first));
    };
  });
  const form = document.getElementById("model-filters");
  const within = (limit, bytes) => limit === "" || (bytes !== "" && Number(bytes) <= 1024 * Number(limit));
  const filter = () => {
    const { text, task, track, flash, arena } = Object.fromEntries(new FormData(form));
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const { dataset } = row;
      row.hidden = !(
        dataset.name.includes(text.trim().toLowerCase()) &&
        (!task || dataset.task === task) &&
        (!track || dataset.track === track) &&
        within(flash, dataset.flash) &&
        within(arena, dataset.arena)
      );
      shown += !row.hidden;
    }
    form.elements.count.value = `${shown} of ${table.tBodies[0].rows.length} models`;
  };
  form.oninput = filter;
  window.addEventListener("pageshow", filter); // a browser that goes back fills in what was chosen
  filter();
}

document.addEventListener("DOMContentLoaded", () => {
  const redraw = [];
  const kinds = { matrix: drawMatrix, costs: drawCosts };
  // In a hidden tab there is no width to draw for: each is drawn when it is seen.
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      loadPlotly().then(() => redraw.push(kinds[target.className.replace("hz-", "")](target)));
    }
  });
  document.querySelectorAll(".hz-matrix, .hz-costs").forEach((element) => seen.observe(element));
  document.querySelectorAll("table.hz-models").forEach(setUpTable);
  const scheme = new MutationObserver(() => redraw.forEach((draw) => draw()));
  scheme.observe(document.body, { attributes: true, attributeFilter: ["data-md-color-scheme"] });
});
