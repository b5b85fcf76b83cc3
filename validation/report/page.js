// What the page does: draw the maps, show the point that is pointed at, draw its landscape.

const byId = (id) => document.getElementById(id);
const dataset = readDataset(byId("dataset").textContent);
const settings = JSON.parse(byId("settings").textContent);
const figures = JSON.parse(byId("figures").textContent);
const density = dataset.variables.density.values;
const importance = dataset.variables.importance.values;
const at = (name, i, j) => valuesAt(dataset, name, i, j);
const drawing = { displayModeBar: false, responsive: true };
let shown = null;   // the point whose details are shown
let chosen = null;  // the point that was clicked, whose landscape is drawn

// --- numbers and elements. Every text goes in as text: no name becomes markup.

function number(x, digits = 5) {
  if (x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return "diverged";
  if (x === 0) return "0";
  const size = Math.abs(x);
  const text = size >= 1e-3 && size < 1e5
    ? String(Number(x.toPrecision(digits))) : x.toExponential(digits - 1);
  return text.replaceAll("-", "−");
}

function percentage(share) {
  if (share === undefined || Number.isNaN(share)) return "–";
  if (!Number.isFinite(share)) return "diverged";
  if (Math.abs(share) < 1e-12) return "0 %"; // rounding of the two losses
  return `${number(100 * share, 3)} %`;
}

function element(tag, content = [], attributes = {}) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  for (const part of [].concat(content)) made.append(part);
  return made;
}

function table(caption, headers, rows) {
  const head = element("tr", headers.map((text, k) => element("th", text, { scope: "col", ...(k ? {} : { class: "t" }) })));
  const body = rows.map((row) => element("tr", row.map((cell, k) =>
    element(k ? "td" : "th", cell, k ? {} : { scope: "row", class: "t" }))));
  return element("div", element("table", [
    element("caption", caption), element("thead", head), element("tbody", body),
  ]), { class: "wide" });
}

const vector = (values) => `(${Array.from(values, (x) => number(x, 4)).join(", ")})`;

function matrix(values, rows) {
  const columns = values.length / rows;
  return `[${Array.from({ length: rows }, (_, k) =>
    Array.from(values.slice(k * columns, (k + 1) * columns), (x) => number(x, 4)).join(", "),
  ).join("; ")}]`;
}

const phaseName = (code) => settings.phases[code] ?? "–";
const forPlotly = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

// --- the details of a point

// Gaps are relative to the optimum's loss, unless that is 0 up to rounding.
function relativeAt(i, j) {
  const optimum = at("optimum_loss", i, j);
  const greatest = density[i] * (settings.n_features - 1 + importance[j]);
  return (gap) => (optimum > 1e-16 * greatest ? gap / optimum : NaN);
}

function minimaAt(i, j) {
  const loss = at("minimum_loss", i, j);
  const size = (name) => at(name, i, j).length / loss.length;
  return Array.from(loss, (value, k) => ({
    loss: value,
    phase: phaseName(at("minimum_phase", i, j)[k]),
    W: at("minimum_W", i, j).slice(k * size("minimum_W"), (k + 1) * size("minimum_W")),
    b: at("minimum_b", i, j).slice(k * size("minimum_b"), (k + 1) * size("minimum_b")),
  })).filter((minimum) => Number.isFinite(minimum.loss));
}

function replicasAt(i, j) {
  const optimum = at("optimum_loss", i, j);
  const relative = relativeAt(i, j);
  return Array.from(at("trained_loss", i, j), (loss, k) => ({
    loss,
    phase: phaseName(at("trained_phase", i, j)[k]),
    above: relative(loss - optimum),
    basin: relative(at("basin_gap", i, j)[k]),
    protocol: relative(at("protocol_gap", i, j)[k]),
    settled: at("settled_loss", i, j)[k],
    stuck: at("stuck", i, j)[k] === 1,
  }));
}

