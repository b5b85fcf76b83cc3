// The exact loss of two features in one dimension, values uniform on [0, 1], by
// Gauss-Legendre between the kinks: the piecewise polynomials of the package's numerics.

// Mean squared error over the own feature where it is off, and where it is on, when the
// preactivation is y without it and g is its own coupling.
function errorOff(y, g, relu) {
  return relu && y < 0 ? 0 : y * y;
}

function errorOn(y, g, relu) {
  const e = 1 - g;
  if (!relu || y >= 0) return (y - e / 2) ** 2 + (e * e) / 12;
  if (y <= -g) return 1 / 3;
  const w = (y + g) / g, v = -y / g;
  return (v * v * (v + 3 * w) + e * w * w * (3 * v + e * w)) / 3;
}

// Mean of an error at y + c x over x uniform on [0, 1]; it is a cubic between kinks.
function overOther(error, y, c, g, relu) {
  if (c === 0) return error(y, g, relu);
  const cut = (x) => Math.min(Math.max(x, 0), 1);
  const cuts = [0, cut(-y / c), cut((-g - y) / c), 1].sort((a, b) => a - b);
  let total = 0;
  for (let k = 0; k < 3; k++) {
    const half = (cuts[k + 1] - cuts[k]) / 2;
    const center = (cuts[k + 1] + cuts[k]) / 2;
    const node = half / Math.sqrt(3);
    if (half > 0) {
      total += half * (error(y + c * (center - node), g, relu)
        + error(y + c * (center + node), g, relu));
    }
  }
  return total;
}

// Error of one output: g its own coupling, c that of the other feature, `both` the probability
// that both features are on.
function outputError(g, c, bias, model) {
  const { density, both, relu } = model;
  const one = density - both;
  return (1 - density - one) * errorOff(bias, g, relu)
    + one * (errorOn(bias, g, relu) + overOther(errorOff, bias, c, g, relu))
    + both * overOther(errorOn, bias, c, g, relu);
}

// Loss of weights (w[0], w[1]) and biases; model: {density, both, r, relu, penalty}.
function exactLoss(w, b, model) {
  const c = w[0] * w[1];
  return outputError(w[0] * w[0], c, b[0], model)
    + model.r * outputError(w[1] * w[1], c, b[1], model)
    + 2 * model.penalty * c * c;
}

// Lowest error of one output over its bias. Below the range that is searched the output is dead,
// above it no input is cut off and the error rises. A scan, then golden sections, because
// the error can have two minima.
function lowestOutputError(g, c, model) {
  const low = -g - Math.max(c, 0), high = 1 + Math.max(-c, 0);
  const error = (bias) => outputError(g, c, bias, model);
  const steps = 16, width = (high - low) / steps;
  let best = 0, lowest = Infinity;
  for (let k = 0; k <= steps; k++) {
    const value = error(low + k * width);
    if (value < lowest) [best, lowest] = [k, value];
  }
  const golden = (Math.sqrt(5) - 1) / 2;
  let [a, d] = [low + (best - 1) * width, low + (best + 1) * width];
  let [b, e] = [d - golden * (d - a), a + golden * (d - a)];
  let [atB, atE] = [error(b), error(e)];
  for (let k = 0; k < 20; k++) {
    if (atB < atE) {
      [d, e, atE] = [e, b, atB];
      b = d - golden * (d - a);
      atB = error(b);
    } else {
      [a, b, atB] = [b, e, atE];
      e = a + golden * (d - a);
      atE = error(e);
    }
  }
  return Math.min(lowest, atB, atE);
}

// Loss minimized over the biases, on a grid: {x, loss} with loss[k][j] at (x[j], x[k]).
// L(W, b) = L(-W, b), so that half of the grid says it all.
function lossMap(reach, count, model) {
  const x = Array.from({ length: count }, (_, k) => reach * ((2 * k) / (count - 1) - 1));
  const loss = x.map(() => new Array(count));
  for (let k = 0; k < (count + 1) / 2; k++) {
    for (let j = 0; j < count; j++) {
      const c = x[j] * x[k];
      loss[k][j] = lowestOutputError(x[j] * x[j], c, model)
        + model.r * lowestOutputError(x[k] * x[k], c, model)
        + 2 * model.penalty * c * c;
      loss[count - 1 - k][count - 1 - j] = loss[k][j];
    }
  }
  return { x, loss };
}
