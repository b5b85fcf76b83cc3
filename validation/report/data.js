// The dataset of the page: read it, look up a point, write it as CSV or JSON.

const ARRAYS = { float64: Float64Array, float32: Float32Array, int32: Int32Array, int8: Int8Array };

function readVariable(stored) {
  const variable = { ...stored, values: stored.data };
  if (stored.dtype !== "text") {
    const bytes = Uint8Array.from(atob(stored.data), (sign) => sign.charCodeAt(0));
    variable.values = new ARRAYS[stored.dtype](bytes.buffer); // little-endian, as all browsers are
  }
  delete variable.data;
  return variable;
}

function readDataset(text) {
  const stored = JSON.parse(text);
  const variables = {};
  for (const [name, variable] of Object.entries(stored.variables)) {
    variables[name] = readVariable(variable);
  }
  return { attributes: stored.attributes, variables };
}

function onGrid(variable) {
  return variable.dims[0] === "density" && variable.dims[1] === "importance";
}

// The values of a variable at one grid point: a number, or an array in the order of its last
// dimensions; undefined if the page does not hold the variable.
function valuesAt(dataset, name, i, j) {
  const variable = dataset.variables[name];
  if (!variable) return undefined;
  const size = variable.shape.slice(2).reduce((a, b) => a * b, 1);
  const start = (i * variable.shape[1] + j) * size;
  const values = variable.values.subarray(start, start + size);
  return variable.dims.length === 2 ? values[0] : values;
}

// Names of the columns of a variable, such as trained_W[0,0,1], indices counted from 0.
function columnsOf(name, variable) {
  let labels = [""];
  for (const count of variable.shape.slice(2)) {
    labels = labels.flatMap((label) => Array.from({ length: count }, (_, k) =>
      label === "" ? String(k) : `${label},${k}`));
  }
  return labels.map((label) => (label === "" ? name : `${name}[${label}]`));
}

// One row per grid point, one column per number, written so that it reads back exactly.
function asCsv(dataset) {
  const names = Object.keys(dataset.variables).filter((name) => onGrid(dataset.variables[name]));
  const { density, importance } = dataset.variables;
  const header = names.flatMap((name) => columnsOf(name, dataset.variables[name]));
  const quoted = header.map((title) => (title.includes(",") ? `"${title}"` : title));
  const lines = [["density", "importance", ...quoted].join(",")];
  for (let i = 0; i < density.values.length; i++) {
    for (let j = 0; j < importance.values.length; j++) {
      const row = [density.values[i], importance.values[j]];
      for (const name of names) {
        const value = valuesAt(dataset, name, i, j);
        if (typeof value === "number") row.push(value);
        else for (const part of value) row.push(part);
      }
      lines.push(row.map((x) => (Number.isNaN(x) ? "" : x === Infinity ? "inf" : x)).join(","));
    }
  }
  return lines.join("\r\n") + "\r\n";
}

// Everything with its dimensions and meaning; NaN and infinity, which JSON has not, as text.
function asJson(dataset) {
  const variables = {};
  for (const [name, variable] of Object.entries(dataset.variables)) {
    const values = Array.from(variable.values, (x) =>
      typeof x === "number" && !Number.isFinite(x) ? String(x) : x);
    variables[name] = { ...variable, values };
  }
  return JSON.stringify({ attributes: dataset.attributes, variables });
}