function describe(i, j) {
  const optimum = at("optimum_loss", i, j);
  const relative = relativeAt(i, j);
  const replicas = replicasAt(i, j);
  const theory = Array.from(at("candidate_loss", i, j), (loss, k) => [
    settings.candidates[k] + (k === at("theory_phase", i, j) ? " (lowest)" : ""),
    number(loss), percentage(relative(loss - optimum)),
  ]);
  const minima = minimaAt(i, j).map((minimum, k) => [
    `${k + 1}: ${minimum.phase}`, number(minimum.loss),
    percentage(relative(minimum.loss - optimum)),
    matrix(minimum.W, settings.n_hidden), vector(minimum.b),
    String(replicas.filter((replica) =>
      Math.abs(replica.settled - minimum.loss) <= 1e-6 * minimum.loss).length),
  ]);
  return [
    element("h3", `s = ${number(density[i])}, r = ${number(importance[j])}`),
    element("p", [
      `Optimum: ${phaseName(at("optimum_phase", i, j))}, loss ${number(optimum, 7)}, `,
      `W = ${matrix(at("optimum_W", i, j), settings.n_hidden)}, `,
      `b = ${vector(at("optimum_b", i, j))}. `,
      `Gradient norm ${number(at("optimum_gradient_norm", i, j), 2)}; `,
      `${percentage(at("optimum_share", i, j))} of the random starts of the search reach it.`,
    ]),
    table("Closed forms", ["phase", "loss", "above the optimum"], theory),
    table("Local minima, up to symmetry",
      ["phase", "loss", "above the optimum", "W", "b", "replicas here"], minima),
    table("Trained replicas, best first",
      ["phase", "loss", "above the optimum", "by local minimum", "not converged"],
      replicas.sort((a, b) => a.loss - b.loss).map((replica) => [
        replica.phase + (replica.stuck ? " (stuck)" : ""), number(replica.loss),
        percentage(replica.above), percentage(replica.basin), percentage(replica.protocol),
      ])),
  ];
}

function show(i, j) {
  if (shown && shown[0] === i && shown[1] === j) return;
  shown = [i, j];
  byId("point").replaceChildren(...describe(i, j));
  byId("density").value = String(i);
  byId("importance").value = String(j);
}

// --- the landscape at a point

function modelAt(i, j) {
  return {
    density: density[i], both: settings.pair_probability[i], r: importance[j],
    relu: settings.activation === "relu", penalty: settings.penalty,
  };
}

function marks(name, points, marker) {
  return {
    type: "scatter", mode: "markers", name, marker,
    x: points.map((point) => point[0]), y: points.map((point) => point[1]),
    hovertemplate: `${name}<br>w₁ = %{x:.4f}<br>w₂ = %{y:.4f}<extra></extra>`,
  };
}

// Weights and their symmetric copies: the sign of all, and of equal features the order.
function copies(points, r) {
  const swapped = r === 1 ? points.map(([x, y]) => [y, x]) : [];
  const all = [...points, ...swapped];
  return [...all, ...all.map(([x, y]) => [-x, -y])];
}

