"""The minima at every grid point, and what the page needs to draw the landscape around them."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ...features import FeatureDistribution, GateKind
from ...numerics import Descent, Minimum, descend, population_loss, random_starts
from ...numerics.minima.multistart import distinct_minima
from ..phases import classify
from ..sweeps.configuration import features_of, settings_of

__all__ = ["DEFAULT_STARTS", "landscape", "pair_probability"]

Floats = NDArray[np.float64]

DEFAULT_STARTS = 16
MOST_MINIMA = 6  # at a point; the lowest are kept
_POSITIONS = np.linspace(-0.25, 1.25, 61)
_DESCRIPTIONS = {
    "minimum_loss": "exact loss of each distinct local minimum found, lowest first",
    "minimum_W": "weights of each minimum, rotated toward the first",
    "minimum_b": "biases of each minimum",
    "minimum_phase": "phase of each minimum; -1 where there are fewer",
    "slice_loss": "exact loss on the straight line from the first minimum (position 0) to each "
    "minimum, and for the first to the empty model (position 1)",
}


def landscape(dataset: xr.Dataset, *, starts: int = DEFAULT_STARTS) -> xr.Dataset:
    """Find the distinct local minima at every point of a phase diagram, and slice between them.

    Exact descent starts from the stored optimum, from every trained replica and from random
    weights. Symmetric copies count once.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `phase_diagram` returns it.
    starts : int
        Random starts per point, at least 0.

    Returns
    -------
    xarray.Dataset
        Along ``density``, ``importance`` and ``minimum``: ``minimum_loss``, ``minimum_W``,
        ``minimum_b`` and ``minimum_phase``, filled up with NaN and −1. Models whose landscape the
        page does not compute itself (see `pair_probability`) also have ``slice_loss`` along
        ``position``.

    Raises
    ------
    ValueError
        If `starts` is negative.

    Examples
    --------
    >>> from superposition.validation import phase_diagram
    >>> diagram = phase_diagram(density=[0.1], importance=[1], replicas=4, starts=16)
    >>> found = landscape(diagram)
    >>> bool(found.minimum_loss[0, 0, 0] <= diagram.optimum_loss[0, 0] * (1 + 1e-12))
    True
    """
    if starts < 0:
        raise ValueError(f"starts must be at least 0, got {starts}")
    settings = settings_of(dataset)
    model = {
        "activation": settings["activation"],
        "features": features_of(settings),
        "penalty": settings["penalty"],
    }
    rows = [_row(dataset, i, starts, model) for i in range(dataset.sizes["density"])]
    most = max(len(minima) for row in rows for minima in row)
    result = _table(dataset, rows, most, model)
    if pair_probability(dataset) is None:
        result["slice_loss"] = _slices(result, dataset, model)
    for name in result.data_vars:
        result[name].attrs["long_name"] = _DESCRIPTIONS[str(name)]
    result["minimum_phase"].attrs |= {
        key: dataset["optimum_phase"].attrs[key] for key in ("flag_values", "flag_meanings")
    }
    return result


def _importances(dataset: xr.Dataset) -> Floats:
    """Return the importances (1, …, 1, r) of all columns of the grid."""
    importance = np.ones((dataset.sizes["importance"], dataset.sizes["feature"]))
    importance[:, -1] = dataset["importance"].values
    return importance


def _row(
    dataset: xr.Dataset, i: int, starts: int, model: dict[str, Any]
) -> list[tuple[Minimum, ...]]:
    """Return the distinct minima at all points of one density."""
    at = dataset.isel(density=i)
    density, importance = float(at["density"]), _importances(dataset)
    columns, (m, n) = len(importance), at["optimum_W"].shape[-2:]
    sound = at["diverged"].values[..., np.newaxis] == 0
    W = [at["optimum_W"].values[:, np.newaxis]]
    W.append(np.where(sound[..., np.newaxis], at["trained_W"].values, W[0]))
    b = [at["optimum_b"].values[:, np.newaxis]]
    b.append(np.where(sound, at["trained_b"].values, b[0]))
    if starts:
        random_W, random_b = random_starts(n, m, starts)
        W.append(np.broadcast_to(random_W, (columns, starts, m, n)))
        b.append(np.broadcast_to(random_b, (columns, starts, n)))
    found = descend(
        np.concatenate(W, axis=1),
        np.concatenate(b, axis=1),
        density=density,
        importance=importance[:, np.newaxis],
        **model,
    )
    shared = {"activation": model["activation"], "features": model["features"]}
    return [
        distinct_minima(_at(found, j), np.full(n, density), importance[j], **shared)[:MOST_MINIMA]
        for j in range(columns)
    ]


def _at(descent: Descent, j: int) -> Descent:
    """Return the descents of one point of a row; fields that were not asked for stay None."""
    values = {field.name: getattr(descent, field.name) for field in fields(Descent)}
    here: dict[str, Any] = {
        name: None if value is None else value[j] for name, value in values.items()
    }
    return Descent(**here)


def _table(
    dataset: xr.Dataset, rows: list[list[tuple[Minimum, ...]]], most: int, model: dict[str, Any]
) -> xr.Dataset:
    """Arrange minima as arrays; where a search found none, all entries are empty."""
    m, n = dataset["optimum_W"].shape[-2:]
    grid = (dataset.sizes["density"], dataset.sizes["importance"], most)
    loss, W, b = (np.full((*grid, *tail), np.nan) for tail in ((), (m, n), (n,)))
    for i, row in enumerate(rows):
        for j, minima in enumerate(row):
            for k, minimum in enumerate(minima):
                loss[i, j, k] = minimum.loss
                W[i, j, k] = _rotated(minimum.W, minima[0].W)
                b[i, j, k] = minimum.b
    here = np.isfinite(loss)
    phase = np.full(grid, -1, dtype=np.int8)
    density = np.broadcast_to(dataset["density"].values[:, np.newaxis, np.newaxis], grid)
    kind = {"activation": model["activation"], "features": model["features"]}
    phase[here] = classify(W[here], b[here], density[here], **kind)
    dims = ("density", "importance", "minimum")
    return xr.Dataset(
        {
            "minimum_loss": (dims, loss),
            "minimum_W": ((*dims, "hidden", "feature"), W),
            "minimum_b": ((*dims, "feature"), b),
            "minimum_phase": (dims, phase),
        },
        coords={"density": dataset["density"], "importance": dataset["importance"]},
    )


def _rotated(W: Floats, toward: Floats) -> Floats:
    """Return QW for the orthogonal Q that brings it closest to other weights (Schönemann 1966)."""
    left, _, right = np.linalg.svd(toward @ W.T)
    return np.asarray(left @ right @ W)


def _slices(found: xr.Dataset, dataset: xr.Dataset, model: dict[str, Any]) -> xr.DataArray:
    """Return the exact loss on straight lines, as 4-byte numbers: they are drawn, not compared."""
    W, b = found["minimum_W"].values, found["minimum_b"].values
    end_W, end_b = W.copy(), b.copy()
    end_W[..., 0, :, :] = 0.0
    end_b[..., 0, :] = _mean(dataset, model["features"])
    t = _POSITIONS[:, np.newaxis]
    first_W, first_b = W[..., :1, np.newaxis, :, :], b[..., :1, np.newaxis, :]
    line_b = first_b + t * (end_b[..., np.newaxis, :] - first_b)
    line_W = first_W + t[..., np.newaxis] * (end_W[..., np.newaxis, :, :] - first_W)
    loss = np.full(line_b.shape[:-1], np.nan)
    here = np.isfinite(line_b).all(axis=-1)
    shape = (*loss.shape, b.shape[-1])
    importance = np.broadcast_to(_importances(dataset)[:, np.newaxis, np.newaxis], shape)
    density = np.broadcast_to(
        dataset["density"].values[:, np.newaxis, np.newaxis, np.newaxis], loss.shape
    )
    loss[here] = population_loss(
        line_W[here], line_b[here], density=density[here], importance=importance[here], **model
    )
    return xr.DataArray(
        loss.astype(np.float32),
        dims=("density", "importance", "minimum", "position"),
        coords={"position": _POSITIONS},
    )


def _mean(dataset: xr.Dataset, features: FeatureDistribution) -> Floats:
    """Return E x_i at every density, in the shape of biases: the best biases without weights."""
    values = features.values
    moments = (Fraction(c) / (k + 2) for k, c in enumerate(values.coefficients))
    mean = 0.0 if values.symmetric else float(sum(moments))
    return np.asarray(mean * dataset["density"].values[:, np.newaxis, np.newaxis])


def pair_probability(dataset: xr.Dataset) -> list[float] | None:
    """Return P(both features are on) at every density, if the page can compute the exact loss.

    It can for two features in one dimension whose values are uniform on [0, 1]; the loss then
    depends on the distribution of the inputs through this probability alone. Else None.
    """
    settings = settings_of(dataset)
    features = features_of(settings)
    if (settings["n_features"], settings["n_hidden"]) != (2, 1) or not features.values.is_uniform:
        return None
    density = np.asarray(dataset["density"], dtype=np.float64)
    kinds = [gate.kind for gate in features.gates(2) if len(gate.members) == 2]
    if not kinds:
        return [float(x) for x in density**2]
    return [float(x) for x in density if kinds[0] is GateKind.TOGETHER] or [0.0] * len(density)
