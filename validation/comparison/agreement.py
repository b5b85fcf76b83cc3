"""How far theory, exact optimum and trained models agree on a phase diagram, with intervals."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Codes = NDArray[np.int8]
Floats = NDArray[np.float64]

PAIRS = (
    ("theory", "optimum"),
    ("optimum", "trained"),
    ("theory", "trained"),
)
_RESAMPLES = 400
_ZERO = 1e-16  # of Σ I_i s; a converged loss of 0 is below about 1e-19 of it
_LEVEL = 0.95


def phases_of(dataset: xr.Dataset) -> tuple[str, ...]:
    """Names of the phases of a dataset, in the order of their codes.

    Examples
    --------
    >>> import xarray as xr
    >>> flags = {"flag_meanings": "ignore_last superpose_both"}
    >>> phases_of(xr.Dataset({"optimum_phase": ("point", [0, 1], flags)}))
    ('ignore last', 'superpose both')
    """
    meanings: str = dataset["optimum_phase"].attrs["flag_meanings"]
    return tuple(name.replace("_", " ") for name in meanings.split(" "))


def away_from_boundaries(phase: Codes) -> NDArray[np.bool_]:
    """Tell which points of a map have eight neighbors of their own phase (fewer at the rim).

    Parameters
    ----------
    phase : ndarray of int, shape (n_density, n_importance)

    Examples
    --------
    >>> away_from_boundaries(np.array([[0, 0, 0, 1]], dtype=np.int8))
    array([[ True,  True, False, False]])
    """
    rows, columns = phase.shape
    padded = np.pad(phase, 1, mode="edge")
    same = np.ones(phase.shape, dtype=bool)
    for row in range(3):
        for column in range(3):
            same &= padded[row : row + rows, column : column + columns] == phase
    return same


def confusion_table(first: Codes, second: Codes, n_phases: int) -> NDArray[np.int64]:
    """Count points by their phase in two maps.

    Returns
    -------
    ndarray of int, shape (n_phases, n_phases)
        Rows are phases of the first map, columns of the second.
    """
    table = np.zeros((n_phases, n_phases), dtype=np.int64)
    np.add.at(table, (first.ravel(), second.ravel()), 1)
    return table


def kappa(table: NDArray[np.int64]) -> float:
    """Cohen's kappa: agreement beyond what the phases' shares alone would give.

    Cohen (1960). 1 where both maps have one and the same phase everywhere (then 0/0).

    Examples
    --------
    >>> kappa(np.array([[20, 5], [10, 15]]))
    0.4
    """
    total = table.sum()
    observed = np.trace(table) / total
    expected = float(table.sum(axis=0) @ table.sum(axis=1)) / total**2
    return 1.0 if expected == 1.0 else round(float((observed - expected) / (1 - expected)), 12)


def _edges(phase: Codes, code: int, axis_values: Floats) -> tuple[Floats, Floats]:
    """Locate where a phase begins and ends along the first axis, for every column.

    NaN where the phase is absent, touches the rim on that side, or comes in several runs.
    An edge lies half-way between two grid values.
    """
    inside = phase == code
    count = inside.sum(axis=0)
    first = inside.argmax(axis=0)
    last = len(inside) - 1 - inside[::-1].argmax(axis=0)
    one_run = (count > 0) & (last - first + 1 == count)
    middles = np.concatenate([[np.nan], 0.5 * (axis_values[1:] + axis_values[:-1]), [np.nan]])
    lower = np.where(one_run, middles[first], np.nan)
    upper = np.where(one_run, middles[last + 1], np.nan)
    return lower, upper


def _displacement(first: Codes, second: Codes, n_phases: int, axis_values: Floats) -> Floats:
    """Mean shift of each phase's edges from the first map to the second, along the first axis.

    Returns
    -------
    ndarray, shape (n_phases, 2)
        For the lower and the upper edge; NaN where no column has the edge in both maps.
    """
    shifts = np.full((n_phases, 2), np.nan)
    for code in range(n_phases):
        here = _edges(first, code, axis_values)
        there = _edges(second, code, axis_values)
        for side in range(2):
            shift = there[side] - here[side]
            if np.isfinite(shift).any():
                shifts[code, side] = np.nanmean(shift)
    return shifts


def _statistics(
    first: Codes, second: Codes, interior: NDArray[np.bool_], n_phases: int, axes: dict[str, Floats]
) -> dict[str, Any]:
    table = confusion_table(first, second, n_phases)
    agree = first == second
    return {
        "agreement": agree.mean(),
        "agreement_away": agree[interior].mean() if interior.any() else np.nan,
        "kappa": kappa(table),
        "displacement_density": _displacement(first, second, n_phases, axes["density"]),
        "displacement_log10_importance": _displacement(
            first.T, second.T, n_phases, np.log10(axes["importance"])
        ),
    }


_LONG_NAMES = {
    "agreement": "share of grid points with the same phase in both maps",
    "agreement_away": "the same, at points whose neighbors all share the optimum's phase",
    "kappa": "Cohen's kappa",
    "displacement_density": "mean shift of a phase's edge in density, from first to second map",
    "displacement_log10_importance": "mean shift of a phase's edge in log10 r",
}
_EDGE_DIMS = ("pair", "phase", "edge")


def agreement(dataset: xr.Dataset, *, seed: int = 0) -> xr.Dataset:
    """Compare theory, exact optimum and best trained replica, point by point and edge by edge.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `phase_diagram` returns it.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    xarray.Dataset
        Along ``pair`` (theory-optimum, optimum-trained, theory-trained): ``agreement``,
        ``agreement_away`` (away from the boundaries of the optimum's map), ``kappa``,
        ``confusion`` (pair, first_phase, second_phase), and the mean displacement of each phase's
        lower and upper edge in density and in log10 r, at a resolution of one grid step. "trained"
        is the replica with the lowest exact loss. ``*_low`` and ``*_high`` bound 95 % intervals
        by a bootstrap that resamples the replicas, jointly at all points; for theory against
        optimum, in which nothing is sampled, they equal the value. A resampled set of K replicas
        holds about 0.63 K different ones and its best is a little worse, so that the percentile
        interval leans to the side of fewer replicas; it is extended to the value itself where it
        would leave it out, and is conservative on the other side.
        Also ``replica_agreement``, the share of all replicas in the optimum's phase, and
        ``stuck_fraction``, the mean over the grid.

    Examples
    --------
    >>> from superposition.validation import phase_diagram
    >>> diagram = phase_diagram(density=[0.1, 0.2], importance=[0.8, 1], replicas=2, starts=16)
    >>> float(agreement(diagram).agreement.sel(pair="theory-optimum"))
    1.0
    """
    phases = phases_of(dataset)
    axes = {name: np.asarray(dataset[name], dtype=np.float64) for name in ("density", "importance")}
    theory: Codes = dataset["theory_phase"].values
    optimum: Codes = dataset["optimum_phase"].values
    replica_phase: Codes = dataset["trained_phase"].values
    replica_loss: Floats = dataset["trained_loss"].values
    interior = away_from_boundaries(optimum)

    def maps(replicas: NDArray[np.int64]) -> dict[str, Codes]:
        best = replicas[replica_loss[..., replicas].argmin(axis=-1)][..., np.newaxis]
        trained = np.take_along_axis(replica_phase, best, axis=-1).squeeze(-1)
        return {"theory": theory, "optimum": optimum, "trained": trained}

    def compare(replicas: NDArray[np.int64]) -> dict[str, Floats]:
        drawn = maps(replicas)
        rows = [
            _statistics(drawn[first], drawn[second], interior, len(phases), axes)
            for first, second in PAIRS
        ]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    n_replicas = replica_loss.shape[-1]
    everyone = np.arange(n_replicas)
    values = compare(everyone)
    rng = np.random.default_rng(seed)
    resampled = [compare(draw) for draw in rng.integers(n_replicas, size=(_RESAMPLES, n_replicas))]
    result = xr.Dataset(
        coords={
            "pair": ["-".join(pair) for pair in PAIRS],
            "phase": list(phases),
            "edge": ["lower", "upper"],
            "first_phase": list(phases),
            "second_phase": list(phases),
        },
        attrs={
            "configuration": dataset.attrs.get("configuration", "{}"),
            "bootstrap": json.dumps({"resamples": _RESAMPLES, "level": _LEVEL, "seed": seed}),
        },
    )
    tail = (1 - _LEVEL) / 2
    for name, value in values.items():
        dims = _EDGE_DIMS[: value.ndim]
        draws = np.array([draw[name] for draw in resampled])
        low = np.fmin(_quantile(draws, tail), value)
        high = np.fmax(_quantile(draws, 1 - tail), value)
        result[name] = (dims, value, {"long_name": _LONG_NAMES[name]})
        result[f"{name}_low"] = (dims, low, {"long_name": f"{_LONG_NAMES[name]}, lower bound"})
        result[f"{name}_high"] = (dims, high, {"long_name": f"{_LONG_NAMES[name]}, upper bound"})
    drawn = maps(everyone)
    result["confusion"] = (
        ("pair", "first_phase", "second_phase"),
        np.array([confusion_table(drawn[a], drawn[b], len(phases)) for a, b in PAIRS]),
        {"long_name": "number of grid points by phase in the first and the second map"},
    )
    result["replica_agreement"] = float((replica_phase == optimum[..., np.newaxis]).mean())
    result["stuck_fraction"] = float(dataset["stuck_fraction"].mean())
    return result


def _quantile(draws: Floats, level: float) -> Floats:
    """Quantile over the first axis, ignoring draws without the edge; NaN where no draw has it."""
    flat = draws.reshape(len(draws), -1)
    quantiles = [
        np.quantile(column[np.isfinite(column)], level) if np.isfinite(column).any() else np.nan
        for column in flat.T
    ]
    return np.array(quantiles).reshape(draws.shape[1:])


GAP_LABELS = {
    "approximation_gap": "theory's closed forms",
    "optimization_gap": "best replica",
    "basin_gap": "replica, local minimum",
    "protocol_gap": "replica, not converged",
}


def relative_gaps(dataset: xr.Dataset) -> dict[str, Floats]:
    """Return the gaps of a dataset relative to the exact optimum, by the names of `GAP_LABELS`.

    NaN where the optimum's loss is 0 up to rounding, so that no gap is relative to anything: where
    nothing is ever on, and where a model reconstructs everything. Infinite or NaN where a replica
    diverged. The last two have one entry per replica.
    """
    optimum = dataset["optimum_loss"].values
    optimum = np.where(optimum > _ZERO * _greatest_loss(dataset), optimum, np.nan)
    return {
        name: dataset[name].values
        / optimum.reshape(optimum.shape + (1,) * (dataset[name].ndim - 2))
        for name in GAP_LABELS
    }


def _greatest_loss(dataset: xr.Dataset) -> Floats:
    """Return Σ I_i s at every grid point, which bounds the loss of a model without weights."""
    importance = dataset.sizes["feature"] - 1 + dataset["importance"].values
    return np.asarray(dataset["density"].values[:, np.newaxis] * importance)


def _with_interval(row: xr.Dataset, name: str) -> str:
    value, low, high = (float(row[name + suffix]) for suffix in ("", "_low", "_high"))
    return f"{value:.4f} [{low:.4f}, {high:.4f}]" if np.isfinite(value) else "-"


def summarize(dataset: xr.Dataset, compared: xr.Dataset) -> str:
    """Write the agreement and the three gaps of a phase diagram as plain text.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `phase_diagram` returns it.
    compared : xarray.Dataset
        Its `agreement`.
    """
    phases = phases_of(dataset)
    sizes = dataset.sizes
    lines = [
        dataset.attrs["title"],
        f"{sizes['density']} densities x {sizes['importance']} importances x {sizes['replica']} replicas",
        "",
        "Agreement of phases (95 % interval over replicas)",
        f"  {'':<17} {'all points':<23} {'away from boundaries':<23} Cohen's kappa",
    ]
    for pair in compared["pair"].values:
        row = compared.sel(pair=pair)
        cells = [_with_interval(row, name) for name in ("agreement", "agreement_away", "kappa")]
        lines.append(f"  {pair:<17} {cells[0]:<23} {cells[1]:<23} {cells[2]}")
    lines += [
        f"  all replicas in the optimum's phase: {float(compared['replica_agreement']):.4f}",
        f"  replicas above another minimum (stuck): {float(compared['stuck_fraction']):.4f}",
        f"  replicas that diverged: {int(dataset['diverged'].sum())}",
        "",
        "Where the loss goes, relative to the exact optimum (median, 90 %, largest)",
    ]
    gaps = relative_gaps(dataset)
    for name, label in GAP_LABELS.items():
        gap = gaps[name][np.isfinite(gaps[name])]
        quantiles = [np.quantile(gap, q) for q in (0.5, 0.9, 1.0)] if gap.size else []
        numbers = "  ".join(f"{quantile:10.3e}" for quantile in quantiles)
        lines.append(f"  {label:<24} {numbers or '-'}")
    excess = gaps["optimization_gap"][~np.isnan(gaps["optimization_gap"])]
    for percent in (1, 0.1) if excess.size else ():
        share = (excess <= percent / 100).mean()
        lines.append(f"  points where the best replica is within {percent} %: {share:.4f}")
    lines += ["", "Mean displacement of a phase's edges", "  pair, phase, edge: density, log10 r"]
    for pair in compared["pair"].values:
        for phase in phases:
            for edge in compared["edge"].values:
                at = compared.sel(pair=pair, phase=phase, edge=edge)
                shifts = [
                    float(at[name])
                    for name in ("displacement_density", "displacement_log10_importance")
                ]
                if np.isfinite(shifts).any():
                    cells = [f"{x:+.4f}" if np.isfinite(x) else "   -   " for x in shifts]
                    lines.append(f"  {pair}, {phase}, {edge}: {cells[0]}, {cells[1]}")
    lines += ["", "Points by phase (rows: first map, columns: second map)"]
    for pair in compared["pair"].values:
        table = compared["confusion"].sel(pair=pair).values
        used = [k for k in range(len(phases)) if table[k].any() or table[:, k].any()]
        width = max(len(phases[k]) for k in used)
        lines.append(f"  {pair:<{width + 4}}" + "".join(f"  {f'({k})':>6}" for k in used))
        for k in used:
            counts = "".join(f"  {table[k, j]:>6}" for j in used)
            lines.append(f"  ({k}) {phases[k]:<{width}}{counts}")
    return "\n".join(lines) + "\n"