function contourMap(i, j) {
  const minima = minimaAt(i, j).map((minimum) => Array.from(minimum.W));
  const trained = Array.from(at("trained_W", i, j) ?? []);
  const replicas = trained.filter((_, k) => k % 2 === 0).map((x, k) => [x, trained[2 * k + 1]])
    .filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  const farthest = Math.max(1.1, ...minima.flat().map(Math.abs));
  const { x, loss } = lossMap(1.25 * farthest, 65, modelAt(i, j));
  // Losses can be 0: nothing is drawn deeper than six decades below the highest.
  const floor = Math.max(1e-6 * Math.max(...loss.flat()), 1e-300);
  const logs = loss.map((row) => row.map((value) => Math.log10(Math.max(value, floor))));
  const [lowest, highest] = [Math.min(...logs.flat()), Math.max(...logs.flat())];
  const ticks = Array.from({ length: 5 }, (_, k) => lowest + (k * (highest - lowest)) / 4);
  const traces = [
    {
      type: "contour", x, y: x, z: logs, colorscale: "Cividis", ncontours: 28,
      line: { width: 0.5, color: "rgba(255,255,255,0.45)" },
      colorbar: { thickness: 10, outlinewidth: 0, title: { text: "loss", side: "top" },
        tickvals: ticks, ticktext: ticks.map((t) => number(10 ** t, 2)) },
      text: loss.map((row) => row.map((value) => number(value))),
      hovertemplate: "w₁ = %{x:.3f}<br>w₂ = %{y:.3f}<br>loss %{text}<extra></extra>",
    },
    marks("closed forms", copies(settings.candidate_weights, NaN),
      { symbol: "x", size: 8, color: "#ffffff", line: { width: 1, color: "#000000" } }),
    marks("other minimum", copies(minima.slice(1), importance[j]),
      { symbol: "diamond", size: 11, color: "#D55E00", line: { width: 1, color: "#ffffff" } }),
    marks("optimum", copies(minima.slice(0, 1), importance[j]),
      { symbol: "star", size: 15, color: "#F0E442", line: { width: 1, color: "#000000" } }),
    marks("trained replica", replicas,
      { symbol: "circle", size: 6, color: "#ffffff", line: { width: 1, color: "#000000" } }),
  ];
  const axis = (text) => ({ title: { text, standoff: 6 }, range: [x[0], x.at(-1)],
    fixedrange: true, zeroline: false, constrain: "domain" });
  Plotly.react(byId("landscape"), traces, {
    height: 460, margin: { l: 50, r: 10, t: 8, b: 44 }, dragmode: false, hovermode: "closest",
    xaxis: axis("w₁"), yaxis: { ...axis("w₂"), scaleanchor: "x" },
    legend: { orientation: "h", y: -0.14 }, paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
  }, drawing);
  byId("landscape-text").textContent =
    `Loss over the weights (w₁, w₂) at s = ${number(density[i])}, r = ${number(importance[j])}, ` +
    `minimized over the biases at every pixel; W and −W are one model. ` +
    `${minima.length} distinct local ${minima.length === 1 ? "minimum" : "minima"}.`;
}

function slices(i, j) {
  const minima = minimaAt(i, j);
  const loss = at("slice_loss", i, j);
  const text = byId("landscape-text");
  if (!loss || !minima.length) {
    Plotly.purge(byId("landscape"));
    text.textContent = minima.length
      ? "The slices were left out: the page would be too large." : "No minimum was found here.";
    return;
  }
  const positions = Array.from(dataset.variables.position.values);
  const colors = ["#555555", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"];
  const traces = minima.map((minimum, k) => {
    const name = k ? `to minimum ${k + 1}: ${minimum.phase}` : "to the empty model, W = 0";
    return {
      type: "scatter", mode: "lines", name: forPlotly(name), x: positions,
      y: Array.from(loss.subarray(k * positions.length, (k + 1) * positions.length)),
      line: { color: colors[k % colors.length], dash: k ? "solid" : "dot", width: 2 },
      hovertemplate: "position %{x:.3f}<br>loss %{y:.5g}<extra></extra>",
    };
  });
  traces.push({
    type: "scatter", mode: "markers", name: "minima", hovertemplate: "loss %{y:.6g}<extra></extra>",
    x: minima.map((_, k) => (k ? 1 : 0)), y: minima.map((minimum) => minimum.loss),
    marker: { symbol: "star", size: 12, color: "#F0E442", line: { width: 1, color: "#000000" } },
  });
  Plotly.react(byId("landscape"), traces, {
    height: 420, margin: { l: 70, r: 10, t: 8, b: 44 }, dragmode: false, hovermode: "closest",
    xaxis: { title: { text: "position: 0 is the optimum, 1 the end of the line", standoff: 6 },
      fixedrange: true, zeroline: false },
    yaxis: { title: { text: "exact loss" }, fixedrange: true, zeroline: false, exponentformat: "e" },
    legend: { orientation: "h", y: -0.18 }, paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
  }, drawing);
  text.textContent =
    `Exact loss on straight lines from the optimum at s = ${number(density[i])}, ` +
    `r = ${number(importance[j])}, in weights and biases. ` +
    `${minima.length} distinct local ${minima.length === 1 ? "minimum" : "minima"}.`;
}

function choose(i, j) {
  chosen = [i, j];
  show(i, j);
  if (settings.pair_probability) contourMap(i, j);
  else slices(i, j);
  for (const panel of figures) Plotly.relayout(panel.name, { shapes: cross(i, j) });
}

// Lines through a point of a map, dark on light, so that they show on every color. Not rings of a
// fixed size: plotly places these wrongly on logarithmic axes.
function cross(i, j) {
  const [r, s] = [importance[j], density[i]];
  const lines = [
    { xref: "x", x0: r, x1: r, yref: "paper", y0: 0, y1: 1 },
    { xref: "paper", x0: 0, x1: 1, yref: "y", y0: s, y1: s },
  ];
  const pens = [{ color: "#ffffff", width: 3 }, { color: "#000000", width: 1, dash: "dot" }];
  return pens.flatMap((line) => lines.map((place) => ({ type: "line", line, ...place })));
}

// --- the maps

function hoverText(panel, i, j) {
  const value = at(panel.name, i, j);
  if (panel.kind === "phase") return forPlotly(phaseName(value));
  if (panel.kind === "share") return percentage(value);
  return percentage(panel.gaps[i][j] ?? NaN);
}

function drawMap(panel) {
  const [map] = panel.data;
  map.text = Array.from(density, (_, i) => Array.from(importance, (_, j) => hoverText(panel, i, j)));
  const place = byId(panel.name);
  Plotly.newPlot(place, panel.data, panel.layout, drawing);
  place.on("plotly_hover", ({ points: [point] }) => show(...point.pointNumber));
  place.on("plotly_unhover", () => chosen && show(...chosen));
  place.on("plotly_click", ({ points: [point] }) => choose(...point.pointNumber));
}

// --- the keyboard's way to a point, and the table of all of them

function fillSelect(id, values) {
  byId(id).replaceChildren(...Array.from(values, (x, k) =>
    element("option", number(x), { value: String(k) })));
  byId(id).addEventListener("change", () =>
    choose(Number(byId("density").value), Number(byId("importance").value)));
}

function listPoints() {
  const i = Number(byId("density").value);
  const rows = Array.from(importance, (r, j) => {
    const button = element("button", number(r), { type: "button" });
    button.addEventListener("click", () => choose(i, j));
    return [button, ...settings.maps.map(([name]) => phaseName(at(name, i, j))),
      number(at("optimum_loss", i, j)), number(at("theory_loss", i, j)),
      number(at("best_trained_loss", i, j)), percentage(at("stuck_fraction", i, j))];
  });
  byId("points").replaceChildren(table(`All points at density s = ${number(density[i])}`,
    ["r", ...settings.maps.map(([, title]) => title), "optimum", "theory", "best replica", "stuck"],
    rows));
}

// --- the download

function offer(id, name, type, write) {
  byId(id).addEventListener("click", () => {
    const blob = new Blob([write(dataset)], { type });
    const link = element("a", [], { href: URL.createObjectURL(blob), download: name });
    link.click();
    byId("downloaded").textContent = `${name}: ${(blob.size / 1e6).toFixed(2)} MB`;
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

document.documentElement.classList.add("scripted");
fillSelect("density", density);
fillSelect("importance", importance);
figures.forEach(drawMap);
choose(...settings.first_point);
byId("all-points").addEventListener("toggle", listPoints);
byId("density").addEventListener("change", listPoints);
offer("csv", "phase_diagram.csv", "text/csv", asCsv);
offer("json", "phase_diagram.json", "application/json", asJson);
